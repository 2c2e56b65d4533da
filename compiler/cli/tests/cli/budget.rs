//! Entries of Cilium's policy maps: against Cilium's own, and as users see them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::diff::git;
use crate::support::{Ran, command, policyc, scratch, testdata};

/// Entries of all cases together; fewer would mean that cases got lost.
const ENTRIES_MIN: usize = 15_000;

/// An entry: direction, peer, protocol, port, prefix length, verdict, precedence.
type Entry = [String; 7];

/// How often each entry occurs: identities that differ in a label that no policy sees are told apart all the same.
type Entries = BTreeMap<Entry, usize>;

#[test]
fn every_case_has_the_entries_of_cilium() {
    let mut cases: Vec<_> = fs::read_dir(testdata("conformance"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("mapstate.json").exists())
        .collect();
    cases.sort();
    let mut disagreements = Vec::new();
    let entries: usize = cases
        .iter()
        .map(|case| compare(case, &mut disagreements))
        .sum();
    println!("{} cases, {entries} entries", cases.len());
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(entries >= ENTRIES_MIN, "only {entries} entries");
}

/// Compares one case; returns how many entries it had.
fn compare(case: &Path, disagreements: &mut Vec<String>) -> usize {
    let args = fs::read_to_string(case.join("args")).unwrap();
    let mut command = vec!["budget".to_owned(), "--format=jsonl".to_owned()];
    for option in ["policies", "inventory"] {
        let file = case.join(format!("{option}.yaml"));
        command.extend([format!("--{option}"), file.to_str().unwrap().to_owned()]);
    }
    command.extend(args.split_whitespace().map(str::to_owned));
    let ran = policyc(&command);
    let given: Vec<Value> = lines(&ran.stdout);
    let wanted: Value =
        serde_json::from_str(&fs::read_to_string(case.join("mapstate.json")).unwrap()).unwrap();
    let mut count = 0;
    for endpoint in wanted["endpoints"].as_array().unwrap() {
        let subject = &endpoint["subject"];
        let rows = endpoint["entries"].as_array().unwrap();
        count += rows.len();
        let wanted = tally(rows.iter().map(|row| reference(row, &wanted["identities"])));
        let own = given.iter().find(|given| given["subject"] == *subject);
        let own = own.map_or(&[][..], |own| own["entries"].as_array().unwrap());
        let own = tally(own.iter().map(entry));
        let missing = wanted
            .iter()
            .find(|(entry, times)| own.get(*entry) != Some(times));
        let extra = own
            .iter()
            .find(|(entry, times)| wanted.get(*entry) != Some(times));
        if missing.is_some() || extra.is_some() {
            let case = case.display();
            disagreements.push(format!(
                "{case} {subject}: wanted {missing:?}, got {extra:?}"
            ));
        }
    }
    count
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn tally(entries: impl Iterator<Item = Entry>) -> Entries {
    let mut found = Entries::new();
    for entry in entries {
        *found.entry(entry).or_default() += 1;
    }
    found
}

/// A row of `mapstate.json`.
fn reference(row: &Value, identities: &Value) -> Entry {
    let number = row[1].as_u64().unwrap();
    let peer = match number {
        0 => String::new(),
        _ => peer(&identities[number.to_string()]),
    };
    let text = |at: usize| word(&row[at]);
    [text(0), peer, text(2), text(3), text(4), text(5), text(6)]
}

fn entry(value: &Value) -> Entry {
    let text = |name: &str| word(&value[name]);
    [
        text("direction"),
        peer(&value["peer"]),
        text("protocol"),
        text("port"),
        text("port_prefix_len"),
        text("verdict"),
        text("precedence"),
    ]
}

/// Labels as one text. Those that Cilium makes up from named ports are left out, and so are those of the host's node:
/// it depends on the order of events which of them the host's identity has.
fn peer(labels: &Value) -> String {
    let labels = labels.as_array().unwrap().iter();
    let mut labels: Vec<_> = labels.map(|label| label.as_str().unwrap()).collect();
    if labels.contains(&"reserved:host") {
        labels.retain(|label| label.starts_with("reserved:"));
    }
    labels.retain(|label| !label.starts_with("gen:"));
    labels.sort_unstable();
    labels.join(",")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn budget(more: &[&str]) -> Ran {
    let args = ["budget", "policies.yaml", "--inventory", "inventory.yaml"];
    policyc(&[&args[..], more].concat())
}

#[test]
fn budget_for_people_and_for_programs() {
    insta::assert_snapshot!("budget_human", budget(&[]).all());
    insta::assert_snapshot!("budget_json", budget(&["--format=json"]).all());
}

/// A policy that is new shows as entries of the pods it selects.
#[test]
fn budget_shows_the_change_from_another_revision() {
    let folder = scratch("budget-against");
    let old = folder.join("old.yaml");
    let policies = fs::read_to_string(testdata("cli/policies.yaml")).unwrap();
    let without_first = policies.split_once("---").unwrap().1;
    fs::write(&old, without_first).unwrap();
    let old = old.to_str().unwrap();
    let ran = budget(&["--against", old]);
    insta::assert_snapshot!("budget_against", ran.all());
    let same = budget(&["--against", "policies.yaml", "--format=json"]);
    let same: Value = serde_json::from_str(&same.stdout).unwrap();
    for endpoint in same["endpoints"].as_array().unwrap() {
        assert_eq!(endpoint["before"], endpoint["total"], "{endpoint}");
    }
    for rule in same["rules"].as_array().unwrap() {
        assert_eq!(rule["before"], rule["entries"], "{rule}");
    }
    assert_eq!(same["gone"], serde_json::json!([]));
    // The other way round: the first policy is taken away.
    let args = ["budget", old, "--inventory", "inventory.yaml"];
    let back = policyc(&[&args[..], &["--against", "policies.yaml", "--format=json"]].concat());
    let back: Value = serde_json::from_str(&back.stdout).unwrap();
    let gone = back["gone"].as_array().unwrap();
    assert!(!gone.is_empty(), "{back}");
    for rule in gone {
        assert!(rule["before"].as_u64().unwrap() > 0, "{rule}");
    }
}

/// The same from a git revision, alone and with a path; one that git does not know is no empty set of policies.
#[test]
fn budget_shows_the_change_from_a_revision() {
    let folder = scratch("budget-revision");
    let policies = fs::read_to_string(testdata("cli/policies.yaml")).unwrap();
    let without_first = policies.split_once("---").unwrap().1;
    let file = folder.join("policies/all.yaml");
    fs::create_dir_all(folder.join("policies")).unwrap();
    fs::write(&file, without_first).unwrap();
    git(&folder, &["init", "--quiet"]);
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "--message", "before"]);
    fs::write(&file, &policies).unwrap();
    let inventory = testdata("cli/inventory.yaml");
    let against = |revision: &str| {
        let args = ["budget", "policies", "--format=json", "--against", revision];
        let more = ["--inventory", inventory.to_str().unwrap()];
        let output = command(&[&args[..], &more].concat())
            .current_dir(&folder)
            .output();
        output.unwrap()
    };
    let wanted = budget(&["--format=json", "--against", "policies.yaml"]);
    let wanted: Value = serde_json::from_str(&wanted.stdout).unwrap();
    for revision in ["HEAD", "HEAD:policies/all.yaml"] {
        let ran = against(revision);
        assert!(ran.status.success(), "{revision}: {ran:?}");
        let found: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let (mut grown, mut same) = (0, 0);
        let both = found["rules"]
            .as_array()
            .unwrap()
            .iter()
            .zip(wanted["rules"].as_array().unwrap());
        for (rule, other) in both {
            assert_eq!(
                (&rule["rule"], &rule["entries"]),
                (&other["rule"], &other["entries"])
            );
            let is_new = rule["before"] == 0;
            assert_eq!(
                is_new,
                rule["rule"].as_str().unwrap().starts_with("cnp shop/api "),
                "{rule}"
            );
            grown += usize::from(is_new);
            same += usize::from(rule["before"] == rule["entries"]);
        }
        assert!(grown > 0 && same > 0, "{found}");
    }
    let ran = against("nowhere");
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(
        said.contains("`nowhere` is no revision that git knows"),
        "{said}"
    );
}

/// One policy against maps of three sizes: room enough, nearly full, too small.
#[test]
fn budget_warns_at_three_quarters_and_fails_beyond_the_limit() {
    let folder = scratch("budget-limit");
    let (policy, inventory) = (folder.join("policy.yaml"), folder.join("inventory.yaml"));
    // 16 entries for each of three protocols and 7 peers, and one for egress.
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: wide, namespace: wide}\nspec:\n  endpointSelector: {matchLabels: {app: server}}\n  ingress:\n  - fromEndpoints: [{matchExpressions: [{key: app, operator: Exists}]}]\n    toPorts: [{ports: [{port: \"1\", endPort: 65535}]}]\n";
    fs::write(&policy, text).unwrap();
    let pod = |name: &str, at: usize| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: wide, labels: {{app: {name}}}}}\nstatus: {{podIPs: [{{ip: 10.0.0.{at}}}]}}\n"
        )
    };
    let pods: String = ["server", "a", "b", "c", "d", "e", "f"]
        .iter()
        .enumerate()
        .map(|(at, name)| pod(name, at + 1))
        .collect();
    fs::write(&inventory, pods).unwrap();
    let args = ["budget", policy.to_str().unwrap(), "--inventory"];
    let run = |limit: &str| {
        let more = [inventory.to_str().unwrap(), "--limit", limit];
        policyc(&[&args[..], &more].concat())
    };
    let wanted = 3 * 16 * 7 + 2;
    let roomy = run("4096");
    assert_eq!(
        (roomy.code, roomy.stderr.as_str()),
        (0, ""),
        "{}",
        roomy.all()
    );
    assert!(
        roomy.stdout.contains(&wanted.to_string()),
        "{}",
        roomy.all()
    );
    let (full, small) = (run("400"), run("256"));
    assert!(
        full.code == 1 && full.stderr.contains("W1040"),
        "{}",
        full.all()
    );
    assert!(
        small.code == 1 && small.stderr.contains("E0505"),
        "{}",
        small.all()
    );
    let folder = folder.to_str().unwrap();
    insta::assert_snapshot!("budget_overflow", small.all().replace(folder, "FOLDER"));
}

#[test]
fn build_for_cilium_prints_the_maps() {
    let build = |format: &str| {
        let args = ["build", "policies.yaml", "--inventory", "inventory.yaml"];
        policyc(&[&args[..], &["--target=cilium-lpm", "--format", format]].concat())
    };
    insta::assert_snapshot!("build_cilium_lpm", build("human").all());
    let ran = build("json");
    assert_eq!(ran.code, 0, "{}", ran.all());
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let counted: Value = serde_json::from_str(&budget(&["--format=json"]).stdout).unwrap();
    let counted = counted["endpoints"].as_array().unwrap();
    for endpoint in document["endpoints"].as_array().unwrap() {
        let entries = endpoint["entries"].as_array().unwrap();
        let own = |other: &&Value| other["subject"] == endpoint["subject"];
        assert_eq!(counted.iter().find(own).unwrap()["total"], entries.len());
        for entry in entries {
            let number = entry["identity"].as_u64().unwrap().to_string();
            assert!(
                number == "0" || document["identities"][&number].is_array(),
                "{entry}"
            );
        }
    }
}
