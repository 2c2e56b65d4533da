//! The programs that are tested.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds packages from the same source as the running test, whatever was built before, and returns the folder with their
/// programs.
///
/// # Errors
/// If the test is not where `cargo test` puts tests, or the build fails.
pub fn build(packages: &[&str]) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3);
    let target = target.ok_or_else(|| io::Error::other("the test is in no target folder"))?;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--manifest-path"]);
    build.arg(manifest).arg("--target-dir").arg(target);
    for package in packages {
        build.args(["--package", package]);
    }
    let status = build.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("building {packages:?}: {status}")));
    }
    Ok(target.join("debug"))
}
