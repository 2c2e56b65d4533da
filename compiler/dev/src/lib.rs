//! Project tasks. `cargo dev` lists them.

/// Clusters of any size, made up from a seed.
pub mod cluster;
/// Rebuilding the eBPF object that is checked in, or checking that nobody has to.
pub mod ebpf;

use std::fmt;
use std::path::PathBuf;

/// Why a task did not succeed, in a sentence for the person who ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError(pub String);

impl fmt::Display for TaskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for TaskError {}

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or(here.clone(), PathBuf::from)
}
