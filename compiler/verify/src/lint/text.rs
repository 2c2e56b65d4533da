//! What people read.

use policyc_diag::{Diagnostic, Severity, codes};
use policyc_ir::RuleId;
use policyc_ir::model::request::Request;
use policyc_ir::model::{Reason as Decided, Verdict};
use policyc_ir::port::Ports;
use policyc_ir::rule::{Action, Rule, RuleSet, Services};

use crate::replay::Judgement;
use crate::witness::Witness;

/// How many other rules a finding names.
pub(super) const SHOWN: usize = 3;

/// How many more it lists by name alone.
const LISTED: usize = 30;

/// Why a rule never matters.
#[derive(Clone, Debug)]
pub(super) enum Reason {
    /// Another rule does the same to the same flows.
    Same {
        /// The other.
        other: RuleId,
    },
    /// Others match all that it matches.
    Covered {
        /// The fewest others.
        cover: Vec<RuleId>,
    },
    /// It allows only what these deny.
    Denied {
        /// The fewest denies.
        cover: Vec<RuleId>,
        /// Whether it still turns default deny on.
        matters: bool,
    },
    /// It allows what nothing restricts.
    AllowedAnyway,
    /// It allows the local node, which is let in anyhow.
    Localhost,
    /// It denies what nothing allows.
    DeniedAnyway,
    /// Later levels and the default decide its flows as it does.
    Later,
}

impl Reason {
    /// Whether an example is to be a flow that other rules leave alone, since they are no part of the reason.
    pub(super) const fn avoids(&self) -> bool {
        matches!(
            self,
            Self::AllowedAnyway | Self::Localhost | Self::DeniedAnyway
        )
    }

    /// Whether the model's judgement of a flow that the rule matches agrees.
    pub(super) fn fits(&self, id: RuleId, judgement: &Judgement) -> bool {
        let Judgement {
            verdict, matching, ..
        } = judgement;
        let matched = |cover: &[RuleId]| cover.iter().any(|id| matching.contains(id));
        let agrees = match self {
            Self::Same { other } => matched(&[*other]),
            Self::Covered { cover } => matched(cover),
            // Denies of earlier levels, which are no part of the cover, may have the word for some of its flows.
            Self::Denied { cover, .. } => !verdict.allowed && matched(cover),
            Self::AllowedAnyway | Self::Localhost => verdict.allowed,
            Self::DeniedAnyway => !verdict.allowed,
            Self::Later => true,
        };
        agrees && matching.contains(&id)
    }
}

/// The finding for a rule that never matters.
pub(super) fn needless(
    rules: &RuleSet,
    id: RuleId,
    reason: &Reason,
    witness: &Witness,
    judgement: &Judgement,
) -> Diagnostic {
    let Some(rule) = rules.rule(id) else {
        return Diagnostic::new(
            codes::INTERNAL_ERROR,
            "a rule that does not exist was judged",
        );
    };
    let diagnostic = match reason {
        Reason::Same { other } => same(rules, id, rule, *other),
        Reason::Covered { cover } => covered(rules, id, rule, cover),
        Reason::Denied { cover, matters } => denied(rules, id, rule, cover, *matters),
        Reason::AllowedAnyway => anyway(
            rules,
            id,
            rule,
            &format!(
                "what it allows is not restricted: no rule puts these pods into default deny for {}",
                rule.direction.name()
            ),
            "add `enableDefaultDeny`, or another policy that restricts these pods, or remove the rule",
        ),
        Reason::Localhost => anyway(
            rules,
            id,
            rule,
            "the local node may always reach its pods (`allow-localhost`)",
            "remove it, or keep it as a statement for clusters with another setting",
        ),
        Reason::DeniedAnyway => anyway(
            rules,
            id,
            rule,
            "what it denies is denied by default, because no rule allows it",
            "keep it if it guards against allows that may come later, otherwise remove it",
        ),
        Reason::Later => anyway(
            rules,
            id,
            rule,
            "later levels decide its flows the same way",
            "keep it if it guards against changes of later levels, otherwise remove it",
        ),
    };
    let shown = witness.show(rule.direction);
    let done = if judgement.verdict.allowed {
        "allowed"
    } else {
        "denied"
    };
    let decision = match reason {
        Reason::Same { .. } | Reason::Covered { .. } | Reason::Denied { .. } => {
            decision(rules, &judgement.verdict, Some(id))
        }
        _ => format!("{done} with this rule and without it"),
    };
    diagnostic.note(format!("for example: {shown}: {decision}"))
}

fn same(rules: &RuleSet, id: RuleId, rule: &Rule, other: RuleId) -> Diagnostic {
    let (name, first) = (rules.name(id), rules.name(other));
    let message = format!("`{name}` says the same as `{first}`");
    let diagnostic = Diagnostic::new(codes::DUPLICATE_RULE, message)
        .label(rule.origin.span, "the same once more");
    let diagnostic = match rules.rule(other) {
        Some(other) => diagnostic.label(other.origin.span, format!("`{first}` says it already")),
        None => diagnostic,
    };
    diagnostic.help("remove one of them")
}

/// A request that passes though a rule means to refuse it.
#[derive(Debug)]
pub(super) struct Slip {
    /// The connection.
    pub(super) witness: Witness,
    /// The request.
    pub(super) request: Request,
}

/// The finding for a rule beside plain allows that let requests through. `whole`: those of all its connections.
pub(super) fn pointless(
    rules: &RuleSet,
    id: RuleId,
    by: &[RuleId],
    whole: bool,
    slip: &Slip,
) -> Diagnostic {
    let (name, first) = (rules.name(id), by.first().map(|id| rules.name(*id)));
    let by_whom = match (by, first) {
        ([_], Some(first)) => format!("`{first}` allows"),
        _ => format!("{} plain allows together allow", by.len()),
    };
    let (message, label) = if whole {
        let message = format!(
            "`{name}` refuses no request: {by_whom} the same connections, whatever they carry"
        );
        (message, "what this asks of requests holds for none")
    } else {
        let message = format!(
            "`{name}` refuses requests only in part: {by_whom} some of its connections, whatever they carry"
        );
        (message, "what this asks of requests does not hold for all")
    };
    let mut diagnostic = Diagnostic::new(codes::POINTLESS_L7, message);
    if !whole {
        diagnostic.severity = Severity::Note;
    }
    let rule = rules.rule(id);
    if let Some(rule) = rule {
        let shown = slip.witness.show(rule.direction);
        let request = super::layer7::show(&slip.request);
        diagnostic = diagnostic
            .label(rule.origin.span, label)
            .note(format!("for example: {shown}: {request} passes"));
    }
    let part = if whole && by.len() == 1 {
        ""
    } else {
        "part of "
    };
    name_part(diagnostic, rules, by, part)
        .help("narrow the plain allow, or drop these requirements if all requests may pass")
}

fn covered(rules: &RuleSet, id: RuleId, rule: &Rule, cover: &[RuleId]) -> Diagnostic {
    let name = rules.name(id);
    let all = |actions: &[Action]| {
        let mut cover = cover.iter().filter_map(|id| rules.rule(*id));
        cover.all(|other| actions.contains(&other.action))
    };
    let does = verb(rule.action);
    let done = match rule.action {
        Action::Allow if all(&[Action::Allow]) => "allowed",
        Action::Allow if all(&[Action::Allow, Action::Deny]) => "allowed or denied",
        Action::Deny if all(&[Action::Deny]) => "denied",
        Action::Pass if all(&[Action::Pass]) => "passed on",
        _ => "decided",
    };
    let message = match cover {
        [one] => format!(
            "`{name}` can never matter: all that it {does} is already {done} by `{}`",
            rules.name(*one)
        ),
        several => format!(
            "`{name}` can never matter: all that it {does} is already {done} by {} other rules together",
            several.len()
        ),
    };
    let diagnostic = Diagnostic::new(codes::SHADOWED_RULE, message).label(
        rule.origin.span,
        format!("{does} nothing that is not {done} already"),
    );
    let diagnostic = name_rules(diagnostic, rules, cover);
    diagnostic.help("remove it, or narrow the other rules if it was meant to add something")
}

fn denied(rules: &RuleSet, id: RuleId, rule: &Rule, cover: &[RuleId], matters: bool) -> Diagnostic {
    let name = rules.name(id);
    let by = match cover {
        [one] => format!("`{}` denies", rules.name(*one)),
        several => format!("{} denies together take", several.len()),
    };
    let message =
        format!("`{name}` can never allow anything: {by} all of it, and a deny always wins");
    let diagnostic = Diagnostic::new(codes::DENIED_RULE, message)
        .label(rule.origin.span, "nothing that this allows ever passes");
    let diagnostic = name_rules(diagnostic, rules, cover);
    let diagnostic = if matters {
        diagnostic.note(format!(
            "its only effect is to put the pods it selects into default deny for {}",
            rule.direction.name()
        ))
    } else {
        diagnostic
    };
    diagnostic.help("remove it, or narrow the deny if these flows should pass")
}

fn anyway(rules: &RuleSet, id: RuleId, rule: &Rule, why: &str, help: &str) -> Diagnostic {
    let message = format!("`{}` changes no verdict: {why}", rules.name(id));
    let mut diagnostic = Diagnostic::new(codes::SHADOWED_RULE, message)
        .label(
            rule.origin.span,
            "without it, every flow is decided the same",
        )
        .help(help);
    // True, yet often meant so: said, but no reason to fail a run that fails on warnings.
    diagnostic.severity = Severity::Note;
    diagnostic
}

/// The finding for an allow that denies cut into.
pub(super) fn overlap(
    rules: &RuleSet,
    id: RuleId,
    cuts: &[RuleId],
    more: usize,
    witness: &Witness,
    judgement: &Judgement,
) -> Diagnostic {
    let span = rules.rule(id).map(|rule| rule.origin.span);
    let name = rules.name(id);
    let message = match cuts {
        [one] if more == 0 => format!("`{}` denies part of what `{name}` allows", rules.name(*one)),
        _ => format!(
            "{} denies take parts of what `{name}` allows",
            cuts.len() + more
        ),
    };
    let mut diagnostic = Diagnostic::new(codes::ALLOW_DENY_OVERLAP, message);
    if let Some(span) = span {
        diagnostic = diagnostic.label(span, "allows more than ever passes");
    }
    diagnostic = name_part(diagnostic, rules, cuts, "part of ");
    let direction = rules.rule(id).map(|rule| rule.direction);
    if let Some(direction) = direction {
        let shown = witness.show(direction);
        let decision = decision(rules, &judgement.verdict, None);
        diagnostic = diagnostic.note(format!("for example: {shown}: {decision}"));
    }
    diagnostic
}

fn name_rules(diagnostic: Diagnostic, rules: &RuleSet, named: &[RuleId]) -> Diagnostic {
    let part = if named.len() == 1 { "" } else { "part of " };
    name_part(diagnostic, rules, named, part)
}

fn name_part(
    mut diagnostic: Diagnostic,
    rules: &RuleSet,
    named: &[RuleId],
    part: &str,
) -> Diagnostic {
    let (first, rest) = named.split_at(named.len().min(2 * SHOWN));
    for id in first {
        if let Some(rule) = rules.rule(*id) {
            let text = format!("`{}` {} {part}it", rules.name(*id), verb(rule.action));
            diagnostic = diagnostic.label(rule.origin.span, text);
        }
    }
    let names: Vec<_> = rest
        .iter()
        .take(LISTED)
        .map(|id| format!("`{}`", rules.name(*id)))
        .collect();
    match rest.len().saturating_sub(names.len()) {
        _ if names.is_empty() => diagnostic,
        0 => diagnostic.note(format!("together with {}", names.join(", "))),
        more => diagnostic.note(format!(
            "together with {} and {more} more",
            names.join(", ")
        )),
    }
}

const fn verb(action: Action) -> &'static str {
    match action {
        Action::Allow => "allows",
        Action::Deny => "denies",
        Action::Pass => "passes on",
    }
}

/// `denied by cnp data/lock spec.ingressDeny[0]`.
pub(crate) fn decision(rules: &RuleSet, verdict: &Verdict, besides: Option<RuleId>) -> String {
    let done = if verdict.allowed { "allowed" } else { "denied" };
    let names: Vec<_> = verdict
        .rules
        .iter()
        .filter(|id| besides != Some(**id))
        .take(SHOWN)
        .map(|id| rules.name(*id))
        .collect();
    match (&verdict.reason, names.is_empty()) {
        (Decided::Rule(_), true) => format!("{done}, by no rule but this one"),
        (Decided::Rule(_), false) => format!("{done} by {}", names.join(", ")),
        (Decided::DefaultDeny, _) => "denied by default, no rule allows it".to_owned(),
        (Decided::Conflict, _) => "no policy at all, its rules exclude each other".to_owned(),
        (Decided::NotEnforced, _) => "allowed, nothing restricts this pod".to_owned(),
        (Decided::Localhost, _) => "allowed, the local node may always reach its pods".to_owned(),
    }
}

/// The finding for a rule that no flow matches though its selectors can.
pub(super) fn no_flow(rules: &RuleSet, id: RuleId) -> Diagnostic {
    let name = rules.name(id);
    let Some(rule) = rules.rule(id) else {
        return Diagnostic::new(
            codes::INTERNAL_ERROR,
            "a rule that does not exist was judged",
        );
    };
    let all_named = match &rule.services {
        Services::All => false,
        Services::Of(list) => list.iter().all(|l4| matches!(l4.ports, Ports::Named(..))),
    };
    let (why, label, help) = if all_named {
        (
            "only pods give names to ports, and its peers are none",
            "a named port and peers that are no pods",
            "give the port by number",
        )
    } else {
        (
            "its peers, protocols and ports exclude each other",
            "no subject, peer, protocol and port fit this together",
            "correct or remove it",
        )
    };
    let message = format!("`{name}` matches no possible flow: {why}");
    Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
        .label(rule.origin.span, label)
        .help(help)
}

/// The solver gave up on a rule.
pub(super) fn undecided(rules: &RuleSet, id: RuleId, why: &str) -> Diagnostic {
    let message = format!(
        "whether `{}` can matter was not decided within the limits ({why})",
        rules.name(id)
    );
    let diagnostic = Diagnostic::new(codes::UNDECIDED, message);
    match rules.rule(id) {
        Some(rule) => diagnostic.label(rule.origin.span, ""),
        None => diagnostic,
    }
}

/// The model contradicts the solver.
pub(super) fn not_confirmed(rules: &RuleSet, id: RuleId, witness: &Witness) -> Diagnostic {
    let direction = rules.rule(id).map(|rule| rule.direction);
    let shown = direction.map(|direction| witness.show(direction));
    let message = format!(
        "the model does not confirm what the solver says of `{}`",
        rules.name(id)
    );
    Diagnostic::new(codes::COUNTEREXAMPLE, message)
        .note(format!("the flow: {}", shown.unwrap_or_default()))
        .help("please report this: it is a fault in this tool, not in the policy")
}

/// Ports worth showing in an example: those that the rules name, then common ones.
pub(crate) fn port_hints(rules: &RuleSet, of: &[RuleId]) -> Vec<u16> {
    let mut hints = Vec::new();
    for rule in of.iter().filter_map(|id| rules.rule(*id)) {
        if let Services::Of(list) = &rule.services {
            for l4 in list {
                if let Ports::Range(first, _) = l4.ports {
                    hints.push(first);
                }
            }
        }
    }
    hints.retain(|port| *port != 0);
    hints.extend([80, 8]);
    hints
}
