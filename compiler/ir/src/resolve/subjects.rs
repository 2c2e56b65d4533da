//! Which rules select each endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::ids::{EndpointId, IdentityId, RuleId, SelectorId};
use crate::rule::{Rule, RuleSet};
use crate::universe::{Endpoint, Universe};

use super::index::Index;
use super::{IdentitySet, in_namespace, selects};

/// Lists of rules, one for each identity and one for each endpoint that is not selected like its identity.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    lists: Vec<Vec<RuleId>>,
    /// The list of each endpoint.
    by_endpoint: Vec<usize>,
}

/// Rules with one subject, which share one look-up.
struct Group<'a> {
    rule: &'a Rule,
    ids: Vec<RuleId>,
}

/// What a group selects.
struct Selected {
    identities: IdentitySet,
    /// Positions among the endpoints that stand alone.
    alone: Vec<usize>,
}

impl Subjects {
    /// Finds the rules of every endpoint.
    pub(super) fn new(rules: &RuleSet, universe: &Universe, labels: &Index) -> Self {
        let identities = universe.identities().len();
        let mut alone: Vec<&Endpoint> = Vec::new();
        let mut by_endpoint = Vec::with_capacity(universe.endpoints().len());
        for endpoint in universe.endpoints() {
            if like_its_identity(endpoint, universe) {
                by_endpoint.push(endpoint.identity.index());
            } else {
                by_endpoint.push(identities + alone.len());
                alone.push(endpoint);
            }
        }
        let groups = groups(rules);
        let selected = groups
            .par_iter()
            .map(|group| group.select(rules, labels, &alone));
        let selected: Vec<_> = selected.collect();
        let mut lists = vec![Vec::new(); identities + alone.len()];
        for (group, found) in groups.iter().zip(&selected) {
            let shared = found.identities.iter().map(IdentityId::index);
            let alone = found.alone.iter().map(|at| identities + at);
            for at in shared.chain(alone) {
                if let Some(list) = lists.get_mut(at) {
                    list.extend_from_slice(&group.ids);
                }
            }
        }
        lists.par_iter_mut().for_each(|list| list.sort_unstable());
        Self { lists, by_endpoint }
    }

    /// The rules that select an endpoint, in order.
    pub(super) fn rules_of(&self, endpoint: EndpointId) -> &[RuleId] {
        let at = self.by_endpoint.get(endpoint.index());
        at.and_then(|at| self.lists.get(*at))
            .map_or(&[], Vec::as_slice)
    }
}

/// Whether the same rules select an endpoint as a pod of its identity. The host is selected by its node's labels.
fn like_its_identity(endpoint: &Endpoint, universe: &Universe) -> bool {
    let identity = universe.identity(endpoint.identity);
    let known = endpoint.identity.index() != 0;
    let equal = || identity.is_some_and(|identity| identity.labels == endpoint.labels);
    !endpoint.host && known && equal()
}

fn groups(rules: &RuleSet) -> Vec<Group<'_>> {
    type Key<'a> = (SelectorId, Option<&'a Arc<str>>, bool);
    let mut groups: BTreeMap<Key<'_>, Group<'_>> = BTreeMap::new();
    for (id, rule) in rules.iter() {
        let subject = &rule.subject;
        let key = (subject.selector, subject.namespace.as_ref(), subject.node);
        let new = || Group {
            rule,
            ids: Vec::new(),
        };
        groups.entry(key).or_insert_with(new).ids.push(id);
    }
    groups.into_values().collect()
}

impl Group<'_> {
    fn select(&self, rules: &RuleSet, labels: &Index, alone: &[&Endpoint]) -> Selected {
        let subject = &self.rule.subject;
        let identities = if subject.node {
            IdentitySet::default()
        } else {
            let home = subject.namespace.as_ref().map(in_namespace);
            let requirements = rules.selector(subject.selector).requirements();
            labels.matching(requirements.iter().chain(&home))
        };
        let alone = alone.iter().enumerate();
        let alone = alone.filter(|(_, endpoint)| selects(rules, self.rule, endpoint));
        Selected {
            identities,
            alone: alone.map(|(at, _)| at).collect(),
        }
    }
}
