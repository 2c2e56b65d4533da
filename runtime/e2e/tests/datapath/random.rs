//! The same decision in the kernel as in user space, for tables and packets made at random.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::arena::{header, record};
use policy_abi::reason::Reason;
use policy_abi::{lookup, proto};
use policyd_e2e::arena::{Arena, Image};
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::datapath::{DROP, Outcome, PASS, TEST_INTERFACE};
use policyd_e2e::numbers::Numbers;
use policyd_e2e::packet::{self, SYN};

use crate::world::{GENERATION, World, between, pod};

const ROUNDS: u64 = 12;
const PACKETS: u16 = 600;
const PROTOCOLS: [u8; 9] = [
    proto::TCP,
    proto::UDP,
    proto::SCTP,
    proto::ICMP,
    proto::ICMPV6,
    47,
    50,
    112,
    99,
];

/// Records that a compiler could have made.
fn records(numbers: &mut Numbers) -> Vec<(u8, Reason, u8)> {
    let kinds = [
        (record::ALLOW, Reason::Allowed, 0),
        (record::ALLOW, Reason::Allowed, 1),
        (record::DENY, Reason::PolicyDeny, 0),
        (record::DENY, Reason::DefaultDeny, 0),
        (record::REDIRECT, Reason::NoProxy, 0),
    ];
    (0..2 + numbers.below::<usize>(30))
        .map(|_| kinds[numbers.below::<usize>(5)])
        .collect()
}

fn image(numbers: &mut Numbers, identities: u64, records: u64) -> Image {
    let (peers, classes) = (1 + numbers.below::<u64>(20), 1 + numbers.below::<u64>(40));
    let mut ports = std::collections::BTreeMap::new();
    for slot in 0..proto::SLOTS {
        if numbers.below::<u8>(4) == 0 {
            continue;
        }
        let mut row = vec![numbers.below(classes); 65_536];
        for _ in 0..numbers.below::<usize>(20) {
            let (start, length) = (numbers.below::<usize>(65_536), numbers.below::<usize>(1000));
            // Low ports too: they are what ICMP types are.
            let start = if numbers.below::<u8>(2) == 0 {
                start
            } else {
                start % 256
            };
            let class = numbers.below(classes);
            row.iter_mut()
                .skip(start)
                .take(length)
                .for_each(|port| *port = class);
        }
        ports.insert(slot, row);
    }
    let cell = |numbers: &mut Numbers| numbers.below::<u16>(records);
    Image {
        peers: (0..identities).map(|_| numbers.below(peers)).collect(),
        ports,
        cells: (0..peers)
            .map(|_| (0..classes).map(|_| cell(numbers)).collect())
            .collect(),
    }
}

/// What user space makes of it.
fn expected(tables: &[u8], image: u32, identity: u32, protocol: u8, port: u16) -> Outcome {
    let verdict = lookup::verdict(tables, image, identity, protocol, port);
    let at = lookup::record_at(tables, verdict.record);
    assert_eq!(verdict.passes, lookup::passes(tables, at));
    let reason = match Reason::from_number(lookup::reason(tables, at)).unwrap() {
        Reason::Allowed if lookup::auth(tables, at) != 0 => Reason::AuthRequired,
        reason => reason,
    };
    Outcome {
        action: if reason.passes() { PASS } else { DROP },
        reason,
    }
}

fn peer(number: u32, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number)).into()
    } else {
        Ipv4Addr::from(0x0b00_0000 | number).into()
    }
}

/// A packet and the port it is judged by. `unique` keeps it from being a reply to any other.
fn packet(
    numbers: &mut Numbers,
    direction: Direction,
    peer: IpAddr,
    protocol: u8,
    unique: u16,
) -> (Vec<u8>, u16) {
    let port = numbers.below::<u16>(65_536);
    let port = if numbers.below::<u8>(2) == 0 {
        port
    } else {
        port % 256
    };
    let (payload, port) = match protocol {
        proto::TCP => (packet::tcp(unique, port, SYN), port),
        proto::UDP => (packet::udp(unique, port), port),
        proto::SCTP => (packet::sctp(unique, port), port),
        proto::ICMP | proto::ICMPV6 => {
            let kind = u8::try_from(port % 256).unwrap();
            let [high, low] = unique.to_be_bytes();
            (packet::icmp(kind, 0, [high, low, 0, 0], &[]), kind.into())
        }
        _ => (vec![0; 16], 0),
    };
    (between(direction, peer, protocol).frame(&payload), port)
}

#[test]
fn kernel_and_user_space_agree() {
    policyd_e2e::require_root!();
    let mut numbers = Numbers::new(0x9e37_79b9_7f4a_7c15);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut world = World::with_flags(0);
        let identities: u32 = 1 + numbers.below::<u32>(300);
        let records = records(&mut numbers);
        let length = u64::try_from(records.len()).unwrap() + 1;
        let images = [(); 2].map(|()| image(&mut numbers, identities.into(), length));
        let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) = (pod(false), pod(true)) else {
            unreachable!()
        };
        let arena = Arena::new(
            identities,
            header::FLAG_EXTENDED_PROTOCOLS,
            &records,
            &images,
        )
        .with_endpoint(TEST_INTERFACE, (Some(ipv4), Some(ipv6)), 0, 1);
        world.datapath.install(GENERATION, &arena).unwrap();
        // One identity that is in the cache but not in the tables; index 0 is that of all unknown addresses.
        for identity in 1..=identities {
            for ipv6 in [false, true] {
                world
                    .datapath
                    .learn(GENERATION, peer(identity, ipv6), identity)
                    .unwrap();
            }
        }
        for unique in 1..=PACKETS {
            let ipv6 = numbers.below::<u8>(2) == 1;
            let protocol = PROTOCOLS[numbers.below::<usize>(9)];
            let is_foreign = protocol == if ipv6 { proto::ICMP } else { proto::ICMPV6 };
            // Without ports, one direction's packets would be replies to the other's.
            let has_ports = matches!(
                protocol,
                proto::TCP | proto::UDP | proto::SCTP | proto::ICMP | proto::ICMPV6
            );
            let direction = if has_ports && numbers.below::<u8>(2) == 1 {
                Egress
            } else {
                Ingress
            };
            let number = numbers.below::<u32>(u64::from(identities) + 2);
            let identity = if number > identities { 0 } else { number };
            let (packet, port) = packet(
                &mut numbers,
                direction,
                peer(number, ipv6),
                protocol,
                unique,
            );
            let image = arena.image(usize::from(direction == Egress));
            let expected = if is_foreign {
                Outcome {
                    action: DROP,
                    reason: Reason::UnknownL4,
                }
            } else {
                expected(arena.bytes(), image, identity, protocol, port)
            };
            let found = world.datapath.run(direction, &packet).unwrap();
            assert_eq!(
                found, expected,
                "{direction:?} identity {identity} protocol {protocol} port {port}"
            );
            *seen.entry(found.reason).or_insert(0) += 1;
        }
    }
    // The numbers were good for something only if every outcome was among them.
    let reasons = [
        Reason::Allowed,
        Reason::PolicyDeny,
        Reason::DefaultDeny,
        Reason::UnknownL4,
        Reason::InvalidTables,
        Reason::AuthRequired,
    ];
    assert!(
        reasons
            .iter()
            .all(|reason| seen.get(reason).is_some_and(|count| *count > 50)),
        "{seen:?}"
    );
}
