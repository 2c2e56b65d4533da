//! How many entries there are, and where they come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::RuleId;
use policyc_lower::lpm::{Row, Table};

use super::View;

/// Entries of one revision.
pub(in crate::command) struct Count {
    /// By endpoint; `None` for one without a policy, since its rules exclude each other.
    pub(super) endpoints: BTreeMap<Arc<str>, Option<Sides>>,
    /// By rule, the largest share first: its name, entries over all endpoints, and endpoints that have any.
    pub(super) rules: Vec<Share>,
    /// By the name of a rule, which is the same in another revision.
    pub(super) by_name: BTreeMap<String, u64>,
}

/// Entries of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) ingress: u64,
    pub(super) egress: u64,
}

impl Sides {
    pub(super) const fn total(self) -> u64 {
        self.ingress.saturating_add(self.egress)
    }
}

/// What a rule adds to the maps. An entry that several rules make counts for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) rule: RuleId,
    pub(super) entries: u64,
    pub(super) endpoints: u64,
}

impl Count {
    /// Rules that made entries here and make none in a later revision, with how many, the most first.
    pub(super) fn gone(&self, later: &Self) -> Vec<(&str, u64)> {
        let names = self.by_name.iter();
        let gone = names.filter(|(name, _)| !later.by_name.contains_key(*name));
        let mut gone: Vec<_> = gone
            .map(|(name, entries)| (name.as_str(), *entries))
            .collect();
        gone.sort_by_key(|(_, entries)| std::cmp::Reverse(*entries));
        gone
    }

    pub(in crate::command) fn new(view: &View<'_>) -> Self {
        let tables = view.maps.tables.iter();
        let sizes: Vec<_> = tables.clone().map(|table| size(view, table)).collect();
        let by_rule: Vec<_> = tables.map(|table| of_rules(view, table)).collect();
        let size = |at: usize| sizes.get(at).copied().unwrap_or(0);
        let mut endpoints = BTreeMap::new();
        let mut rules: BTreeMap<RuleId, (u64, u64)> = BTreeMap::new();
        for (id, pair) in &view.maps.endpoints {
            let sides = pair.ok().map(|[ingress, egress]| Sides {
                ingress: size(ingress),
                egress: size(egress),
            });
            endpoints.insert(view.name(*id).into(), sides);
            let tables = pair.iter().flatten().filter_map(|at| by_rule.get(*at));
            for (rule, entries) in tables.flatten() {
                let share = rules.entry(*rule).or_default();
                share.0 += entries;
                share.1 += 1;
            }
        }
        let shares = rules.into_iter();
        let shares = shares.map(|(rule, (entries, endpoints))| Share {
            rule,
            entries,
            endpoints,
        });
        let mut rules: Vec<_> = shares.collect();
        rules.sort_by_key(|share| (std::cmp::Reverse(share.entries), share.rule));
        let names = view.model.resolved.rules;
        let by_name = rules
            .iter()
            .map(|share| (names.name(share.rule), share.entries));
        Self {
            endpoints,
            by_name: by_name.collect(),
            rules,
        }
    }
}

/// Rows of a table that take room, each with how many peers have it.
fn weighted<'a>(view: &'a View<'_>, table: &'a Table) -> impl Iterator<Item = (&'a Row, u64)> {
    let anyone = table.anyone.iter().map(|row| (row, 1));
    let own = table.classes.iter().flat_map(|class| {
        let members = class.members.iter();
        let members: usize = members.map(|id| view.identities.of(*id).len()).sum();
        class.rows.iter().map(move |row| (row, members as u64))
    });
    anyone.chain(own).filter(|(row, _)| row.is_in_map())
}

fn size(view: &View<'_>, table: &Table) -> u64 {
    weighted(view, table).map(|(_, times)| times).sum()
}

/// How many entries of a table each rule has a part in.
pub(super) fn of_rules(view: &View<'_>, table: &Table) -> BTreeMap<RuleId, u64> {
    let mut found: BTreeMap<RuleId, u64> = BTreeMap::new();
    for (row, times) in weighted(view, table).filter(|(_, times)| *times > 0) {
        for rule in row.rules.iter() {
            *found.entry(*rule).or_default() += times;
        }
    }
    found
}
