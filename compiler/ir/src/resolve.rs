//! Step three: rules against a universe, selectors as sets of identities.
//!
//! Cost: building the label index is linear in labels; a selector then looks only at the identities that carry
//! its rarest required label, so a selector costs as much as it finds, not as much as the cluster has.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::ids::{EndpointId, IdentityId, PeerId, RuleId};
use crate::label::Labels;
use crate::rule::{Peer, Rule, RuleSet};
use crate::selector::{Operator, Selector};
use crate::universe::{Endpoint, Universe};

/// Identities by label, for selectors.
mod index;
/// Sets of identities.
mod set;

pub use set::IdentitySet;

/// Rules against a universe.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    /// The rules.
    pub rules: &'a RuleSet,
    /// What they were resolved against.
    pub universe: &'a Universe,
    peers: Vec<IdentitySet>,
    subjects: Vec<Vec<RuleId>>,
}

impl<'a> Resolved<'a> {
    /// Resolves every peer to the identities it matches and every endpoint to the rules that select it.
    pub fn new(rules: &'a RuleSet, universe: &'a Universe) -> Self {
        let labels = universe
            .identities()
            .iter()
            .map(|identity| &identity.labels);
        let identities = index::Index::new(labels);
        let peers = rules
            .peers()
            .par_iter()
            .map(|peer| peer_set(peer, rules, universe, &identities))
            .collect();
        let subjects = subjects(rules, universe);
        Self {
            rules,
            universe,
            peers,
            subjects,
        }
    }

    /// The identities a peer matches.
    pub fn peer(&self, id: PeerId) -> &IdentitySet {
        self.peers.get(id.index()).unwrap_or(&set::EMPTY)
    }

    /// The rules that select an endpoint, in order.
    pub fn rules_of(&self, endpoint: EndpointId) -> &[RuleId] {
        self.subjects
            .get(endpoint.index())
            .map_or(&[], Vec::as_slice)
    }
}

/// Identity 0 has no labels, and no rule but one for anyone may match it, so it is in no set.
fn peer_set(
    peer: &Peer,
    rules: &RuleSet,
    universe: &Universe,
    identities: &index::Index,
) -> IdentitySet {
    let mut set = IdentitySet::new(universe.identities().len());
    match peer {
        Peer::Labels(id) => {
            let selector = rules.selector(*id);
            for at in identities.candidates(selector) {
                let found = universe
                    .identities()
                    .get(at)
                    .filter(|identity| selector.matches(&identity.labels));
                if at != 0 && found.is_some() {
                    set.insert(IdentityId::at(at));
                }
            }
        }
        Peer::Cidr(..) | Peer::Group(..) => {
            for (at, identity) in universe.identities().iter().enumerate() {
                let inside =
                    |outer: &crate::cidr::Cidr| identity.cidr.is_some_and(|own| outer.covers(&own));
                let mut blocks = peer.blocks();
                if blocks.any(|(cidr, except)| inside(cidr) && !except.iter().any(inside)) {
                    set.insert(IdentityId::at(at));
                }
            }
        }
        Peer::Fqdn(fqdn) => {
            for (at, identity) in universe.identities().iter().enumerate() {
                if identity.names.iter().any(|name| fqdn.matches(name)) {
                    set.insert(IdentityId::at(at));
                }
            }
        }
    }
    set
}

fn subjects(rules: &RuleSet, universe: &Universe) -> Vec<Vec<RuleId>> {
    let endpoints = index::Index::new(universe.endpoints().iter().map(|endpoint| &endpoint.labels));
    // Rules with one subject share one look-up.
    let mut by_subject: BTreeMap<(_, Option<Arc<str>>, bool), Vec<RuleId>> = BTreeMap::new();
    for (id, rule) in rules.iter() {
        let subject = &rule.subject;
        by_subject
            .entry((subject.selector, subject.namespace.clone(), subject.node))
            .or_default()
            .push(id);
    }
    let groups: Vec<_> = by_subject.into_iter().collect();
    let matched: Vec<_> = groups
        .par_iter()
        .map(|((selector, ..), ids)| {
            let found = endpoints.candidates(rules.selector(*selector));
            let rule = ids.first().and_then(|id| rules.rule(*id));
            let applies = |at: &usize| {
                universe
                    .endpoints()
                    .get(*at)
                    .zip(rule)
                    .is_some_and(|(e, r)| selects(rules, r, e))
            };
            (ids, found.filter(applies).collect::<Vec<_>>())
        })
        .collect();
    let mut subjects = vec![Vec::new(); universe.endpoints().len()];
    for (ids, found) in matched {
        for at in found {
            if let Some(list) = subjects.get_mut(at) {
                list.extend_from_slice(ids);
            }
        }
    }
    subjects
        .par_iter_mut()
        .for_each(|list| list.sort_unstable());
    subjects
}

/// Whether a rule applies to an endpoint: node rules to the host, others to pods, namespaced ones within their
/// namespace only (Cilium indexes them so, whatever their selector says).
pub fn selects(rules: &RuleSet, rule: &Rule, endpoint: &Endpoint) -> bool {
    let subject = &rule.subject;
    subject.node == endpoint.host
        && subject
            .namespace
            .as_ref()
            .is_none_or(|namespace| in_namespace(&endpoint.labels, namespace))
        && rules.selector(subject.selector).matches(&endpoint.labels)
}

fn in_namespace(labels: &Labels, namespace: &str) -> bool {
    let key = crate::label::Key::new(crate::label::Source::K8s, crate::label::NAMESPACE);
    labels.get(&key).is_some_and(|value| &**value == namespace)
}

/// The requirement of a selector that a label must exist for, with the values it may have.
fn positive(
    selector: &Selector,
) -> impl Iterator<Item = (&crate::label::Key, Option<&[Arc<str>]>)> {
    selector
        .requirements()
        .iter()
        .filter_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some((&requirement.key, Some(values.as_slice()))),
            Operator::Exists => Some((&requirement.key, None)),
            Operator::NotIn(_) | Operator::DoesNotExist => None,
        })
}
