//! Tables: identities, records, generations, counters.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::arena::{header, image};
use policy_abi::endpoint;
use policy_abi::proto;
use policy_abi::reason::Reason::{
    self, Allowed, Audited, AuthRequired, DefaultDeny, InvalidTables, NoProxy, PolicyDeny,
};
use policyd_e2e::arena::Arena;
use policyd_e2e::datapath::Direction::{Egress, Ingress};
use policyd_e2e::datapath::TEST_INTERFACE;
use policyd_e2e::packet::{self, SYN};

use crate::world::{
    ALLOW, CLIENT, DENY, FOE, FRIEND, GENERATION, GUARDED, IDENTITIES, NOTHING, PROXIED, PUBLIC,
    World, arena, between, foe, friend, opening_tcp, policies, stranger, ways,
};

#[test]
fn unknown_addresses_get_what_everybody_gets() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        world.expect(
            direction,
            &opening_tcp(direction, stranger(ipv6), SYN),
            DefaultDeny,
        );
        let public =
            |peer| between(direction, peer, proto::TCP).frame(&packet::tcp(CLIENT, PUBLIC, SYN));
        world.expect(direction, &public(stranger(ipv6)), Allowed);
        world.expect(direction, &public(friend(ipv6)), Allowed);
        world.expect(direction, &public(foe(ipv6)), PolicyDeny);
    }
}

#[test]
fn longest_prefix_wins_and_full_addresses_above_all() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let networks: [(IpAddr, u32, u32); 6] = [
        (Ipv4Addr::new(192, 0, 2, 0).into(), 24, FRIEND),
        (Ipv4Addr::new(192, 0, 2, 128).into(), 25, FOE),
        (Ipv4Addr::new(192, 0, 2, 200).into(), 32, FRIEND),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).into(),
            32,
            FRIEND,
        ),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0).into(),
            48,
            FOE,
        ),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9).into(),
            128,
            FRIEND,
        ),
    ];
    for (address, bits, identity) in networks {
        world
            .datapath
            .learn_prefix(GENERATION, address, bits, identity)
            .unwrap();
    }
    let host = Ipv4Addr::new(192, 0, 2, 201).into();
    world.datapath.learn(GENERATION, host, FRIEND).unwrap();
    for (address, reason) in [
        (Ipv4Addr::new(192, 0, 2, 1).into(), Allowed),
        (Ipv4Addr::new(192, 0, 2, 129).into(), PolicyDeny),
        (Ipv4Addr::new(192, 0, 2, 200).into(), Allowed),
        (host, Allowed),
        (Ipv4Addr::new(192, 0, 3, 1).into(), DefaultDeny),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1).into(),
            Allowed,
        ),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1).into(),
            PolicyDeny,
        ),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 9).into(),
            Allowed,
        ),
        (
            Ipv6Addr::new(0x2001, 0xdb9, 0, 0, 0, 0, 0, 1).into(),
            DefaultDeny,
        ),
    ] {
        for direction in [Ingress, Egress] {
            world.expect(direction, &opening_tcp(direction, address, SYN), reason);
        }
    }
}

#[test]
fn authentication_cannot_be_had_here() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        let packet =
            between(direction, friend(ipv6), proto::TCP).frame(&packet::tcp(CLIENT, GUARDED, SYN));
        world.expect(direction, &packet, AuthRequired);
    }
    assert_eq!(world.datapath.connections().unwrap(), []);
}

#[test]
fn no_proxy_runs_here() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for (direction, ipv6) in ways() {
        let packet =
            between(direction, friend(ipv6), proto::TCP).frame(&packet::tcp(CLIENT, PROXIED, SYN));
        world.expect(direction, &packet, NoProxy);
    }
    assert_eq!(world.datapath.connections().unwrap(), []);
    let mut audited = arena(0, &policies());
    audited.set_endpoint_flags(TEST_INTERFACE, endpoint::AUDIT);
    world.install(GENERATION + 1, &audited);
    let ask = between(Ingress, friend(false), proto::TCP);
    let packet = ask.frame(&packet::tcp(CLIENT, PROXIED, SYN));
    world.expect(Ingress, &packet, Audited);
}

/// Tables that no compiler makes let nothing through.
#[test]
fn invalid_tables_drop() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let good = arena(0, &policies());
    let mut beyond = good.clone();
    beyond.set(header::IDENTITIES, FRIEND);
    let mut no_records = good.clone();
    no_records.set(header::RECORDS, 1);
    let mut no_cells = good.clone();
    for number in [0, 1] {
        // Cells in a place where there are zeros only.
        no_cells.set(good.image(number) + image::CELLS, 0x40_0000);
    }
    let mut no_bits = good.clone();
    for number in [0, 1] {
        no_bits.set(good.image(number) + image::PASSES, 0x40_0000);
    }
    let lies = |action, reason| {
        let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) =
            (crate::world::pod(false), crate::world::pod(true))
        else {
            unreachable!()
        };
        let addresses = (Some(ipv4), Some(ipv6));
        Arena::new(IDENTITIES, 0, &[(action, reason, 0); 5], &policies())
            .with_endpoint(1, addresses, 0, 1)
    };
    let cases = [
        beyond,
        no_records,
        no_cells,
        no_bits,
        lies(1, PolicyDeny),
        lies(0, Allowed),
        lies(2, Allowed),
        lies(0, Reason::Essential),
    ];
    for arena in cases {
        world.install(GENERATION, &arena);
        for (direction, ipv6) in ways() {
            world.expect(
                direction,
                &opening_tcp(direction, friend(ipv6), SYN),
                InvalidTables,
            );
        }
    }
    assert_eq!(world.datapath.connections().unwrap(), []);
}

#[test]
fn generations_take_turns() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let mut strict = policies();
    for image in &mut strict {
        image.peers = vec![0, 2, 2];
    }
    for (direction, ipv6) in ways() {
        let packet = opening_tcp(direction, friend(ipv6), SYN);
        world.install(3, &arena(0, &policies()));
        world.expect(direction, &packet, Allowed);
        world.install(4, &arena(0, &strict));
        world.expect(direction, &packet, PolicyDeny);
        world.install(5, &arena(0, &policies()));
        world.expect(direction, &packet, Allowed);
    }
}

/// Identities of the other generation's slot do not count.
#[test]
fn identities_belong_to_a_generation() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let network = Ipv4Addr::new(198, 51, 100, 0).into();
    world
        .datapath
        .learn_prefix(GENERATION + 1, network, 24, FRIEND)
        .unwrap();
    world
        .datapath
        .learn(GENERATION + 1, stranger(false), FRIEND)
        .unwrap();
    for peer in [Ipv4Addr::new(198, 51, 100, 7).into(), stranger(false)] {
        world.expect(Ingress, &opening_tcp(Ingress, peer, SYN), DefaultDeny);
    }
}

#[test]
fn records_count_their_packets() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for _ in 0..3 {
        world.expect(Ingress, &opening_tcp(Ingress, friend(false), SYN), Allowed);
    }
    for _ in 0..2 {
        world.expect(Egress, &opening_tcp(Egress, foe(true), SYN), PolicyDeny);
    }
    world.expect(
        Ingress,
        &opening_tcp(Ingress, stranger(false), SYN),
        DefaultDeny,
    );
    for (record, packets) in [(0, 0), (ALLOW, 3), (NOTHING, 1), (DENY, 2)] {
        assert_eq!(
            world.datapath.record(GENERATION, record).unwrap(),
            packets,
            "record {record}"
        );
        assert_eq!(
            world.datapath.record(GENERATION + 1, record).unwrap(),
            0,
            "record {record}"
        );
    }
}
