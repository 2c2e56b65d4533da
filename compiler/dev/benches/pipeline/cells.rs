//! What is measured.

use std::fmt;
use std::path::{Path, PathBuf};

use policy_dev::cluster::{Cluster, Shape};

/// Identities: one pod each.
const PODS: &[usize] = &[1_000, 5_000, 20_000];
/// Policies for each.
const POLICIES: &[usize] = &[100, 1_000, 10_000];

/// A cluster of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) pods: usize,
    pub(crate) policies: usize,
}

impl Cell {
    /// Where its files are.
    pub(crate) fn folder(&self) -> PathBuf {
        folder().join(self.to_string())
    }

    /// Writes its files.
    pub(crate) fn generate(&self) {
        let cluster = Cluster::new(Shape::new(self.pods, self.policies));
        cluster.write(&self.folder()).unwrap();
    }

    fn parse(text: &str) -> Option<Self> {
        let (pods, policies) = text.split_once('x')?;
        Some(Self {
            pods: pods.parse().ok()?,
            policies: policies.parse().ok()?,
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.pods, self.policies)
    }
}

/// A folder for files of this benchmark.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipeline")
}

/// All sizes, or those that the environment names.
pub(crate) fn chosen() -> Vec<Cell> {
    if let Ok(named) = std::env::var("POLICY_BENCH") {
        let cells = named
            .split(',')
            .map(|cell| Cell::parse(cell).expect("sizes as `pods x policies`, without blanks"));
        return cells.collect();
    }
    let row = |pods: &usize| {
        let pods = *pods;
        POLICIES.iter().map(move |policies| Cell {
            pods,
            policies: *policies,
        })
    };
    PODS.iter().flat_map(row).collect()
}
