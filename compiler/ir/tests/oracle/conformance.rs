//! The naive evaluator against verdicts of Cilium's own policy engine.

/// Cilium's answers.
mod expected;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use policyc_diag::SourceMap;
use policyc_ir::settings::{Enforcement, Settings};
use policyc_syntax::ast::{Document, Text};
use serde_json::Value;

use crate::naive::cluster::Cluster;
use crate::naive::{Answer, Side, World};

/// The flows of all cases together; fewer would mean that cases got lost.
const FLOWS_MIN: usize = 22_000;

/// `POLICY_CONFORMANCE` names another folder of cases.
#[test]
fn the_naive_evaluator_agrees_with_cilium() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance");
    let folder = std::env::var_os("POLICY_CONFORMANCE").map_or(own, PathBuf::from);
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    cases.sort();
    let (mut flows, mut wrong) = (0, Vec::new());
    for case in &cases {
        let (asked, bad) = compare(case);
        flows += asked;
        let name = case.file_name().unwrap().to_str().unwrap();
        wrong.extend(bad.into_iter().map(|line| format!("{name}: {line}")));
    }
    // Not through `println!`, which the test harness keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "{} cases, {flows} flows, {} disagreements",
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(flows >= FLOWS_MIN, "only {flows} flows were compared");
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Compares one case; returns how many flows it has and those that differ.
fn compare(case: &Path) -> (usize, Vec<String>) {
    let read = |name: &str| fs::read_to_string(case.join(name)).unwrap();
    let settings = settings(&read("args"));
    let mut sources = SourceMap::new();
    let mut documents = Vec::new();
    for name in ["policies.yaml", "inventory.yaml"] {
        documents.extend(policyc_syntax::parse(&sources.add(name, read(name))).documents);
    }
    let expected = lines(&case.join("expected.jsonl"));
    let rejected: Vec<_> = expected
        .iter()
        .filter_map(|line| line.get("rejected"))
        .collect();
    let in_force = documents
        .iter()
        .filter(|document| !rejected.iter().any(|one| is(document, one)));
    let world = World {
        cluster: Cluster::read(&documents),
        settings: &settings,
        documents: in_force.collect(),
    };
    let answers: BTreeMap<_, _> = expected
        .iter()
        .filter_map(|line| Some((line.get("id")?.to_string(), expected::answer(line))))
        .collect();
    let flows = lines(&case.join("flows.jsonl"));
    let mut sides = BTreeMap::new();
    let mut bad = Vec::new();
    for flow in &flows {
        let subject = flow["subject"].as_str().unwrap();
        let both = sides
            .entry(subject)
            .or_insert_with(|| world.sides(world.subject(subject)));
        let given = ask(&world, both, flow);
        let wanted = &answers[&flow["id"].to_string()];
        if given != *wanted {
            bad.push(format!("{flow}\n  wanted {wanted:?}\n  given  {given:?}"));
        }
    }
    (flows.len(), bad)
}

fn ask(world: &World<'_>, sides: &[Side; 2], flow: &Value) -> Answer {
    let text = |name: &str| flow[name].as_str().unwrap();
    let side = &sides[usize::from(text("direction") == "egress")];
    let protocol = match text("protocol") {
        "TCP" => 6,
        "UDP" => 17,
        "SCTP" => 132,
        "ICMP" => 1,
        _ => 58,
    };
    let port = u16::try_from(flow["port"].as_u64().unwrap()).unwrap();
    let other = world.other(text("peer"));
    world.ask(&world.facing(side, &other), protocol, port)
}

/// Whether a document is the object that a line calls rejected.
fn is(document: &Document, rejected: &Value) -> bool {
    let part = |name: &str| rejected.get(name).and_then(Value::as_str);
    let written = |text: &Option<Text>| text.as_ref().map(|text| text.value.clone());
    let namespace = written(&document.meta.namespace);
    part("kind") == Some(&document.kind.value)
        && part("name") == written(&document.meta.name).as_deref()
        && (part("namespace").is_none() || part("namespace") == namespace.as_deref())
}

fn settings(args: &str) -> Settings {
    let mut settings = Settings::default();
    for arg in args.split_whitespace() {
        match arg {
            "--host-firewall=true" => settings.host_firewall = true,
            "--host-firewall=false" => settings.host_firewall = false,
            "--allow-localhost=always" => settings.allow_localhost = true,
            "--allow-localhost=policy" => settings.allow_localhost = false,
            "--enable-policy=always" => settings.enforcement = Enforcement::Always,
            "--node-selector-labels" => settings.node_selector_labels = true,
            other => panic!("unknown setting {other}"),
        }
    }
    settings
}
