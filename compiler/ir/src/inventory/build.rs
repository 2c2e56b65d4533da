//! From an inventory and rules to a universe.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cidr::Cidr;
use crate::fqdn::{Fqdn, canonical};
use crate::ids::{IdentityId, NodeId};
use crate::label::{self, Key, Labels, Source};
use crate::rule::{Peer, RuleSet};
use crate::settings::Settings;
use crate::universe::{Endpoint, Identity, Owner, Universe};

use super::{Inventory, Node, identities};

/// The universe of an inventory: its pods by identity, its nodes, and every prefix and DNS name that a rule tells
/// apart, as one node sees them. `local` is that node, whose addresses are the host's; the first one if `None`.
///
/// Identities are numbered by their labels and prefixes, so the numbers do not depend on the order of objects.
pub fn universe(
    inventory: &Inventory,
    rules: &RuleSet,
    settings: &Settings,
    local: Option<&str>,
) -> Universe {
    let first = || inventory.nodes.first().map(|node| &*node.name);
    let local = Local::Node(local.or_else(first));
    build(inventory, rules, settings, local)
}

/// The universe of an inventory as all of its nodes see it: an address of a node has the identity that other nodes give
/// it, and what it is to the node itself, [`Universe::host_on`] says. Every node has a host endpoint.
pub fn cluster(inventory: &Inventory, rules: &RuleSet, settings: &Settings) -> Universe {
    build(inventory, rules, settings, Local::Every)
}

/// Whose view of the cluster it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Local<'a> {
    /// One node's, if there is any.
    Node(Option<&'a str>),
    /// That of each node.
    Every,
}

impl Local<'_> {
    fn is(self, node: &Node) -> bool {
        match self {
            Self::Node(name) => name == Some(&node.name),
            Self::Every => true,
        }
    }
}

fn build(
    inventory: &Inventory,
    rules: &RuleSet,
    settings: &Settings,
    local: Local<'_>,
) -> Universe {
    let mut universe = Universe::of(settings);
    let nodes: BTreeMap<_, _> = inventory
        .nodes
        .iter()
        .map(|node| (node.name.clone(), universe.add_node(node.name.clone())))
        .collect();
    let pods = identities::pods(inventory, settings, &mut universe);
    for identity in outside(rules, inventory, settings) {
        universe.add_outside(identity);
    }
    add_nodes(inventory, &nodes, local, settings, &mut universe);
    for identities::Identified {
        key,
        pod,
        labels,
        identity,
    } in pods
    {
        universe.add_endpoint(Endpoint {
            name: format!("{}/{}", key.0, key.1).into(),
            identity,
            labels,
            host: false,
            node: pod.node.as_ref().and_then(|name| nodes.get(name).copied()),
            addresses: pod.addresses.clone(),
            ports: pod.ports.clone(),
        });
    }
    universe
}

/// Identities outside the cluster: every prefix that rules mention, exceptions included, but for those of all
/// addresses; every address of a name that rules select; and API servers that are no nodes.
///
/// A node's or pod's own address keeps its owner, whatever prefix or name is given to it (Cilium's resolveLabels).
fn outside(rules: &RuleSet, inventory: &Inventory, settings: &Settings) -> Vec<Identity> {
    let mut found: BTreeMap<Cidr, Identity> = BTreeMap::new();
    let mentioned = rules.peers().iter().flat_map(Peer::blocks);
    for cidr in mentioned.flat_map(|(cidr, except)| std::iter::once(cidr).chain(except)) {
        found
            .entry(*cidr)
            .or_insert_with(|| world(*cidr, false, settings));
    }
    let wanted = Wanted::new(rules);
    for (name, addresses) in inventory.dns.iter().filter(|(name, _)| wanted.has(name)) {
        for address in addresses {
            let cidr = Cidr::host(*address);
            let identity = found
                .entry(cidr)
                .or_insert_with(|| world(cidr, false, settings));
            identity.names.push(name.clone());
        }
    }
    for address in &inventory.api_servers {
        let cidr = Cidr::host(*address);
        let identity = found
            .entry(cidr)
            .or_insert_with(|| world(cidr, false, settings));
        identity.labels = world(cidr, true, settings).labels;
    }
    let inside = inside(inventory);
    found.retain(|cidr, _| !(cidr.is_all() || cidr.is_host() && inside.contains(&cidr.address())));
    found.into_values().collect()
}

/// The names that rules select: those written out, and patterns, which have to be tried one by one.
struct Wanted<'a> {
    names: BTreeSet<String>,
    patterns: BTreeSet<&'a Fqdn>,
}

impl<'a> Wanted<'a> {
    fn new(rules: &'a RuleSet) -> Self {
        let (mut names, mut patterns) = (BTreeSet::new(), BTreeSet::new());
        for peer in rules.peers() {
            match peer {
                Peer::Fqdn(fqdn) if fqdn.pattern.is_some() => _ = patterns.insert(fqdn),
                Peer::Fqdn(fqdn) => names.extend(fqdn.name.as_deref().map(canonical)),
                _ => {}
            }
        }
        Self { names, patterns }
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(&canonical(name)) || self.patterns.iter().any(|one| one.matches(name))
    }
}

fn world(cidr: Cidr, api_server: bool, settings: &Settings) -> Identity {
    let family = settings.world(cidr.is_ipv4());
    let labels = if api_server {
        Labels::reserved(&[family, "kube-apiserver"])
    } else {
        Labels::reserved(&[family])
    };
    Identity {
        labels,
        cidr: Some(cidr),
        names: Vec::new(),
    }
}

/// Addresses of nodes.
fn inside(inventory: &Inventory) -> BTreeSet<IpAddr> {
    let nodes = inventory.nodes.iter().flat_map(|node| &node.addresses);
    nodes.copied().collect()
}

fn add_nodes(
    inventory: &Inventory,
    nodes: &BTreeMap<Arc<str>, NodeId>,
    local: Local<'_>,
    settings: &Settings,
    universe: &mut Universe,
) {
    let mut labelled: BTreeMap<Labels, IdentityId> = BTreeMap::new();
    let mut serving = BTreeSet::new();
    for node in &inventory.nodes {
        let mut own = node.addresses.iter();
        let serves = own.any(|address| inventory.api_servers.contains(address));
        // What the local node alone sees, nobody else gives a name to.
        let is_seen = local == Local::Every || !local.is(node);
        let identity = match (settings.node_selector_labels, serves) {
            (true, _) if is_seen => {
                let labels = remote_labels(node, serves, settings);
                *labelled.entry(labels).or_insert_with_key(|labels| {
                    universe.add_identity(Identity {
                        labels: labels.clone(),
                        ..Identity::default()
                    })
                })
            }
            (_, true) => IdentityId::KUBE_APISERVER,
            (_, false) => IdentityId::REMOTE_NODE,
        };
        let id = nodes.get(&node.name).copied();
        for address in &node.addresses {
            universe.own(Cidr::host(*address), Owner { identity, node: id });
        }
        serving.extend(id.filter(|_| serves && local.is(node)));
    }
    match local {
        Local::Every => universe.hosts_serve_api(serving),
        Local::Node(_) if !serving.is_empty() => universe.host_serves_api(),
        Local::Node(_) => {}
    }
    add_hosts(inventory, nodes, local, settings, universe);
}

/// The host endpoints: the local node's, which is called `host`, or each node's, called `node:` and its name.
fn add_hosts(
    inventory: &Inventory,
    nodes: &BTreeMap<Arc<str>, NodeId>,
    local: Local<'_>,
    settings: &Settings,
    universe: &mut Universe,
) {
    let mut hosts: Vec<Option<&Node>> = inventory
        .nodes
        .iter()
        .filter(|node| local.is(node))
        .map(Some)
        .collect();
    if hosts.is_empty() && local != Local::Every {
        hosts.push(None);
    }
    for node in hosts {
        let own = node.into_iter().flat_map(|node| &node.labels);
        let own = own.map(|(name, value)| (Key::new(Source::K8s, name.clone()), value.clone()));
        let host = (Key::new(Source::Reserved, "host"), Arc::from(""));
        let labels = own.filter(|(key, _)| settings.labels.keeps(key));
        let id = node.and_then(|node| nodes.get(&node.name).copied());
        let name = match node {
            Some(node) if local == Local::Every => format!("node:{}", node.name).into(),
            _ => "host".into(),
        };
        universe.add_endpoint(Endpoint {
            name,
            identity: id.map_or(IdentityId::HOST, |id| universe.host_on(id)),
            labels: Labels::new(std::iter::once(host).chain(labels)),
            host: true,
            node: id,
            addresses: node.map_or_else(Vec::new, |node| node.addresses.clone()),
            ports: BTreeMap::new(),
        });
    }
}

/// The labels of another node's identity where policies may select nodes: all of its own, under source `node`.
fn remote_labels(node: &Node, serves: bool, settings: &Settings) -> Labels {
    let reserved = ["remote-node"]
        .into_iter()
        .chain(serves.then_some("kube-apiserver"));
    let reserved = reserved.map(|name| (Key::new(Source::Reserved, name), Arc::from("")));
    let cluster = (
        Key::new(Source::K8s, label::CLUSTER),
        settings.cluster.clone(),
    );
    let own = node.labels.iter();
    let own = own.map(|(name, value)| (Key::new(Source::Node, name.clone()), value.clone()));
    Labels::new(own.chain(reserved).chain([cluster]))
}
