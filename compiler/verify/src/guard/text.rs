//! What people read.

use policyc_diag::{Diagnostic, codes};
use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Direction, RuleSet};

use super::{Act, Guard};
use crate::algebra::selector::Conflict;
use crate::intent::End;
use crate::witness::Witness;

/// A rule does what a guard forbids.
pub(super) fn breach(
    rules: &RuleSet,
    guard: &Guard,
    id: RuleId,
    witness: &Witness,
    subject: &str,
) -> Diagnostic {
    let flow = witness.show(Direction::Egress);
    let does = match (guard.act, rules.rule(id).map(|rule| rule.action)) {
        (Act::Select, _) => format!("selects {subject}"),
        (Act::Deny, _) => format!("denies {flow}"),
        (Act::Pass, _) => format!("passes on {flow}"),
        (Act::Allow, Some(Action::Pass)) => {
            format!("passes on, past rules that drop it, {flow}")
        }
        (Act::Allow, _) => format!("allows {flow}"),
    };
    let help = match guard.act {
        Act::Allow => "narrow the rule to what the guard leaves, or change the guard",
        Act::Deny | Act::Pass => "take the rule out, or change the guard",
        Act::Select => "narrow the policy's selector, or change the guard",
    };
    at(rules, guard, id, &does).help(help)
}

/// A rule is there that a guard forbids altogether.
pub(super) fn says(rules: &RuleSet, guard: &Guard, id: RuleId) -> Diagnostic {
    let does = match guard.act {
        Act::Deny => "denies",
        Act::Pass => "passes flows on",
        Act::Allow => "allows",
        Act::Select => "selects",
    };
    at(rules, guard, id, does).help("take the rule out, or change the guard")
}

fn at(rules: &RuleSet, guard: &Guard, id: RuleId, does: &str) -> Diagnostic {
    let message = format!(
        "`{}` breaks the guard `{}`: it {does}",
        rules.name(id),
        guard.name
    );
    let finding = Diagnostic::new(codes::GUARD_VIOLATED, message);
    let finding = match rules.rule(id) {
        Some(rule) if guard.act == Act::Select => {
            finding.label(rule.origin.subject, "this selects too much")
        }
        Some(rule) => finding.label(rule.origin.span, "this rule does it"),
        None => finding,
    };
    finding.label(guard.span, "forbidden here")
}

/// An end that nothing can be in.
pub(super) fn vacuous(guard: &Guard, end: &End, conflict: &Conflict) -> Diagnostic {
    let message = format!(
        "the guard `{}` says nothing: nobody possible is meant, because {conflict}",
        guard.name
    );
    Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
        .label(end.span, "nothing can match this")
        .help("a guard that cannot be broken protects nothing, so correct it")
}

/// The solver gave up.
pub(super) fn undecided(guard: &Guard, why: &str) -> Diagnostic {
    let message = format!(
        "the guard `{}` was not decided within the limits ({why})",
        guard.name
    );
    Diagnostic::new(codes::UNDECIDED, message).label(guard.span, "neither kept nor broken")
}

/// The model contradicts the solver.
pub(super) fn not_confirmed(guard: &Guard, witness: &Witness) -> Diagnostic {
    let message = format!(
        "the model does not confirm a flow that the solver says breaks the guard `{}`",
        guard.name
    );
    Diagnostic::new(codes::COUNTEREXAMPLE, message)
        .label(guard.span, "")
        .note(format!("the flow: {}", witness.show(Direction::Egress)))
        .help("please report this: it is a fault in this tool, not in the policy")
}
