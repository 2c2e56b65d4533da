//! The model against the naive evaluator, on random clusters and policies.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use policyc_ir::model::request::{Answer as Told, Http, Request};
use policyc_ir::model::{Flow, Model};
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_syntax::ast::Document;
use proptest::test_runner::Config;

use crate::answer::answer;
use crate::generate::Case;
use crate::naive::cluster::Cluster;
use crate::naive::{Answer, Facing, World};
use crate::random::{each_pair, parse, ports, run, with_model};

/// Flows that a run compares at least.
const FLOWS_MIN: usize = 1_000_000;

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
    // Not through `println!`, which the test harness keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "{flows} flows, {in_force} of {written} policies in force: {:?}",
        met.borrow()
    );
    assert!(flows >= FLOWS_MIN, "only {flows} flows were compared");
    assert!(
        in_force * 10 >= written * 8,
        "only {in_force} of {written} random policies are valid: the comparison means little"
    );
    let kinds = [
        "allow", "deny", "redirect", "error", "auth", "http", "dns", "tls", "crd", "request",
    ];
    for kind in kinds {
        let share = met.borrow().get(kind).copied().unwrap_or_default();
        assert!(
            share * 10_000 >= flows,
            "only {share} of {flows} flows are about {kind}"
        );
    }
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
            cluster: Cluster::read(&objects),
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
                    if wanted.shown.is_some() {
                        let told = requests(&world, &facing, model, &flow);
                        *met.entry("request").or_default() += told;
                    }
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

/// Compares what becomes of requests over a flow; returns how many.
fn requests(world: &World<'_>, facing: &Facing<'_>, model: &Model<'_>, flow: &Flow) -> usize {
    let mut asked = 0;
    for request in asking()
        .filter(|request| flow.protocol == Protocol::TCP || matches!(request, Request::Dns(_)))
    {
        let given = model.request(flow, &request);
        let wanted = world.request(facing, flow.protocol.0, flow.port, &request);
        // Why an answer is not known is no part of it.
        let same = match (&given, &wanted) {
            (Told::Unknown(_), Told::Unknown(_)) => true,
            (given, wanted) => given == wanted,
        };
        assert!(same, "{request:?}: {given:?}, but {wanted:?}");
        asked += 1;
    }
    asked
}

/// Requests on both sides of every rule that policies are drawn with.
fn asking() -> impl Iterator<Item = Request> {
    let http = |method: &str, path: &str, more: &[(&str, &str)], name: Option<&str>| {
        let headers = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Request::Http(Http {
            method: method.to_owned(),
            path: path.to_owned(),
            host: "a.example.com".to_owned(),
            headers: headers.collect(),
            server_name: name.map(str::to_owned),
        })
    };
    let over_http = [
        http("GET", "/", &[], None),
        http("GET", "/api/x", &[("X-Key", "1"), ("x-team", "red")], None),
        http("POST", "/", &[("X-Team", "blue")], Some("a.example.com")),
        http("PUT", "/other", &[], Some("b.example.com")),
        http("HEAD", "/api/", &[("x-key", "2")], Some("x.example.com")),
    ];
    let names = [
        None,
        Some("a.example.com"),
        Some("x.y.example.com"),
        Some("other.org"),
    ];
    let over_tls = names.map(|name| Request::Tls(name.map(str::to_owned)));
    let queries = [
        "example.com",
        "A.example.com.",
        "b.a.example.com",
        "other.example.org",
    ];
    let queries = queries.map(|name| Request::Dns(name.to_owned()));
    over_http.into_iter().chain(over_tls).chain(queries)
}
