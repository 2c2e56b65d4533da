//! Running the tools: which versions, which options.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TaskError;

/// Compiler and linker, which share one LLVM: another version of either means another object.
const TOOLCHAIN: &str = "1.95.0";
const LINKER: &str = "0.10.1";
/// What the object is compiled for.
const TARGET: &str = "bpfel-unknown-none";
/// Debug information becomes BTF, by which the kernel's tools know functions and lines.
const RUSTFLAGS: &str = "-C debuginfo=2 -C link-arg=--btf";

/// Builds the objects and returns the folder they are in. Installs what is missing, after saying so.
pub(super) fn folder(root: &Path, say: &dyn Fn(&str)) -> Result<PathBuf, TaskError> {
    ensure_library_sources(say)?;
    ensure_linker(say)?;
    let target = target_directory(root);
    let mut command = toolchain("cargo");
    command
        .args(["build", "--locked", "--release", "--target", TARGET])
        // The core library for this target is compiled along, without absolute paths in it.
        .args(["-Z", "build-std=core", "-Z", "trim-paths"])
        .current_dir(root.join("ebpf/programs"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", RUSTFLAGS)
        .env("CARGO_PROFILE_RELEASE_TRIM_PATHS", "all")
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(command)?;
    Ok(target.join(TARGET).join("release"))
}

/// Apart from the other crates' products, which are for another target and compiler options.
fn target_directory(root: &Path) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("ebpf")
}

fn ensure_library_sources(say: &dyn Fn(&str)) -> Result<(), TaskError> {
    let mut command = toolchain("rustc");
    command.args(["--print", "sysroot"]);
    let sysroot = PathBuf::from(output(command)?.trim());
    if sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        return Ok(());
    }
    say(&format!(
        "installing the sources of the core library of Rust {TOOLCHAIN}"
    ));
    let mut command = Command::new("rustup");
    command.args(["component", "add", "rust-src", "--toolchain", TOOLCHAIN]);
    run(command)
}

fn ensure_linker(say: &dyn Fn(&str)) -> Result<(), TaskError> {
    let mut command = Command::new("bpf-linker");
    command.arg("--version");
    if output(command).is_ok_and(|version| version.trim() == format!("bpf-linker {LINKER}")) {
        return Ok(());
    }
    say(&format!(
        "installing bpf-linker {LINKER}, which takes a few minutes"
    ));
    let mut command = toolchain("cargo");
    command.args([
        "install",
        &format!("bpf-linker@{LINKER}"),
        "--locked",
        "--force",
    ]);
    run(command)
}

/// A tool of the pinned toolchain, whatever the environment says.
fn toolchain(tool: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", TOOLCHAIN, tool]);
    command
}

fn run(mut command: Command) -> Result<(), TaskError> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(TaskError(format!("{} failed: {status}", shown(&command)))),
        Err(error) => Err(TaskError(format!(
            "cannot run {}: {error}",
            shown(&command)
        ))),
    }
}

fn output(mut command: Command) -> Result<String, TaskError> {
    match command.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(TaskError(format!(
            "{} failed: {}",
            shown(&command),
            output.status
        ))),
        Err(error) => Err(TaskError(format!(
            "cannot run {}: {error}",
            shown(&command)
        ))),
    }
}

/// A command line for messages.
fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    format!("`{}`", words.join(" "))
}
