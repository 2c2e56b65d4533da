//! Whole packets through the datapath: parsing, connection tracking, addresses, policy, counters.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::arena::record;
use policy_abi::proto;
use policy_abi::reason::Reason;
use serde_json::{Value, json};

use super::cache::Eviction;
use super::decide::Empty;
use super::median;
use crate::arena::{Arena, Image};
use crate::datapath::{Datapath, Direction, TEST_INTERFACE};
use crate::packet::{self, ACK, Ip, SYN};

/// Generation in force.
const GENERATION: u64 = 1;
/// Identities, each with an address of both families.
const IDENTITIES: u32 = 20_000;
/// Port that is allowed to odd identities, and one that is not to anybody.
const OPEN: u16 = 443;
const SHUT: u16 = 444;
const CLIENT: u16 = 40_000;
/// Runs of one warm measurement, and measurements; and single runs.
const RUNS: u32 = 100_000;
const MEASUREMENTS: u32 = 9;
const COLD_RUNS: u32 = 41;
const OPENED: u16 = 2_000;

/// Nanoseconds of one kind of packet, net of a program that does nothing.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What kind.
    pub name: String,
    /// With warm caches, and with empty ones; `None` where a packet cannot be repeated.
    pub warm: f64,
    pub cold: Option<f64>,
}

impl Packet {
    pub(super) fn json(&self) -> Value {
        json!({ "packet": self.name, "warm_ns": self.warm, "cold_ns": self.cold })
    }
}

/// Measures all kinds.
pub(super) fn measure() -> io::Result<Vec<Packet>> {
    let (mut datapath, empty, mut eviction) = (prepare()?, Empty::load()?, Eviction::new());
    let mut measured = Vec::new();
    for ipv6 in [false, true] {
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        let friend = peer(IDENTITIES / 2 + 1, ipv6);
        let between = |direction, port: (u16, u16), flags| {
            let (source, destination) = match direction {
                Direction::Egress => (pod(ipv6), friend),
                Direction::Ingress => (friend, pod(ipv6)),
            };
            Ip::new(source, destination, proto::TCP).frame(&packet::tcp(port.0, port.1, flags))
        };
        measured.push(opened(
            &mut datapath,
            &empty,
            &format!("{family} first of a connection"),
            |client| between(Direction::Egress, (client, OPEN), SYN),
        )?);
        let opening = between(Direction::Egress, (CLIENT, OPEN), SYN);
        expect(&mut datapath, Direction::Egress, &opening, Reason::Allowed)?;
        for (name, direction, frame, reason) in [
            (
                "established, forward",
                Direction::Egress,
                between(Direction::Egress, (CLIENT, OPEN), ACK),
                Reason::Allowed,
            ),
            (
                "established, reply",
                Direction::Ingress,
                between(Direction::Ingress, (OPEN, CLIENT), ACK),
                Reason::Reply,
            ),
            (
                "denied",
                Direction::Egress,
                between(Direction::Egress, (CLIENT, SHUT), SYN),
                Reason::DefaultDeny,
            ),
        ] {
            expect(&mut datapath, direction, &frame, reason)?;
            let name = format!("{family} {name}");
            measured.push(repeated(
                &datapath,
                &empty,
                &mut eviction,
                (name, direction, &frame),
            )?);
        }
    }
    Ok(measured)
}

/// A pod whose policy has 16,384 pairs of an identity and a port, and 20,000 identities with addresses.
fn prepare() -> io::Result<Datapath> {
    let mut ports = vec![0; 65_536];
    if let Some(class) = ports.get_mut(usize::from(OPEN)) {
        *class = 1;
    }
    let image = Image {
        peers: (0..IDENTITIES)
            .map(|identity| u16::from(identity % 2 == 1))
            .collect(),
        ports: [(proto::slot(proto::TCP), ports)].into(),
        cells: vec![vec![2, 2], vec![2, 1]],
    };
    let records = [
        (record::ALLOW, Reason::Allowed, 0),
        (record::DENY, Reason::DefaultDeny, 0),
    ];
    let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) = (pod(false), pod(true)) else {
        return Err(io::Error::other("a pod has an address of either family"));
    };
    let arena = Arena::new(IDENTITIES, 0, &records, &[image]).with_endpoint(
        TEST_INTERFACE,
        (Some(ipv4), Some(ipv6)),
        0,
        0,
    );
    let mut datapath = Datapath::load()?;
    for identity in 0..IDENTITIES {
        for ipv6 in [false, true] {
            datapath.learn(GENERATION, peer(identity, ipv6), identity)?;
        }
    }
    datapath.install(GENERATION, &arena)?;
    Ok(datapath)
}

fn pod(ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into()
    } else {
        Ipv4Addr::new(10, 255, 0, 1).into()
    }
}

fn peer(number: u32, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::from(0xfd01_u128 << 112 | u128::from(number)).into()
    } else {
        Ipv4Addr::from(0x0a00_0000 | number).into()
    }
}

fn expect(
    datapath: &mut Datapath,
    direction: Direction,
    frame: &[u8],
    reason: Reason,
) -> io::Result<()> {
    let found = datapath.run(direction, frame)?.reason;
    if found == reason {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "a packet is {found:?}, not {reason:?}"
    )))
}

fn nanoseconds(
    datapath: &Datapath,
    direction: Direction,
    frame: &[u8],
    times: u32,
) -> io::Result<f64> {
    Ok(datapath.repeat(direction, frame, times)?.1.as_secs_f64() * 1e9)
}

/// One packet over and over.
fn repeated(
    datapath: &Datapath,
    empty: &Empty,
    eviction: &mut Eviction,
    (name, direction, frame): (String, Direction, &[u8]),
) -> io::Result<Packet> {
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for _ in 0..MEASUREMENTS {
        let base = empty.run(RUNS)?;
        warm.push(nanoseconds(datapath, direction, frame, RUNS)? - base);
    }
    for _ in 0..COLD_RUNS {
        eviction.evict();
        let base = empty.run(1)?;
        eviction.evict();
        cold.push(nanoseconds(datapath, direction, frame, 1)? - base);
    }
    Ok(Packet {
        name,
        warm: median(warm),
        cold: Some(median(cold)),
    })
}

/// A packet of another connection each time.
fn opened(
    datapath: &mut Datapath,
    empty: &Empty,
    name: &str,
    frame: impl Fn(u16) -> Vec<u8>,
) -> io::Result<Packet> {
    let mut times = Vec::new();
    for client in 1..=OPENED {
        let base = empty.run(1)?;
        times.push(nanoseconds(datapath, Direction::Egress, &frame(client), 1)? - base);
    }
    Ok(Packet {
        name: name.to_owned(),
        warm: median(times),
        cold: None,
    })
}
