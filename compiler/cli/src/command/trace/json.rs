//! An explanation for programs.

use policyc_ir::explain::{Examined, Fit, Miss};
use policyc_ir::ids::RuleId;
use policyc_ir::l7::Auth;
use policyc_ir::model::Reason;
use policyc_ir::print;
use policyc_ir::rule::{Action, Direction};
use serde_json::{Value, json};

use super::{Side, Told, changes, words};
use crate::l7;

/// The whole explanation. A direction whose policy is not asked is null.
pub(super) fn value(told: &Told<'_>) -> Value {
    let side = |direction| {
        let found = told
            .sides
            .iter()
            .find(|side| side.flow.direction == direction);
        found.map(|found| one_side(told, found))
    };
    json!({
        "from": told.from.name,
        "to": told.to.name,
        "protocol": told.protocol.to_string(),
        "port": told.port,
        "verdict": word(told.allowed()),
        "carried": told.carried,
        "egress": side(Direction::Egress),
        "ingress": side(Direction::Ingress),
    })
}

const fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

fn one_side(told: &Told<'_>, side: &Side<'_>) -> Value {
    let report = &side.report;
    let verdict = &report.verdict;
    let named = |ids: &[RuleId]| ids.iter().map(|id| place(told, *id)).collect::<Vec<_>>();
    let redirect = verdict.redirect.as_deref().map(l7::redirect);
    json!({
        "subject": side.subject.name,
        "verdict": word(verdict.allowed),
        "reason": reason(verdict.reason),
        "enforced": verdict.enforced,
        "decided_by": named(&verdict.rules),
        "default_deny_by": named(&report.isolating),
        "conflict": report.conflict.map(|conflict| json!({
            "what": conflict.what,
            "rules": [place(told, conflict.first), place(told, conflict.second)],
        })),
        "redirect": redirect,
        "auth": verdict.auth.map(|demand| json!({"mode": demand.mode.name(), "derived": demand.derived})),
        "rules": report.examined.iter().map(|examined| rule(told, side, examined)).collect::<Vec<_>>(),
        "nearest": report.misses.iter().map(|miss| near(told, side, miss)).collect::<Vec<_>>(),
    })
}

const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Rule(Action::Allow) => "allow-rule",
        Reason::Rule(Action::Deny) => "deny-rule",
        Reason::Rule(Action::Pass) => "pass-rule",
        Reason::DefaultDeny => "default-deny",
        Reason::NotEnforced => "not-enforced",
        Reason::Localhost => "localhost",
        Reason::Conflict => "conflict",
    }
}

/// A rule's name and place.
fn place(told: &Told<'_>, id: RuleId) -> Value {
    let rules = told.model.resolved.rules;
    let sources = &told.front.sources;
    let span = rules.rule(id).map(|rule| rule.origin.span);
    json!({
        "rule": rules.name(id),
        "file": span.map(|span| sources.name(span.file)),
        "line": span.map(|span| sources.place(span.file, span.start).line),
    })
}

fn rule(told: &Told<'_>, side: &Side<'_>, examined: &Examined) -> Value {
    let mut value = place(told, examined.rule);
    let rule = told.model.resolved.rules.rule(examined.rule);
    let needs = examined.needs.as_ref();
    let needs = needs.map(|needs| changes::each(told, side, needs));
    if let (Some(rule), Some(object)) = (rule, value.as_object_mut()) {
        let action = match rule.action {
            Action::Allow => "allow",
            Action::Deny => "deny",
            Action::Pass => "pass",
        };
        let more = [
            ("action", action.into()),
            ("tier", rule.level.tier.name().into()),
            ("priority", (f64::from(rule.level.priority) / 100.0).into()),
            ("l7", rule.l7.as_ref().map(|l7| print::layer7(l7)).into()),
            ("auth", rule.auth.map(Auth::name).into()),
            ("matches", examined.matches().into()),
            ("decides", examined.decides.into()),
            ("peer_matches", (examined.peer != Fit::No).into()),
            ("peer", words::peers(told, rule, &examined.peer).into()),
            ("service_matches", (examined.service != Fit::No).into()),
            ("needs", needs.into()),
            (
                "service",
                words::services(told, side, rule, &examined.service).into(),
            ),
        ];
        object.extend(more.map(|(name, value): (&str, Value)| (name.to_owned(), value)));
    }
    value
}

fn near(told: &Told<'_>, side: &Side<'_>, miss: &Miss) -> Value {
    let mut value = place(told, miss.rule);
    let changes = changes::each(told, side, &miss.changes);
    if let Some(object) = value.as_object_mut() {
        object.insert("if".to_owned(), changes.into());
    }
    value
}
