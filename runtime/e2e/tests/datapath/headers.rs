//! Headers of all kinds, whole and broken.

use policy_abi::proto;
use policy_abi::reason::Reason::{
    Allowed, DefaultDeny, Essential, Malformed, PolicyDeny, UnknownL3, UnknownL4,
};
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::packet::{self, SYN};

use crate::world::{
    CLIENT, EGRESS, EXTENDED, INGRESS, World, between, foe, friend, icmp_of, opening_tcp, ways,
};

/// IPv6 extension headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION_OPTIONS: u8 = 60;
/// The body of an extension header of 8 bytes, padding only.
const PADDING: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];

fn ports_of(direction: Direction) -> [u16; 3] {
    if direction == Ingress {
        INGRESS
    } else {
        EGRESS
    }
}

#[test]
fn protocols_are_judged_by_port() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        let [tcp, udp, sctp] = ports_of(direction);
        for (peer, allowed) in [(friend(ipv6), Allowed), (foe(ipv6), PolicyDeny)] {
            let refused = if allowed == Allowed {
                DefaultDeny
            } else {
                PolicyDeny
            };
            let ip = |protocol| between(direction, peer, protocol);
            let icmp = icmp_of(ipv6);
            for (packet, reason) in [
                (
                    ip(proto::TCP).frame(&packet::tcp(CLIENT, tcp, SYN)),
                    allowed,
                ),
                (
                    ip(proto::TCP).frame(&packet::tcp(CLIENT, tcp + 1, SYN)),
                    refused,
                ),
                (
                    ip(proto::TCP).frame(&packet::tcp(tcp, CLIENT, SYN)),
                    refused,
                ),
                (ip(proto::UDP).frame(&packet::udp(CLIENT, udp)), allowed),
                (ip(proto::UDP).frame(&packet::udp(CLIENT, udp + 1)), refused),
                (ip(proto::UDP).frame(&packet::udp(CLIENT, tcp)), refused),
                (ip(proto::SCTP).frame(&packet::sctp(CLIENT, sctp)), allowed),
                (
                    ip(proto::SCTP).frame(&packet::sctp(CLIENT, sctp + 1)),
                    refused,
                ),
                (ip(icmp).frame(&packet::echo(icmp, false, 7)), allowed),
                (ip(icmp).frame(&packet::icmp(42, 0, [0; 4], &[])), refused),
            ] {
                world.expect(direction, &packet, reason);
            }
        }
    }
}

#[test]
fn other_protocols_are_dropped_unless_extended() {
    policyd_e2e::require_root!();
    let mut plain = World::new();
    for (direction, ipv6) in ways() {
        // A world for each, since the one direction's GRE is the other's reply.
        let mut extended = World::with_flags(EXTENDED);
        let gre = between(direction, friend(ipv6), 47).frame(&[0; 8]);
        let own_slot = between(direction, friend(ipv6), 50).frame(&[0; 8]);
        let no_slot = between(direction, friend(ipv6), 200).frame(&[0; 8]);
        for packet in [&gre, &own_slot, &no_slot] {
            plain.expect(direction, packet, UnknownL4);
        }
        extended.expect(direction, &gre, Allowed);
        extended.expect(direction, &own_slot, DefaultDeny);
        extended.expect(direction, &no_slot, DefaultDeny);
        // The other family's ICMP, which nobody speaks, whatever is allowed.
        let strange = icmp_of(!ipv6);
        let packet =
            between(direction, friend(ipv6), strange).frame(&packet::echo(strange, false, 7));
        extended.expect(direction, &packet, UnknownL4);
    }
}

#[test]
fn link_layer_knows_arp_and_ip_only() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for direction in [Ingress, Egress] {
        world.expect(
            direction,
            &packet::ethernet(packet::ARP, &[0; 46]),
            Essential,
        );
        for ethertype in [0x8847, 0x88a8, 0x8100, 0x0842, 0x86de] {
            world.expect(direction, &packet::ethernet(ethertype, &[0; 46]), UnknownL3);
        }
    }
}

#[test]
fn headers_may_be_long() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let [tcp, ..] = INGRESS;
    let segment = packet::tcp(CLIENT, tcp, SYN);
    for words in 1..=10 {
        let ip = between(Ingress, friend(false), proto::TCP).options(&vec![1; words * 4]);
        world.expect(Ingress, &ip.frame(&segment), Allowed);
    }
    let mut ip = between(Ingress, friend(true), proto::TCP);
    for kind in [
        HOP_BY_HOP,
        DESTINATION_OPTIONS,
        ROUTING,
        DESTINATION_OPTIONS,
        DESTINATION_OPTIONS,
    ] {
        let mut body = PADDING;
        if kind == ROUTING {
            body = [0, 4, 0, 0, 0, 0, 0];
        }
        ip = ip.extension(kind, &body);
        world.expect(Ingress, &ip.frame(&segment), Allowed);
    }
    let long = between(Ingress, friend(true), proto::TCP)
        .extension(DESTINATION_OPTIONS, &[&[255], &[0; 2046][..]].concat());
    world.expect(Ingress, &long.frame(&segment), Allowed);
    // Padding of the link layer is none of the packet.
    let padded = [opening_tcp(Ingress, friend(false), SYN), vec![0; 40]].concat();
    world.expect(Ingress, &padded, Allowed);
}

#[test]
fn too_many_extension_headers_are_malformed() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let segment = packet::tcp(CLIENT, INGRESS[0], SYN);
    let chain = |length: usize| {
        (0..length).fold(between(Ingress, friend(true), proto::TCP), |ip, _| {
            ip.extension(DESTINATION_OPTIONS, &PADDING)
        })
    };
    world.expect(Ingress, &chain(5).frame(&segment), Allowed);
    world.expect(Ingress, &chain(6).frame(&segment), Malformed);
    world.expect(Ingress, &chain(20).frame(&segment), Malformed);
}

#[test]
fn routed_elsewhere_is_malformed() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let ip = between(Egress, friend(true), proto::TCP).extension(ROUTING, &[0, 4, 1, 0, 0, 0, 0]);
    world.expect(
        Egress,
        &ip.frame(&packet::tcp(CLIENT, EGRESS[0], SYN)),
        Malformed,
    );
}

/// Cutting a packet anywhere makes it malformed; nothing is read from behind its end.
#[test]
fn truncated_packets_are_malformed() {
    policyd_e2e::require_root!();
    let mut world = World::with_flags(EXTENDED);
    for (direction, ipv6) in ways() {
        let icmp = icmp_of(ipv6);
        for (protocol, payload) in [
            (proto::TCP, packet::tcp(CLIENT, ports_of(direction)[0], SYN)),
            (proto::UDP, packet::udp(CLIENT, ports_of(direction)[1])),
            (proto::SCTP, packet::sctp(CLIENT, ports_of(direction)[2])),
            (
                icmp,
                packet::icmp(if ipv6 { 128 } else { 8 }, 0, [0, 7, 0, 1], &[]),
            ),
        ] {
            let ip = between(direction, friend(ipv6), protocol);
            let whole = ip.frame(&payload);
            world.expect(direction, &whole, Allowed);
            // The kernel's test run takes no frame without a full IP header.
            for length in whole.len() - payload.len()..whole.len() {
                world.expect(direction, &whole[..length], Malformed);
            }
            // The same when the length field knows, and padding follows.
            for length in 0..payload.len() {
                let padded = [ip.frame(&payload[..length]), payload[length..].to_vec()].concat();
                world.expect(direction, &padded, Malformed);
            }
        }
    }
}

#[test]
fn contradictory_headers_are_malformed() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let good = opening_tcp(Ingress, friend(false), SYN);
    let mut broken = |at: usize, value: u8| {
        let mut packet = good.clone();
        packet[at] = value;
        world.expect(Ingress, &packet, Malformed);
    };
    broken(14, 0x55); // version 5
    broken(14, 0x65); // version 6 in an IPv4 frame
    broken(14, 0x44); // header of 16 bytes
    broken(14, 0x40); // header of 0 bytes
    broken(14, 0x4f); // header longer than the packet
    broken(16, 0xff); // longer than the frame
    broken(17, 19); // shorter than its header
    broken(17, 0); // no length at all
    broken(46, 0x40); // TCP header of 16 bytes
    broken(46, 0xf0); // TCP header longer than the packet
    let good = opening_tcp(Ingress, friend(true), SYN);
    for (at, value) in [
        (14, 0x40),
        (18, 0xff),
        (19, 19),
        (19, 0),
        (66, 0x40),
        (66, 0xf0),
    ] {
        let mut packet = good.clone();
        packet[at] = value;
        world.expect(Ingress, &packet, Malformed);
    }
}
