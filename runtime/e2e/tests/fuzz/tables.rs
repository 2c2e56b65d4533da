//! Random policies: tables, identities of addresses, and the pod's own addresses and mode.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::arena::{header, record};
use policy_abi::endpoint;
use policy_abi::proto;
use policy_abi::reason::Reason;
use policyd_e2e::arena::{Arena, Image};
use policyd_e2e::datapath::{Datapath, TEST_INTERFACE};
use policyd_e2e::model::{Address, Generation};
use policyd_e2e::numbers::Numbers;

/// Identities, and those that addresses may be given: one more than there are, which the tables do not know.
const IDENTITIES: u32 = 40;
/// Peers with an address of their own, those with one below a prefix, and those that nobody knows.
pub(crate) const KNOWN: u8 = 8;
const PREFIXED: u8 = 12;
pub(crate) const PEERS: u8 = 14;

/// The pod's address.
pub(crate) fn pod(ipv6: bool) -> IpAddr {
    peer(ipv6, 200)
}

/// The node's address.
pub(crate) fn node(ipv6: bool) -> IpAddr {
    peer(ipv6, 201)
}

/// A peer's address.
pub(crate) fn peer(ipv6: bool, number: u8) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, number.into(), number.into()).into()
    } else {
        Ipv4Addr::new(10, 0, number, number).into()
    }
}

/// One policy.
pub(crate) struct Tables {
    arena: Arena,
    hosts: BTreeMap<Address, u32>,
    prefixes: Vec<(Address, u32, u32)>,
}

impl Tables {
    pub(crate) fn new(numbers: &mut Numbers) -> Self {
        let records = records(numbers);
        let count = u64::try_from(records.len()).unwrap() + 1;
        let images = [(); 4].map(|()| image(numbers, count));
        let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) = (pod(false), pod(true)) else {
            unreachable!()
        };
        let flags = [header::FLAG_EXTENDED_PROTOCOLS, header::FLAG_FRAG_NEEDED]
            .into_iter()
            .filter(|_| !numbers.once_in(3))
            .sum();
        let has = |numbers: &mut Numbers| !numbers.once_in(12);
        let addresses = (has(numbers).then_some(ipv4), has(numbers).then_some(ipv6));
        let mut arena = Arena::new(IDENTITIES, flags, &records, &images).with_endpoint(
            TEST_INTERFACE,
            addresses,
            0,
            1,
        );
        arena.set_identity(TEST_INTERFACE, numbers.below(u64::from(IDENTITIES)));
        let host = numbers.below::<u32>(u64::from(IDENTITIES));
        let has_policy = !numbers.once_in(6);
        if has_policy {
            arena = arena.with_node(host, 2, 3);
        }
        if numbers.once_in(4) {
            arena.set_endpoint_flags(TEST_INTERFACE, endpoint::AUDIT);
        }
        if has_policy && numbers.once_in(4) {
            arena.set_endpoint_flags(endpoint::NODE, endpoint::AUDIT);
        }
        let mut identity = |limit: u32| numbers.below::<u32>(u64::from(limit));
        let mut hosts = BTreeMap::new();
        let mut prefixes = Vec::new();
        for ipv6 in [false, true] {
            for number in 0..PREFIXED {
                let address = Address::new(peer(ipv6, number));
                if number < KNOWN {
                    // Rarely one that the tables do not know.
                    hosts.insert(address, identity(IDENTITIES + 1));
                }
                // Nested: a short prefix and a longer one.
                let bits = if ipv6 { [96, 112] } else { [16, 24] };
                prefixes.push((address, bits[usize::from(number % 2)], identity(IDENTITIES)));
            }
            hosts.insert(Address::new(pod(ipv6)), identity(IDENTITIES));
            hosts.insert(Address::new(node(ipv6)), host);
        }
        prefixes
            .retain(|(address, bits, _)| *bits == 24 || *bits == 112 || address.octets()[2] == 0);
        Self {
            arena,
            hosts,
            prefixes,
        }
    }

    /// Makes it the generation in force.
    pub(crate) fn install(&self, datapath: &mut Datapath, number: u64) {
        for (address, identity) in &self.hosts {
            datapath.learn(number, address.ip(), *identity).unwrap();
        }
        for (address, bits, identity) in &self.prefixes {
            datapath
                .learn_prefix(number, address.ip(), *bits, *identity)
                .unwrap();
        }
        datapath.install(number, &self.arena).unwrap();
    }

    /// The same for the model.
    pub(crate) fn generation(&self, number: u64) -> Generation {
        Generation {
            number,
            tables: self.arena.bytes().to_vec(),
            hosts: self.hosts.clone(),
            prefixes: self.prefixes.clone(),
        }
    }
}

/// Records that a compiler could have made, most of them allowing.
fn records(numbers: &mut Numbers) -> Vec<(u8, Reason, u8)> {
    let kinds = [
        (record::ALLOW, Reason::Allowed, 0),
        (record::ALLOW, Reason::Allowed, 0),
        (record::ALLOW, Reason::Allowed, 0),
        (record::ALLOW, Reason::Allowed, 1),
        (record::DENY, Reason::PolicyDeny, 0),
        (record::ALLOW, Reason::Allowed, 0),
        (record::DENY, Reason::DefaultDeny, 0),
        (record::DENY, Reason::MixedService, 0),
        (record::DENY, Reason::NoBackend, 0),
        (record::REDIRECT, Reason::NoProxy, 0),
    ];
    (0..20).map(|_| *numbers.choose(&kinds)).collect()
}

fn image(numbers: &mut Numbers, records: u64) -> Image {
    let (peers, classes) = (1 + numbers.below::<u64>(8), 1 + numbers.below::<u64>(12));
    let mut ports = BTreeMap::new();
    for slot in 0..proto::SLOTS {
        // Ports and types that packets have lie below 256 or just above 1024.
        let mut row = vec![numbers.below(classes); 65_536];
        for class in row.iter_mut().take(2_048) {
            if numbers.once_in(2) {
                *class = numbers.below(classes);
            }
        }
        ports.insert(slot, row);
    }
    // Record 0, which no compiler uses, is rare.
    let cell = |numbers: &mut Numbers| {
        let record = numbers.below::<u16>(records);
        if numbers.once_in(4) {
            record
        } else {
            record.max(1)
        }
    };
    Image {
        peers: (0..IDENTITIES).map(|_| numbers.below(peers)).collect(),
        ports,
        cells: (0..peers)
            .map(|_| (0..classes).map(|_| cell(numbers)).collect())
            .collect(),
    }
}
