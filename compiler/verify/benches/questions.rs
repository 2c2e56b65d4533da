//! Time of every rule question over clusters that `cargo dev cluster` makes up.
//!
//! `make bench-verify` measures clusters of growing size, each without its inventory and with it, and prints the table
//! of `docs/performance.md`. `POLICY_BENCH=5000,1000` measures these numbers of policies instead, and
//! `POLICY_BENCH_FOLDERS`, parted by colons, folders with `policies.yaml` and `inventory.yaml`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that fails must stop, and says what it measured"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use policyc_diag::SourceMap;
use policyc_ir::inventory::Inventory;
use policyc_ir::normalise::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;
use policyc_syntax::ast::Document;
use policyc_verify::{Options, Report, check};

/// How often each is measured; the median counts.
const RUNS: usize = 3;

/// Pods of each cluster.
const PODS: &str = "3000";

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments
        .iter()
        .any(|one| one == "--test" || one == "--list")
    {
        return;
    }
    println!(
        "| policies | rules | inventory | asked the solver | findings | all questions | a rule |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    for folder in folders() {
        measure(&folder);
    }
}

/// The clusters to measure.
fn folders() -> Vec<PathBuf> {
    if let Ok(paths) = std::env::var("POLICY_BENCH_FOLDERS") {
        return paths.split(':').map(PathBuf::from).collect();
    }
    let sizes = std::env::var("POLICY_BENCH");
    let sizes = sizes.as_deref().unwrap_or("100,300,1000,2000,5000");
    sizes.split(',').map(make).collect()
}

fn make(policies: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let cluster = folder.join(format!("questions-{policies}"));
    let made = std::process::Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "policy-dev", "--", "cluster"])
        .arg(&cluster)
        .args(["--pods", PODS, "--policies", policies])
        .status()
        .expect("cargo runs");
    assert!(made.success(), "the cluster is made");
    cluster
}

fn measure(folder: &Path) {
    let policies = read(&folder.join("policies.yaml"));
    let objects = read(&folder.join("inventory.yaml"));
    let (inventory, _) = Inventory::read(&objects);
    for (inventory, named) in [(Inventory::default(), "no"), (inventory, "yes")] {
        let settings = Settings::default();
        let (policies, _) = PolicySet::admit(&policies, &settings);
        let rules = normalise(&policies, &inventory, &settings);
        ask(&rules, &settings, named);
    }
}

fn ask(rules: &RuleSet, settings: &Settings, inventory: &str) {
    let options = Options {
        total: Duration::from_mins(5),
        ..Options::default()
    };
    let mut times = Vec::new();
    let mut report = Report::default();
    for _ in 0..RUNS {
        let start = Instant::now();
        report = check(rules, settings, &options);
        times.push(start.elapsed());
    }
    times.sort();
    let median = times.get(RUNS / 2).copied().unwrap_or_default();
    let count = u32::try_from(rules.rules().len()).unwrap();
    println!(
        "| {} | {count} | {inventory} | {} | {} | {:.2} s | {:.2} ms |",
        rules.policies().len(),
        report.stats.questions,
        report.findings.len(),
        median.as_secs_f64(),
        (median / count).as_secs_f64() * 1000.0,
    );
    assert_eq!(report.stats.undecided, 0, "every question has an answer");
}

fn read(file: &Path) -> Vec<Document> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut sources = SourceMap::new();
    let source = sources.add("input.yaml", text.as_str());
    policyc_syntax::parse(&source).documents
}
