//! Files, folders and standard input, within limits.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use policyc_diag::{Source, SourceMap};
use policyc_syntax::limits;

use crate::exit::Error;

/// Standard input has been read: a second `-` would find nothing, which must not pass for an empty file.
static STDIN_READ: AtomicBool = AtomicBool::new(false);

/// Files below one folder at most; a runaway path (`/`) ends here.
const FILES_MAX: usize = 100_000;
/// Depth of folders.
const DEPTH_MAX: usize = 32;

/// Reads files and folders (their `.yaml`, `.yml` and `.json` files, sorted) and adds them to the map.
///
/// # Errors
/// The first path that is missing, unreadable, too large or no text.
pub(crate) fn read_all(paths: &[PathBuf], sources: &mut SourceMap) -> Result<Vec<Source>, Error> {
    let mut files = Vec::new();
    for path in paths {
        expand(path, 0, &mut files)?;
    }
    files.into_iter().map(|path| read(&path, sources)).collect()
}

fn expand(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    if path == Path::new("-") || !path.is_dir() {
        files.push(path.to_owned());
    } else {
        if depth > DEPTH_MAX {
            return Err(Error::usage(format!(
                "`{}` is nested more than {DEPTH_MAX} folders deep",
                path.display()
            )));
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| cannot_read(path, &error))?;
        let mut children: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        children.sort();
        for child in children
            .iter()
            .filter(|child| child.is_dir() || is_yaml(child))
        {
            expand(child, depth + 1, files)?;
        }
    }
    if files.len() > FILES_MAX {
        return Err(Error::usage(format!(
            "more than {FILES_MAX} files below `{}`",
            path.display()
        )));
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

/// Reads one file, or standard input for `-`, as text.
pub(crate) fn read(path: &Path, sources: &mut SourceMap) -> Result<Source, Error> {
    let (name, bytes) = if path == Path::new("-") {
        if STDIN_READ.swap(true, Ordering::Relaxed) {
            return Err(Error::usage("standard input (`-`) can be read only once"));
        }
        let mut bytes = Vec::new();
        let limit = limits::FILE_BYTES as u64 + 1;
        let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
        read.map_err(|error| cannot_read(path, &error))?;
        ("<stdin>".to_owned(), bytes)
    } else {
        (
            path.display().to_string(),
            read_bytes(path, limits::FILE_BYTES as u64)?,
        )
    };
    if bytes.len() > limits::FILE_BYTES {
        return Err(too_large(&name, limits::FILE_BYTES as u64));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(sources.add(name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(Error::usage(format!(
                "`{name}` is not text: byte {at} is not UTF-8"
            )))
        }
    }
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let file = fs::File::open(path).map_err(|error| cannot_read(path, &error))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot_read(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(&path.display().to_string(), limit));
    }
    Ok(bytes)
}

fn too_large(name: &str, limit: u64) -> Error {
    Error::usage(format!(
        "`{name}` is larger than {} MiB, the limit for one file",
        limit >> 20
    ))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot read `{}`: {error}", path.display()))
}
