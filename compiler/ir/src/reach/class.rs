//! Parties that no rule tells apart.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Tables;
use crate::cidr::Cidr;
use crate::ids::{EndpointId, IdentityId, PeerId};
use crate::model::Model;
use crate::universe::{Identity, Universe};

/// Prefixes of addresses that the internet does not route.
const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Prefixes of addresses that the internet does not route.
pub fn private() -> impl Iterator<Item = Cidr> {
    PRIVATE.iter().filter_map(|text| Cidr::parse(text))
}

/// One end of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A pod, or the local node.
    Endpoint(EndpointId),
    /// What has addresses but no endpoint: the world, prefixes of it, other nodes.
    Outside(IdentityId),
}

/// Parties that have the same openings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// An identity of one of them; the others' are like it to every rule.
    pub identity: IdentityId,
    /// Whether they are outside the cluster and some of their addresses belong to the internet.
    pub internet: bool,
    /// Who they are, in order.
    pub parties: Vec<Party>,
    /// The table of what they may send; none outside.
    pub(super) egress: Option<usize>,
    /// The table of what may be sent to them; none outside.
    pub(super) ingress: Option<usize>,
}

impl Class {
    /// Whether they are pods. Paths lead through these only: what comes back from outside comes from somebody else, and
    /// what a node sends it does not send for whoever connected to it.
    pub fn is_pods(&self) -> bool {
        self.egress.is_some() && self.identity != IdentityId::HOST
    }
}

/// What tells classes apart: tables, whether they are of the internet, and the class of the identity.
type Key = (Option<(usize, usize)>, bool, u32);

/// All classes, in an order that depends on nothing but the cluster's policies, labels and prefixes.
pub(super) fn classes(model: &Model<'_>, tables: &Tables<'_>) -> Vec<Class> {
    let universe = model.universe();
    let identity_class = identity_classes(model, tables);
    let of = |id: IdentityId| identity_class.get(id.index()).copied().unwrap_or_default();
    let mut found: BTreeMap<Key, (IdentityId, Vec<Party>)> = BTreeMap::new();
    let mut add = |key: Key, identity, party| {
        let (_, parties) = found.entry(key).or_insert((identity, Vec::new()));
        parties.push(party);
    };
    for (at, endpoint) in universe.endpoints().iter().enumerate() {
        let id = EndpointId::at(at);
        let key = (tables.of(id), false, of(endpoint.identity));
        add(key, endpoint.identity, Party::Endpoint(id));
    }
    for id in outside(universe) {
        let internet = universe.identity(id).is_some_and(is_internet);
        add((None, internet, of(id)), id, Party::Outside(id));
    }
    let class = |((tables, internet, _), (identity, parties)): (Key, _)| Class {
        identity,
        internet,
        parties,
        egress: tables.map(|(egress, _)| egress),
        ingress: tables.map(|(_, ingress)| ingress),
    };
    found.into_iter().map(class).collect()
}

/// Identities that own addresses and are no endpoint's.
fn outside(universe: &Universe) -> BTreeSet<IdentityId> {
    let endpoints = universe.endpoints().iter();
    let inside: BTreeSet<_> = endpoints.map(|endpoint| endpoint.identity).collect();
    let local = universe.local_node();
    let owners = universe.addresses().map(|(_, owner)| {
        if owner.node.is_some() && owner.node == local {
            IdentityId::HOST
        } else {
            owner.identity
        }
    });
    owners
        .filter(|id| *id != IdentityId::UNKNOWN && !inside.contains(id))
        .collect()
}

/// Whether an identity is of the world and not all of its addresses are private.
fn is_internet(identity: &Identity) -> bool {
    let mut private = private();
    let world = ["world", "world-ipv4", "world-ipv6"]
        .iter()
        .any(|name| identity.labels.has_name(name));
    world
        && identity
            .cidr
            .is_none_or(|cidr| !private.any(|private| private.covers(&cidr)))
}

/// For each identity the class of those that are like it to every rule.
fn identity_classes(model: &Model<'_>, tables: &Tables<'_>) -> Vec<u32> {
    let mut partition = Partition::new(model.universe().identities().len());
    for at in 0..model.resolved.rules.peers().len() {
        let members = model.resolved.peer(PeerId::at(at)).iter();
        partition.split(members.map(IdentityId::index));
    }
    partition.split([IdentityId::HOST.index()]);
    for (name, protocol) in tables.names_of_peers() {
        let mut by_number: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for at in 0..model.universe().identities().len() {
            let number = model
                .universe()
                .named_port(IdentityId::at(at), name, *protocol);
            if let Some(number) = number {
                by_number.entry(number).or_default().push(at);
            }
        }
        for members in by_number.into_values() {
            partition.split(members);
        }
    }
    partition.classes
}

/// A partition, refined set by set.
pub(super) struct Partition {
    /// The class of each thing.
    pub(super) classes: Vec<u32>,
    count: u32,
}

impl Partition {
    /// All of some things in one class.
    pub(super) fn new(things: usize) -> Self {
        Self {
            classes: vec![0; things],
            count: 1,
        }
    }

    /// Parts every class into members of a set and others.
    pub(super) fn split(&mut self, members: impl IntoIterator<Item = usize>) {
        let mut moved: BTreeMap<u32, u32> = BTreeMap::new();
        for member in members {
            if let Some(class) = self.classes.get_mut(member) {
                *class = *moved.entry(*class).or_insert_with(|| {
                    self.count += 1;
                    self.count - 1
                });
            }
        }
    }
}
