//! ICMP errors about known connections.

use std::net::IpAddr;

use policy_abi::arena::header::FLAG_FRAG_NEEDED;
use policy_abi::proto;
use policy_abi::reason::Reason::{Allowed, DefaultDeny, Essential, PolicyDeny, Reply};
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::packet::{self, Ip, SYN};

use crate::world::{
    CLIENT, EGRESS, GENERATION, INGRESS, World, arena, back, between, foe, friend, icmp_of,
    opening_tcp, pod, policies, stranger, ways,
};

/// Types that are errors.
fn kinds(ipv6: bool) -> &'static [u8] {
    if ipv6 { &[1, 2, 3, 4] } else { &[3, 11, 12] }
}

/// An error about a packet that went the way `about`; `reporter` is who complains about the pod's packets.
fn error(about: Direction, reporter: IpAddr, kind: u8, quoted: &[u8]) -> Vec<u8> {
    let protocol = icmp_of(reporter.is_ipv6());
    between(back(about), reporter, protocol).frame(&packet::icmp(kind, 1, [0; 4], quoted))
}

/// What is left of a packet in an error about it: the IP header and 8 bytes.
fn quote(packet: &[u8], ipv6: bool) -> Vec<u8> {
    packet[14..14 + if ipv6 { 48 } else { 28 }].to_vec()
}

#[test]
fn errors_about_known_connections_pass() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        let ports = if direction == Ingress {
            INGRESS
        } else {
            EGRESS
        };
        let icmp = icmp_of(ipv6);
        for (protocol, payload) in [
            (proto::TCP, packet::tcp(CLIENT, ports[0], SYN)),
            (proto::UDP, packet::udp(CLIENT, ports[1])),
            (proto::SCTP, packet::sctp(CLIENT, ports[2])),
            (icmp, packet::echo(icmp, false, 3)),
        ] {
            let packet = between(direction, friend(ipv6), protocol).frame(&payload);
            let quoted = quote(&packet, ipv6);
            for kind in kinds(ipv6) {
                let packet = error(direction, friend(ipv6), *kind, &quoted);
                world.expect(back(direction), &packet, DefaultDeny);
            }
            world.expect(direction, &packet, Allowed);
            for kind in kinds(ipv6) {
                let packet = error(direction, friend(ipv6), *kind, &quoted);
                world.expect(back(direction), &packet, Reply);
            }
        }
    }
}

/// Errors about replies, too: the connection is known whoever opened it.
#[test]
fn errors_about_replies_pass() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), SYN),
            Allowed,
        );
        let reply = crate::world::answering_tcp(back(direction), friend(ipv6), SYN);
        let packet = error(
            back(direction),
            friend(ipv6),
            kinds(ipv6)[0],
            &quote(&reply, ipv6),
        );
        world.expect(direction, &packet, Reply);
    }
}

#[test]
fn routers_may_report_the_pods_packets() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let sent = opening_tcp(Egress, friend(ipv6), SYN);
        world.expect(Egress, &sent, Allowed);
        let packet = error(Egress, stranger(ipv6), kinds(ipv6)[0], &quote(&sent, ipv6));
        world.expect(Ingress, &packet, Reply);
    }
}

/// A pod cannot use a connection it has to send "errors" to somebody else, or about packets it never got.
#[test]
fn errors_must_fit_their_quotation() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let got = opening_tcp(Ingress, friend(ipv6), SYN);
        world.expect(Ingress, &got, Allowed);
        let kind = kinds(ipv6)[0];
        let quoted = quote(&got, ipv6);
        world.expect(Egress, &error(Ingress, friend(ipv6), kind, &quoted), Reply);
        world.expect(
            Egress,
            &error(Ingress, foe(ipv6), kind, &quoted),
            PolicyDeny,
        );
        let foreign = Ip::new(friend(ipv6), foe(ipv6), proto::TCP)
            .packet(&packet::tcp(CLIENT, INGRESS[0], SYN));
        world.expect(
            Egress,
            &error(Ingress, friend(ipv6), kind, &foreign),
            DefaultDeny,
        );
        let other = Ip::new(friend(ipv6), pod(ipv6), proto::TCP).packet(&packet::tcp(
            CLIENT + 1,
            INGRESS[0],
            SYN,
        ));
        world.expect(
            Egress,
            &error(Ingress, friend(ipv6), kind, &other),
            DefaultDeny,
        );
        // To the pod, about a packet that is not the pod's.
        world.expect(
            Ingress,
            &error(Egress, friend(ipv6), kind, &foreign),
            DefaultDeny,
        );
    }
}

#[test]
fn quotations_may_be_short_or_broken() {
    policyd_e2e::require_root!();
    for ipv6 in [false, true] {
        let mut world = World::new();
        let sent = opening_tcp(Egress, friend(ipv6), SYN);
        world.expect(Egress, &sent, Allowed);
        let quoted = quote(&sent, ipv6);
        let kind = kinds(ipv6)[0];
        // Ports are the first four bytes behind the header; with less there is nothing to recognise.
        let least = quoted.len() - 4;
        for length in 0..=quoted.len() {
            let reason = if length < least { DefaultDeny } else { Reply };
            world.expect(
                Ingress,
                &error(Egress, friend(ipv6), kind, &quoted[..length]),
                reason,
            );
        }
        for value in [0x00, 0x44, 0x55, 0xff] {
            let mut broken = quoted.clone();
            broken[0] = value;
            world.expect(
                Ingress,
                &error(Egress, friend(ipv6), kind, &broken),
                DefaultDeny,
            );
        }
    }
}

#[test]
fn fragmentation_needed_passes_if_asked_for() {
    policyd_e2e::require_root!();
    let (mut plain, mut lenient) = (World::new(), World::with_flags(FLAG_FRAG_NEEDED));
    for direction in [Ingress, Egress] {
        let message = |code| {
            between(direction, stranger(false), proto::ICMP)
                .frame(&packet::icmp(3, code, [0; 4], &[0; 28]))
        };
        plain.expect(direction, &message(4), DefaultDeny);
        lenient.expect(direction, &message(4), Essential);
        lenient.expect(direction, &message(1), DefaultDeny);
        let not_ipv4 = between(direction, stranger(true), proto::ICMPV6)
            .frame(&packet::icmp(3, 4, [0; 4], &[0; 48]));
        lenient.expect(direction, &not_ipv4, DefaultDeny);
    }
}

/// Taking a permission back ends errors about its connections, too.
#[test]
fn errors_stop_when_the_permission_is_taken_back() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        let packet = opening_tcp(direction, friend(ipv6), SYN);
        let about = error(
            direction,
            friend(ipv6),
            kinds(ipv6)[0],
            &quote(&packet, ipv6),
        );
        world.expect(direction, &packet, Allowed);
        world.expect(back(direction), &about, Reply);
        let mut strict = policies();
        for image in &mut strict {
            image.peers = vec![0, 0, 2];
        }
        world.install(GENERATION + 1, &arena(0, &strict));
        world.expect(back(direction), &about, DefaultDeny);
        world.install(GENERATION + 2, &arena(0, &policies()));
        world.expect(direction, &packet, Allowed);
        world.expect(back(direction), &about, Reply);
    }
}
