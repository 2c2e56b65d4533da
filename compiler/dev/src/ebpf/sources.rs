//! The list of sources and their digests.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{BENCH, OBJECT, read};
use crate::TaskError;

/// Files and folders that decide what the objects are, and the objects themselves.
const LISTED: [&str; 8] = [
    "ebpf/abi/Cargo.toml",
    "ebpf/abi/src",
    "ebpf/programs/bench",
    "ebpf/programs/Cargo.lock",
    "ebpf/programs/Cargo.toml",
    "ebpf/programs/src",
    OBJECT,
    BENCH,
];

/// The list as it should be now, ordered by path.
pub(super) fn list(root: &Path) -> Result<String, TaskError> {
    let mut paths = Vec::new();
    for listed in LISTED {
        collect(root, PathBuf::from(listed), &mut paths)?;
    }
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let digest = Sha256::digest(read(&root.join(&path))?);
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{digest:x}  {}", path.display());
    }
    Ok(text)
}

/// Path of the first line that two lists do not share.
pub(super) fn first_difference(listed: &str, found: &str) -> Option<String> {
    let has = |text: &str, line: &str| text.lines().any(|other| other == line);
    let differing = found
        .lines()
        .find(|line| !has(listed, line))
        .or_else(|| listed.lines().find(|line| !has(found, line)));
    differing.map(|line| line.split("  ").last().unwrap_or_default().to_owned())
}

/// Adds a file, or all files in a folder, by their paths from the root.
fn collect(root: &Path, path: PathBuf, paths: &mut Vec<PathBuf>) -> Result<(), TaskError> {
    let full = root.join(&path);
    if !full.is_dir() {
        paths.push(path);
        return Ok(());
    }
    let unreadable = |error| TaskError(format!("cannot read `{}`: {error}", path.display()));
    for entry in fs::read_dir(&full).map_err(unreadable)? {
        collect(
            root,
            path.join(entry.map_err(unreadable)?.file_name()),
            paths,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_names_the_file() {
        let list = "1  a\n2  b\n3  c\n";
        for (other, expected) in [
            (list, None),
            ("1  a\n9  b\n3  c\n", Some("b")),
            ("1  a\n2  b\n3  c\n4  d\n", Some("d")),
            ("1  a\n3  c\n", Some("b")),
            ("", Some("a")),
        ] {
            assert_eq!(
                first_difference(list, other).as_deref(),
                expected,
                "{other}"
            );
        }
    }
}
