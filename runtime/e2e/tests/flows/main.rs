//! End to end: random policies, compiled and in force, against what the model expects of real traffic.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

/// Which flows to try, and what the model expects of them.
mod choose;
/// The cluster and its services.
mod cluster;
/// The node and the programs that are tested.
mod node;
/// Random policies.
mod policies;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::UdpSocket;

use policy_abi::proto;
use policyd_e2e::numbers::Numbers;
use policyd_e2e::packet::{self, Ip, SYN};
use policyd_e2e::topology::within;
use policyd_e2e::traffic::{Flow, Observed, PATIENCE, observe_all, send_frame};
use serde_json::{Value, json};

use choose::{Choice, Expected, choose};
use cluster::{OUTSIDE, PODS, STRANGER, address};
use node::Node;

/// Rounds of policies, and flows that are tried in each at least.
const ROUNDS: u32 = 4;
const FLOWS: usize = 130;
const SEED: u64 = 7;
/// A port where nobody but the test listens.
const TRAP: u16 = 5999;

#[test]
fn random_policies_do_on_the_wire_what_the_model_says() {
    policyd_e2e::require_root!();
    let node = Node::new();
    let mut numbers = Numbers::new(SEED);
    let mut seen: BTreeMap<(&str, Expected), usize> = BTreeMap::new();
    let mut total = 0;
    for round in 1..=ROUNDS {
        let policies = policies::policies(&mut numbers);
        let said = node.enforce(&policies, round);
        assert!(said.contains("W1020"), "nothing about `api`: {said}");
        let choices = choose(&mut numbers, FLOWS);
        let expected = expectations(&node, &choices);
        let sure: Vec<_> = choices
            .iter()
            .zip(expected)
            .filter_map(|(choice, expected)| Some((choice, expected?)))
            .collect();
        let flows: Vec<Flow> = sure
            .iter()
            .map(|(one, _)| one.flow(&node.topology))
            .collect();
        let observed = observe_all(&flows);
        for (((choice, expected), flow), observed) in sure.iter().zip(&flows).zip(observed) {
            let observed = observed.unwrap();
            let is_answered = observed == Observed::Answered;
            // Under load an answer may be late; a drop never turns into an answer.
            let is_answered = is_answered
                || (*expected == Expected::Answer
                    && flow.observe_until(Observed::Answered).is_ok());
            assert_eq!(
                is_answered,
                *expected == Expected::Answer,
                "round {round}: {choice:?} is {observed:?}, not {expected:?}\n{policies}"
            );
            let to = choice.service().map_or("party", |kind| match kind {
                cluster::Kind::Uniform => "uniform service",
                cluster::Kind::Mixed => "mixed service",
                cluster::Kind::Headless => "headless service",
                cluster::Kind::Empty => "empty service",
            });
            *seen.entry((to, *expected)).or_default() += 1;
        }
        total += sure.len();
        strangers_are_not_the_world(&node);
        spoofed_packets_stay(&node);
    }
    for ((to, expected), count) in &seen {
        println!("{count:4} flows to a {to}: {expected:?}");
    }
    println!("{total} flows, all as expected");
    assert!(total >= 300, "only {total} flows");
    for wanted in [
        ("party", Expected::Answer),
        ("party", Expected::Denied),
        ("uniform service", Expected::Answer),
        ("uniform service", Expected::Denied),
        ("mixed service", Expected::Mixed),
        ("mixed service", Expected::Answer),
        ("headless service", Expected::Answer),
        ("empty service", Expected::Nobody),
    ] {
        assert!(seen.contains_key(&wanted), "no {wanted:?}");
    }
    let services = node.status()["services"].as_array().unwrap().len();
    assert_eq!(services, 6, "three of four have an address of each family");
    for reason in [
        "allowed",
        "reply",
        "policy-deny",
        "default-deny",
        "mixed-service",
        "no-backend",
        "no-proxy",
        "spoofed",
    ] {
        let packets = node.counted(reason);
        println!("{packets:5} packets: {reason}");
        assert!(packets > 0, "no packet was {reason}");
    }
}

/// What the model says about each flow: one call for all.
fn expectations(node: &Node, choices: &[Choice]) -> Vec<Option<Expected>> {
    let all: Vec<_> = choices.iter().map(Choice::questions).collect();
    let mut questions: Vec<Value> = Vec::new();
    for question in all.iter().flatten().flatten().flatten() {
        let mut question = question.clone();
        question["id"] = json!(questions.len());
        questions.push(question);
    }
    let mut answers = node.ask(&questions).into_iter();
    let mut answer = |question: &Option<Value>| match question {
        Some(_) => answers.next().unwrap(),
        None => true,
    };
    let expected = all.iter().map(|ends| {
        let ends = ends.iter();
        let ends: Vec<_> = ends
            .map(|[egress, ingress]| [answer(egress), answer(ingress)])
            .collect();
        Choice::expected(&ends)
    });
    expected.collect()
}

/// A pod that no inventory knows gets in nowhere where only the world and the cluster do; the host outside does.
fn strangers_are_not_the_world(node: &Node) {
    let pods = &node.topology.pods;
    let database = PODS.len() - 1;
    let ask = |from: usize, v4| Flow::tcp(&pods[from].namespace, address(database, v4), 8080);
    assert_eq!(PODS[database].name, "db-0");
    for v4 in [true, false] {
        assert_eq!(ask(STRANGER, v4).observe().unwrap(), Observed::Silent);
    }
}

/// Frames with other pods' addresses, and with those of hosts outside, do not get past the interface.
fn spoofed_packets_stay(node: &Node) {
    let pods = &node.topology.pods;
    let trap = within(&pods[0].namespace, || UdpSocket::bind(("::", TRAP))).unwrap();
    trap.set_read_timeout(Some(PATIENCE)).unwrap();
    let before = node.counted("spoofed");
    let mut sent = 0;
    for (from, pod) in pods.iter().enumerate().take(PODS.len()).skip(1) {
        for claimed in [2, 4, OUTSIDE, STRANGER] {
            for v4 in [true, false] {
                if claimed == from {
                    continue;
                }
                let ip = |protocol| Ip::new(address(claimed, v4), address(0, v4), protocol);
                for mut frame in [
                    ip(proto::UDP).frame(&packet::udp(40_000, TRAP)),
                    ip(proto::TCP).frame(&packet::tcp(40_000, 8080, SYN)),
                ] {
                    // To everybody, so that the host takes the frame for its own.
                    frame[..6].copy_from_slice(&[0xff; 6]);
                    send_frame(&pod.namespace, &frame, 0).unwrap();
                    sent += 1;
                }
            }
        }
    }
    let got = trap.recv(&mut [0; 16]);
    let kind = got.map_err(|error| error.kind());
    assert!(
        matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "a spoofed packet arrived"
    );
    assert_eq!(node.counted("spoofed") - before, sent);
}
