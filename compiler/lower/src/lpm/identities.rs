//! What identities Cilium tells apart.
//!
//! The model tells identities apart by what rules can see of them. Cilium gives a number to every set of labels, and
//! so to prefixes that no rule mentions but a group does, to pods that differ in their named ports alone, and one
//! number to all prefixes with the same labels. Each number that is selected takes an entry of its own.

use std::collections::{BTreeMap, BTreeSet};

use policyc_ir::ids::IdentityId;
use policyc_ir::inventory::Inventory;
use policyc_ir::label::{self, Key, Labels, Source};
use policyc_ir::model::Model;
use policyc_ir::settings::Settings;
use policyc_ir::universe::{NamedPorts, RESERVED, Universe};

/// Identities of addresses outside the cluster.
mod outside;

/// The first number of pods and nodes.
const INSIDE: u32 = 256;
/// The first number of addresses outside the cluster.
const OUTSIDE: u32 = 1 << 24;

/// A set of labels that has a number of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The number. But for reserved identities, no two agents give the same: these say only which are equal.
    pub number: u32,
    /// The labels, each `source:name=value`, in order.
    pub labels: Vec<String>,
}

/// The identities of a node's agent, by the model's identity that they share their policy with.
#[derive(Clone, Debug)]
pub struct Identities {
    of: BTreeMap<IdentityId, Vec<Labelled>>,
}

impl Identities {
    /// The identities of an inventory that a model was built from.
    pub fn new(model: &Model<'_>, inventory: &Inventory, settings: &Settings) -> Self {
        let universe = model.universe();
        let mut found = Self {
            of: BTreeMap::new(),
        };
        let reserved = universe.identities().iter().enumerate();
        for (at, identity) in reserved.skip(1).take(RESERVED.len()) {
            let id = IdentityId::at(at);
            let host = (id == IdentityId::HOST).then(|| host_labels(universe, inventory, settings));
            found.add(id, id.0, texts(host.as_ref().unwrap_or(&identity.labels)));
        }
        found.add_inside(universe);
        for (number, (id, labels)) in (OUTSIDE..).zip(outside::outside(model, inventory)) {
            found.add(id, number, labels);
        }
        found
    }

    /// The label sets, each with a number of its own, that share the policy of a model's identity.
    pub fn of(&self, id: IdentityId) -> &[Labelled] {
        self.of.get(&id).map_or(&[], Vec::as_slice)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Labelled> {
        let mut all: Vec<_> = self.of.values().flatten().collect();
        all.sort_by_key(|one| one.number);
        all.into_iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.of.values().map(Vec::len).sum()
    }

    fn add(&mut self, id: IdentityId, number: u32, labels: Vec<String>) {
        let own = self.of.entry(id).or_default();
        own.push(Labelled { number, labels });
    }

    /// Pods and nodes: one for each set of labels and, for pods, of named ports.
    fn add_inside(&mut self, universe: &Universe) {
        let mut ports: BTreeMap<IdentityId, BTreeSet<&NamedPorts>> = BTreeMap::new();
        for endpoint in universe
            .endpoints()
            .iter()
            .filter(|endpoint| !endpoint.host)
        {
            ports
                .entry(endpoint.identity)
                .or_default()
                .insert(&endpoint.ports);
        }
        let mut numbers = INSIDE..;
        let inside = universe.identities().iter().enumerate();
        let inside = inside.skip(RESERVED.len() + 1);
        for (at, identity) in inside.filter(|(_, identity)| identity.cidr.is_none()) {
            let id = IdentityId::at(at);
            let sets = ports.get(&id).map_or(1, BTreeSet::len);
            for number in numbers.by_ref().take(sets) {
                self.add(id, number, texts(&identity.labels));
            }
        }
    }
}

/// The host's identity has its node's labels beside its own: as a pod's where nodes are selected by them, and under the
/// source `node` where policies may select other nodes too.
fn host_labels(universe: &Universe, inventory: &Inventory, settings: &Settings) -> Labels {
    let host = universe.endpoints().iter().find(|endpoint| endpoint.host);
    let own = universe.identity(IdentityId::HOST);
    let own = own.into_iter().flat_map(|identity| identity.labels.iter());
    let name = universe.local_node();
    let name = name.and_then(|id| universe.nodes().get(id.index()));
    let node = inventory.nodes.iter().find(|node| Some(&node.name) == name);
    let node = node.map_or(&[][..], |node| &node.labels);
    if !settings.node_selector_labels || node.is_empty() {
        let node = host.into_iter().flat_map(|host| host.labels.iter());
        return Labels::new(node.chain(own).cloned());
    }
    let node = node
        .iter()
        .map(|(name, value)| (Key::new(Source::Node, name.clone()), value.clone()));
    let cluster = Key::new(Source::K8s, label::CLUSTER);
    let cluster = (cluster, settings.cluster.clone());
    Labels::new(node.chain([cluster]).chain(own.cloned()))
}

fn texts(labels: &Labels) -> Vec<String> {
    let text =
        |(key, value): &(Key, std::sync::Arc<str>)| text(key.source.name(), &key.name, value);
    let mut texts: Vec<_> = labels.iter().map(text).collect();
    texts.sort_unstable();
    texts
}

fn text(source: &str, name: &str, value: &str) -> String {
    if value.is_empty() {
        format!("{source}:{name}")
    } else {
        format!("{source}:{name}={value}")
    }
}
