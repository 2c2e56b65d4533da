//! New connections and drops as they are reported, and audit mode.

use std::net::IpAddr;

use policy_abi::endpoint;
use policy_abi::event::{Event, KNOWN_ADDRESSES, KNOWN_PORTS, NO_IDENTITY};
use policy_abi::proto;
use policy_abi::reason::Reason::{
    self, Allowed, Audited, AuthRequired, DefaultDeny, Malformed, PolicyDeny, Reply, Spoofed,
};
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::datapath::{TEST_INTERFACE, spread};
use policyd_e2e::packet::{self, ACK, Ip, SYN};

use crate::world::{
    CLIENT, EGRESS, FRIEND, GENERATION, GUARDED, World, answering_tcp, arena, back, between, foe,
    friend, opening_tcp, pod, policies, stranger, ways,
};

/// A world that reports so many events per second.
fn reporting(rate: u32) -> World {
    let mut world = World::new();
    world.datapath.report(rate);
    world.install(GENERATION, &arena(0, &policies()));
    world
}

/// The one event there is.
#[track_caller]
fn only(world: &mut World) -> Event {
    let events = world.datapath.events().unwrap();
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    *event
}

#[track_caller]
fn assert_is(event: &Event, direction: Direction, peer: IpAddr, reason: Reason) {
    let ipv6 = peer.is_ipv6();
    assert_eq!(event.reason, reason as u8);
    assert_eq!(event.egress, u8::from(direction == Egress));
    assert_eq!(event.local, spread(pod(ipv6)).1);
    assert_eq!(event.remote, spread(peer).1);
    assert_eq!(event.known, KNOWN_ADDRESSES | KNOWN_PORTS);
    assert_eq!(
        (event.ifindex, event.generation),
        (TEST_INTERFACE, GENERATION)
    );
}

#[test]
fn connections_are_reported_once() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = reporting(100);
        let opening = opening_tcp(direction, friend(ipv6), SYN);
        world.expect(direction, &opening, Allowed);
        let event = only(&mut world);
        assert_is(&event, direction, friend(ipv6), Allowed);
        assert_eq!((event.protocol, event.tcp_flags), (proto::TCP, SYN));
        assert_eq!(event.identity, FRIEND);
        assert_eq!(event.length as usize, opening.len());
        let (own, other) = if direction == Egress {
            (CLIENT, EGRESS[0])
        } else {
            (80, CLIENT)
        };
        assert_eq!((event.local_port, event.remote_port), (own, other));
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), ACK),
            Allowed,
        );
        let reply = answering_tcp(back(direction), friend(ipv6), ACK);
        world.expect(back(direction), &reply, Reply);
        assert_eq!(world.datapath.events().unwrap(), []);
    }
}

#[test]
fn every_drop_is_reported() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = reporting(100);
        for (peer, reason) in [(stranger(ipv6), DefaultDeny), (foe(ipv6), PolicyDeny)] {
            for _ in 0..2 {
                world.expect(direction, &opening_tcp(direction, peer, SYN), reason);
                assert_is(&only(&mut world), direction, peer, reason);
            }
        }
    }
}

/// What could not be read is not made up, and nothing of an earlier packet shows.
#[test]
fn unreadable_packets_are_reported_as_far_as_they_were_read() {
    policyd_e2e::require_root!();
    let mut world = reporting(100);
    world.expect(Egress, &opening_tcp(Egress, friend(true), SYN), Allowed);
    only(&mut world);
    let mut broken = opening_tcp(Egress, friend(false), SYN);
    broken[14] = 0x40;
    world.expect(Egress, &broken, Malformed);
    let event = only(&mut world);
    assert_eq!((event.known, event.family, event.protocol), (0, 0, 0));
    assert_eq!((event.local, event.remote), ([0; 16], [0; 16]));
    assert_eq!((event.local_port, event.remote_port), (0, 0));
    assert_eq!(event.identity, NO_IDENTITY);
    let foreign = Ip::new(foe(false), friend(false), proto::UDP).frame(&packet::udp(1, 2));
    world.expect(Egress, &foreign, Spoofed);
    let event = only(&mut world);
    assert_eq!(
        (event.known, event.identity),
        (KNOWN_ADDRESSES, NO_IDENTITY)
    );
    assert_eq!(event.local, spread(foe(false)).1);
    assert!(!event.has_rule());
}

#[test]
fn events_beyond_the_rate_are_counted_instead() {
    policyd_e2e::require_root!();
    let mut world = reporting(5);
    let packet = opening_tcp(Ingress, foe(false), SYN);
    // All on one CPU, or the others would have a say of their own.
    policyd_e2e::root::stay_on_one_cpu().unwrap();
    for _ in 0..50 {
        world.expect(Ingress, &packet, PolicyDeny);
    }
    let events = world.datapath.events().unwrap();
    // A second may have ended meanwhile.
    assert!((5..=15).contains(&events.len()), "{}", events.len());
    let told: u32 = events.iter().map(|event| event.lost).sum();
    world
        .datapath
        .pass_time(std::time::Duration::from_secs(2))
        .unwrap();
    world.expect(Ingress, &packet, PolicyDeny);
    let last = only(&mut world);
    assert_eq!(told + last.lost + u32::try_from(events.len()).unwrap(), 50);
    let mut silent = reporting(0);
    silent.expect(Ingress, &packet, PolicyDeny);
    assert_eq!(silent.datapath.events().unwrap(), []);
}

#[test]
fn audit_lets_pass_what_the_policy_would_drop() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = reporting(100);
        let mut tables = arena(0, &policies());
        tables.set_endpoint_flags(TEST_INTERFACE, endpoint::AUDIT);
        world.install(GENERATION, &tables);
        let guarded =
            between(direction, friend(ipv6), proto::TCP).frame(&packet::tcp(CLIENT, GUARDED, SYN));
        for (peer, packet, said) in [
            (
                stranger(ipv6),
                opening_tcp(direction, stranger(ipv6), SYN),
                DefaultDeny,
            ),
            (
                foe(ipv6),
                opening_tcp(direction, foe(ipv6), SYN),
                PolicyDeny,
            ),
            (friend(ipv6), guarded, AuthRequired),
        ] {
            world.expect(direction, &packet, Audited);
            let event = only(&mut world);
            assert_is(&event, direction, peer, Audited);
            assert_eq!(event.verdict, said as u8);
            // Reported once for each connection, as what is allowed.
            world.expect(direction, &packet, Audited);
            assert_eq!(world.datapath.events().unwrap(), []);
        }
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), SYN),
            Allowed,
        );
        let answer = answering_tcp(back(direction), foe(ipv6), ACK);
        world.expect(back(direction), &answer, Reply);
        // What no policy can allow is dropped all the same.
        let mut broken = opening_tcp(direction, foe(ipv6), SYN);
        broken[14] = 0;
        world.expect(direction, &broken, Malformed);
        // The end of audit mode is the end of what it let through, answers included.
        world.install(GENERATION + 1, &arena(0, &policies()));
        world.expect(back(direction), &answer, PolicyDeny);
        world.expect(
            direction,
            &opening_tcp(direction, foe(ipv6), SYN),
            PolicyDeny,
        );
    }
}
