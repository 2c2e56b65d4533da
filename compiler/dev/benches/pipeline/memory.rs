//! Peak memory, by a process for each cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cells::Cell;
use crate::stages::{self, Input, Trees};

/// How the parent tells a child which cluster to measure.
const VARIABLE: &str = "POLICY_BENCH_CHILD";

/// Children for each cluster.
const RUNS: usize = 3;

/// What a process of its own measured.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    /// From text to model, in milliseconds.
    pub(crate) milliseconds: u64,
    /// The highest resident memory until the end of each stage, in KiB: parse, rules, resolve, model.
    pub(crate) peaks: Vec<u64>,
}

/// The folder to measure, in a child.
pub(crate) fn asked_for() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// Runs all stages as the compiler does, each product dropped when no later stage needs it, and prints what it took.
pub(crate) fn measure(folder: &Path) {
    let input = Input::read(folder);
    let start = Instant::now();
    let trees = Trees::parse(&input);
    let parse = peak();
    let (rules, inventory) = stages::rules(&trees);
    drop(trees);
    let ruled = peak();
    let universe = stages::universe(&rules, &inventory);
    drop(inventory);
    let resolved = stages::resolve(&rules, &universe);
    let resolve = peak();
    let model = stages::model(&resolved);
    let milliseconds = start.elapsed().as_millis();
    assert!(!model.policies().is_empty(), "no pod has a policy");
    println!("{milliseconds} {parse} {ruled} {resolve} {}", peak());
}

/// Measures a cluster in several children, one after another. The median of their times stands for all.
pub(crate) fn of(cell: &Cell) -> Whole {
    let mut runs: Vec<_> = (0..RUNS).map(|_| run(cell)).collect();
    runs.sort_by_key(|whole| whole.milliseconds);
    runs.swap_remove(RUNS / 2)
}

fn run(cell: &Cell) -> Whole {
    let itself = std::env::current_exe().unwrap();
    let ran = Command::new(itself)
        .env(VARIABLE, cell.folder())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let text = String::from_utf8(ran.stdout).unwrap();
    let mut numbers = text
        .split_whitespace()
        .map(|number| number.parse().unwrap());
    Whole {
        milliseconds: numbers.next().unwrap(),
        peaks: numbers.collect(),
    }
}

/// The highest resident memory of this process so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("Linux says how much memory a process has used at most")
}
