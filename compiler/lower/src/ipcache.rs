//! Addresses to identity indexes.

use std::collections::BTreeMap;

use policy_bundle::write::Ipcache;
use policyc_ir::cidr::Cidr;
use policyc_ir::ids::IdentityId;
use policyc_ir::universe::{Owner, Universe};

/// The ipcache of a universe. Within the ranges that pods get addresses from, only pods and nodes keep an identity;
/// everything else there is unknown, so that a pod that has not been learned is never taken for the world.
pub(crate) fn entries(universe: &Universe, pod_ranges: &[Cidr]) -> Vec<Ipcache> {
    let mut entries: BTreeMap<Cidr, Owner> = BTreeMap::new();
    for (cidr, owner) in universe.addresses() {
        let external = universe
            .identity(owner.identity)
            .is_some_and(|identity| identity.cidr.is_some());
        let among_pods = pod_ranges.iter().any(|range| range.covers(cidr));
        if !(external && among_pods) {
            entries.insert(*cidr, *owner);
        }
    }
    for range in pod_ranges {
        entries.entry(*range).or_insert(Owner {
            identity: IdentityId::UNKNOWN,
            node: None,
        });
    }
    let entries = entries.into_iter().map(|(cidr, owner)| Ipcache {
        address: cidr.address(),
        prefix_len: cidr.bits(),
        identity: owner.identity.0,
        node: owner.node.map(|node| node.0),
        own: owner
            .node
            .map(|node| universe.host_on(node))
            .filter(|own| *own != IdentityId::HOST)
            .map(|own| own.0),
    });
    entries.collect()
}
