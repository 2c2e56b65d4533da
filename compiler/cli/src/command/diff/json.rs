//! JSON form.

use policyc_ir::RuleId;
use policyc_ir::model::Reason;
use policyc_ir::rule::Action;
use policyc_verify::diff::{Change, Told};
use serde_json::{Value, json};

use super::affected::{Affected, Pods};
use super::{Found, words};
use crate::l7;
use crate::pipeline::Front;

/// One document with all of it.
pub(super) fn text(found: &Found<'_>) -> String {
    let difference = found.difference;
    let [old, new] = found.names;
    let changes = difference.changes.iter().enumerate();
    let changes = changes.map(|(at, change)| {
        let affected = found.affected.as_ref().and_then(|all| all.get(at));
        one(found, change, affected)
    });
    let value = json!({
        "schema": 1,
        "old": old,
        "new": new,
        "equal": difference.is_equal(),
        "decided": difference.is_decided(),
        "more": difference.more,
        "undecided": difference.undecided,
        "faults": difference.faults,
        "rules": {
            "alike": difference.stats.shared,
            "removed": difference.stats.removed,
            "added": difference.stats.added,
        },
        "changes": changes.collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn one(found: &Found<'_>, change: &Change, affected: Option<&Affected>) -> Value {
    let flows = !change.what.of_subjects();
    let [(old, before), (new, after)] = found.verdicts(change);
    json!({
        "kind": words::kind(change.what),
        "direction": change.direction.name(),
        "subjects": words::each(&change.subjects),
        "peers": flows.then(|| words::each(&change.peers)),
        "services": flows.then(|| words::each(&change.services)),
        "except": flows.then(|| words::listed(change)),
        "partly": change.partly,
        "removed": rules(old, &change.removed),
        "added": rules(new, &change.added),
        "example": {
            "flow": change.example.flow,
            "before": verdict(old, before),
            "after": verdict(new, after),
        },
        "pods": affected.map(|affected| json!({
            "subjects": pods(&affected.subjects),
            "peers": affected.peers.as_ref().map(pods),
        })),
    })
}

fn rules(front: &Front, ids: &[RuleId]) -> Vec<Value> {
    let known = ids
        .iter()
        .filter_map(|id| Some((*id, front.rules.rule(*id)?)));
    let each = known.map(|(id, rule)| {
        let span = rule.origin.span;
        json!({
            "rule": front.rules.name(id),
            "file": front.sources.name(span.file),
            "line": front.sources.place(span.file, span.start).line,
        })
    });
    each.collect()
}

fn verdict(front: &Front, told: &Told) -> Value {
    let verdict = &told.verdict;
    json!({
        "allowed": verdict.allowed,
        "reason": match verdict.reason {
            Reason::Rule(Action::Deny) => "deny",
            Reason::Rule(_) => "allow",
            Reason::DefaultDeny => "default-deny",
            Reason::NotEnforced => "not-enforced",
            Reason::Localhost => "localhost",
            Reason::Conflict => "conflict",
        },
        "rules": rules(front, &verdict.rules),
        "redirect": verdict.redirect.as_deref().map(l7::redirect),
        "auth": verdict.auth.map(|demand| demand.mode.name()),
        "asks": told.asks,
    })
}

fn pods(pods: &Pods) -> Value {
    json!({"count": pods.count, "names": pods.names})
}
