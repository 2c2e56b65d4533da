//! Whose packets these are: source, destination, neighbour discovery.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::proto;
use policy_abi::reason::Reason::{
    Allowed, DefaultDeny, Essential, Misdelivered, NoEndpoint, NoGeneration, Spoofed,
};
use policyd_e2e::arena::Arena;
use policyd_e2e::datapath::Datapath;
use policyd_e2e::datapath::Direction::{Egress, Ingress};
use policyd_e2e::packet::{self, Ip, SYN};

use crate::world::{
    CLIENT, EGRESS, GENERATION, INGRESS, World, foe, friend, opening_tcp, pod, policies, ways,
};

const LINK_LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5));
const GATEWAY: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
const SOLICITED: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1));
const UNSPECIFIED: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn discovery(source: IpAddr, destination: IpAddr, kind: u8) -> Vec<u8> {
    Ip::new(source, destination, proto::ICMPV6)
        .hop_limit(255)
        .frame(&packet::icmp(kind, 0, [0; 4], &[0; 16]))
}

#[test]
fn source_must_be_the_pods() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let segment = packet::tcp(CLIENT, EGRESS[0], SYN);
    for (source, ipv6) in [
        (foe(false), false),
        (Ipv4Addr::UNSPECIFIED.into(), false),
        (Ipv4Addr::LOCALHOST.into(), false),
        (foe(true), true),
        (LINK_LOCAL, true),
        (UNSPECIFIED, true),
    ] {
        world.expect(
            Egress,
            &Ip::new(source, friend(ipv6), proto::TCP).frame(&segment),
            Spoofed,
        );
    }
    world.expect(
        Egress,
        &Ip::new(pod(false), friend(false), proto::TCP).frame(&segment),
        Allowed,
    );
    assert_eq!(
        world.datapath.connections().unwrap().len(),
        1,
        "spoofed packets leave no trace"
    );
}

#[test]
fn destination_must_be_the_pods() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let segment = packet::tcp(CLIENT, INGRESS[0], SYN);
    for (destination, ipv6) in [
        (foe(false), false),
        (Ipv4Addr::BROADCAST.into(), false),
        (Ipv4Addr::new(224, 0, 0, 1).into(), false),
        (foe(true), true),
        (LINK_LOCAL, true),
        (SOLICITED, true),
    ] {
        world.expect(
            Ingress,
            &Ip::new(friend(ipv6), destination, proto::TCP).frame(&segment),
            Misdelivered,
        );
    }
}

/// An endpoint without an address of a family has none of it, not the all-zero one.
#[test]
fn absent_addresses_match_nothing() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let records = [
        (1, Allowed, 0),
        (0, DefaultDeny, 0),
        (0, DefaultDeny, 0),
        (1, Allowed, 0),
    ];
    let arena = Arena::new(3, 0, &records, &policies()).with_endpoint(1, (None, None), 0, 1);
    world.install(GENERATION, &arena);
    for source in [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        UNSPECIFIED,
        pod(false),
        pod(true),
    ] {
        let packet = Ip::new(source, friend(source.is_ipv6()), proto::TCP);
        world.expect(
            Egress,
            &packet.frame(&packet::tcp(CLIENT, EGRESS[0], SYN)),
            Spoofed,
        );
    }
}

#[test]
fn neighbours_discover_each_other() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    for kind in 133..=137 {
        for source in [pod(true), LINK_LOCAL, UNSPECIFIED] {
            for destination in [SOLICITED, GATEWAY] {
                world.expect(Egress, &discovery(source, destination, kind), Essential);
            }
        }
        for destination in [pod(true), LINK_LOCAL, SOLICITED] {
            world.expect(Ingress, &discovery(GATEWAY, destination, kind), Essential);
        }
    }
}

/// Neighbour discovery is no way around the policy.
#[test]
fn discovery_stays_on_the_link() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    // Beyond the link, or come from beyond it.
    world.expect(
        Egress,
        &discovery(pod(true), friend(true), 135),
        DefaultDeny,
    );
    let forwarded = Ip::new(friend(true), pod(true), proto::ICMPV6).hop_limit(254);
    world.expect(
        Ingress,
        &forwarded.frame(&packet::icmp(135, 0, [0; 4], &[0; 16])),
        DefaultDeny,
    );
    // With addresses that are nobody's, or of other types.
    world.expect(Egress, &discovery(foe(true), SOLICITED, 135), Spoofed);
    world.expect(Ingress, &discovery(GATEWAY, foe(true), 135), Misdelivered);
    for kind in [128, 130, 131, 132, 138, 143] {
        world.expect(Egress, &discovery(LINK_LOCAL, SOLICITED, kind), Spoofed);
        world.expect(Ingress, &discovery(GATEWAY, SOLICITED, kind), Misdelivered);
    }
    // In pieces (RFC 6980).
    let fragment = Ip::new(LINK_LOCAL, SOLICITED, proto::ICMPV6)
        .hop_limit(255)
        .fragment(1, 0, true);
    world.expect(
        Egress,
        &fragment.frame(&packet::icmp(135, 0, [0; 4], &[0; 16])),
        Spoofed,
    );
}

#[test]
fn interface_without_endpoint_passes_nothing() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    let elsewhere =
        Arena::new(3, 0, &[(1, Allowed, 0); 5], &policies()).with_endpoint(2, (None, None), 0, 1);
    world.install(GENERATION, &elsewhere);
    for (direction, ipv6) in ways() {
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), SYN),
            NoEndpoint,
        );
    }
    world.expect(Egress, &discovery(LINK_LOCAL, SOLICITED, 135), NoEndpoint);
}

#[test]
fn nothing_passes_before_the_first_generation() {
    policyd_e2e::require_root!();
    let mut world = World {
        datapath: Datapath::load().unwrap(),
    };
    for (direction, ipv6) in ways() {
        world.expect(
            direction,
            &opening_tcp(direction, friend(ipv6), SYN),
            NoGeneration,
        );
    }
    world.expect(Egress, &packet::ethernet(packet::ARP, &[0; 46]), Essential);
}
