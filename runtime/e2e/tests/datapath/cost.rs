//! What a packet costs. Limits are generous, to fail on a mistake and not on a busy machine; the numbers are printed.

use std::net::Ipv4Addr;
use std::time::Duration;

use policy_abi::reason::Reason::{Allowed, DefaultDeny, Reply};
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::datapath::{Datapath, Meeting};
use policyd_e2e::packet::{self, ACK, SYN};

use crate::world::{FRIEND, GENERATION, World, answering_tcp, friend, opening_tcp, stranger};

/// Runs per measurement, and measurements to take the median of.
const RUNS: u32 = 200_000;
const MEASUREMENTS: usize = 5;
/// The most a packet may cost.
const LIMIT: Duration = Duration::from_micros(5);
/// The most instructions the verifier may go through; its own limit is a million.
const VERIFIED: u32 = 100_000;

#[test]
fn programs_stay_small() {
    policyd_e2e::require_root!();
    let datapath = Datapath::load().unwrap();
    let pods = [Ingress, Egress].map(Meeting::from);
    for meeting in pods
        .into_iter()
        .chain([Ingress, Egress].map(Meeting::at_device))
    {
        let (verified, bytes) = datapath.size(meeting).unwrap();
        println!("{meeting:?}: {verified} instructions verified, {bytes} bytes");
        assert!((1..VERIFIED).contains(&verified));
    }
}

/// Median time of a packet.
fn measure(world: &World, name: &str, direction: Direction, packet: &[u8]) {
    let once = |_| world.datapath.repeat(direction, packet, RUNS).unwrap().1;
    let mut times: Vec<Duration> = (0..MEASUREMENTS).map(once).collect();
    times.sort();
    println!(
        "{name}: {:?} (least {:?})",
        times[MEASUREMENTS / 2],
        times[0]
    );
    assert!(times[MEASUREMENTS / 2] < LIMIT, "{name}");
}

#[test]
fn packets_stay_cheap() {
    policyd_e2e::require_root!();
    let mut world = World::new();
    measure(
        &world,
        "ARP, the least there is",
        Egress,
        &packet::ethernet(packet::ARP, &[0; 46]),
    );
    for ipv6 in [false, true] {
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        let opening = opening_tcp(Egress, friend(ipv6), SYN);
        world.expect(Egress, &opening, Allowed);
        let forward = opening_tcp(Egress, friend(ipv6), ACK);
        world.expect(Egress, &forward, Allowed);
        measure(
            &world,
            &format!("{family} TCP, policy asked, established"),
            Egress,
            &forward,
        );
        let replied = opening_tcp(Ingress, friend(ipv6), SYN);
        world.expect(Ingress, &replied, Allowed);
        let reply = answering_tcp(Egress, friend(ipv6), ACK);
        world.expect(Egress, &reply, Reply);
        measure(&world, &format!("{family} TCP, reply"), Egress, &reply);
        let unknown = opening_tcp(Egress, stranger(ipv6), SYN);
        world.expect(Egress, &unknown, DefaultDeny);
        measure(
            &world,
            &format!("{family} TCP, unknown peer, dropped"),
            Egress,
            &unknown,
        );
    }
    let network = Ipv4Addr::new(192, 0, 2, 0).into();
    world
        .datapath
        .learn_prefix(GENERATION, network, 24, FRIEND)
        .unwrap();
    let prefixed = opening_tcp(Egress, Ipv4Addr::new(192, 0, 2, 7).into(), ACK);
    world.expect(Egress, &prefixed, Allowed);
    measure(
        &world,
        "IPv4 TCP, policy asked, peer known by prefix",
        Egress,
        &prefixed,
    );
}
