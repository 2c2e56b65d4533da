//! What people read.

use policyc_diag::{Diagnostic, codes};
use policyc_ir::RuleId;
use policyc_ir::model::Reason;
use policyc_ir::rule::{Action, RuleSet};

use super::told::{End as ToldEnd, Told};
use super::{Claim, End, Intent};
use crate::algebra::selector::Conflict;

/// How many rules of one end a finding names.
const SHOWN: usize = 3;

/// A flow that the intent forbids passes.
pub(super) fn passes(rules: &RuleSet, intent: &Intent, told: &Told) -> Diagnostic {
    let flow = &told.flow;
    let message = format!("`{}` does not hold: {flow} passes", intent.text);
    let mut finding =
        Diagnostic::new(codes::INTENT_VIOLATED, message).label(intent.span, "this must not pass");
    let mut open = Vec::new();
    let (mut named, mut host) = (false, false);
    for end in &told.ends {
        let (party, words) = (&end.party, end.words);
        match end.verdict.reason {
            Reason::NotEnforced => {
                open.push(words.direction);
                finding = finding.note(format!("no policy restricts {} {party}", words.direction));
            }
            Reason::Localhost => {
                host = true;
                finding = finding.note(format!("the local node may always reach {party}"));
            }
            Reason::Rule(_) | Reason::DefaultDeny | Reason::Conflict => {
                named = true;
                finding = name(finding, rules, &end.verdict.rules, words.lets);
            }
        }
    }
    finding.help(help(&open, named, host))
}

/// Marks some rules and says what they do.
fn name(mut finding: Diagnostic, rules: &RuleSet, ids: &[RuleId], does: &str) -> Diagnostic {
    for id in ids.iter().take(SHOWN) {
        if let Some(rule) = rules.rule(*id) {
            let text = format!("`{}` {does}", rules.name(*id));
            finding = finding.label(rule.origin.span, text);
        }
    }
    finding
}

fn help(open: &[&str], named: bool, host: bool) -> String {
    match (open, named) {
        _ if host => "only a deny stops the local node".to_owned(),
        ([], _) => "narrow the rules named here, or add a deny for this flow".to_owned(),
        ([direction, ..], true) => format!(
            "narrow the rules named here, or add a policy that restricts {direction} the other pod"
        ),
        ([direction, ..], false) => {
            format!("add a policy that restricts {direction} the pod, such as a default deny")
        }
    }
}

/// A flow that the intent demands is blocked, or no flow passes where one should.
pub(super) fn blocked(rules: &RuleSet, intent: &Intent, told: &Told) -> Diagnostic {
    let flow = &told.flow;
    let (message, label) = match intent.claim {
        Claim::May => (
            format!(
                "`{}` does not hold: nothing of it passes, {flow} for one is blocked",
                intent.text
            ),
            "some of this should pass",
        ),
        Claim::Never | Claim::Must => (
            format!("`{}` does not hold: {flow} is blocked", intent.text),
            "this must pass",
        ),
    };
    let mut finding = Diagnostic::new(codes::INTENT_VIOLATED, message).label(intent.span, label);
    let mut denied = false;
    for end in &told.ends {
        let words = end.words;
        if end.refuses {
            let does = format!("lets other requests pass {}, but not this one", words.place);
            finding = name(finding, rules, &end.verdict.rules, &does);
            continue;
        }
        match end.verdict.reason {
            Reason::Rule(Action::Deny) => {
                denied = true;
                let does = format!("denies it {}", words.place);
                finding = name(finding, rules, &end.verdict.rules, &does);
            }
            Reason::DefaultDeny => {
                finding = isolated(finding, rules, end);
            }
            Reason::Conflict => {
                let does = format!("excludes the other, so that nothing passes {}", words.place);
                finding = name(finding, rules, &end.verdict.rules, &does);
            }
            Reason::Rule(_) | Reason::NotEnforced | Reason::Localhost => {}
        }
    }
    finding.help(if denied {
        "a deny beats every allow, so narrow the deny"
    } else {
        "add a rule that allows it, or say less in the intent"
    })
}

/// No rule allows the flow at an end that policies restrict.
fn isolated(mut finding: Diagnostic, rules: &RuleSet, end: &ToldEnd) -> Diagnostic {
    let (party, words) = (&end.party, end.words);
    let note = format!("no rule allows this {} {party}", words.direction);
    finding = finding.note(note);
    let mut policies = Vec::new();
    for id in &end.selecting {
        let Some(rule) = rules.rule(*id).filter(|rule| rule.default_deny) else {
            continue;
        };
        if policies.contains(&rule.origin.policy) || policies.len() >= SHOWN {
            continue;
        }
        policies.push(rule.origin.policy);
        let policy = rules.policies().get(rule.origin.policy.index());
        let policy = policy.map(ToString::to_string).unwrap_or_default();
        let text = format!(
            "`{policy}` restricts {} the pods it selects",
            words.direction
        );
        finding = finding.label(rule.origin.subject, text);
    }
    if policies.is_empty() {
        finding = finding.note("the cluster's settings drop what no policy allows");
    }
    finding
}

/// An intent that was expected to fail holds.
pub(super) fn no_longer_fails(intent: &Intent) -> Diagnostic {
    let message = format!("`{}` was expected to fail, but it holds", intent.text);
    Diagnostic::new(codes::EXPECTED_FAILURE, message)
        .label(intent.span, "this holds now")
        .help("take `expect failure:` away, so that it stays so")
}

/// An end that nothing can be in.
pub(super) fn vacuous(intent: &Intent, end: &End, seat: &str, conflict: &Conflict) -> Diagnostic {
    let message = format!(
        "`{}` says nothing: no possible pod is its {seat}, because {conflict}",
        intent.text
    );
    Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
        .label(end.span, "nothing can match this")
        .help("an intent that cannot be broken protects nothing, so correct it")
}

/// An intent that no flow can concern.
pub(super) fn no_flow(intent: &Intent) -> Diagnostic {
    let message = format!(
        "`{}` says nothing: policies see no possible flow between these ends on these ports",
        intent.text
    );
    Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
        .label(intent.span, "no flow is meant by this")
        .help("one end must be a pod of this cluster, or a node where `--host-firewall` is on")
}

/// Nobody in the inventory is in an end.
pub(super) fn nobody(intent: &Intent, seat: &str) -> Diagnostic {
    let span = if seat == "source" {
        intent.from.span
    } else {
        intent.to.span
    };
    let message = format!(
        "`{}` says nothing: nobody in the inventory is its {seat}",
        intent.text
    );
    Diagnostic::new(codes::IMPOSSIBLE_SELECTOR, message)
        .label(span, "nothing in the inventory matches this")
        .help("an intent that cannot be broken protects nothing, so correct it")
}

/// An inventory is asked for, and there is none.
pub(super) fn no_inventory(intent: &Intent) -> Diagnostic {
    let message = format!("`{}` is about an inventory, and there is none", intent.text);
    Diagnostic::new(codes::INTENT_INVENTORY, message)
        .label(intent.span, "not checked")
        .help("give Kubernetes objects with `--inventory`")
}

/// The solver gave up.
pub(super) fn undecided(intent: &Intent, why: &str) -> Diagnostic {
    let message = format!(
        "`{}` was not decided within the limits ({why})",
        intent.text
    );
    Diagnostic::new(codes::UNDECIDED, message).label(intent.span, "neither proven nor refuted")
}

/// The model contradicts the solver.
pub(super) fn not_confirmed(intent: &Intent, flow: &str) -> Diagnostic {
    let message = format!(
        "the model does not confirm a flow that is said to break `{}`",
        intent.text
    );
    Diagnostic::new(codes::COUNTEREXAMPLE, message)
        .label(intent.span, "")
        .note(format!("the flow: {flow}"))
        .help("please report this: it is a fault in this tool, not in the policy")
}
