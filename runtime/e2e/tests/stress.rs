//! Replacements, crashes and failures under a stream of packets: every packet is decided by the old policy or the new.
//!
//! All policies allow one port and none allows another; the rest differs from one to the next. Packets to both ports
//! are sent all the time and accounted for to the last one, so that a single packet that meets half a policy, or none,
//! shows.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which say what they counted"
)]

#[path = "../../bundle/tests/common/arena.rs"]
mod arena;
#[path = "daemon/node.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod node;
#[path = "stress/stream.rs"]
mod stream;

use std::process::Stdio;
use std::time::{Duration, Instant};

use policyd_e2e::numbers::Numbers;
use policyd_e2e::stumble::{self, Ending, Stumble};
use policyd_e2e::traffic::{Flow, Observed};

use crate::node::{Node, key};
use crate::stream::{ALWAYS, Stream};

/// How often each thing happens.
const REPLACEMENTS: u64 = 1_000;
const KILLS: u64 = 200;
/// Steps between two that are made to fail; both kinds of failure together meet every second one.
const STRIDE: u64 = 2;
const FIRST_STRIDE: u64 = 12;

/// Ports of the policies that take turns: besides the one that all allow.
fn ports(revision: u64) -> [u16; 2] {
    [ALWAYS, if revision.is_multiple_of(2) { 81 } else { 82 }]
}

fn write(node: &Node, revision: u64) {
    node.write_bundle(revision, &ports(revision), Some(&key()));
}

/// What is in force is one of two revisions, and what is enforced is its policy.
#[track_caller]
fn assert_in_force(node: &Node, allowed: [u64; 2]) -> u64 {
    let revision = node.status()["revision"].as_u64().unwrap();
    assert!(
        allowed.contains(&revision),
        "{revision} is not of {allowed:?}"
    );
    let (client, web) = (&node.topology.pods[0], &node.topology.pods[1]);
    // A datagram leaves no connection behind that another policy would end.
    let flow = Flow::udp(&client.namespace, web.ipv6, ports(revision)[1]);
    assert_eq!(
        flow.observe().unwrap(),
        Observed::Answered,
        "revision {revision}"
    );
    revision
}

#[test]
fn replacements_leave_no_packet_undecided() {
    policyd_e2e::require_root!();
    let node = Node::new();
    write(&node, 1);
    let mut daemon = node.start();
    daemon.wait_for("generation 1 in force");
    let stream = Stream::start(&node);
    for revision in 2..=1 + REPLACEMENTS {
        write(&node, revision);
        daemon.signal("HUP");
        daemon.wait_for(&format!("generation {revision} in force"));
    }
    let account = stream.stop();
    println!("{REPLACEMENTS} replacements: {account}");
    account.assert_settled(REPLACEMENTS);
    assert_in_force(&node, [1 + REPLACEMENTS; 2]);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn crashes_leave_no_packet_undecided() {
    policyd_e2e::require_root!();
    let node = Node::new();
    write(&node, 1);
    assert_eq!(node.once().code, 0);
    write(&node, 2);
    let start = Instant::now();
    assert_eq!(node.once().code, 0);
    // However fast the machine is, some are killed before the change, some in it, and some after.
    let lifetime = 2 * u64::try_from(start.elapsed().as_millis()).unwrap();
    let stream = Stream::start(&node);
    let mut numbers = Numbers::new(7);
    let (mut current, mut changed) = (2, 0);
    for number in 1..=KILLS {
        let next = current + 1;
        write(&node, next);
        let mut daemon = node.start();
        std::thread::sleep(Duration::from_millis(numbers.below(lifetime)));
        daemon.kill();
        let found = assert_in_force(&node, [current, next]);
        changed += u64::from(found != current);
        current = found;
        assert!(number < KILLS || changed > 0, "no daemon lived long enough");
    }
    let account = stream.stop();
    println!("{KILLS} kills, {changed} of them after the change: {account}");
    account.assert_settled(KILLS);
    // The next start finds everything usable.
    write(&node, current + 1);
    assert_eq!(node.once().code, 0);
    assert_in_force(&node, [current + 1; 2]);
}

/// Runs the daemon once with one of its steps going wrong.
fn stumbling(node: &Node, number: u64, kind: Stumble) -> Ending {
    let mut command = node.prepare(&["run", "--once"], true);
    command.stderr(Stdio::null());
    stumble::run(&mut command, number, kind).unwrap()
}

#[test]
fn failures_at_any_step_leave_no_packet_undecided() {
    policyd_e2e::require_root!();
    let node = Node::new();
    write(&node, 1);
    assert_eq!(node.once().code, 0);
    let stream = Stream::start(&node);
    let (mut current, mut failed, mut steps) = (1, 0, 0);
    for (kind, first) in [(Stumble::Fail, 1), (Stumble::Die, 1 + STRIDE / 2)] {
        let mut number = first;
        loop {
            let next = current + 1;
            write(&node, next);
            let ending = stumbling(&node, number, kind);
            current = assert_in_force(&node, [current, next]);
            if !ending.has_stumbled {
                assert!(ending.status.success());
                assert_eq!(current, next);
                steps = ending.steps;
                break;
            }
            // A failure that nobody notices is one too many; only cleaning up may go wrong in silence.
            assert!(!ending.status.success() || current == next, "step {number}");
            failed += 1;
            number += STRIDE;
        }
    }
    let account = stream.stop();
    println!("{failed} failures within {steps} steps: {account}");
    assert!(failed > 20, "{failed}");
    account.assert_settled(failed);
}

/// A first start that is cut off anywhere does not hinder the next.
#[test]
fn first_starts_may_fail_at_any_step() {
    policyd_e2e::require_root!();
    let node = Node::new();
    let mut failed = 0;
    for (kind, first) in [(Stumble::Fail, 1), (Stumble::Die, 1 + FIRST_STRIDE / 2)] {
        let mut number = first;
        loop {
            write(&node, 1);
            let ending = stumbling(&node, number, kind);
            if kind == Stumble::Fail && ending.has_stumbled && !ending.status.success() {
                assert!(
                    !node.pin_dir.exists(),
                    "step {number} leaves something behind"
                );
            }
            write(&node, 2);
            assert_eq!(node.once().code, 0, "after step {number}");
            assert_in_force(&node, [2, 2]);
            assert_eq!(node.detach().code, 0);
            // The next start may take any revision.
            std::fs::remove_dir_all(node.folder.join("state")).unwrap();
            if !ending.has_stumbled {
                break;
            }
            failed += 1;
            number += FIRST_STRIDE;
        }
    }
    println!("{failed} first starts failed");
    assert!(failed > 5, "{failed}");
}
