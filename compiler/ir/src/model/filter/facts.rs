//! What merging asks of all rules, found once for all subjects.

use crate::ids::PeerId;
use crate::rule::{Peer, Policy, Rule, RuleSet};
use crate::selector::Selector;

/// What merging asks of all rules.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The rules.
    pub(super) set: &'a RuleSet,
    /// The place of each policy in the order of resources.
    places: Vec<usize>,
    /// Peers that Cilium takes for other ones, and those.
    same: Vec<(PeerId, PeerId)>,
}

impl<'a> Facts<'a> {
    /// Looks through all policies and peers.
    pub fn new(set: &'a RuleSet) -> Self {
        let mut order: Vec<_> = (0..).zip(set.policies()).collect();
        order.sort_by_cached_key(|(at, policy)| (resource(policy), *at));
        let mut places = vec![0; order.len()];
        for (place, (at, _)) in order.into_iter().enumerate() {
            if let Some(own) = places.get_mut::<usize>(at) {
                *own = place;
            }
        }
        let same = ["world-ipv4", "world-ipv6"].map(|entity| aliases(set, entity));
        Self {
            set,
            places,
            same: same.into_iter().flatten().collect(),
        }
    }

    /// The order in which Cilium merges rules of one level: by the name of their object.
    pub(super) fn place(&self, rule: &Rule) -> Option<usize> {
        self.places.get(rule.origin.policy.index()).copied()
    }

    /// The peer that Cilium takes this one for.
    pub(super) fn same_selector(&self, peer: PeerId) -> PeerId {
        let known = self.same.iter().find(|(alias, _)| *alias == peer);
        known.map_or(peer, |(_, own)| *own)
    }
}

fn resource(policy: &Policy) -> String {
    let namespace = policy.namespace.as_deref().unwrap_or_default();
    format!("{}/{namespace}/{}", policy.kind.resource(), policy.name)
}

/// All addresses of a family are one and the same selector to Cilium, as prefix and as entity. Equal peers have one
/// id, so there is at most one of each.
fn aliases(set: &RuleSet, entity: &str) -> Option<(PeerId, PeerId)> {
    let find = |wanted: &dyn Fn(&Peer) -> bool| set.peers().iter().position(wanted).map(PeerId::at);
    let selector = Selector::reserved(entity);
    let as_entity =
        find(&|peer| matches!(peer, Peer::Labels(id) if *set.selector(*id) == selector))?;
    let as_prefix = find(&|peer| match peer {
        Peer::Cidr(cidr, except) => {
            let family = if cidr.is_ipv4() {
                "world-ipv4"
            } else {
                "world-ipv6"
            };
            cidr.is_all() && except.is_empty() && family == entity
        }
        _ => false,
    })?;
    Some((as_prefix, as_entity))
}
