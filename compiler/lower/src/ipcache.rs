//! Addresses to identity indexes.

use std::collections::BTreeMap;

use policy_bundle::write::Ipcache;
use policyc_ir::cidr::Cidr;
use policyc_ir::ids::IdentityId;
use policyc_ir::universe::{Owner, Universe};

use crate::{Target, services};

/// The ipcache of a universe. Within the ranges that pods get addresses from, only pods and nodes keep an identity;
/// everything else there is unknown, so that a pod that has not been learned is never taken for the world.
///
/// An address of a service has the service's identity, whatever a rule says about addresses: such a rule speaks of
/// those behind it.
pub(crate) fn entries(universe: &Universe, target: &Target) -> Vec<Ipcache> {
    let pod_ranges = &target.pod_ranges;
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
    for (at, service) in target.services.iter().enumerate() {
        let identity = IdentityId(services::identity(universe.identities().len(), at));
        let owner = Owner {
            identity,
            node: None,
        };
        entries.insert(Cidr::host(service.address), owner);
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
