//! Packets in pieces.

use policy_abi::proto;
use policy_abi::reason::Reason::{Allowed, DefaultDeny, LostFragment, Malformed, Reply};
use policyd_e2e::datapath::Direction::{Egress, Ingress};
use policyd_e2e::packet::{self, SYN};

use crate::world::{CLIENT, EGRESS, INGRESS, World, back, between, friend, icmp_of, pod, ways};

#[test]
fn later_fragments_share_the_ports_of_the_first() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        let ports = if direction == Ingress {
            INGRESS
        } else {
            EGRESS
        };
        let icmp = icmp_of(ipv6);
        for (id, (protocol, header)) in (1..).zip([
            (proto::TCP, packet::tcp(CLIENT, ports[0], SYN)),
            (proto::UDP, packet::udp(CLIENT, ports[1])),
            (proto::SCTP, packet::sctp(CLIENT, ports[2])),
            (icmp, packet::echo(icmp, false, 9)),
        ]) {
            let ip = between(direction, friend(ipv6), protocol);
            let first = ip
                .clone()
                .fragment(id, 0, true)
                .frame(&[header, vec![0; 40]].concat());
            let later = ip.clone().fragment(id, 64, true).frame(&[0xff; 64]);
            let last = ip.fragment(id, 128, false).frame(&[0xff; 3]);
            world.expect(direction, &later, LostFragment);
            world.expect(direction, &first, Allowed);
            world.expect(direction, &later, Allowed);
            world.expect(direction, &last, Allowed);
        }
    }
}

#[test]
fn fragments_of_refused_packets_are_refused() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        let ip = between(direction, friend(ipv6), proto::UDP);
        let first = ip
            .clone()
            .fragment(5, 0, true)
            .frame(&packet::udp(CLIENT, 1));
        world.expect(direction, &first, DefaultDeny);
        world.expect(
            direction,
            &ip.fragment(5, 64, false).frame(&[0; 8]),
            DefaultDeny,
        );
    }
}

#[test]
fn fragments_of_replies_are_replies() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        let port = if direction == Ingress {
            INGRESS[1]
        } else {
            EGRESS[1]
        };
        let request =
            between(direction, friend(ipv6), proto::UDP).frame(&packet::udp(CLIENT, port));
        world.expect(direction, &request, Allowed);
        let ip = between(back(direction), friend(ipv6), proto::UDP);
        let first = ip
            .clone()
            .fragment(6, 0, true)
            .frame(&packet::udp(port, CLIENT));
        world.expect(back(direction), &first, Reply);
        world.expect(
            back(direction),
            &ip.fragment(6, 64, false).frame(&[0; 8]),
            Reply,
        );
    }
}

/// A fragment belongs to a packet of the same identification, addresses, direction and (IPv4) protocol only.
#[test]
fn fragments_do_not_mix() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for ipv6 in [false, true] {
        let ip = between(Ingress, friend(ipv6), proto::UDP);
        world.expect(
            Ingress,
            &ip.clone()
                .fragment(7, 0, true)
                .frame(&packet::udp(CLIENT, INGRESS[1])),
            Allowed,
        );
        world.expect(
            Ingress,
            &ip.clone().fragment(8, 64, false).frame(&[0; 8]),
            LostFragment,
        );
        let other = between(Ingress, crate::world::foe(ipv6), proto::UDP);
        world.expect(
            Ingress,
            &other.fragment(7, 64, false).frame(&[0; 8]),
            LostFragment,
        );
        let back = between(Egress, friend(ipv6), proto::UDP);
        world.expect(
            Egress,
            &back.fragment(7, 64, false).frame(&[0; 8]),
            LostFragment,
        );
    }
    // What a pod sends to itself looks the same in both directions.
    let own = between(Egress, pod(false), proto::UDP);
    let first = own
        .clone()
        .fragment(7, 0, true)
        .frame(&packet::udp(CLIENT, EGRESS[1]));
    world.expect(Egress, &first, Allowed);
    let later = own.fragment(7, 64, false).frame(&[0; 8]);
    world.expect(Ingress, &later, LostFragment);
    world.expect(Egress, &later, Allowed);
    let other = between(Ingress, friend(false), proto::TCP).fragment(7, 64, false);
    world.expect(Ingress, &other.frame(&[0; 8]), LostFragment);
    // In IPv6, the first fragment says what the packet is, as it does for whoever puts the pieces together.
    let other = between(Ingress, friend(true), proto::TCP).fragment(7, 64, false);
    world.expect(Ingress, &other.frame(&[0; 8]), Allowed);
}

#[test]
fn fragments_cannot_rewrite_or_hide_a_header() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for ipv6 in [false, true] {
        for (protocol, header, least) in [
            (proto::TCP, packet::tcp(CLIENT, INGRESS[0], SYN), 24),
            (proto::UDP, packet::udp(CLIENT, INGRESS[1]), 8),
            (proto::SCTP, packet::sctp(CLIENT, INGRESS[2]), 16),
        ] {
            let ip = between(Ingress, friend(ipv6), protocol);
            world.expect(
                Ingress,
                &ip.clone().fragment(9, 0, true).frame(&header[..4]),
                Malformed,
            );
            world.expect(
                Ingress,
                &ip.clone().fragment(9, 0, true).frame(&header),
                Allowed,
            );
            for offset in (8..least).step_by(8) {
                let over = ip.clone().fragment(9, offset, true).frame(&[0; 8]);
                world.expect(Ingress, &over, Malformed);
            }
            world.expect(
                Ingress,
                &ip.fragment(9, least, false).frame(&[0; 8]),
                Allowed,
            );
        }
    }
}

/// A fragment header on a packet that is whole changes nothing.
#[test]
fn atomic_fragments_are_whole_packets() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let ip = between(Ingress, friend(true), proto::TCP).fragment(10, 0, false);
    world.expect(
        Ingress,
        &ip.frame(&packet::tcp(CLIENT, INGRESS[0], SYN)),
        Allowed,
    );
    world.expect(
        Ingress,
        &ip.frame(&packet::tcp(CLIENT, 1, SYN)),
        DefaultDeny,
    );
}
