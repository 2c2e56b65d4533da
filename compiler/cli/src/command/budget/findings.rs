//! Endpoints whose entries fill their map, or nearly.

use std::collections::BTreeMap;

use policyc_diag::{Diagnostic, codes};
use policyc_ir::RuleId;
use policyc_ir::ids::EndpointId;
use policyc_ir::lint;
use policyc_lower::lpm::Fault;

use super::View;
use super::count::{self, Count};

/// Percentage of a map from which on there is a warning.
const WARN_AT: u64 = 75;

/// One finding for all endpoints that have the same entries.
pub(in crate::command) fn find(view: &View<'_>, count: &Count, limit: u32) -> Vec<Diagnostic> {
    let mut alike: BTreeMap<[usize; 2], Vec<EndpointId>> = BTreeMap::new();
    let mut unnumbered: Vec<EndpointId> = Vec::new();
    for (id, pair) in &view.maps.endpoints {
        match pair {
            Ok(pair) => alike.entry(*pair).or_default().push(*id),
            Err(Fault::TooManyLevels) => unnumbered.push(*id),
            // Reported once for each pair of rules.
            Err(Fault::Conflict(_)) => {}
        }
    }
    let full = alike.iter();
    let full = full.filter_map(|(pair, endpoints)| pressure(view, count, *pair, endpoints, limit));
    full.chain(too_many_levels(view, &unnumbered))
        .chain(lint::conflicts(view.model))
        .collect()
}

fn pressure(
    view: &View<'_>,
    count: &Count,
    pair: [usize; 2],
    endpoints: &[EndpointId],
    limit: u32,
) -> Option<Diagnostic> {
    let first = endpoints.first().map(|id| view.name(*id))?;
    let entries = (*count.endpoints.get(first)?)?.total();
    let limit = u64::from(limit);
    let who = who(view, endpoints);
    let (code, message) = if entries > limit {
        let message = format!("{who} {entries} entries, but a policy map has room for {limit}");
        (codes::POLICY_MAP_OVERFLOW, message)
    } else if entries * 100 >= limit * WARN_AT {
        let share = entries * 100 / limit;
        let message = format!("{who} {entries} entries, {share} % of a policy map's {limit}");
        (codes::POLICY_MAP_PRESSURE, message)
    } else {
        return None;
    };
    let mut diagnostic = Diagnostic::new(code, message)
        .help("name fewer peers or fewer, wider port ranges in this rule; `policyc budget` lists what each rule adds");
    if let Some((rule, share)) = largest(view, pair) {
        let rules = view.model.resolved.rules;
        if let Some(origin) = rules.rule(rule).map(|rule| &rule.origin) {
            diagnostic = diagnostic.label(origin.span, format!("makes {share} of them"));
        }
    }
    Some(diagnostic)
}

/// The rule with a part in most entries of an endpoint.
fn largest(view: &View<'_>, pair: [usize; 2]) -> Option<(RuleId, u64)> {
    let tables = pair.into_iter().filter_map(|at| view.maps.table(at));
    let shares = tables.flat_map(|table| count::of_rules(view, table));
    // Of equal shares, the rule that was written first.
    shares.max_by_key(|(rule, entries)| (*entries, std::cmp::Reverse(*rule)))
}

/// The endpoints as the subject of a sentence, with its verb.
fn who(view: &View<'_>, endpoints: &[EndpointId]) -> String {
    let first = endpoints.first().map_or("", |id| view.name(*id));
    match endpoints.len() {
        0 | 1 => format!("`{first}` needs"),
        2 => format!("`{first}` and 1 other endpoint each need"),
        more => format!("`{first}` and {} other endpoints each need", more - 1),
    }
}

fn too_many_levels(view: &View<'_>, endpoints: &[EndpointId]) -> Option<Diagnostic> {
    let first = endpoints.first()?;
    let message = format!(
        "`{}` has rules of more priorities than Cilium can tell apart",
        view.name(*first)
    );
    let diagnostic = Diagnostic::new(codes::POLICY_MAP_OVERFLOW, message)
        .note("behind every rule that passes, Cilium keeps a number free for each level of the tiers behind it")
        .help("give rules the same priority, or let fewer of them pass");
    Some(diagnostic)
}
