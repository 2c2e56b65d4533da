//! Time to find what changes when one rule of a large set changes, and to prove that nothing does.
//!
//! `cargo bench -p policyc-verify --bench diff` measures clusters of 1,000 and 5,000 policies that `cargo dev cluster`
//! makes up.
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
use policyc_verify::Options;
use policyc_verify::diff::{Difference, compare};

/// How many changes of each kind are tried.
const TRIES: usize = 20;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments
        .iter()
        .any(|one| one == "--test" || one == "--list")
    {
        return;
    }
    println!("| policies | change | median | longest | questions | differences | undecided |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    for policies in [1000, 5000] {
        let text = std::fs::read_to_string(cluster(policies)).unwrap();
        let documents: Vec<&str> = text.split("---\n").filter(|one| !one.is_empty()).collect();
        let old = read(&documents.join("---\n"));
        for (name, change) in CHANGES {
            measure(policies, name, &old, &documents, *change);
        }
    }
}

type Edit = fn(&[&str], usize) -> String;

/// One policy in twenty is changed, one at a time.
const CHANGES: &[(&str, Edit)] = &[
    ("one port is another", |documents, at| {
        edited(documents, at, |text| {
            text.replacen("port: \"", "port: \"1", 1)
        })
    }),
    ("one policy is gone", |documents, at| {
        edited(documents, at, |_| String::new())
    }),
    (
        "one deny is an allow, or one allow a deny",
        |documents, at| {
            edited(documents, at, |text| {
                let deny = text.contains("Deny:");
                let (from, to) = if deny {
                    ("Deny:", ":")
                } else {
                    ("gress:", "gressDeny:")
                };
                text.replacen(from, to, 1)
            })
        },
    ),
    ("one policy is there twice", |documents, at| {
        let copy = |text: &str| format!("{text}---\n{}", text.replacen("name: ", "name: copy-", 1));
        edited(documents, at, copy)
    }),
];

fn edited(documents: &[&str], at: usize, edit: impl Fn(&str) -> String) -> String {
    let all = documents.iter().enumerate().map(|(other, text)| {
        if other == at {
            edit(text)
        } else {
            (*text).to_owned()
        }
    });
    all.collect::<Vec<_>>().join("---\n")
}

/// The policies of a cluster of some size.
fn cluster(policies: u32) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("diff-{policies}"));
    let made = std::process::Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "policy-dev", "--", "cluster"])
        .arg(&folder)
        .args(["--pods", "3000", "--policies", &policies.to_string()])
        .status()
        .expect("cargo runs");
    assert!(made.success(), "the cluster is made");
    folder.join("policies.yaml")
}

fn measure(policies: u32, name: &str, old: &RuleSet, documents: &[&str], edit: Edit) {
    let step = documents.len() / TRIES;
    let (mut times, mut questions, mut changes, mut undecided) = (Vec::new(), 0, 0, 0);
    for number in 0..TRIES {
        let new = read(&edit(documents, number * step));
        let start = Instant::now();
        let found = difference(old, &new);
        times.push(start.elapsed());
        questions += found.stats.questions;
        changes += found.changes.len();
        undecided += usize::from(!found.is_decided());
    }
    times.sort();
    let show = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
    println!(
        "| {policies} | {name} | {} ms | {} ms | {questions} | {changes} | {undecided} |",
        show(times.get(TRIES / 2)),
        show(times.last()),
    );
}

fn difference(old: &RuleSet, new: &RuleSet) -> Difference {
    let found = compare(old, new, &Settings::default(), &Options::default());
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    found
}

fn read(text: &str) -> RuleSet {
    let mut sources = SourceMap::new();
    let source = sources.add("policies.yaml", text);
    let parsed = policyc_syntax::parse(&source);
    let settings = Settings::default();
    let (policies, _) = PolicySet::admit(&parsed.documents, &settings);
    normalise(&policies, &Inventory::default(), &settings)
}
