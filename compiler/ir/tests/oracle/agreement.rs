//! The model against the naive evaluator, on random clusters and policies.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use policyc_diag::SourceMap;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::l7::{self, Content};
use policyc_ir::model::{Flow, Model, Reason, Redirect, Verdict};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction};
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, IdentityId};
use policyc_syntax::ast::Document;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::generate::{self, ADDRESSES, Case, Cluster, Language};
use crate::naive::cluster::Cluster as Seen;
use crate::naive::{Answer, Shown, World};

/// How much of the language the model speaks.
const LANGUAGE: Language = Language {
    rich: true,
    tiers: true,
};

/// Flows that a run compares at least.
const FLOWS_MIN: usize = 1_000_000;

/// Ports on both sides of every bound that policies are drawn with; they serve as ICMP types as well.
const PORTS: &[(u8, &[u16])] = &[
    (6, &[0, 8, 9, 10, 53, 79, 80, 81, 443, 444, 8080, 65535]),
    (17, &[0, 8, 53, 79, 80, 91, 445, 8080]),
    (132, &[1, 53, 80, 65535]),
    (1, &[0, 3, 8, 9]),
    (58, &[0, 8, 128, 129]),
    (47, &[0]),
];

#[test]
fn the_model_agrees_with_a_naive_evaluator() {
    let (flows, written, in_force) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let met = std::cell::RefCell::new(BTreeMap::<&str, usize>::new());
    // `PROPTEST_CASES` asks for more.
    let cases = Config::default().cases;
    run(cases, |case| {
        let (asked, admitted) = compare(case, &mut met.borrow_mut());
        flows.set(flows.get() + asked);
        written.set(written.get() + case.policies.len());
        in_force.set(in_force.get() + admitted);
    });
    let (flows, written, in_force) = (flows.get(), written.get(), in_force.get());
    println!(
        "{flows} flows, {in_force} of {written} policies in force: {:?}",
        met.borrow()
    );
    assert!(flows >= FLOWS_MIN, "only {flows} flows were compared");
    assert!(
        in_force * 10 >= written * 8,
        "only {in_force} of {written} random policies are valid: the comparison means little"
    );
    let kinds = [
        "allow", "deny", "redirect", "error", "auth", "http", "dns", "tls", "crd",
    ];
    for kind in kinds {
        let share = met.borrow().get(kind).copied().unwrap_or_default();
        assert!(
            share * 10_000 >= flows,
            "only {share} of {flows} flows are about {kind}"
        );
    }
}

#[test]
fn the_order_of_documents_and_files_has_no_effect() {
    run(Config::default().cases / 8, |case| {
        let mut reversed = case.policies.clone();
        reversed.reverse();
        let in_one_file = [case.policies.join("---\n")];
        assert_eq!(verdicts(case, &in_one_file), verdicts(case, &reversed));
    });
}

fn run(cases: u32, check: impl Fn(&Case)) {
    let given = Config::default();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        // The same cases on every run, unless `PROPTEST_RNG_SEED` asks for others.
        rng_seed: match given.rng_seed {
            RngSeed::Random => RngSeed::Fixed(1),
            fixed @ RngSeed::Fixed(_) => fixed,
        },
        ..given
    });
    let ran = runner.run(&generate::case(LANGUAGE), |case| {
        check(&case);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

/// Parses files; a document that the syntax does not take is a fault of the generator.
fn parse(files: &[String]) -> Vec<Document> {
    let mut sources = SourceMap::new();
    let mut documents = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let parsed = policyc_syntax::parse(&sources.add(format!("{at}.yaml"), file.as_str()));
        assert!(
            parsed.diagnostics.is_empty(),
            "{file}\n{:#?}",
            parsed.diagnostics
        );
        documents.extend(parsed.documents);
    }
    documents
}

/// Puts every flow to the model.
fn with_model<T>(
    case: &Case,
    documents: &[Document],
    then: impl FnOnce(&Model<'_>, &PolicySet) -> T,
) -> T {
    let (policies, _) = PolicySet::admit(documents, &case.settings);
    let (inventory, faults) = Inventory::read(&parse(&[case.cluster.yaml()]));
    assert!(faults.is_empty(), "{faults:#?}");
    let rules = normalise::normalise(&policies, &inventory, &case.settings);
    let universe = inventory::universe(&inventory, &rules, &case.settings, None);
    let resolved = Resolved::new(&rules, &universe);
    then(&Model::build(&resolved, &case.settings), &policies)
}

/// The documents of policies that are in force.
fn admitted<'a>(documents: &'a [Document], policies: &PolicySet) -> Vec<&'a Document> {
    let spans: BTreeSet<_> = policies
        .policies()
        .iter()
        .map(|policy| policy.info.span)
        .collect();
    let name = |document: &&Document| document.meta.name.as_ref().map(|name| name.span);
    let in_force = documents
        .iter()
        .filter(|document| name(document).is_some_and(|span| spans.contains(&span)));
    in_force.collect()
}

/// Compares all flows of a case; returns how many, and how many policies are in force.
fn compare(case: &Case, met: &mut BTreeMap<&'static str, usize>) -> (usize, usize) {
    let documents = parse(&case.policies);
    with_model(case, &documents, |model, policies| {
        let objects = parse(&[case.cluster.yaml()]);
        let in_force = admitted(&documents, policies);
        let admitted = in_force.len();
        let world = World {
            cluster: Seen::read(&objects),
            settings: &case.settings,
            documents: in_force,
        };
        let mut asked = 0;
        each_pair(case, model.universe(), |subject, other, flow| {
            let sides = world.sides(world.subject(subject));
            let other = (other, world.other(other));
            for side in &sides {
                let facing = world.facing(side, &other.1);
                for (protocol, port) in ports() {
                    let flow = Flow {
                        direction: side.direction,
                        protocol: Protocol(protocol),
                        port,
                        ..flow
                    };
                    let wanted = world.ask(&facing, protocol, port);
                    let given = answer(&model.eval(&flow));
                    assert_eq!(
                        given, wanted,
                        "{subject} {:?} {} {protocol}/{port}",
                        side.direction, other.0
                    );
                    count(&wanted, met);
                    asked += 1;
                }
            }
        });
        (asked, admitted)
    })
}

fn count(answer: &Answer, met: &mut BTreeMap<&'static str, usize>) {
    let auth = if answer.auth.is_empty() {
        None
    } else {
        Some("auth")
    };
    let parser = answer.shown.as_ref().map(|shown| shown.parser);
    for kind in [Some(answer.verdict), auth, parser].into_iter().flatten() {
        *met.entry(kind).or_default() += 1;
    }
}

fn verdicts(case: &Case, files: &[String]) -> Vec<Answer> {
    with_model(case, &parse(files), |model, _| {
        let mut answers = Vec::new();
        each_pair(case, model.universe(), |_, _, flow| {
            for direction in Direction::BOTH {
                answers.extend(ports().map(|(protocol, port)| {
                    let flow = Flow {
                        direction,
                        protocol: Protocol(protocol),
                        port,
                        ..flow
                    };
                    answer(&model.eval(&flow))
                }));
            }
        });
        answers
    })
}

fn ports() -> impl Iterator<Item = (u8, u16)> {
    PORTS
        .iter()
        .flat_map(|(protocol, ports)| ports.iter().map(|port| (*protocol, *port)))
}

/// Every endpoint with every other side, by name and as the model has them.
fn each_pair(case: &Case, universe: &Universe, mut then: impl FnMut(&str, &str, Flow)) {
    let others = others(&case.cluster, universe);
    for (subject, endpoint) in subjects(&case.cluster, universe) {
        for (other, peer) in &others {
            let flow = Flow {
                subject: endpoint,
                direction: Direction::Ingress,
                peer: *peer,
                protocol: Protocol(0),
                port: 0,
            };
            then(&subject, other, flow);
        }
    }
}

fn subjects(cluster: &Cluster, universe: &Universe) -> Vec<(String, EndpointId)> {
    let pods = cluster
        .pods
        .iter()
        .enumerate()
        .map(|(at, pod)| format!("{}/p{at}", pod.namespace));
    let names = pods.chain(["host".to_owned()]);
    names
        .map(|name| (name.clone(), universe.find(&name).unwrap()))
        .collect()
}

fn others(cluster: &Cluster, universe: &Universe) -> Vec<(String, IdentityId)> {
    let of = |text: &str| universe.identity_of(text.parse().unwrap());
    let mut others = vec![("unknown".to_owned(), IdentityId::UNKNOWN)];
    for (at, pod) in cluster.pods.iter().enumerate() {
        others.push((
            format!("{}/p{at}", pod.namespace),
            of(&Cluster::address(at)),
        ));
    }
    for address in ADDRESSES {
        others.push((format!("ip:{address}"), of(address)));
    }
    for name in [
        "world",
        "world-ipv4",
        "world-ipv6",
        "unmanaged",
        "health",
        "init",
        "ingress",
    ] {
        others.push((
            format!("entity:{name}"),
            IdentityId::reserved(name).unwrap(),
        ));
    }
    for node in 0..2 {
        others.push((
            format!("node:node-{node}"),
            of(&Cluster::node_address(node)),
        ));
    }
    others
}

/// A verdict of the model in the words of the naive evaluator.
pub(crate) fn answer(verdict: &Verdict) -> Answer {
    let conflict = verdict.reason == Reason::Conflict;
    let shown = verdict.redirect.as_deref().map(shown);
    Answer {
        verdict: match (conflict, verdict.allowed, &shown) {
            (true, ..) => "error",
            (_, false, _) => "deny",
            (_, true, None) => "allow",
            (_, true, Some(_)) => "redirect",
        },
        enforced: verdict.enforced && !conflict,
        reason: match verdict.reason {
            Reason::Rule(Action::Deny) => "policy",
            Reason::DefaultDeny => "default",
            _ => "",
        },
        auth: verdict
            .auth
            .map_or_else(String::new, |demand| match (demand.mode, demand.derived) {
                (l7::Auth::Disabled, _) => String::new(),
                (mode, false) => mode.name().to_owned(),
                (mode, true) => format!("{} (derived)", mode.name()),
            }),
        shown,
    }
}

fn shown(redirect: &Redirect) -> Shown {
    let texts = |list: &[std::sync::Arc<str>]| list.iter().map(ToString::to_string).collect();
    let mut shown = Shown {
        parser: redirect.parser.name(),
        http: BTreeSet::new(),
        dns: BTreeSet::new(),
        server_names: texts(&redirect.l7.server_names),
        listener: redirect
            .l7
            .listener
            .as_ref()
            .map(|listener| listener.name.to_string()),
        plain: redirect.plain,
    };
    match &redirect.l7.content {
        Content::Http(rules) => shown.http = rules.iter().map(http).collect(),
        Content::Dns(rules) => shown.dns = rules.iter().map(dns).collect(),
        _ => {}
    }
    shown
}

/// The members that are given, as a JSON object.
fn object(members: &[Option<String>]) -> String {
    format!(
        "{{{}}}",
        members
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(",")
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn text(name: &str, value: Option<&std::sync::Arc<str>>) -> Option<String> {
    value.map(|value| format!("{}:{}", quoted(name), quoted(value)))
}

fn dns(rule: &Fqdn) -> String {
    object(&[
        text("matchName", rule.name.as_ref()),
        text("matchPattern", rule.pattern.as_ref()),
    ])
}

fn http(rule: &l7::Http) -> String {
    let list = |name: &str, items: Vec<String>| {
        (!items.is_empty()).then(|| format!("{}:[{}]", quoted(name), items.join(",")))
    };
    object(&[
        text("path", rule.path.as_ref()),
        text("method", rule.method.as_ref()),
        text("host", rule.host.as_ref()),
        list(
            "headers",
            rule.headers.iter().map(|header| quoted(header)).collect(),
        ),
        list(
            "headerMatches",
            rule.header_matches.iter().map(header).collect(),
        ),
    ])
}

fn header(header: &l7::HeaderMatch) -> String {
    let secret = header.secret.as_ref().map(|(namespace, name)| {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        format!(
            "\"secret\":{}",
            object(&[text("namespace", namespace), text("name", Some(name))])
        )
    });
    object(&[
        text("mismatch", header.mismatch.as_ref()),
        text("name", Some(&header.name)),
        secret,
        text("value", header.value.as_ref()),
    ])
}
