//! Rebuilding the eBPF object that is checked in, or checking that nobody has to.
//!
//! The object is a build product under version control, so that building everything else takes no eBPF toolchain.
//! Beside it lies a list of its sources' digests, which a plain `cargo test` compares with the sources. The list has
//! the form of `sha256sum`, and `sha256sum -c` from the root of the repository checks it too.

/// Running the tools: which versions, which options.
mod build;
/// The list of sources and their digests.
mod sources;
/// Leaving debug information out of the object.
mod strip;

use std::fs;
use std::path::Path;

use crate::{TaskError, root};

/// The object that the product loads, from the root of the repository.
pub const OBJECT: &str = "ebpf/policy.o";
/// The object that only the benchmark loads.
pub const BENCH: &str = "ebpf/bench.o";
/// Both objects, and the names of the programs they are built from.
const OBJECTS: [(&str, &str); 2] = [(OBJECT, "policy"), (BENCH, "bench")];
/// The list of their sources, and of the objects.
pub const SOURCES: &str = "ebpf/policy.o.sources";

/// Rebuilds the objects and the list of their sources.
pub fn write(say: &dyn Fn(&str)) -> Result<(), TaskError> {
    let root = root();
    let built = build::folder(&root, say)?;
    for (path, program) in OBJECTS {
        let object = strip::strip(&read(&built.join(program))?)?;
        put(&root.join(path), &object)?;
        say(&format!("wrote `{path}` ({} bytes)", object.len()));
    }
    put(&root.join(SOURCES), sources::list(&root)?.as_bytes())
}

/// Rebuilds the objects and compares them with those checked in.
pub fn check(say: &dyn Fn(&str)) -> Result<(), TaskError> {
    let root = root();
    check_sources(&root)?;
    let built = build::folder(&root, say)?;
    for (path, program) in OBJECTS {
        if strip::strip(&read(&built.join(program))?)? != read(&root.join(path))? {
            return Err(TaskError(format!(
                "`{path}` is not what its sources build to; run `cargo dev ebpf`"
            )));
        }
        say(&format!("`{path}` is what its sources build to"));
    }
    Ok(())
}

/// Compares the sources with the list, without building anything.
pub fn check_sources(root: &Path) -> Result<(), TaskError> {
    let (listed, found) = (read(&root.join(SOURCES))?, sources::list(root)?);
    match sources::first_difference(&String::from_utf8_lossy(&listed), &found) {
        None => Ok(()),
        Some(line) => Err(TaskError(format!(
            "`{line}` has changed since the last build; run `cargo dev ebpf`"
        ))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TaskError> {
    fs::read(path).map_err(|error| TaskError(format!("cannot read `{}`: {error}", path.display())))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), TaskError> {
    fs::write(path, bytes)
        .map_err(|error| TaskError(format!("cannot write `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_built_from_the_sources_as_they_are() {
        check_sources(&root()).unwrap();
    }
}
