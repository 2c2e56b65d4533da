//! Step three: rules against a universe, selectors as sets of identities.
//!
//! Cost: building the indexes is linear in labels and prefixes. A selector then combines the sets of its labels, and
//! a prefix finds what it covers side by side, so each costs as much as it finds, or a bit for each identity. Pods of
//! one identity share the list of rules that select them.

use std::sync::Arc;

use rayon::prelude::*;

use crate::ids::{EndpointId, PeerId, RuleId};
use crate::label::{self, Key, Source};
use crate::rule::{Peer, Rule, RuleSet};
use crate::selector::Requirement;
use crate::universe::{Endpoint, Universe};

/// Identities by label, for selectors.
mod index;
/// Identities by DNS name, for peers that are names.
mod names;
/// Identities by prefix, for peers that are made of prefixes.
mod prefix;
/// Sets of identities.
mod set;
/// Which rules select each endpoint.
mod subjects;

pub use set::IdentitySet;

/// Rules against a universe.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    /// The rules.
    pub rules: &'a RuleSet,
    /// What they were resolved against.
    pub universe: &'a Universe,
    peers: Vec<IdentitySet>,
    subjects: subjects::Subjects,
}

impl<'a> Resolved<'a> {
    /// Resolves every peer to the identities it matches and every endpoint to the rules that select it.
    pub fn new(rules: &'a RuleSet, universe: &'a Universe) -> Self {
        let identities = universe.identities();
        // Identity 0 has no labels, and no rule but one for anyone may match it, so it is in no set.
        let labelled = (0..).zip(identities).skip(1);
        let labelled = labelled.map(|(at, identity)| (at, &identity.labels));
        let labels = index::Index::new(labelled, identities.len());
        let prefixes = prefix::Prefixes::new(identities);
        let names = names::Names::new(identities);
        let set = |peer: &Peer| match peer {
            Peer::Labels(id) => labels.matching(rules.selector(*id).requirements().iter()),
            Peer::Cidr(..) | Peer::Group(..) => prefixes.matching(peer),
            Peer::Fqdn(fqdn) => names.matching(fqdn),
        };
        Self {
            rules,
            universe,
            peers: rules.peers().par_iter().map(set).collect(),
            subjects: subjects::Subjects::new(rules, universe, &labels),
        }
    }

    /// The identities a peer matches.
    pub fn peer(&self, id: PeerId) -> &IdentitySet {
        self.peers.get(id.index()).unwrap_or(&set::EMPTY)
    }

    /// The rules that select an endpoint, in order.
    pub fn rules_of(&self, endpoint: EndpointId) -> &[RuleId] {
        self.subjects.rules_of(endpoint)
    }
}

/// Whether a rule applies to an endpoint: node rules to the host, others to pods, namespaced ones within their
/// namespace only (Cilium indexes them so, whatever their selector says).
pub fn selects(rules: &RuleSet, rule: &Rule, endpoint: &Endpoint) -> bool {
    let subject = &rule.subject;
    subject.node == endpoint.host
        && subject
            .namespace
            .as_ref()
            .is_none_or(|namespace| in_namespace(namespace).matches(&endpoint.labels))
        && rules.selector(subject.selector).matches(&endpoint.labels)
}

/// What all pods of a namespace have in common.
fn in_namespace(namespace: &Arc<str>) -> Requirement {
    Requirement::equals(Key::new(Source::K8s, label::NAMESPACE), namespace.clone())
}
