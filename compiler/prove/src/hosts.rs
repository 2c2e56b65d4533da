//! Nodes that policies of their own apply to.

use std::collections::BTreeMap;

use policy_bundle::Bundle;
use policyc_diag::Diagnostic;
use policyc_ir::ids::NodeId;
use policyc_ir::rule::Direction;
use policyc_ir::universe::{Endpoint, Universe};

use crate::{Sources, fault, rules};

/// The host endpoint of a node.
pub(crate) fn endpoint(universe: &Universe, node: u32) -> Option<&Endpoint> {
    let mut hosts = universe.endpoints().iter().filter(|one| one.host);
    hosts.find(|one| one.node == Some(NodeId(node)))
}

/// Nodes that the bundle leaves open although a policy applies to them, or the other way round, and identities that are
/// not the node's own.
pub(crate) fn faults(bundle: &Bundle<'_>, sources: &Sources<'_>) -> Vec<Diagnostic> {
    let wanted = wanted(sources);
    let found: BTreeMap<u32, u32> = bundle
        .hosts()
        .map(|host| (host.node, host.identity))
        .collect();
    let name = |node: &u32| bundle.nodes().nth(*node as usize).unwrap_or_default();
    let missing = wanted.keys().filter(|node| !found.contains_key(node));
    let missing = missing.map(|node| format!("node `{}` is missing from the bundle", name(node)));
    let wrong = found.iter().filter_map(|(node, identity)| {
        let name = name(node);
        match wanted.get(node) {
            None => Some(format!("no policy applies to node `{name}` of the bundle")),
            Some(wanted) if wanted != identity => Some(format!(
                "node `{name}` has identity {identity} in the bundle, but its own is {wanted}"
            )),
            Some(_) => None,
        }
    });
    missing.chain(wrong).map(|text| fault(&text)).collect()
}

/// Nodes of the bundle that a policy applies to in some direction, and their identities.
fn wanted(sources: &Sources<'_>) -> BTreeMap<u32, u32> {
    let universe = sources.universe;
    let name = |node: NodeId| universe.nodes().get(node.index()).map(|name| &**name);
    let hosts = universe.endpoints().iter().filter(|one| one.host);
    let here = hosts.filter_map(|host| Some((host, host.node?)));
    let here: Vec<_> = here
        .filter(|(_, node)| {
            sources
                .node
                .is_none_or(|wanted| name(*node) == Some(wanted))
        })
        .collect();
    let selecting = rules::selecting(sources.rules, here.iter().map(|(host, _)| *host));
    let applies = |host: &Endpoint| {
        let own = selecting.get(&host.labels).map_or(&[][..], Vec::as_slice);
        Direction::BOTH.into_iter().any(|direction| {
            let (stance, ids) =
                rules::in_force(sources.rules, sources.settings, host, own, direction);
            stance.default_deny || !ids.is_empty()
        })
    };
    let of_node = |(host, node): &(&Endpoint, NodeId)| (node.0, host.identity.0);
    let subjects = here.iter().filter(|(host, _)| applies(host));
    subjects.map(of_node).collect()
}
