//! Exit codes, the same in every format.

use std::fmt;
use std::process::{ExitCode, Termination};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Nothing found.
    Clean = 0,
    /// Findings, rejected policies, or a denied flow.
    Findings = 1,
    /// Usage, configuration or unreadable input.
    Usage = 2,
    /// A question that stayed undecided, or a fault in this tool.
    Undecided = 3,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Error {
    message: String,
    /// The code to leave with.
    pub exit: Exit,
}

impl Error {
    /// Something the user can mend: a path, a key, an option.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit: Exit::Usage,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
