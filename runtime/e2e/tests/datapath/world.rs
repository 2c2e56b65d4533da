//! The pod, its peers and its policy that all cases share.
//!
//! The friend may reach the pod, and the pod the friend, on ports of their own in each direction, so that a reply
//! is never allowed by the other direction's rules. The foe is denied by a rule; everybody may use [`PUBLIC`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::arena::{header, record};
use policy_abi::proto;
use policy_abi::reason::Reason;
use policyd_e2e::arena::{Arena, Image};
use policyd_e2e::datapath::{DROP, Datapath, Direction, Outcome, PASS, TEST_INTERFACE};
use policyd_e2e::packet::{self, Ip};

/// Generation in force at the start.
pub(crate) const GENERATION: u64 = 1;
/// Ports the friend may use: TCP, UDP and SCTP of one direction.
pub(crate) const INGRESS: [u16; 3] = [80, 53, 3868];
pub(crate) const EGRESS: [u16; 3] = [8080, 5353, 3869];
/// TCP port everybody may use, in both directions.
pub(crate) const PUBLIC: u16 = 443;
/// TCP port that demands authentication, in both directions.
pub(crate) const GUARDED: u16 = 444;
/// TCP port where a proxy has the last word, in both directions.
pub(crate) const PROXIED: u16 = 445;
/// Port on the other side.
pub(crate) const CLIENT: u16 = 40_000;
/// Identity indexes.
pub(crate) const FRIEND: u32 = 1;
pub(crate) const FOE: u32 = 2;
pub(crate) const IDENTITIES: u32 = 3;
/// Record numbers.
pub(crate) const ALLOW: u32 = 1;
pub(crate) const NOTHING: u32 = 2;
pub(crate) const DENY: u32 = 3;

/// Address of both families: the pod is 1, the friend 2, the foe 3; nobody knows 9.
pub(crate) fn pod(ipv6: bool) -> IpAddr {
    address(ipv6, 1)
}

pub(crate) fn friend(ipv6: bool) -> IpAddr {
    address(ipv6, 2)
}

pub(crate) fn foe(ipv6: bool) -> IpAddr {
    address(ipv6, 3)
}

pub(crate) fn stranger(ipv6: bool) -> IpAddr {
    address(ipv6, 9)
}

fn address(ipv6: bool, last: u8) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into()
    } else {
        Ipv4Addr::new(10, 0, 0, last).into()
    }
}

/// The pod's interface with the datapath on it.
pub(crate) struct World {
    pub(crate) datapath: Datapath,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_flags(0)
    }

    pub(crate) fn with_flags(flags: u32) -> Self {
        let mut world = Self {
            datapath: Datapath::load().unwrap(),
        };
        world.install(GENERATION, &arena(flags, &policies()));
        world
    }

    /// Puts a generation into force, with all addresses known to it.
    pub(crate) fn install(&mut self, generation: u64, arena: &Arena) {
        for ipv6 in [false, true] {
            self.datapath.learn(generation, pod(ipv6), FRIEND).unwrap();
            self.datapath
                .learn(generation, friend(ipv6), FRIEND)
                .unwrap();
            self.datapath.learn(generation, foe(ipv6), FOE).unwrap();
        }
        self.datapath.install(generation, arena).unwrap();
    }

    /// Runs a packet and asserts what becomes of it.
    #[track_caller]
    pub(crate) fn expect(&mut self, direction: Direction, packet: &[u8], reason: Reason) {
        let action = if reason.passes() { PASS } else { DROP };
        let outcome = self.datapath.run(direction, packet).unwrap();
        assert_eq!(
            outcome,
            Outcome { action, reason },
            "{direction:?} {packet:02x?}"
        );
    }
}

/// Ingress and egress image.
pub(crate) fn policies() -> [Image; 2] {
    [INGRESS, EGRESS].map(image)
}

/// Tables with the pod on the interface that tests use.
pub(crate) fn arena(flags: u32, images: &[Image; 2]) -> Arena {
    let records = [
        (record::ALLOW, Reason::Allowed, 0),
        (record::DENY, Reason::DefaultDeny, 0),
        (record::DENY, Reason::PolicyDeny, 0),
        (record::ALLOW, Reason::Allowed, 1),
        (record::REDIRECT, Reason::NoProxy, 0),
    ];
    let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) = (pod(false), pod(true)) else {
        unreachable!()
    };
    Arena::new(IDENTITIES, flags, &records, images).with_endpoint(
        TEST_INTERFACE,
        (Some(ipv4), Some(ipv6)),
        0,
        1,
    )
}

/// L4 classes: 0 nothing, 1 for the friend, 2 for everybody, 3 for the authenticated, 4 for whom a proxy lets through.
fn image([tcp, udp, sctp]: [u16; 3]) -> Image {
    let classes = |ports: &[(u16, u16)]| {
        let mut classes = vec![0; 65_536];
        for (port, class) in ports {
            classes[usize::from(*port)] = *class;
        }
        classes
    };
    let of_tcp = [(tcp, 1), (PUBLIC, 2), (GUARDED, 3), (PROXIED, 4)];
    let ports = [
        (proto::TCP, classes(&of_tcp)),
        (proto::UDP, classes(&[(udp, 1)])),
        (proto::SCTP, classes(&[(sctp, 1)])),
        (proto::ICMP, classes(&[(8, 1), (13, 1)])),
        (proto::ICMPV6, classes(&[(128, 1), (135, 0)])),
        (47, classes(&[(0, 1)])),
    ];
    Image {
        peers: vec![0, 1, 2],
        ports: ports
            .into_iter()
            .map(|(protocol, ports)| (proto::slot(protocol), ports))
            .collect(),
        cells: vec![
            vec![2, 2, 1, 2, 2],
            vec![2, 1, 1, 4, 5],
            vec![3, 3, 3, 3, 3],
        ],
    }
}

/// A packet between the pod and a peer, in the direction given.
pub(crate) fn between(direction: Direction, peer: IpAddr, protocol: u8) -> Ip {
    match direction {
        Direction::Ingress => Ip::new(peer, pod(peer.is_ipv6()), protocol),
        Direction::Egress => Ip::new(pod(peer.is_ipv6()), peer, protocol),
    }
}

/// A TCP packet from the side that opens, to the port of that direction that the friend may use.
pub(crate) fn opening_tcp(direction: Direction, peer: IpAddr, flags: u8) -> Vec<u8> {
    let port = if direction == Direction::Ingress {
        INGRESS[0]
    } else {
        EGRESS[0]
    };
    between(direction, peer, proto::TCP).frame(&packet::tcp(CLIENT, port, flags))
}

/// A TCP packet from the other side, in a direction that is *its* way.
pub(crate) fn answering_tcp(direction: Direction, peer: IpAddr, flags: u8) -> Vec<u8> {
    let port = if direction == Direction::Ingress {
        EGRESS[0]
    } else {
        INGRESS[0]
    };
    between(direction, peer, proto::TCP).frame(&packet::tcp(port, CLIENT, flags))
}

/// Both directions and both families.
pub(crate) fn ways() -> impl Iterator<Item = (Direction, bool)> {
    [Direction::Ingress, Direction::Egress]
        .into_iter()
        .flat_map(|way| [(way, false), (way, true)])
}

/// The other direction.
pub(crate) fn back(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}

/// ICMP of a family.
pub(crate) fn icmp_of(ipv6: bool) -> u8 {
    if ipv6 { proto::ICMPV6 } else { proto::ICMP }
}

/// The flag that has other protocols judged.
pub(crate) const EXTENDED: u32 = header::FLAG_EXTENDED_PROTOCOLS;
