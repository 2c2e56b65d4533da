//! Time of every rule question over clusters that `cargo dev cluster` makes up.
//!
//! `cargo bench -p policyc-verify --bench questions` measures clusters of 1,000 and 5,000 policies. Paths of policy files
//! in `POLICY_BENCH_FILES`, parted by colons, are measured instead.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that fails must stop, and says what it measured"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use policyc_diag::SourceMap;
use policyc_ir::inventory::Inventory;
use policyc_ir::normalise::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;
use policyc_verify::{Options, Report, check};

/// How often each is measured; the median counts.
const RUNS: usize = 3;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments
        .iter()
        .any(|one| one == "--test" || one == "--list")
    {
        return;
    }
    println!("| policies | rules | questions to the solver | findings | median of {RUNS} |");
    println!("| --- | --- | --- | --- | --- |");
    for file in files() {
        measure(&file);
    }
}

/// The clusters to measure.
fn files() -> Vec<PathBuf> {
    if let Ok(paths) = std::env::var("POLICY_BENCH_FILES") {
        return paths.split(':').map(PathBuf::from).collect();
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut files = Vec::new();
    for policies in [1000_u32, 5000] {
        let cluster = folder.join(format!("questions-{policies}"));
        let made = std::process::Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "policy-dev", "--", "cluster"])
            .arg(&cluster)
            .args(["--pods", "3000", "--policies", &policies.to_string()])
            .status()
            .expect("cargo runs");
        assert!(made.success(), "the cluster is made");
        files.push(cluster.join("policies.yaml"));
    }
    files
}

fn measure(file: &PathBuf) {
    let rules = read(file);
    let (settings, options) = (Settings::default(), options());
    let mut times = Vec::new();
    let mut report = Report::default();
    for _ in 0..RUNS {
        let start = Instant::now();
        report = check(&rules, &settings, &options);
        times.push(start.elapsed());
    }
    times.sort();
    let median = times.get(RUNS / 2).copied().unwrap_or_default();
    println!(
        "| {} | {} | {} | {} | {:.2} s |",
        rules.policies().len(),
        rules.rules().len(),
        report.stats.questions,
        report.findings.len(),
        median.as_secs_f64(),
    );
    assert_eq!(report.stats.undecided, 0, "every question has an answer");
}

fn options() -> Options {
    Options {
        total: Duration::from_mins(5),
        ..Options::default()
    }
}

fn read(file: &PathBuf) -> RuleSet {
    let text = std::fs::read_to_string(file).unwrap();
    let mut sources = SourceMap::new();
    let source = sources.add("policies.yaml", text.as_str());
    let parsed = policyc_syntax::parse(&source);
    let settings = Settings::default();
    let (policies, _) = PolicySet::admit(&parsed.documents, &settings);
    normalise(&policies, &Inventory::default(), &settings)
}
