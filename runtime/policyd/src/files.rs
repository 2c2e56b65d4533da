//! Reading with a bound, writing without halves.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::failure::Failure;

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let fail =
        |error: io::Error| Failure::usage(format!("`{}` cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() > limit {
        return Err(Failure::usage(format!(
            "`{}` is longer than {limit} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Reads a text file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String, Failure> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| Failure::usage(format!("`{}` is not UTF-8 text", path.display())))
}

/// Replaces a file: readers and crashes see the old or the new contents, never a part.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fail = |error: io::Error| {
        Failure::internal(format!("`{}` cannot be written: {error}", path.display()))
    };
    let beside = path.with_extension("new");
    let mut file = File::create(&beside).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::rename(&beside, path).map_err(fail)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(fail)
}

/// Removes a file that may be missing.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    unlink(path).map_err(|error| {
        Failure::internal(format!("`{}` cannot be removed: {error}", path.display()))
    })
}

/// The same for those who say themselves what failed.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
