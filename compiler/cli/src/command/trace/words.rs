//! Rules and verdicts in words.

use policyc_ir::explain::{self, Examined, Fit};
use policyc_ir::l7::{Auth, Parser};
use policyc_ir::model::{Demand, Redirect};
use policyc_ir::port::{L4, Ports};
use policyc_ir::print;
use policyc_ir::rule::{Action, Level, Peer, Peers, Rule, Services};

use super::{Side, Told, changes, ends};

/// Alternatives of a rule that are written out.
const ALTERNATIVES: usize = 4;

/// The peers of a rule, as far as they matter to the flow.
pub(super) fn peers(told: &Told<'_>, rule: &Rule, fit: &Fit<policyc_ir::PeerId>) -> String {
    let rules = told.model.resolved.rules;
    let written = |id: &policyc_ir::PeerId| {
        rules.peer(*id).map_or_else(String::new, |one| match one {
            Peer::Labels(id) => ends::pods(told, rules.selector(*id), "pods"),
            other => print::peer(rules, other),
        })
    };
    match (fit, &rule.peers) {
        (Fit::By(id), _) => written(id),
        _ if rule.unresolved => {
            "anyone (what it names does not exist, and Cilium then leaves the peer open)".to_owned()
        }
        (Fit::Any, _) | (Fit::No, Peers::Any) => "anyone".to_owned(),
        (Fit::No, Peers::Of(list)) => listed(list.iter().map(written), "nobody"),
    }
}

/// The layer 4 of a rule, as far as it matters to the flow.
pub(super) fn services(told: &Told<'_>, side: &Side<'_>, rule: &Rule, fit: &Fit<L4>) -> String {
    let written = |l4: &L4| match (&l4.ports, explain::range(told.model, l4, &side.flow)) {
        (Ports::Named(..), Some((number, _))) => format!("{l4} ({number})"),
        (Ports::Named(..), None) => format!("{l4} (no such port)"),
        _ => l4.to_string(),
    };
    match (fit, &rule.services) {
        (Fit::By(l4), _) => written(l4),
        (Fit::Any, _) | (Fit::No, Services::All) => "any protocol".to_owned(),
        (Fit::No, Services::Of(list)) => listed(list.iter().map(written), "no port"),
    }
}

fn listed(each: impl ExactSizeIterator<Item = String>, none: &str) -> String {
    let total = each.len();
    let shown: Vec<_> = each.take(ALTERNATIVES).collect();
    match total - shown.len() {
        _ if shown.is_empty() => none.to_owned(),
        0 => shown.join(" | "),
        more => format!("{} | {more} more", shown.join(" | ")),
    }
}

/// Why a rule matters or not.
pub(super) fn fit(told: &Told<'_>, side: &Side<'_>, examined: &Examined, action: Action) -> String {
    match &examined.needs {
        _ if examined.matches() && action == Action::Pass => "matches, and passes it on".to_owned(),
        _ if examined.decides => "matches, and decides".to_owned(),
        _ if examined.matches() && side.report.conflict.is_some() => "matches".to_owned(),
        _ if examined.matches() => "matches, but others decide".to_owned(),
        Some(list) => format!("only if {}", changes::all(told, side, list)),
        None => "matches neither this flow nor one close to it".to_owned(),
    }
}

/// A level that is not the ordinary one.
pub(super) fn level(level: Level) -> Option<String> {
    if level == Level::NORMAL {
        return None;
    }
    Some(format!(
        "{} tier, priority {}.{:02}",
        level.tier.name(),
        level.priority / 100,
        level.priority % 100
    ))
}

/// Which proxy has the last word.
pub(super) fn redirect(redirect: &Redirect) -> String {
    let about = print::layer7(&redirect.l7);
    let about = if about.is_empty() {
        about
    } else {
        format!(", by {about}")
    };
    let plain = match (redirect.plain, redirect.parser) {
        (true, Parser::Http) => {
            "; an allow without layer 7 matches as well, so every request passes"
        }
        _ => "",
    };
    format!(
        "the {} proxy has the last word{about}{plain}",
        redirect.parser.name()
    )
}

/// What a rule asks beyond layer 4.
pub(super) fn terms(rule: &Rule) -> String {
    let l7 = rule
        .l7
        .as_ref()
        .map(|l7| format!(", {}", print::layer7(l7)));
    let auth = match rule.auth {
        None => "",
        Some(Auth::Disabled) => ", without authentication",
        Some(Auth::Required) => ", with authentication",
        Some(Auth::AlwaysFail) => ", with authentication that always fails",
    };
    format!("{}{auth}", l7.unwrap_or_default())
}

/// The authentication before it.
pub(super) fn auth(demand: Demand) -> String {
    let what = match demand.mode {
        Auth::Disabled => "no authentication is needed",
        Auth::Required => "both ends must have authenticated",
        Auth::AlwaysFail => "authentication is needed and always fails",
    };
    let derived = if demand.derived {
        ", as a broader rule says"
    } else {
        ""
    };
    format!("{what}{derived}")
}
