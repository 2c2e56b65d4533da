//! An explanation for people.

use std::fmt::Write as _;

use policyc_diag::Span;
use policyc_ir::explain::{Examined, Miss};
use policyc_ir::ids::{PolicyId, RuleId};
use policyc_ir::model::Reason;
use policyc_ir::print;
use policyc_ir::rule::{Action, Direction, Rule};

use super::{Side, Told, changes, ends, words};

/// Lines of a rule that are quoted.
const QUOTED: u32 = 8;

// Writing to a `String` cannot fail, so results of `write!` are dropped throughout.

/// The whole explanation.
pub(super) fn text(told: &Told<'_>) -> String {
    let mut out = String::new();
    let (from, to) = (&told.from.name, &told.to.name);
    let _ = writeln!(
        out,
        "{from} → {to}, {}: {}",
        service(told),
        word(told.allowed())
    );
    for (way, party) in [("from", told.from), ("to", told.to)] {
        let what = ends::identity(told, party.identity);
        let _ = writeln!(out, "  {way} {}: {what}", party.name);
    }
    if !told.carried {
        let _ = writeln!(
            out,
            "\nThis cluster drops {} before any policy is asked.",
            told.protocol
        );
    }
    for side in told.sides {
        out.push('\n');
        one_side(told, side, &mut out);
    }
    for (party, direction) in [
        (told.from, Direction::Egress),
        (told.to, Direction::Ingress),
    ] {
        if party.endpoint.is_none() {
            let name = &party.name;
            let _ = writeln!(
                out,
                "\n`{name}` is no pod of the inventory and not the local node: its {} is not asked.",
                direction.name()
            );
        }
    }
    out
}

fn service(told: &Told<'_>) -> String {
    let protocol = told.protocol;
    if protocol.has_ports() {
        format!("{protocol}/{}", told.port)
    } else if protocol.is_icmp() {
        format!("{protocol} type {}", told.port)
    } else {
        protocol.to_string()
    }
}

const fn word(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}

fn one_side(told: &Told<'_>, side: &Side<'_>, out: &mut String) {
    let verdict = &side.report.verdict;
    let direction = side.flow.direction;
    let _ = writeln!(
        out,
        "{} of {}: {}, {}",
        direction.name(),
        side.subject.name,
        word(verdict.allowed),
        reason(side)
    );
    if let Some(redirect) = &verdict.redirect {
        let _ = writeln!(out, "  Then {}.", words::redirect(redirect));
    }
    if let Some(demand) = verdict.auth {
        let _ = writeln!(out, "  Before that, {}.", words::auth(demand));
    }
    if let Some(conflict) = side.report.conflict {
        let _ = writeln!(out, "  They ask for {}:", conflict.what);
        quote(told, conflict.first, out);
        if conflict.second != conflict.first {
            quote(told, conflict.second, out);
        }
    }
    for id in &verdict.rules {
        quote(told, *id, out);
    }
    default_deny(told, side, out);
    examined(told, side, out);
    misses(told, side, out);
}

fn reason(side: &Side<'_>) -> String {
    let rules = |count: usize| match count {
        1 => "by this rule".to_owned(),
        count => format!("by these {count} rules"),
    };
    match side.report.verdict.reason {
        Reason::Rule(Action::Allow | Action::Deny | Action::Pass) => {
            rules(side.report.verdict.rules.len())
        }
        Reason::DefaultDeny => "because no rule allows it".to_owned(),
        Reason::NotEnforced if side.report.examined.is_empty() => {
            "because no policy selects it in this direction".to_owned()
        }
        Reason::NotEnforced => {
            "because no rule matches, and nothing puts it into default deny".to_owned()
        }
        Reason::Localhost => "because a node may reach its own pods".to_owned(),
        Reason::Conflict => "because Cilium cannot compute a policy for it".to_owned(),
    }
}

/// The lines of a rule, under its name and place.
fn quote(told: &Told<'_>, id: RuleId, out: &mut String) {
    let rules = told.model.resolved.rules;
    let Some(rule) = rules.rule(id) else {
        return;
    };
    let sources = &told.front.sources;
    let span = rule.origin.span;
    let _ = writeln!(out, "  {}, {}", rules.name(id), print::place(sources, span));
    let Some(source) = sources.get(span.file) else {
        return;
    };
    let (first, last) = lines(told, span);
    let width = last.to_string().len();
    let shown = source.text.lines().enumerate().skip(first as usize - 1);
    for (at, line) in shown.take((last - first + 1).min(QUOTED) as usize) {
        let line = line.replace(char::is_control, " ");
        let _ = writeln!(out, "  {:>width$} │ {line}", at + 1);
    }
    if last - first >= QUOTED {
        let _ = writeln!(out, "  {:>width$} │ …", "");
    }
}

/// First and last line of a place, from 1; blank lines at its end are left out.
fn lines(told: &Told<'_>, span: Span) -> (u32, u32) {
    let sources = &told.front.sources;
    let text = sources.text(span).trim_end();
    let end = span.start + u32::try_from(text.len()).unwrap_or(0);
    let first = sources.place(span.file, span.start).line.max(1);
    let last = sources.place(span.file, end.max(span.start)).line;
    (first, last.max(first))
}

fn default_deny(told: &Told<'_>, side: &Side<'_>, out: &mut String) {
    let rules = told.model.resolved.rules;
    let mut policies: Vec<PolicyId> = Vec::new();
    for rule in side
        .report
        .isolating
        .iter()
        .filter_map(|id| rules.rule(*id))
    {
        if !policies.contains(&rule.origin.policy) {
            policies.push(rule.origin.policy);
        }
    }
    let names = policies
        .iter()
        .filter_map(|id| rules.policies().get(id.index()));
    let names: Vec<_> = names.map(ToString::to_string).collect();
    let name = &side.subject.name;
    let direction = side.flow.direction.name();
    match (side.report.verdict.enforced, names.is_empty()) {
        (true, false) => {
            let _ = writeln!(
                out,
                "  {direction} of {name} is in default deny by {}",
                names.join(", ")
            );
        }
        (true, true) => {
            let _ = writeln!(
                out,
                "  {direction} of {name} is in default deny by a setting of the cluster"
            );
        }
        (false, _) => {}
    }
}

fn examined(told: &Told<'_>, side: &Side<'_>, out: &mut String) {
    let rules = told.model.resolved.rules;
    let mut before = None;
    for examined in &side.report.examined {
        let Some(rule) = rules.rule(examined.rule) else {
            continue;
        };
        if before != Some(rule.origin.policy) {
            before = Some(rule.origin.policy);
            if let Some(policy) = rules.policies().get(rule.origin.policy.index()) {
                let _ = writeln!(out, "  {policy}");
            }
        }
        one_rule(told, side, examined, rule, out);
    }
}

fn one_rule(told: &Told<'_>, side: &Side<'_>, examined: &Examined, rule: &Rule, out: &mut String) {
    let mark = if examined.matches() { '✓' } else { '✗' };
    let action = match rule.action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Pass => "pass",
    };
    let level = words::level(rule.level).map(|level| format!(" ({level})"));
    let _ = writeln!(
        out,
        "    {mark} {} {action}{}: {}",
        rule.origin.path,
        level.unwrap_or_default(),
        words::fit(told, side, examined, rule.action)
    );
    let way = match side.flow.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let _ = writeln!(
        out,
        "      {way} {} on {}{}",
        words::peers(told, rule, &examined.peer),
        words::services(told, side, rule, &examined.service),
        words::terms(rule)
    );
}

fn misses(told: &Told<'_>, side: &Side<'_>, out: &mut String) {
    if side.report.misses.is_empty() {
        return;
    }
    let _ = writeln!(out, "  It would be allowed");
    for Miss { rule, changes } in &side.report.misses {
        let rules = told.model.resolved.rules;
        let Some(written) = rules.rule(*rule) else {
            continue;
        };
        let place = print::place(&told.front.sources, written.origin.span);
        let _ = writeln!(
            out,
            "    by {}, {place}, if {}",
            rules.name(*rule),
            changes::all(told, side, changes)
        );
    }
}
