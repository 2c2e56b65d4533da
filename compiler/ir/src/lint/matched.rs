//! What a policy matches in an inventory.

use std::collections::{BTreeMap, BTreeSet};

use policyc_diag::{Diagnostic, codes};

use crate::ids::{EndpointId, PeerId, RuleId, SelectorId};
use crate::label::Source;
use crate::resolve::Resolved;
use crate::rule::{Peer, Peers, RuleSet, Subject};

/// Subjects that select no endpoint, and label peers that match no identity, of a universe that stands for a whole
/// cluster.
pub fn matched(resolved: &Resolved<'_>) -> Vec<Diagnostic> {
    let mut found = idle_subjects(resolved);
    found.extend(dangling_peers(resolved));
    found
}

/// One finding per subject, at its first rule.
fn idle_subjects(resolved: &Resolved<'_>) -> Vec<Diagnostic> {
    let rules = resolved.rules;
    let endpoints = (0..resolved.universe.endpoints().len()).map(EndpointId::at);
    let busy: BTreeSet<RuleId> = endpoints
        .flat_map(|endpoint| resolved.rules_of(endpoint).iter().copied())
        .collect();
    let mut idle: BTreeMap<_, (&Subject, RuleId)> = BTreeMap::new();
    for (id, rule) in rules
        .iter()
        .filter(|(id, rule)| !busy.contains(id) && !rule.subject.node)
    {
        idle.entry((rule.origin.policy, rule.origin.subject))
            .or_insert((&rule.subject, id));
    }
    let idle = idle
        .into_iter()
        .filter(|(_, (subject, _))| !only_reserved(rules, subject.selector));
    idle.map(|((policy, span), (subject, _))| {
        let name = rules
            .policies()
            .get(policy.index())
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = format!("`{name}` selects no pod of the inventory");
        Diagnostic::new(codes::SELECTS_NO_POD, message)
            .label(span, "no pod has these labels")
            .note(format!("looked for: {}", rules.selector(subject.selector)))
    })
    .collect()
}

fn dangling_peers(resolved: &Resolved<'_>) -> Vec<Diagnostic> {
    let rules = resolved.rules;
    let dangling = |id: &PeerId| match rules.peer(*id) {
        Some(Peer::Labels(selector)) => {
            resolved.peer(*id).is_empty() && !only_reserved(rules, *selector)
        }
        _ => false,
    };
    let mut found = Vec::new();
    for (id, rule) in rules.iter() {
        let Peers::Of(peers) = &rule.peers else {
            continue;
        };
        for peer in peers.iter().filter(|peer| dangling(peer)) {
            let Some(Peer::Labels(selector)) = rules.peer(*peer) else {
                continue;
            };
            let message = format!(
                "a peer of `{}` matches nothing in the inventory",
                rules.name(id)
            );
            let diagnostic = Diagnostic::new(codes::DANGLING_PEER, message)
                .label(rule.origin.span, "matches no pod");
            found.push(diagnostic.note(format!("looked for: {}", rules.selector(*selector))));
        }
    }
    found
}

/// Reserved identities come and go with nodes and features, not with pods.
fn only_reserved(rules: &RuleSet, selector: SelectorId) -> bool {
    let requirements = rules.selector(selector).requirements();
    requirements
        .iter()
        .any(|requirement| requirement.key.source == Source::Reserved)
}
