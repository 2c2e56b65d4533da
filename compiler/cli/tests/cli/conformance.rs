//! Puts every case of `testdata/conformance` to `policyc verdicts` and compares the answers with Cilium's.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{policyc, testdata};

/// The flows of all cases together; fewer would mean that cases got lost.
const FLOWS_MIN: usize = 22_000;

#[test]
fn every_case_agrees_with_cilium() {
    let mut cases: Vec<_> = fs::read_dir(testdata("conformance"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    let mut flows = 0;
    let mut disagreements = Vec::new();
    for case in &cases {
        flows += compare(case, &mut disagreements);
    }
    // Not through `println!`, which the test harness keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "{} cases, {flows} flows, {} disagreements",
        cases.len(),
        disagreements.len()
    );
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(flows >= FLOWS_MIN, "only {flows} flows were compared");
}

/// Compares one case; returns how many flows it had.
fn compare(case: &Path, disagreements: &mut Vec<String>) -> usize {
    let name = case.file_name().unwrap().to_str().unwrap();
    let args = fs::read_to_string(case.join("args")).unwrap();
    let file = |name: &str| case.join(name).to_str().unwrap().to_owned();
    let mut command = vec!["verdicts".to_owned()];
    for option in ["policies", "inventory"] {
        command.extend([format!("--{option}"), file(&format!("{option}.yaml"))]);
    }
    command.extend(["--flows".to_owned(), file("flows.jsonl")]);
    command.extend(args.split_whitespace().map(str::to_owned));
    let ran = policyc(&command);
    assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
    let wanted = answers(&fs::read_to_string(case.join("expected.jsonl")).unwrap());
    let given = answers(&ran.stdout);
    for (id, wanted) in &wanted {
        let given = given.get(id);
        if given != Some(wanted) {
            disagreements.push(format!("{name} {id}: wanted {wanted:?}, got {given:?}"));
        }
    }
    for id in given.keys().filter(|id| !wanted.contains_key(*id)) {
        disagreements.push(format!("{name} {id}: an answer to nothing"));
    }
    wanted.len()
}

/// What is compared of each answer, by id; of a rejection, that there is one.
fn answers(text: &str) -> BTreeMap<String, [String; 5]> {
    let parse = |line: &str| -> (String, [String; 5]) {
        let value: Value = serde_json::from_str(line).unwrap();
        if let Some(rejected) = value.get("rejected") {
            let part = |name: &str| word(rejected, name);
            let id = format!("{} {}/{}", part("kind"), part("namespace"), part("name"));
            return (id, Default::default());
        }
        let [verdict, reason, enforced, auth] =
            ["verdict", "deny_reason", "enforced", "auth"].map(|name| word(&value, name));
        let parts = [verdict, reason, enforced, auth, layer7(&value)];
        (value.get("id").unwrap().to_string(), parts)
    };
    text.lines()
        .filter(|line| !line.is_empty())
        .map(parse)
        .collect()
}

/// What a proxy is told, its own name aside. Members that say nothing are the same as absent ones.
fn layer7(value: &Value) -> String {
    let members = value.get("l7").and_then(Value::as_object);
    let told = members.into_iter().flatten().filter(|(name, value)| {
        let nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(list) => list.is_empty(),
            other => *other == "",
        };
        *name != "proxy" && !nothing
    });
    let told: BTreeMap<_, _> = told
        .map(|(name, value)| (name, value.to_string()))
        .collect();
    format!("{told:?}")
}

/// A member as text; absent and null are the same as empty.
fn word(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
