//! What changes, in words.

use policyc_ir::RuleId;
use policyc_ir::model::Reason;
use policyc_ir::print;
use policyc_ir::rule::{Action, Direction};
use policyc_verify::diff::{Change, Told, What};

use super::Found;
use crate::pipeline::Front;

/// Rules that are named for one verdict.
const RULES: usize = 3;

/// `2 differences`, `no difference`.
pub(super) fn headline(found: &Found<'_>) -> String {
    let difference = found.difference;
    match difference.changes.len() {
        0 if difference.is_decided() => "no difference, for every pod that could exist".to_owned(),
        0 => "no difference was found, but not every question could be answered".to_owned(),
        1 => format!("1 difference{}", more(found)),
        count => format!("{count} differences{}", more(found)),
    }
}

fn more(found: &Found<'_>) -> &'static str {
    if found.difference.more {
        ", and more that were not looked for"
    } else {
        ""
    }
}

/// Rules that both sides have, and those that one lacks.
pub(super) fn counts(found: &Found<'_>) -> String {
    let stats = found.difference.stats;
    format!(
        "rules on both sides: {}; on the old one only: {}; on the new one only: {}",
        stats.shared, stats.removed, stats.added
    )
}

/// A word for a kind of change.
pub(super) const fn kind(what: What) -> &'static str {
    match what {
        What::Opened => "opened",
        What::Allowed => "allowed",
        What::Terms => "terms",
        What::Broken => "broken",
        What::Mended => "mended",
        What::Isolated => "isolated",
        What::Denied => "denied",
    }
}

/// What happens, as the beginning of a sentence that goes on with the subjects.
pub(super) const fn title(change: &Change) -> &'static str {
    match (change.what, change.direction) {
        (What::Opened, Direction::Ingress) => "no longer in default deny for ingress",
        (What::Opened, Direction::Egress) => "no longer in default deny for egress",
        (What::Isolated, Direction::Ingress) => "now in default deny for ingress",
        (What::Isolated, Direction::Egress) => "now in default deny for egress",
        (What::Broken, _) => "now without a policy that Cilium can compute",
        (What::Mended, _) => "with a policy that Cilium can compute again",
        (What::Allowed, Direction::Ingress) => "now allowed into",
        (What::Allowed, Direction::Egress) => "now allowed out of",
        (What::Denied, Direction::Ingress) => "no longer allowed into",
        (What::Denied, Direction::Egress) => "no longer allowed out of",
        (What::Terms, Direction::Ingress) => "on other terms into",
        (What::Terms, Direction::Egress) => "on other terms out of",
    }
}

/// What it means, for changes of whole subjects.
pub(super) const fn meaning(what: What) -> Option<&'static str> {
    match what {
        What::Opened => Some("whatever no rule speaks of passes now"),
        What::Isolated => Some("whatever no rule allows is dropped now"),
        What::Broken => Some("rules exclude each other, so all of their traffic is dropped"),
        What::Mended => Some("rules no longer exclude each other"),
        What::Allowed | What::Denied | What::Terms => None,
    }
}

/// The word before the peers.
pub(super) const fn end(change: &Change) -> &'static str {
    match change.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

/// Each as text.
pub(super) fn each<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// What stays as it is.
pub(super) fn exceptions(change: &Change) -> Vec<String> {
    let rest = change
        .partly
        .then(|| "what other rules decide as before".to_owned());
    listed(change).into_iter().chain(rest).collect()
}

/// Exceptions by name.
pub(super) fn listed(change: &Change) -> Vec<String> {
    let each = change.except.iter();
    each.map(|one| one.show(change.direction)).collect()
}

/// `cnp shop/web spec.ingress[0] (policies/web.yaml:12)`.
pub(super) fn rule(front: &Front, id: RuleId) -> String {
    let name = front.rules.name(id);
    let rule = front.rules.rule(id);
    rule.map_or_else(String::new, |rule| {
        format!(
            "{name} ({})",
            print::place(&front.sources, rule.origin.span)
        )
    })
}

/// `denied by default`, `allowed by cnp shop/web spec.ingress[0]`, …
pub(super) fn verdict(front: &Front, told: &Told) -> String {
    let by = || {
        let names = told.verdict.rules.iter().take(RULES);
        let names: Vec<_> = names.map(|id| front.rules.name(*id)).collect();
        match told.verdict.rules.len() - names.len() {
            0 => names.join(" and "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    };
    let text = match told.verdict.reason {
        Reason::Rule(Action::Deny) => format!("denied by {}", by()),
        Reason::Rule(_) => format!("allowed by {}", by()),
        Reason::DefaultDeny => "denied by default".to_owned(),
        Reason::NotEnforced => "allowed, as nothing restricts the subject".to_owned(),
        Reason::Localhost => "allowed, as the local node may reach its pods".to_owned(),
        Reason::Conflict => format!("denied, as {} exclude each other", by()),
    };
    if told.asks.is_empty() {
        return text;
    }
    format!("{text}, through {}", told.asks)
}
