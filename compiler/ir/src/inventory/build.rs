//! From an inventory and rules to a universe.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cidr::Cidr;
use crate::ids::{IdentityId, NodeId};
use crate::label::{self, Key, Labels, Source};
use crate::rule::{Peer, RuleSet};
use crate::settings::Settings;
use crate::universe::{Endpoint, Identity, Owner, Universe};

use super::{Inventory, Named, Node, Pod};

/// The universe of an inventory: its pods by identity, its nodes, and every prefix and DNS name that a rule tells
/// apart. `local` is the node whose addresses are the host's; the first one if `None`.
///
/// Identities are numbered by their labels and prefixes, so the numbers do not depend on the order of objects.
pub fn universe(
    inventory: &Inventory,
    rules: &RuleSet,
    settings: &Settings,
    local: Option<&str>,
) -> Universe {
    let mut universe = Universe::of(settings);
    let nodes: BTreeMap<_, _> = inventory
        .nodes
        .iter()
        .map(|node| (node.name.clone(), universe.add_node(node.name.clone())))
        .collect();
    let local = local.or_else(|| inventory.nodes.first().map(|node| &*node.name));
    let pods = pod_identities(inventory, settings, &mut universe);
    for identity in outside(rules, inventory, settings) {
        universe.add_outside(identity);
    }
    add_nodes(inventory, &nodes, local, settings, &mut universe);
    for (key, pod) in &inventory.pods {
        let Some((identity, labels)) = pods.get(key) else {
            continue;
        };
        universe.add_endpoint(Endpoint {
            name: format!("{}/{}", key.0, key.1).into(),
            identity: *identity,
            labels: labels.clone(),
            host: false,
            node: pod.node.as_ref().and_then(|name| nodes.get(name).copied()),
            addresses: pod.addresses.clone(),
            ports: pod.ports.clone(),
        });
    }
    universe
}

fn pod_identities(
    inventory: &Inventory,
    settings: &Settings,
    universe: &mut Universe,
) -> BTreeMap<Named, (IdentityId, Labels)> {
    let on_pod_network = |(_, pod): &(&Named, &Pod)| !pod.host_network;
    let labelled: BTreeMap<_, _> = inventory
        .pods
        .iter()
        .filter(on_pod_network)
        .map(|(key, pod)| {
            (
                key.clone(),
                inventory.identity_labels(&key.0, pod, settings),
            )
        })
        .collect();
    let distinct: BTreeSet<_> = labelled.values().cloned().collect();
    let ids: BTreeMap<_, _> = distinct
        .into_iter()
        .map(|labels| {
            let identity = Identity {
                labels: labels.clone(),
                ..Identity::default()
            };
            (labels, universe.add_identity(identity))
        })
        .collect();
    let known = |labels: &Labels| ids.get(labels).copied().unwrap_or(IdentityId::UNKNOWN);
    labelled
        .into_iter()
        .map(|(key, labels)| (key, (known(&labels), labels)))
        .collect()
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
    let wanted = rules.peers().iter().filter_map(|peer| match peer {
        Peer::Fqdn(fqdn) => Some(fqdn),
        _ => None,
    });
    let wanted: Vec<_> = wanted.collect();
    for (name, addresses) in &inventory.dns {
        if !wanted.iter().any(|fqdn| fqdn.matches(name)) {
            continue;
        }
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
    local: Option<&str>,
    settings: &Settings,
    universe: &mut Universe,
) {
    let mut host_labels = vec![(Key::new(Source::Reserved, "host"), Arc::from(""))];
    let mut addresses = Vec::new();
    let mut labelled: BTreeMap<Labels, IdentityId> = BTreeMap::new();
    for node in &inventory.nodes {
        let mut own = node.addresses.iter();
        let serves = own.any(|address| inventory.api_servers.contains(address));
        let is_local = local == Some(&*node.name);
        let identity = match (settings.node_selector_labels, serves) {
            (true, _) if !is_local => {
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
        if is_local {
            let own = node.labels.iter();
            let own = own.map(|(name, value)| (Key::new(Source::K8s, name.clone()), value.clone()));
            host_labels.extend(own.filter(|(key, _)| settings.labels.keeps(key)));
            addresses.clone_from(&node.addresses);
            if serves {
                universe.host_serves_api();
            }
        }
    }
    let node = local.and_then(|name| nodes.get(name).copied());
    let host = Endpoint {
        name: "host".into(),
        identity: IdentityId::HOST,
        labels: Labels::new(host_labels),
        host: true,
        node,
        addresses,
        ports: BTreeMap::new(),
    };
    universe.add_endpoint(host);
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
