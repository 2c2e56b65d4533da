//! The node's own packets, at its devices and between it and its pods.
//!
//! The node lets in whoever comes to [`SSH`], and itself goes to [`DNS`] only. The pod lets in [`WEB`] and goes to
//! [`API`] and [`SSH`]. All other ports are in default deny, on every side.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::arena::record;
use policy_abi::conntrack::{PASSING, RECORD};
use policy_abi::event::BY_NODE;
use policy_abi::reason::Reason::{
    self, Allowed, Audited, DefaultDeny, Essential, LostFragment, Malformed, Misdelivered, Reply,
    Spoofed, Unjudged, UnknownL3, UnknownL4,
};
use policy_abi::{endpoint, proto};
use policyd_e2e::arena::{Arena, Image};
use policyd_e2e::datapath::Direction::{Egress, Ingress};
use policyd_e2e::datapath::{DROP, Datapath, Meeting, Outcome, PASS, TEST_INTERFACE};
use policyd_e2e::packet::{self, ACK, Ip, SYN};

use crate::world::icmp_of;

/// TCP ports.
const SSH: u16 = 22;
const DNS: u16 = 53;
const WEB: u16 = 80;
const API: u16 = 6443;
const CLIENT: u16 = 40_000;
/// Identity indexes.
const OUTSIDE: u32 = 1;
const HOST: u32 = 2;
const POD: u32 = 3;
/// Numbers of images.
const NODE_INGRESS: usize = 0;
const NODE_EGRESS: usize = 1;
const POD_INGRESS: usize = 2;
const POD_EGRESS: usize = 3;
/// Record that allows.
const ALLOW: u32 = 1;

fn address(ipv6: bool, last: u8) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into()
    } else {
        Ipv4Addr::new(10, 0, 0, last).into()
    }
}

fn node(ipv6: bool) -> IpAddr {
    address(ipv6, 1)
}

/// Another address of the node.
fn second(ipv6: bool) -> IpAddr {
    address(ipv6, 2)
}

fn pod(ipv6: bool) -> IpAddr {
    address(ipv6, 3)
}

fn outside(ipv6: bool) -> IpAddr {
    address(ipv6, 9)
}

/// Everybody, or nobody but one identity, may use these TCP ports.
fn image(ports: &[u16], peer: Option<u32>) -> Image {
    let mut classes = vec![0; 65_536];
    for port in ports {
        classes[usize::from(*port)] = 1;
    }
    let row = |identity: u32| match peer {
        Some(peer) if peer != identity => vec![2, 2],
        _ => vec![2, 1],
    };
    Image {
        peers: vec![0, 1, 2, 3],
        ports: BTreeMap::from([
            (proto::slot(proto::TCP), classes.clone()),
            (proto::slot(proto::UDP), classes),
        ]),
        cells: (0..4).map(row).collect(),
    }
}

struct World {
    datapath: Datapath,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            datapath: Datapath::load().unwrap(),
        };
        world.install(1, &arena(Some(&[SSH])));
        world
    }

    fn install(&mut self, generation: u64, arena: &Arena) {
        for ipv6 in [false, true] {
            for (address, identity) in [
                (node(ipv6), HOST),
                (second(ipv6), HOST),
                (pod(ipv6), POD),
                (outside(ipv6), OUTSIDE),
            ] {
                self.datapath.learn(generation, address, identity).unwrap();
            }
        }
        self.datapath.install(generation, arena).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, meeting: impl Into<Meeting>, packet: &[u8], reason: Reason) {
        let meeting = meeting.into();
        let action = if reason.passes() { PASS } else { DROP };
        let outcome = self.datapath.run(meeting, packet).unwrap();
        assert_eq!(outcome, Outcome { action, reason }, "{meeting:?}");
    }
}

/// Tables of pod and node; without ports of the node's, no policy applies to it.
fn arena(node_ingress: Option<&[u16]>) -> Arena {
    let records = [(record::ALLOW, Allowed, 0), (record::DENY, DefaultDeny, 0)];
    let images = [
        image(node_ingress.unwrap_or_default(), None),
        image(&[DNS], None),
        image(&[WEB, DNS], None),
        image(&[API, SSH], None),
    ];
    let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) = (pod(false), pod(true)) else {
        unreachable!()
    };
    let addresses = (Some(ipv4), Some(ipv6));
    let mut arena = Arena::new(4, 0, &records, &images).with_endpoint(
        TEST_INTERFACE,
        addresses,
        POD_INGRESS,
        POD_EGRESS,
    );
    arena.set_identity(TEST_INTERFACE, POD);
    match node_ingress {
        Some(_) => arena.with_node(HOST, NODE_INGRESS, NODE_EGRESS),
        None => arena,
    }
}

fn tcp(from: IpAddr, to: IpAddr, (source, destination): (u16, u16), flags: u8) -> Vec<u8> {
    Ip::new(from, to, proto::TCP).frame(&packet::tcp(source, destination, flags))
}

fn udp(from: IpAddr, to: IpAddr, (source, destination): (u16, u16)) -> Vec<u8> {
    Ip::new(from, to, proto::UDP).frame(&packet::udp(source, destination))
}

const IN: Meeting = Meeting {
    direction: Ingress,
    at_device: true,
    came_by: TEST_INTERFACE,
};
const OUT: Meeting = Meeting {
    direction: Egress,
    at_device: true,
    came_by: 0,
};

#[test]
fn nodes_are_judged_at_their_devices() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let (here, there) = (node(ipv6), outside(ipv6));
        world.expect(IN, &tcp(there, here, (CLIENT, SSH), SYN), Allowed);
        world.expect(OUT, &tcp(here, there, (SSH, CLIENT), SYN | ACK), Reply);
        world.expect(IN, &tcp(there, here, (CLIENT, WEB), SYN), DefaultDeny);
        world.expect(OUT, &tcp(here, there, (CLIENT, DNS), SYN), Allowed);
        world.expect(IN, &tcp(there, here, (DNS, CLIENT), SYN | ACK), Reply);
        world.expect(OUT, &tcp(here, there, (CLIENT, WEB), SYN), DefaultDeny);
        // All its addresses are the node's.
        let other = second(ipv6);
        world.expect(IN, &tcp(there, other, (CLIENT, WEB), SYN), DefaultDeny);
        world.expect(IN, &tcp(there, other, (CLIENT, SSH), SYN), Allowed);
        let icmp = icmp_of(ipv6);
        let echo = Ip::new(there, here, icmp).frame(&packet::echo(icmp, false, 7));
        world.expect(IN, &echo, DefaultDeny);
    }
}

#[test]
fn what_is_forwarded_is_not_judged() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let (inside, there) = (pod(ipv6), outside(ipv6));
        world.expect(IN, &tcp(there, inside, (CLIENT, 9), SYN), Unjudged);
        world.expect(
            OUT.forwarded(),
            &tcp(inside, there, (9, CLIENT), SYN | ACK),
            Unjudged,
        );
        world.expect(OUT.forwarded(), &udp(inside, there, (CLIENT, 9)), Unjudged);
        // Neither is what nobody could judge.
        let unknown = Ip::new(there, inside, 47).frame(&[0; 8]);
        world.expect(IN, &unknown, Unjudged);
        let later = Ip::new(there, inside, proto::UDP).fragment(5, 64, false);
        world.expect(IN, &later.frame(&[0; 8]), Unjudged);
        assert!(world.datapath.connections().unwrap().is_empty());
    }
    // Groups and broadcasts are no addresses of the node's.
    let mut world = World::new();
    for group in ["224.0.0.251", "255.255.255.255", "ff02::fb"] {
        let group: IpAddr = group.parse().unwrap();
        let packet = udp(outside(group.is_ipv6()), group, (5353, 5353));
        world.expect(IN, &packet, Unjudged);
    }
}

/// Packets of pods bear the node's address once they are masqueraded. What comes back passes, in whatever generation, and
/// nothing else does.
#[test]
fn masqueraded_packets_are_not_judged_and_answered() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let (here, there) = (node(ipv6), outside(ipv6));
        let out = OUT.forwarded();
        let back = tcp(there, here, (WEB, CLIENT), SYN | ACK);
        world.expect(IN, &back, DefaultDeny);
        world.expect(out, &tcp(here, there, (CLIENT, WEB), SYN), Unjudged);
        world.expect(IN, &back, Reply);
        world.install(2, &arena(Some(&[])));
        world.expect(IN, &tcp(there, here, (WEB, CLIENT), ACK), Reply);
        world.expect(IN, &tcp(there, here, (WEB, CLIENT), SYN), DefaultDeny);
        world.expect(IN, &tcp(there, here, (API, CLIENT), ACK), DefaultDeny);
        // The node itself may not make use of it.
        world.expect(OUT, &tcp(here, there, (CLIENT, WEB), SYN), DefaultDeny);
        let noted = world.datapath.connections().unwrap();
        let [(key, entry)] = noted.as_slice() else {
            panic!("{noted:?}")
        };
        assert_eq!(key.ifindex, 0);
        assert_eq!(u32::from(entry.egress_record), PASSING);
        // An error about it belongs to it.
        let icmp = icmp_of(ipv6);
        let opening = tcp(here, there, (CLIENT, WEB), SYN);
        let quoted = &opening[14..14 + if ipv6 { 48 } else { 28 }];
        let kind = if ipv6 { 1 } else { 3 };
        let error = packet::icmp(kind, 1, [0; 4], quoted);
        world.expect(IN, &Ip::new(there, here, icmp).frame(&error), Reply);
        let other = tcp(here, there, (CLIENT + 1, WEB), SYN);
        let quoted = &other[14..14 + if ipv6 { 48 } else { 28 }];
        let error = packet::icmp(kind, 1, [0; 4], quoted);
        world.expect(IN, &Ip::new(there, here, icmp).frame(&error), DefaultDeny);
    }
}

/// Behind a node port stands a pod: what a client sends is for the node until it is translated, the answers bear the
/// node's address again.
#[test]
fn answers_of_node_ports_keep_the_connection() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let (here, there) = (node(ipv6), outside(ipv6));
        world.expect(IN, &udp(there, here, (CLIENT, SSH)), Allowed);
        world.expect(OUT.forwarded(), &udp(here, there, (SSH, CLIENT)), Unjudged);
        let entries = world.datapath.connections().unwrap();
        assert_eq!(entries.len(), 1);
        // It is the client's connection, not one by which it could be let in elsewhere.
        assert_eq!(entries[0].1.egress_until, 0);
        assert_eq!(u32::from(entries[0].1.ingress_record) & RECORD, ALLOW);
        world.expect(IN, &udp(there, here, (CLIENT, WEB)), DefaultDeny);
    }
}

#[test]
fn permissions_of_nodes_are_taken_back() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let (here, there) = (node(ipv6), outside(ipv6));
        world.expect(IN, &tcp(there, here, (CLIENT, SSH), SYN), Allowed);
        world.expect(OUT, &tcp(here, there, (SSH, CLIENT), ACK), Reply);
        world.install(2, &arena(Some(&[WEB])));
        world.expect(OUT, &tcp(here, there, (SSH, CLIENT), ACK), DefaultDeny);
        world.expect(IN, &tcp(there, here, (CLIENT, SSH), ACK), DefaultDeny);
        // Without any policy for it, nothing of the node is judged.
        world.install(3, &arena(None));
        world.expect(IN, &tcp(there, here, (CLIENT, API), SYN), Unjudged);
        world.expect(OUT, &tcp(here, there, (CLIENT, API), SYN), Unjudged);
    }
}

/// A session that was there before the programs is not cut, whoever sends first.
#[test]
fn open_sessions_outlive_the_attachment() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let (here, there) = (node(ipv6), outside(ipv6));
        let mut world = World::new();
        world.expect(OUT, &tcp(here, there, (SSH, CLIENT), ACK), Reply);
        world.expect(IN, &tcp(there, here, (CLIENT, SSH), ACK), Allowed);
        let mut world = World::new();
        world.expect(IN, &tcp(there, here, (DNS, CLIENT), ACK), Reply);
        // Ones that the policy would not have let in are.
        world.expect(OUT, &tcp(here, there, (WEB, CLIENT), ACK), DefaultDeny);
    }
}

/// A pod and its node: both policies have to agree.
#[test]
fn pods_and_their_node_both_have_a_say() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let (inside, here) = (pod(ipv6), node(ipv6));
        for (port, wanted) in [(SSH, Allowed), (API, DefaultDeny), (WEB, DefaultDeny)] {
            world.expect(Egress, &tcp(inside, here, (CLIENT, port), SYN), wanted);
        }
        world.expect(Ingress, &tcp(here, inside, (SSH, CLIENT), SYN | ACK), Reply);
        // To others, the pod's policy is all there is.
        world.expect(
            Egress,
            &tcp(inside, outside(ipv6), (CLIENT, API), SYN),
            Allowed,
        );
        for (port, wanted) in [(DNS, Allowed), (WEB, DefaultDeny), (API, DefaultDeny)] {
            world.expect(Ingress, &tcp(here, inside, (CLIENT, port), SYN), wanted);
        }
        world.expect(Egress, &tcp(inside, here, (DNS, CLIENT), SYN | ACK), Reply);
        // Somebody else's packets may bear the node's address; the node has no say in them.
        let translated = Meeting::from(Ingress).forwarded();
        world.expect(
            translated,
            &tcp(here, inside, (CLIENT + 1, WEB), SYN),
            Allowed,
        );
        world.expect(
            Egress,
            &tcp(inside, here, (WEB, CLIENT + 1), SYN | ACK),
            Reply,
        );
        // Not even when the generation changes and an answer is the first packet. Permission for the node's own goes.
        world.install(2, &arena(Some(&[WEB])));
        world.expect(Egress, &tcp(inside, here, (WEB, CLIENT + 1), ACK), Reply);
        world.expect(Ingress, &tcp(here, inside, (SSH, CLIENT), ACK), DefaultDeny);
        // What was not asked then is asked about the node's own.
        world.expect(
            Ingress,
            &tcp(here, inside, (CLIENT + 1, WEB), ACK),
            DefaultDeny,
        );
        // Without a policy for the node, the pod's is all there is.
        world.install(3, &arena(None));
        world.expect(Egress, &tcp(inside, here, (CLIENT, API), SYN), Allowed);
        world.expect(Ingress, &tcp(here, inside, (CLIENT, WEB), SYN), Allowed);
    }
}

/// The tables of the node tell pods apart, too.
#[test]
fn the_node_knows_which_pod_asks() {
    policyd_e2e::require_root!();
    for (peer, wanted) in [(POD, Allowed), (OUTSIDE, DefaultDeny)] {
        let mut world = World::new();
        let records = [(record::ALLOW, Allowed, 0), (record::DENY, DefaultDeny, 0)];
        let images = [image(&[SSH], Some(peer)), image(&[SSH], None)];
        let IpAddr::V4(ipv4) = pod(false) else {
            unreachable!()
        };
        let arena = Arena::new(4, 0, &records, &images);
        let mut arena = arena.with_endpoint(TEST_INTERFACE, (Some(ipv4), None), 1, 1);
        arena.set_identity(TEST_INTERFACE, POD);
        world.install(2, &arena.with_node(HOST, 0, 0));
        let packet = tcp(pod(false), node(false), (CLIENT, SSH), SYN);
        world.expect(Egress, &packet, wanted);
    }
}

#[test]
fn audit_mode_is_for_each_by_itself() {
    policyd_e2e::require_root!();
    let (inside, here) = (pod(false), node(false));
    let by_pod = tcp(inside, here, (CLIENT, WEB), SYN);
    let by_node = tcp(inside, here, (CLIENT, API), SYN);
    for (audited, wanted) in [
        (None, [DefaultDeny, DefaultDeny]),
        // The node's policy does not let it in either.
        (Some(TEST_INTERFACE), [DefaultDeny, DefaultDeny]),
        (Some(endpoint::NODE), [DefaultDeny, Audited]),
    ] {
        let mut world = World::new();
        let mut arena = arena(Some(&[SSH]));
        if let Some(endpoint) = audited {
            arena.set_endpoint_flags(endpoint, endpoint::AUDIT);
        }
        world.datapath.report(100);
        world.install(2, &arena);
        world.expect(Egress, &by_pod, wanted[0]);
        world.expect(Egress, &by_node, wanted[1]);
        let events = world.datapath.events().unwrap();
        let [.., last] = events.as_slice() else {
            panic!("no event")
        };
        assert_eq!(last.known & BY_NODE, BY_NODE, "{audited:?}");
        if wanted[1] == Audited {
            // What was remembered of the connection is whose audit mode it was.
            world.expect(Egress, &tcp(inside, here, (CLIENT, API), ACK), Audited);
            world.expect(Ingress, &tcp(here, inside, (API, CLIENT), ACK), Reply);
            world.expect(IN, &tcp(outside(false), here, (CLIENT, WEB), SYN), Audited);
        }
    }
}

#[test]
fn nobody_else_sends_with_the_nodes_address() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let packet = tcp(second(ipv6), node(ipv6), (CLIENT, SSH), SYN);
        world.expect(IN, &packet, Spoofed);
        // Pods neither.
        let packet = tcp(node(ipv6), outside(ipv6), (CLIENT, API), SYN);
        world.expect(Egress, &packet, Spoofed);
        let packet = tcp(outside(ipv6), node(ipv6), (CLIENT, API), SYN);
        world.expect(Ingress, &packet, Misdelivered);
    }
}

#[test]
fn what_keeps_a_link_going_passes() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let frame = |ethertype| packet::ethernet(ethertype, &[0; 46]);
    for meeting in [IN, OUT] {
        world.expect(meeting, &frame(packet::ARP), Essential);
        for ethertype in [0x8809, 0x888e, 0x88cc] {
            world.expect(meeting, &frame(ethertype), Unjudged);
        }
        // What might carry a packet for the node does not.
        for ethertype in [0x8847, 0x8864] {
            world.expect(meeting, &frame(ethertype), UnknownL3);
        }
    }
    let here = node(true);
    let there = outside(true);
    let icmp = |from, to, hops, kind| {
        let packet = Ip::new(from, to, proto::ICMPV6).hop_limit(hops);
        packet.frame(&packet::icmp(kind, 0, [0; 4], &[0; 16]))
    };
    let group: IpAddr = "ff02::1:ff00:9".parse().unwrap();
    let listeners: IpAddr = "ff02::16".parse().unwrap();
    for kind in 133..=136 {
        world.expect(IN, &icmp(there, here, 255, kind), Essential);
        world.expect(OUT, &icmp(here, group, 255, kind), Essential);
    }
    world.expect(IN, &icmp(there, here, 64, 135), DefaultDeny);
    world.expect(IN, &icmp(there, here, 255, 137), DefaultDeny);
    world.expect(OUT, &icmp(here, listeners, 1, 143), Essential);
    world.expect(OUT, &icmp(here, there, 1, 143), DefaultDeny);
    world.expect(OUT, &icmp(here, listeners, 64, 143), DefaultDeny);
    // About what the node forwards; about its own, errors belong to a connection.
    world.expect(OUT, &icmp(here, there, 64, 2), Essential);
    world.expect(IN, &icmp(there, here, 64, 2), DefaultDeny);
}

#[test]
fn broken_packets_for_the_node_are_dropped() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let (here, there) = (node(ipv6), outside(ipv6));
        let whole = tcp(there, here, (CLIENT, SSH), SYN);
        for length in whole.len() - 19..whole.len() {
            world.expect(IN, &whole[..length], Malformed);
        }
        world.expect(IN, &Ip::new(there, here, 47).frame(&[0; 8]), UnknownL4);
        let first = Ip::new(there, here, proto::UDP).fragment(5, 0, true);
        let later = Ip::new(there, here, proto::UDP).fragment(5, 64, false);
        world.expect(IN, &later.frame(&[0; 8]), LostFragment);
        let payload = [packet::udp(CLIENT, SSH), vec![0; 56]].concat();
        world.expect(IN, &first.frame(&payload), Allowed);
        world.expect(IN, &later.frame(&[0; 8]), Allowed);
        let first = Ip::new(there, here, proto::UDP).fragment(6, 0, true);
        let later = Ip::new(there, here, proto::UDP).fragment(6, 64, false);
        let payload = [packet::udp(CLIENT, WEB), vec![0; 56]].concat();
        world.expect(IN, &first.frame(&payload), DefaultDeny);
        world.expect(IN, &later.frame(&[0; 8]), DefaultDeny);
    }
}
