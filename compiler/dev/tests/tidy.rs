//! Rules of the repository that no compiler checks.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which crates of the workspace a crate may use in what it ships.
const ARROWS: &[(&str, &[&str])] = &[
    ("policy-abi", &[]),
    ("policy-bundle", &["policy-abi"]),
    ("policyc-diag", &[]),
    ("policyc-syntax", &["policyc-diag"]),
    ("policyc-ir", &["policyc-syntax", "policyc-diag"]),
    // Of the syntax only the tree of intents, which nobody else reads.
    (
        "policyc-verify",
        &["policyc-ir", "policyc-syntax", "policyc-diag"],
    ),
    (
        "policyc-lower",
        &["policyc-ir", "policy-bundle", "policy-abi", "policyc-diag"],
    ),
    // Not the model and not `policyc-lower`: it checks what they make.
    (
        "policyc-prove",
        &[
            "policyc-verify",
            "policyc-ir",
            "policy-bundle",
            "policy-abi",
            "policyc-diag",
        ],
    ),
    (
        "policyc",
        &[
            "policyc-prove",
            "policyc-verify",
            "policyc-lower",
            "policyc-ir",
            "policyc-syntax",
            "policyc-diag",
            "policy-bundle",
            "policy-abi",
        ],
    ),
    ("policyd", &["policy-bundle", "policy-abi"]),
    ("policy-dev", &[]),
];

/// The package whose tests may use everything.
const FREE: &str = "policyd-e2e";

/// Heavy dependencies, and the only crates that may use each directly.
const HEAVY: &[(&str, &[&str])] = &[
    ("z3", &["policyc-verify"]),
    ("saphyr-parser", &["policyc-syntax"]),
    ("pest", &["policyc-syntax"]),
    ("miette", &["policyc-diag"]),
    // Behind a feature of the shared types that only the daemon switches on.
    ("aya", &["policyd", "policy-abi", FREE]),
    ("aya-obj", &["policyc", "policyd", FREE]),
];

/// What the daemon must never pull in: solver, parsers of policies, regular expressions, async runtimes.
const DENIED: &[&str] = &[
    "z3",
    "pest",
    "saphyr",
    "regex-syntax",
    "miette",
    "reqwest",
    "tokio",
];
/// Crates that the daemon is built from, itself included, at most.
const DAEMON_CRATES_MAX: usize = 80;

/// Lines of a source file at most.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../..").canonicalize().unwrap()
}

fn metadata() -> Value {
    let ran = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version=1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// Names of what each workspace crate uses in what it ships, as its manifest says.
fn used(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().unwrap().iter();
    let own = packages.filter(|package| package["source"].is_null());
    own.map(|package| {
        let all = package["dependencies"].as_array().unwrap().iter();
        // A dependency without a kind is a normal one; the others are `dev` and `build`.
        let shipped = all.filter(|one| one["kind"] != "dev");
        let names = shipped.map(|one| one["name"].as_str().unwrap().to_owned());
        (
            package["name"].as_str().unwrap().to_owned(),
            names.collect(),
        )
    })
    .collect()
}

#[test]
fn crates_use_only_what_the_architecture_lets_them() {
    let used = used(&metadata());
    let own: BTreeSet<_> = used.keys().map(String::as_str).collect();
    let named = ARROWS.iter().map(|(name, _)| *name).chain([FREE]);
    assert_eq!(own, named.collect(), "the crates of the workspace");
    for (name, allowed) in ARROWS {
        for one in used[*name].iter().filter(|one| own.contains(one.as_str())) {
            assert!(
                allowed.contains(&one.as_str()),
                "`{name}` must not use `{one}`"
            );
        }
    }
    for (heavy, users) in HEAVY {
        for (name, _) in used.iter().filter(|(_, uses)| uses.contains(*heavy)) {
            assert!(
                users.contains(&name.as_str()),
                "`{name}` must not use `{heavy}`"
            );
        }
    }
}

#[test]
fn the_daemon_stays_small() {
    let metadata = metadata();
    let crates = shipped_with(&metadata, "policyd");
    assert!(
        crates.contains("aya"),
        "the tree of the daemon was not found: {crates:?}"
    );
    for name in &crates {
        let denied = DENIED.iter().any(|start| name.starts_with(start)) || name.contains("yaml");
        assert!(!denied, "the daemon must not depend on `{name}`");
    }
    let count = crates.len();
    assert!(
        count <= DAEMON_CRATES_MAX,
        "the daemon is built from {count} crates: {crates:?}"
    );
}

/// Names of everything in the normal dependency tree of a crate, itself included.
fn shipped_with(metadata: &Value, name: &str) -> BTreeSet<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let by_id: BTreeMap<_, _> = nodes
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let names: BTreeMap<_, _> = packages
        .map(|package| {
            (
                package["id"].as_str().unwrap(),
                package["name"].as_str().unwrap(),
            )
        })
        .collect();
    let (start, _) = names.iter().find(|(_, one)| **one == name).unwrap();
    let mut open = vec![*start];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        for one in by_id[id]["deps"].as_array().unwrap() {
            let kinds = one["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                open.push(one["pkg"].as_str().unwrap());
            }
        }
    }
    seen.iter().map(|id| names[id].to_owned()).collect()
}

/// Files that git tracks.
fn files() -> Vec<PathBuf> {
    let ran = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let names = String::from_utf8(ran.stdout).unwrap();
    let names: BTreeSet<_> = names.split('\0').filter(|name| !name.is_empty()).collect();
    names
        .into_iter()
        .map(PathBuf::from)
        .filter(|name| root().join(name).is_file())
        .collect()
}

#[test]
fn source_files_are_short_and_say_what_they_are() {
    let mut faults = Vec::new();
    let sources: Vec<_> = files()
        .into_iter()
        .filter(|name| name.extension().is_some_and(|end| end == "rs"))
        .collect();
    assert!(sources.len() > 100, "only {} source files", sources.len());
    for name in sources {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{}: {lines} lines", name.display()));
        }
        let licence = text.starts_with("// SPDX-License-Identifier: ");
        if !text
            .lines()
            .nth(usize::from(licence))
            .is_some_and(|line| line.starts_with("//!"))
        {
            faults.push(format!("{}: does not start with `//!`", name.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Paths of the machine that the project was written on would mean nothing to anyone else.
#[test]
fn no_file_names_a_path_of_one_machine() {
    // Put together here, so that this file does not find itself.
    let roots = ["work", "root"].map(|name| format!("/{name}/"));
    let scratch = format!("/{}/t-", "tmp");
    let starts: Vec<_> = roots.into_iter().chain([scratch]).collect();
    let mut faults = Vec::new();
    for name in files() {
        // What is no text (an eBPF object, say) is looked through all the same.
        let bytes = fs::read(root().join(&name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for (at, line) in text.lines().enumerate() {
            for start in starts.iter().filter(|start| begins_a_path(line, start)) {
                faults.push(format!("{}:{}: `{start}`", name.display(), at + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether a line has an absolute path that starts so: `policies/work/` is none.
fn begins_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !(before.is_alphanumeric() || "._-}/".contains(before)))
    })
}

#[test]
fn absolute_paths_are_told_from_relative_ones() {
    let start = format!("/{}/", "root");
    for line in [
        start.clone(),
        format!("see `{start}x`"),
        format!("a={start}"),
    ] {
        assert!(begins_a_path(&line, &start), "{line}");
    }
    for line in [
        format!("some{start}"),
        format!("..{start}"),
        "/rootless/".to_owned(),
    ] {
        assert!(!begins_a_path(&line, &start), "{line}");
    }
}
