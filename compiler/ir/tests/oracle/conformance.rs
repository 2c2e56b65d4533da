//! The naive evaluator against verdicts of Cilium's own policy engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use policyc_ir::rule::Direction;
use policyc_ir::settings::{Enforcement, Settings};
use policyc_syntax::ast::Document;
use serde_json::Value;

use crate::naive::cluster::Cluster;
use crate::naive::{Answer, World};

#[test]
fn the_naive_evaluator_agrees_with_cilium() {
    let folder = std::env::var_os("POLICY_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance"),
        PathBuf::from,
    );
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    let (mut flows, mut wrong) = (0, Vec::new());
    for case in &cases {
        let (asked, bad) = compare(case);
        flows += asked;
        if !bad.is_empty() {
            println!(
                "{}: {} of {asked} differ",
                case.file_name().unwrap().to_str().unwrap(),
                bad.len()
            );
            bad.iter().take(3).for_each(|line| println!("    {line}"));
        }
        wrong.extend(bad);
    }
    println!(
        "{} cases, {flows} flows, {} disagreements",
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty());
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn compare(case: &Path) -> (usize, Vec<String>) {
    let read = |name: &str| fs::read_to_string(case.join(name)).unwrap();
    let settings = settings(&read("args"));
    let files = [read("policies.yaml"), read("inventory.yaml")];
    let mut sources = policyc_diag::SourceMap::new();
    let mut documents = Vec::new();
    for file in &files {
        documents.extend(policyc_syntax::parse(&sources.add("x.yaml", file.as_str())).documents);
    }
    let expected = lines(&case.join("expected.jsonl"));
    let rejected: Vec<_> = expected
        .iter()
        .filter_map(|line| line.get("rejected"))
        .collect();
    let cluster = Cluster::read(&documents);
    let in_force = documents
        .iter()
        .filter(|document| !rejected.iter().any(|one| is(document, one)));
    let world = World {
        cluster,
        settings: &settings,
        documents: in_force.collect(),
    };
    let mut sides = BTreeMap::new();
    let wanted: BTreeMap<_, _> = expected
        .iter()
        .filter_map(|line| Some((line.get("id")?.to_string(), line)))
        .collect();
    let mut bad = Vec::new();
    let flows = lines(&case.join("flows.jsonl"));
    for flow in &flows {
        let text = |name: &str| flow.get(name).unwrap().as_str().unwrap();
        let subject = text("subject");
        let both = sides
            .entry(subject.to_owned())
            .or_insert_with(|| world.sides(world.subject(subject)));
        let direction = if text("direction") == "ingress" {
            Direction::Ingress
        } else {
            Direction::Egress
        };
        let side = &both[usize::from(direction == Direction::Egress)];
        let other = world.other(text("peer"));
        let protocol = match text("protocol") {
            "TCP" => 6,
            "UDP" => 17,
            "SCTP" => 132,
            "ICMP" => 1,
            _ => 58,
        };
        let port = u16::try_from(flow.get("port").unwrap().as_u64().unwrap()).unwrap();
        let answer = world.ask(&world.facing(side, &other), protocol, port);
        let want = show_wanted(wanted[&flow.get("id").unwrap().to_string()]);
        let given = show(&answer);
        if want != given {
            bad.push(format!(
                "{} {subject} {} {}/{port}\n        want {want}\n        got  {given}",
                text("direction"),
                text("peer"),
                text("protocol")
            ));
        }
    }
    (flows.len(), bad)
}

fn is(document: &Document, rejected: &Value) -> bool {
    let part = |name: &str| rejected.get(name).and_then(Value::as_str);
    let name = document.meta.name.as_ref().map(|text| text.value.as_str());
    let namespace = document
        .meta
        .namespace
        .as_ref()
        .map(|text| text.value.as_str());
    Some(document.kind.value.as_str()) == part("kind")
        && name == part("name")
        && (namespace == part("namespace") || part("namespace").is_none())
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

/// An answer in one line.
pub(crate) fn show(answer: &Answer) -> String {
    let l7 = answer.shown.as_ref().map_or(String::new(), |shown| {
        let list = |list: &std::collections::BTreeSet<String>| {
            list.iter().cloned().collect::<Vec<_>>().join(",")
        };
        format!(
            " {} http [{}] dns [{}] names [{}] listener {} plain {}",
            shown.parser,
            list(&shown.http),
            list(&shown.dns),
            list(&shown.server_names),
            shown.listener.as_deref().unwrap_or_default(),
            shown.plain
        )
    });
    format!(
        "{} {} enforced {} auth '{}'{l7}",
        answer.verdict, answer.reason, answer.enforced, answer.auth
    )
}

fn show_wanted(line: &Value) -> String {
    let text = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let flag =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_bool).unwrap_or_default();
    let verdict: &'static str = match text(line, "verdict").as_str() {
        "allow" => "allow",
        "deny" => "deny",
        "redirect" => "redirect",
        _ => "error",
    };
    let reason: &'static str = match text(line, "deny_reason").as_str() {
        "policy" => "policy",
        "default" => "default",
        _ => "",
    };
    let shown = line.get("l7").map(|l7| {
        let list = |name: &str, members: &[&str]| {
            l7.get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|rule| match rule {
                    Value::String(text) => text.clone(),
                    rule => {
                        let given = members.iter().filter_map(|name| {
                            rule.get(*name).map(|value| format!("\"{name}\":{value}"))
                        });
                        format!("{{{}}}", given.collect::<Vec<_>>().join(","))
                    }
                })
                .collect()
        };
        crate::naive::Shown {
            parser: match text(l7, "parser").as_str() {
                "http" => "http",
                "dns" => "dns",
                "tls" => "tls",
                _ => "crd",
            },
            http: list(
                "http",
                &["path", "method", "host", "headers", "headerMatches"],
            ),
            dns: list("dns", &["matchName", "matchPattern"]),
            server_names: list("server_names", &[]),
            listener: l7
                .get("listener")
                .and_then(Value::as_str)
                .map(str::to_owned),
            plain: flag(l7, "plain_allow_also_matches"),
        }
    });
    show(&Answer {
        verdict,
        reason,
        enforced: flag(line, "enforced"),
        auth: text(line, "auth"),
        shown,
    })
}
