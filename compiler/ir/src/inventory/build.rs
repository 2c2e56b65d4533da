//! From an inventory and rules to a universe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cidr::Cidr;
use crate::ids::{IdentityId, NodeId};
use crate::label::{Key, Labels, Source};
use crate::rule::RuleSet;
use crate::settings::Settings;
use crate::universe::{Endpoint, Identity, Owner, Universe};

use super::{Inventory, Named, Pod};

/// The universe of an inventory: its pods by identity, its nodes, and every prefix that a rule tells apart.
/// `local` is the node whose addresses are the host's; the first one if `None`.
///
/// Identities are numbered by their labels and prefixes, so the numbers do not depend on the order of objects.
pub fn universe(
    inventory: &Inventory,
    rules: &RuleSet,
    settings: &Settings,
    local: Option<&str>,
) -> Universe {
    let mut universe = Universe::new();
    let nodes: BTreeMap<_, _> = inventory
        .nodes
        .iter()
        .map(|node| (node.name.clone(), universe.add_node(node.name.clone())))
        .collect();
    let local = local.or_else(|| inventory.nodes.first().map(|node| &*node.name));
    let pods = pod_identities(inventory, settings, &mut universe);
    for cidr in prefixes(rules, inventory) {
        universe.add_cidr(cidr);
    }
    add_nodes(inventory, &nodes, local, &mut universe);
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
            (
                labels.clone(),
                universe.add_identity(Identity {
                    labels,
                    ..Identity::default()
                }),
            )
        })
        .collect();
    let known = |labels: &Labels| ids.get(labels).copied().unwrap_or(IdentityId::UNKNOWN);
    labelled
        .into_iter()
        .map(|(key, labels)| (key, (known(&labels), labels)))
        .collect()
}

/// Every prefix that rules mention, exceptions included, but for those of all addresses.
fn prefixes(rules: &RuleSet, inventory: &Inventory) -> BTreeSet<Cidr> {
    let mut prefixes = BTreeSet::new();
    for peer in rules.peers() {
        for (cidr, except) in peer.blocks() {
            prefixes.insert(*cidr);
            prefixes.extend(except);
        }
    }
    let nodes: BTreeSet<_> = inventory
        .nodes
        .iter()
        .flat_map(|node| node.addresses.iter().copied())
        .collect();
    // A node's or pod's own address keeps its owner, whatever prefix names it.
    prefixes.retain(|cidr| !(cidr.is_all() || cidr.is_host() && nodes.contains(&cidr.address())));
    prefixes
}

fn add_nodes(
    inventory: &Inventory,
    nodes: &BTreeMap<Arc<str>, NodeId>,
    local: Option<&str>,
    universe: &mut Universe,
) {
    let mut host_labels = vec![(Key::new(Source::Reserved, "host"), Arc::from(""))];
    let mut addresses = Vec::new();
    for node in &inventory.nodes {
        let serves = node
            .addresses
            .iter()
            .any(|address| inventory.api_servers.contains(address));
        let identity = if serves {
            IdentityId::KUBE_APISERVER
        } else {
            IdentityId::REMOTE_NODE
        };
        let id = nodes.get(&node.name).copied();
        for address in &node.addresses {
            universe.own(Cidr::host(*address), Owner { identity, node: id });
        }
        if local == Some(&*node.name) {
            host_labels.extend(node.labels.iter().cloned());
            addresses.clone_from(&node.addresses);
            if serves {
                universe.host_serves_api();
            }
        }
    }
    let node = local.and_then(|name| nodes.get(name).copied());
    let labels = Labels::new(host_labels);
    let host = Endpoint {
        name: "host".into(),
        identity: IdentityId::HOST,
        labels,
        host: true,
        node,
        addresses,
        ports: BTreeMap::new(),
    };
    universe.add_endpoint(host);
}
