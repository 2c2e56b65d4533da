//! A million random packets, judged by the datapath in the kernel and by the model in user space: always alike.
//!
//! Each round has policies, addresses and connections of its own. Time passes in jumps, generations and audit mode
//! change in between. Numbers are the same every time; a failure names the round and the packet.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

/// Random packets.
mod packets;
/// Random policies.
mod tables;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use policy_abi::conntrack::PASSING;
use policy_abi::reason::{self, Reason};
use policyd_e2e::datapath::{DROP, Datapath, Direction, PASS, TEST_INTERFACE};
use policyd_e2e::model::Model;
use policyd_e2e::numbers::Numbers;

use crate::packets::Packets;
use crate::tables::Tables;

/// Packets of all rounds, and of one.
const PACKETS: u32 = 1_000_000;
const ROUND: u32 = 25_000;
/// How long a round may last: real time passes for the datapath but not for the model, so it must stay well below
/// anything that a lifetime depends on.
const PATIENCE: Duration = Duration::from_secs(8);
/// Jumps of time. No sum of a few of them comes close to a lifetime from below.
const JUMPS: [Duration; 3] = [
    Duration::from_secs(25),
    Duration::from_secs(100),
    Duration::from_mins(150),
];
/// Most jumps of a round.
const JUMPS_MAX: u32 = 12;
/// Tables of a round that take turns.
const POLICIES: usize = 3;

/// How often each reason was given.
type Seen = BTreeMap<Reason, u64>;

#[test]
fn a_million_packets_are_judged_alike() {
    policyd_e2e::require_root!();
    let start = Instant::now();
    let (mut seen, mut done, mut seed) = (Seen::new(), 0, 0);
    while done < PACKETS {
        seed += 1;
        done += round(seed, ROUND.min(PACKETS - done), &mut seen);
        assert!(
            seed < u64::from(20 * PACKETS / ROUND),
            "too slow: {done} packets"
        );
    }
    println!(
        "{done} packets in {seed} rounds and {:?}: {seen:?}",
        start.elapsed()
    );
    // The packets were good for something only if everything that can happen did.
    let rare = |reason: &Reason| seen.get(reason).is_none_or(|count| *count < 100);
    let impossible = [
        Reason::NoEndpoint,
        Reason::NoGeneration,
        Reason::ConntrackFull,
    ];
    let missing: Vec<_> = reason::ALL
        .iter()
        .map(|(reason, _)| *reason)
        .filter(|reason| !impossible.contains(reason) && rare(reason))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {seen:?}");
}

/// One round; returns how many packets were compared.
fn round(seed: u64, packets: u32, seen: &mut Seen) -> u32 {
    let mut numbers = Numbers::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let start = Instant::now();
    let mut datapath = Datapath::load().unwrap();
    let policies: Vec<Tables> = (0..POLICIES).map(|_| Tables::new(&mut numbers)).collect();
    let mut model = Model::new(TEST_INTERFACE, policies[0].generation(1));
    policies[0].install(&mut datapath, 1);
    let (mut source, mut jumps) = (Packets::default(), 0);
    let mut counted = BTreeMap::new();
    for number in 0..packets {
        if numbers.once_in(3_000) {
            let generation = model.generation.number + 1;
            let policy = numbers.choose(&policies);
            policy.install(&mut datapath, generation);
            model.generation = policy.generation(generation);
        }
        if jumps < JUMPS_MAX && numbers.once_in(2_000) {
            jumps += 1;
            let jump = JUMPS[usize::from(numbers.once_in(2)) + usize::from(numbers.once_in(6))];
            model.now += datapath.pass_time(jump).unwrap();
        }
        let (meeting, frame) = source.next(&mut numbers);
        let direction = meeting.direction;
        let expected = model.judge(meeting, &frame);
        let (action, _) = datapath.repeat(meeting, &frame, 1).unwrap();
        // Whatever this packet was judged by, too much time may have passed.
        if start.elapsed() > PATIENCE {
            return number;
        }
        let count = counted
            .entry((direction == Direction::Egress, expected))
            .or_insert(0);
        *count += 1;
        let found = datapath.reason(direction, expected).unwrap();
        let wanted = if expected.passes() { PASS } else { DROP };
        assert!(
            (action, found) == (wanted, *count),
            "round {seed} packet {number} {meeting:?}: {expected:?} was expected and counted {found} times instead \
             of {count}, action {action}; {frame:02x?}"
        );
        *seen.entry(expected).or_insert(0) += 1;
    }
    compare(&datapath, &model, &counted);
    packets
}

/// Nothing was counted besides, and the same connections are known.
fn compare(datapath: &Datapath, model: &Model, counted: &BTreeMap<(bool, Reason), u64>) {
    for direction in [Direction::Ingress, Direction::Egress] {
        let found = datapath.reasons(direction).unwrap();
        for ((reason, _), found) in reason::ALL.iter().zip(found) {
            let key = (direction == Direction::Egress, *reason);
            assert_eq!(found, counted.get(&key).copied().unwrap_or(0), "{key:?}");
        }
    }
    let connections = datapath.connections().unwrap();
    assert_eq!(connections.len(), model.connections.len());
    for (key, entry) in connections {
        let known = model.connections.get(&key.into()).unwrap();
        assert_eq!(
            entry.flags.to_le_bytes(),
            <[u8; 2]>::from(known.flags),
            "{key:?}"
        );
        let generations =
            [Direction::Egress, Direction::Ingress].map(|opener| known.generation(opener));
        let found = [entry.egress_generation, entry.ingress_generation].map(u64::from);
        assert_eq!(found, generations, "{key:?}");
        let passing =
            [Direction::Egress, Direction::Ingress].map(|opener| known.is_passing(opener));
        let found = [entry.egress_record, entry.ingress_record];
        let found = found.map(|record| u32::from(record) & PASSING != 0);
        assert_eq!(found, passing, "{key:?}");
    }
}
