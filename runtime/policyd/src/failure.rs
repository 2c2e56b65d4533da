//! What went wrong, and the exit code it means.

use std::fmt;

/// Whose fault it is; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The bundle is not accepted, or does not fit this node.
    Refused,
    /// Command line, configuration, or a file that cannot be read.
    Usage,
    /// The kernel, or this program.
    Internal,
}

impl Cause {
    /// Exit code of the process.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Internal => 3,
        }
    }
}

/// An error of any stage: one sentence for people and whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    cause: Cause,
    message: String,
}

impl Failure {
    /// The bundle is not accepted, or does not fit this node.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self {
            cause: Cause::Refused,
            message: message.to_string(),
        }
    }

    /// Command line, configuration, or a file that cannot be read.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self {
            cause: Cause::Usage,
            message: message.to_string(),
        }
    }

    /// The kernel, or this program.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self {
            cause: Cause::Internal,
            message: message.to_string(),
        }
    }

    /// Whose fault it is.
    pub fn cause(&self) -> Cause {
        self.cause
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
