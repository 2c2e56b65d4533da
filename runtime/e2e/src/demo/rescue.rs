//! Clean-up after a panic: release builds abort then, and nothing is dropped.

use std::fs;
use std::panic;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Something that must not stay behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// A folder with all that is in it.
    Folder(PathBuf),
    /// A network namespace.
    Namespace(String),
}

/// What has been made so far.
static MADE: Mutex<Vec<Made>> = Mutex::new(Vec::new());

/// Sees to it that a panic removes what has been made. The daemon needs no help, it ends with this process.
pub(super) fn install() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        remove();
    }));
}

/// Notes what a panic must remove. It may be gone by then.
pub(super) fn remember(made: Made) {
    MADE.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(made);
}

/// The newest first, as dropping would.
fn remove() {
    let made = std::mem::take(&mut *MADE.lock().unwrap_or_else(PoisonError::into_inner));
    for made in made.into_iter().rev() {
        // Nothing to be done about failures here.
        match made {
            Made::Folder(path) => {
                let _removed = fs::remove_dir_all(path);
            }
            Made::Namespace(name) => {
                let _removed = Command::new("ip").args(["netns", "del", &name]).output();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_removes_what_has_been_made() {
        let path = std::env::temp_dir().join(format!("policyd-demo-rescue-{}", std::process::id()));
        fs::create_dir_all(path.join("inner")).unwrap();
        remember(Made::Folder(path.clone()));
        install();
        let ended = std::thread::spawn(|| panic!("on purpose")).join();
        // Other tests shall not see the hook.
        let _hook = panic::take_hook();
        assert!(ended.is_err());
        assert!(!path.exists());
    }
}
