//! What outlives the daemon on disk: the highest accepted revision, the bundle in force, and the lock that keeps a
//! second daemon away.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use policy_bundle::BYTES_MAX;

use crate::failure::Failure;
use crate::files;

/// Longest revision file, in bytes.
const REVISION_MAX: usize = 256;

/// Revision and digest of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Accepted {
    /// The revision.
    pub revision: u64,
    /// The digest.
    pub digest: [u8; 32],
}

/// The state folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// The state in `folder`, which need not exist.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Makes the folder and locks it for as long as the file returned lives.
    ///
    /// # Errors
    /// If another process holds the lock, or the folder cannot be made.
    pub fn lock(&self) -> Result<File, Failure> {
        self.lock_file("lock", "another policyd is running")
    }

    /// Locks the reading of events for as long as the file returned lives.
    ///
    /// # Errors
    /// If another process reads them, or the folder cannot be made.
    pub fn lock_events(&self) -> Result<File, Failure> {
        self.lock_file("events.lock", "another `policyd events` is running")
    }

    fn lock_file(&self, name: &str, taken: &str) -> Result<File, Failure> {
        let path = self.folder.join(name);
        let fail = |error: std::io::Error| {
            Failure::usage(format!("`{}` cannot be used: {error}", path.display()))
        };
        fs::create_dir_all(&self.folder).map_err(fail)?;
        let file = File::create(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Failure::usage(format!(
                "{taken} with state folder `{}`; stop it first",
                self.folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(fail(error)),
        }
    }

    /// The highest accepted revision, `None` before the first.
    ///
    /// # Errors
    /// If the file is there but cannot be understood: without it roll-back could not be refused.
    pub fn accepted(&self) -> Result<Option<Accepted>, Failure> {
        let path = self.folder.join("revision");
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(&path, REVISION_MAX)?;
        parse(&text).map(Some).ok_or_else(|| {
            Failure::usage(format!(
                "`{}` is damaged; roll-back cannot be refused without it",
                path.display()
            ))
        })
    }

    /// Remembers a bundle that has come into force.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn remember(&self, accepted: &Accepted, bundle: &[u8]) -> Result<(), Failure> {
        files::replace(&self.folder.join("bundle"), bundle)?;
        let line = format!("{} {}\n", accepted.revision, hex(&accepted.digest));
        files::replace(&self.folder.join("revision"), line.as_bytes())
    }

    /// The bundle that was last in force, `None` if there is none.
    ///
    /// # Errors
    /// If it is there but cannot be read.
    pub fn bundle(&self) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.folder.join("bundle");
        if path.exists() {
            files::read(&path, BYTES_MAX).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Forgets the bundle but not the revision: taking the daemon off a node must not open a way back.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn forget_bundle(&self) -> Result<(), Failure> {
        files::remove(&self.folder.join("bundle"))
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn parse(text: &str) -> Option<Accepted> {
    let (revision, digits) = text.strip_suffix('\n')?.split_once(' ')?;
    let mut digest = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(Accepted {
        revision: revision.parse().ok()?,
        digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_survives() {
        let folder = tests_folder("state-revision");
        let state = State::new(&folder);
        let accepted = Accepted {
            revision: 9,
            digest: [0xab; 32],
        };
        let lock = state.lock().unwrap();
        assert_eq!(state.accepted().unwrap(), None);
        state.remember(&accepted, b"bytes").unwrap();
        assert_eq!(state.accepted().unwrap(), Some(accepted));
        assert_eq!(state.bundle().unwrap(), Some(b"bytes".to_vec()));
        assert!(
            State::new(&folder)
                .lock()
                .unwrap_err()
                .to_string()
                .contains("another policyd")
        );
        drop(lock);
        state.lock().unwrap();
        state.forget_bundle().unwrap();
        assert_eq!(
            (state.bundle().unwrap(), state.accepted().unwrap()),
            (None, Some(accepted))
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn damage_is_not_taken_for_a_fresh_start() {
        let folder = tests_folder("state-damage");
        fs::create_dir_all(&folder).unwrap();
        for text in ["", "9", "9 ab\n", "x ", "9 zz"] {
            fs::write(folder.join("revision"), text).unwrap();
            assert!(State::new(&folder).accepted().is_err(), "{text:?}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    fn tests_folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("policyd-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }
}
