//! Connections: replies, their end, and permissions taken back.

use policy_abi::conntrack::{
    Entry, Key, OTHER_LIFETIME, TCP_CLOSING_LIFETIME, TCP_LIFETIME, TCP_SYN_LIFETIME,
};
use policy_abi::endpoint;
use policy_abi::proto;
use policy_abi::reason::Reason::{Allowed, Audited, DefaultDeny, PolicyDeny, Reply};
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::datapath::TEST_INTERFACE;
use policyd_e2e::packet::{self, ACK, FIN, RST, SYN};

use crate::world::{
    CLIENT, EGRESS, EXTENDED, GENERATION, GUARDED, INGRESS, World, answering_tcp, arena, back,
    between, foe, friend, icmp_of, opening_tcp, policies, stranger, ways,
};

/// The only connection there is, and the time it is known for in the direction that opened it.
fn only(world: &World, opener: Direction) -> (Key, Entry, u64) {
    let connections = world.datapath.connections().unwrap();
    let [(key, entry)] = connections.as_slice() else {
        panic!("{connections:?}")
    };
    let until = if opener == Egress {
        entry.egress_until
    } else {
        entry.ingress_until
    };
    (*key, *entry, until)
}

/// The datapath's time in nanoseconds, from the kernel's own report: its count of ticks starts five minutes before the
/// 32-bit counter is full.
fn now(world: &World) -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    let up: u64 = std::time::Duration::from_secs_f64(seconds)
        .as_nanos()
        .try_into()
        .unwrap();
    (1 << 32) * world.datapath.tick() + up - 300_000_000_000
}

/// Whether a time is `lifetime` from now, give or take a second.
#[track_caller]
fn assert_lasts(world: &World, opener: Direction, lifetime: u64) {
    let lasts = only(world, opener).2.saturating_sub(now(world));
    assert!(
        lasts.abs_diff(lifetime) < 1_500_000_000,
        "{lasts} is not {lifetime}"
    );
}

#[test]
fn replies_pass_in_every_protocol() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::with_flags(EXTENDED);
        let [tcp, udp, sctp] = if direction == Ingress {
            INGRESS
        } else {
            EGRESS
        };
        let icmp = icmp_of(ipv6);
        for (protocol, request, reply) in [
            (
                proto::TCP,
                packet::tcp(CLIENT, tcp, SYN),
                packet::tcp(tcp, CLIENT, SYN | ACK),
            ),
            (
                proto::UDP,
                packet::udp(CLIENT, udp),
                packet::udp(udp, CLIENT),
            ),
            (
                proto::SCTP,
                packet::sctp(CLIENT, sctp),
                packet::sctp(sctp, CLIENT),
            ),
            (
                icmp,
                packet::echo(icmp, false, 3),
                packet::echo(icmp, true, 3),
            ),
            (47, vec![0; 8], vec![1; 8]),
        ] {
            let request = between(direction, friend(ipv6), protocol).frame(&request);
            let reply = between(back(direction), friend(ipv6), protocol).frame(&reply);
            // GRE is allowed both ways, so it is not to be told from a reply by being refused.
            if protocol != 47 {
                world.expect(back(direction), &reply, DefaultDeny);
            }
            world.expect(direction, &request, Allowed);
            world.expect(back(direction), &reply, Reply);
            world.expect(direction, &request, Allowed);
        }
    }
}

#[test]
fn replies_must_fit_exactly() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        let port = if direction == Ingress {
            INGRESS[0]
        } else {
            EGRESS[0]
        };
        let icmp = icmp_of(ipv6);
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), SYN),
            Allowed,
        );
        let echo = between(direction, friend(ipv6), icmp).frame(&packet::echo(icmp, false, 3));
        world.expect(direction, &echo, Allowed);
        let reply = |protocol, payload: &[u8]| {
            between(back(direction), friend(ipv6), protocol).frame(payload)
        };
        for packet in [
            reply(proto::TCP, &packet::tcp(port, CLIENT + 1, SYN | ACK)),
            reply(proto::TCP, &packet::tcp(port + 1, CLIENT, ACK)),
            reply(proto::UDP, &packet::udp(port, CLIENT)),
            reply(icmp, &packet::echo(icmp, true, 4)),
        ] {
            world.expect(back(direction), &packet, DefaultDeny);
        }
        world.expect(
            back(direction),
            &answering_tcp(back(direction), foe(ipv6), ACK),
            PolicyDeny,
        );
    }
}

/// One permitted exchange does not let the other side open the same ports backwards.
#[test]
fn opening_packets_are_never_replies() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), SYN),
            Allowed,
        );
        world.expect(
            back(direction),
            &answering_tcp(back(direction), friend(ipv6), SYN),
            DefaultDeny,
        );
        world.expect(
            back(direction),
            &answering_tcp(back(direction), friend(ipv6), SYN | ACK),
            Reply,
        );
        // An echo request under the identifier of the other side's is judged for itself: allowed, not a reply.
        let icmp = icmp_of(ipv6);
        for way in [direction, back(direction)] {
            let request = between(way, friend(ipv6), icmp).frame(&packet::echo(icmp, false, 3));
            world.expect(way, &request, Allowed);
        }
    }
}

#[test]
fn refused_packets_open_nothing() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        world.expect(
            direction,
            &opening_tcp(direction, foe(ipv6), SYN),
            PolicyDeny,
        );
        // Allowed, but nothing that could be replied to.
        if !ipv6 {
            let timestamp = between(direction, friend(false), proto::ICMP).frame(&packet::icmp(
                13,
                0,
                [0; 4],
                &[],
            ));
            world.expect(direction, &timestamp, Allowed);
        }
    }
    assert_eq!(world.datapath.connections().unwrap(), []);
}

#[test]
fn replies_end_with_the_connection() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), SYN),
            Allowed,
        );
        let (key, entry, _) = only(&world, direction);
        let over = Entry {
            egress_until: entry.egress_until.min(1),
            ingress_until: entry.ingress_until.min(1),
            ..entry
        };
        world.datapath.set_connection(key, over).unwrap();
        world.expect(
            back(direction),
            &answering_tcp(back(direction), friend(ipv6), SYN | ACK),
            DefaultDeny,
        );
    }
}

/// Connections that were open before the programs were attached go on, whoever speaks first, if the policy would have
/// let one of the two sides open them.
#[test]
fn connections_from_before_go_on_if_they_would_be_allowed() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let answer = |peer, flags| answering_tcp(back(direction), peer, flags);
        for flags in [ACK, FIN | ACK, RST, RST | ACK] {
            let mut world = World::new();
            world.expect(back(direction), &answer(friend(ipv6), flags), Reply);
            let (_, _, until) = only(&world, direction);
            assert!(until > now(&world), "it is known by who may open it");
            world.expect(
                direction,
                &opening_tcp(direction, friend(ipv6), ACK),
                Allowed,
            );
        }
        let mut world = World::new();
        world.expect(back(direction), &answer(foe(ipv6), ACK), PolicyDeny);
        world.expect(back(direction), &answer(stranger(ipv6), ACK), DefaultDeny);
        // Nothing that opens a connection, or that is not part of one.
        for flags in [SYN, SYN | ACK, 0, FIN] {
            world.expect(back(direction), &answer(friend(ipv6), flags), DefaultDeny);
        }
        let guarded = between(back(direction), friend(ipv6), proto::TCP);
        let guarded = guarded.frame(&packet::tcp(GUARDED, CLIENT, ACK));
        world.expect(back(direction), &guarded, DefaultDeny);
        assert_eq!(world.datapath.connections().unwrap(), []);
    }
}

/// In audit mode as well, such a packet is an answer and not one that the policy would have dropped.
#[test]
fn connections_from_before_are_no_case_for_audit() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        let mut tables = arena(0, &policies());
        tables.set_endpoint_flags(TEST_INTERFACE, endpoint::AUDIT);
        world.install(GENERATION, &tables);
        let answer = |peer| answering_tcp(back(direction), peer, ACK);
        world.expect(back(direction), &answer(friend(ipv6)), Reply);
        world.expect(back(direction), &answer(foe(ipv6)), Audited);
    }
}

#[test]
fn lifetimes_follow_the_connection() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        let peer = friend(ipv6);
        let mut step = |is_reply: bool, flags: u8, lifetime: u64| {
            let (way, packet, reason) = if is_reply {
                (
                    back(direction),
                    answering_tcp(back(direction), peer, flags),
                    Reply,
                )
            } else {
                (direction, opening_tcp(direction, peer, flags), Allowed)
            };
            world.expect(way, &packet, reason);
            assert_lasts(&world, direction, lifetime);
        };
        step(false, SYN, TCP_SYN_LIFETIME);
        step(false, SYN, TCP_SYN_LIFETIME);
        step(true, SYN | ACK, TCP_LIFETIME);
        step(false, ACK, TCP_LIFETIME);
        step(false, FIN | ACK, TCP_LIFETIME);
        step(true, ACK, TCP_LIFETIME);
        step(true, FIN | ACK, TCP_CLOSING_LIFETIME);
        step(false, ACK, TCP_CLOSING_LIFETIME);
        // The same ports again.
        step(false, SYN, TCP_SYN_LIFETIME);
        step(true, SYN | ACK, TCP_LIFETIME);
        step(true, RST, TCP_CLOSING_LIFETIME);
    }
}

#[test]
fn other_protocols_are_known_for_a_minute() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        let port = if direction == Ingress {
            INGRESS[1]
        } else {
            EGRESS[1]
        };
        world.expect(
            direction,
            &between(direction, friend(ipv6), proto::UDP).frame(&packet::udp(CLIENT, port)),
            Allowed,
        );
        let (key, entry, _) = only(&world, direction);
        assert_lasts(&world, direction, OTHER_LIFETIME);
        // A reply prolongs it.
        let soon = now(&world) + 5_000_000_000;
        let old = match direction {
            Egress => Entry {
                egress_until: soon,
                ..entry
            },
            Ingress => Entry {
                ingress_until: soon,
                ..entry
            },
        };
        world.datapath.set_connection(key, old).unwrap();
        let reply =
            between(back(direction), friend(ipv6), proto::UDP).frame(&packet::udp(port, CLIENT));
        world.expect(back(direction), &reply, Reply);
        assert_lasts(&world, direction, OTHER_LIFETIME);
    }
}

/// Taking a permission back ends its connections, both ways, at the next packet.
#[test]
fn replies_stop_when_the_permission_is_taken_back() {
    policyd_e2e::require_root!();
    for (direction, ipv6) in ways() {
        let mut world = World::new();
        let (opening, answering) = (
            opening_tcp(direction, friend(ipv6), SYN),
            answering_tcp(back(direction), friend(ipv6), ACK),
        );
        world.expect(direction, &opening, Allowed);
        world.expect(back(direction), &answering, Reply);
        // A generation that says the same.
        world.install(GENERATION + 1, &arena(0, &policies()));
        world.expect(back(direction), &answering, Reply);
        // One that allows the friend nothing.
        let mut strict = policies();
        for image in &mut strict {
            image.peers = vec![0, 0, 2];
        }
        world.install(GENERATION + 2, &arena(0, &strict));
        world.expect(back(direction), &answering, DefaultDeny);
        world.expect(direction, &opening, DefaultDeny);
        // And back: what would be allowed anew goes on.
        world.install(GENERATION + 3, &arena(0, &policies()));
        world.expect(back(direction), &answering, Reply);
    }
}
