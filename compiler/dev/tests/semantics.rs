//! `docs/semantics.md` names a test or a conformance case for every rule, and all of them exist.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with code that has tests.
const CODE: [&str; 3] = ["compiler", "runtime", "ebpf/abi"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_rule_names_what_shows_it_and_all_of_that_exists() {
    let page = fs::read_to_string(root().join("docs/semantics.md")).unwrap();
    let (tests, cases) = (tests(), cases());
    let mut named = BTreeSet::new();
    for rule in rules(&page) {
        let shown = references(&rule);
        assert!(!shown.is_empty(), "nothing shows: {rule}");
        named.extend(shown);
    }
    for (kind, name) in &named {
        let known = if *kind == "case" { &cases } else { &tests };
        assert!(known.contains(name), "there is no {kind} `{name}`");
    }
    println!("{} tests and cases", named.len());
}

#[test]
fn every_feature_case_and_every_pinned_rule_is_named() {
    let page = fs::read_to_string(root().join("docs/semantics.md")).unwrap();
    let features = cases()
        .into_iter()
        .filter(|name| !name.starts_with("rand-"));
    let pinned = tests_of(&root().join("compiler/ir/tests/oracle/pinned"));
    assert!(pinned.len() > 50, "only {} pinned rules", pinned.len());
    for name in features.chain(pinned) {
        assert!(
            page.contains(&format!("`{name}`")),
            "the page is silent about `{name}`"
        );
    }
}

/// The list items of a page, each on one line.
fn rules(page: &str) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(first) = line.strip_prefix("- ") {
            rules.push(first.to_owned());
            inside = true;
        } else if let Some(more) = line.strip_prefix("  ").filter(|_| inside) {
            let rule = rules.last_mut().unwrap();
            rule.push(' ');
            rule.push_str(more);
        } else {
            inside = false;
        }
    }
    rules
}

/// What stands in brackets that speak of cases and tests: `(cases a, b; test c)`.
fn references(rule: &str) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    for bracket in rule.split('(').skip(1) {
        let inside = bracket.split(')').next().unwrap();
        for part in inside.split(';') {
            let words = part.trim_start();
            let kind = match words.split(' ').next() {
                Some("case" | "cases") => "case",
                Some("test" | "tests") => "test",
                _ => continue,
            };
            let names = words.split('`').skip(1).step_by(2);
            found.extend(names.map(|name| (kind, name.to_owned())));
        }
    }
    found
}

fn cases() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("testdata/conformance")).unwrap();
    let folders = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    folders
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn tests() -> BTreeSet<String> {
    CODE.iter()
        .flat_map(|folder| tests_of(&root().join(folder)))
        .collect()
}

/// Names of functions that follow `#[test]`, in all files below.
fn tests_of(path: &Path) -> BTreeSet<String> {
    if path.is_dir() {
        let entries = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        return entries.flat_map(|path| tests_of(&path)).collect();
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return BTreeSet::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let named = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| **line == "#[test]");
    let named = named.filter_map(|(at, _)| {
        let function = lines[at..]
            .iter()
            .find_map(|line| line.strip_prefix("fn "))?;
        Some(function.split('(').next()?.to_owned())
    });
    named.collect()
}
