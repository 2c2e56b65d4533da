//! Who talks to whom, and how.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::topology::{NODE_IPV4, NODE_IPV6};
use crate::traffic::Protocol;

/// What a party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A pod of the inventory, with policies in force at its interface.
    Pod,
    /// A host outside the cluster, without.
    Outside,
    /// The node itself.
    Node,
}

/// Somebody who talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    /// "namespace/pod" as in the inventory, or a name of the demo's own.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
}

impl Party {
    const fn pod(name: &'static str, last: u8, last6: u16) -> Self {
        Self {
            name,
            kind: Kind::Pod,
            ipv4: Ipv4Addr::new(10, 77, 1, last),
            ipv6: Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, last6),
        }
    }

    /// Its address in a family.
    pub(super) fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(self.ipv4),
            Family::V6 => IpAddr::V6(self.ipv6),
        }
    }
}

/// Everybody: pods, hosts outside, and last the node.
pub(super) const PARTIES: [Party; 7] = [
    Party::pod("shop/web", 10, 0x10),
    Party::pod("shop/api", 11, 0x11),
    Party::pod("shop/batch", 13, 0x13),
    Party::pod("data/db", 12, 0x12),
    // In the ranges that the database may send its backups to.
    Party {
        name: "outside",
        kind: Kind::Outside,
        ipv4: Ipv4Addr::new(198, 51, 100, 20),
        ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x20),
    },
    // In the IPv4 range that is denied; the list says nothing about IPv6.
    Party {
        name: "abuser",
        kind: Kind::Outside,
        ipv4: Ipv4Addr::new(203, 0, 113, 7),
        ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x7),
    },
    Party {
        name: "node",
        kind: Kind::Node,
        ipv4: NODE_IPV4,
        ipv6: NODE_IPV6,
    },
];

/// Version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Version 4.
    V4,
    /// Version 6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) protocol: Protocol,
    /// Destination port, 0 for ICMP.
    pub(super) port: u16,
}

impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Tcp => write!(out, "tcp/{}", self.port),
            Protocol::Udp => write!(out, "udp/{}", self.port),
            Protocol::Icmp => out.write_str("ping"),
        }
    }
}

/// All ways to ask: the ports that the policies speak of.
pub(super) const PROBES: [Probe; 8] = [
    probe(Protocol::Tcp, 443),
    probe(Protocol::Tcp, 8080),
    probe(Protocol::Tcp, 8081),
    probe(Protocol::Tcp, 5432),
    probe(Protocol::Tcp, 9100),
    probe(Protocol::Udp, 53),
    probe(Protocol::Udp, 8125),
    probe(Protocol::Icmp, 0),
];

const fn probe(protocol: Protocol, port: u16) -> Probe {
    Probe { protocol, port }
}

/// A row of the table: who asks whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) from: Party,
    pub(super) to: Party,
    pub(super) family: Family,
}

/// One flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) pair: Pair,
    pub(super) probe: Probe,
}

impl fmt::Display for Exchange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { from, to, family } = self.pair;
        write!(out, "{} → {} {family} {}", from.name, to.name, self.probe)
    }
}

/// All flows, row by row. Where no pod takes part no policy does either.
pub(super) fn exchanges() -> Vec<Exchange> {
    let pairs = PARTIES
        .iter()
        .flat_map(|from| PARTIES.iter().map(move |to| (*from, *to)));
    let pairs = pairs
        .filter(|(from, to)| from != to && (from.kind == Kind::Pod || to.kind == Kind::Pod))
        .flat_map(|(from, to)| [Family::V4, Family::V6].map(|family| Pair { from, to, family }));
    pairs
        .flat_map(|pair| PROBES.map(|probe| Exchange { pair, probe }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_with_a_pod_is_there() {
        let exchanges = exchanges();
        // 4 pods among themselves, each with 2 hosts outside and with the node, in both directions.
        assert_eq!(exchanges.len(), (12 + 4 * 3 * 2) * 2 * PROBES.len());
        assert!(
            !exchanges
                .iter()
                .any(|exchange| exchange.pair.from == exchange.pair.to)
        );
    }

    #[test]
    fn pods_have_the_addresses_of_the_inventory() {
        let inventory = include_str!("../../../../testdata/demo/inventory.yaml");
        for party in PARTIES.iter().filter(|party| party.kind != Kind::Outside) {
            for family in [Family::V4, Family::V6] {
                let address = party.address(family).to_string();
                let line = |line: &str| line.trim_start_matches(['-', ' ']).ends_with(&address);
                assert!(inventory.lines().any(line), "{} {address}", party.name);
            }
        }
    }
}
