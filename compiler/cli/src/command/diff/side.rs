//! Which files each side means.

use std::path::{Path, PathBuf};

use policyc_diag::{Source, SourceMap};

use super::git;
use crate::exit::Error;
use crate::input;

/// Reads the files of both sides. A side is a file or folder, `-` for standard input, a revision, or
/// `revision:path`; a bare revision means the path that the other side names, or else the current folder.
///
/// # Errors
/// Sides that are neither, and files that cannot be read.
pub(super) fn read(
    old: &str,
    new: &str,
    maps: &mut [SourceMap; 2],
) -> Result<[Vec<Source>; 2], Error> {
    let [old_map, new_map] = maps;
    Ok([one(old, new, old_map)?, one(new, old, new_map)?])
}

/// Reads what policies were before: each side a file, a folder, a revision or `revision:path`. A bare revision means all
/// the paths that the policies are read from now.
///
/// # Errors
/// Sides that are neither, and files that cannot be read.
pub(in crate::command) fn before(
    sides: &[String],
    now: &[PathBuf],
    sources: &mut SourceMap,
) -> Result<Vec<Source>, Error> {
    let mut read = Vec::new();
    for side in sides {
        if is_path(side) || side.contains(':') {
            read.extend(one(side, ".", sources)?);
            continue;
        }
        for path in now.iter().filter(|path| path.as_path() != Path::new("-")) {
            read.extend(git::read(side, side, git::Within::Disk(path), sources)?);
        }
    }
    Ok(read)
}

fn one(side: &str, other: &str, sources: &mut SourceMap) -> Result<Vec<Source>, Error> {
    if is_path(side) {
        return input::read_all(&[side.into()], sources);
    }
    match side.split_once(':') {
        Some((revision, path)) => git::read(side, revision, git::Within::Tree(path), sources),
        None => git::read(side, side, within(other), sources),
    }
}

/// Where a bare revision is looked at, given the other side.
fn within(other: &str) -> git::Within<'_> {
    if other != "-" && is_path(other) {
        return git::Within::Disk(Path::new(other));
    }
    match other.split_once(':') {
        Some((_, path)) => git::Within::Tree(path),
        None => git::Within::Disk(Path::new(".")),
    }
}

fn is_path(side: &str) -> bool {
    side == "-" || Path::new(side).exists()
}
