//! What people read.

use policyc_diag::{Diagnostic, codes};
use policyc_ir::model::Reason;
use policyc_ir::port::Ports;
use policyc_ir::rule::{Direction, RuleSet, Services};

use super::{End, Intent};
use crate::algebra::selector::Conflict;
use crate::replay::Judgement;
use crate::witness::Witness;

/// How many rules of one end a finding names.
const SHOWN: usize = 3;

/// A flow that the intent forbids passes.
pub(super) fn broken(
    rules: &RuleSet,
    intent: &Intent,
    witness: &Witness,
    out: Option<&Judgement>,
    into: Option<&Judgement>,
) -> Diagnostic {
    let flow = witness.show(Direction::Egress);
    let message = format!("`{}` does not hold: {flow} passes", intent.text);
    let mut finding =
        Diagnostic::new(codes::INTENT_VIOLATED, message).label(intent.span, "this must not pass");
    let [from, to] = &witness.sides;
    let ends = [
        (out, from, "egress from", "lets it out of its source"),
        (into, to, "ingress to", "lets it in at its destination"),
    ];
    let mut open = Vec::new();
    let (mut named, mut host) = (false, false);
    for (judgement, party, direction, lets) in ends {
        let Some(judgement) = judgement else {
            continue;
        };
        let party = witness.party(party);
        match judgement.verdict.reason {
            Reason::NotEnforced => {
                open.push(direction);
                finding = finding.note(format!("no policy restricts {direction} {party}"));
            }
            Reason::Localhost => {
                host = true;
                finding = finding.note(format!("the local node may always reach {party}"));
            }
            Reason::Rule(_) | Reason::DefaultDeny | Reason::Conflict => {
                named = true;
                for id in judgement.verdict.rules.iter().take(SHOWN) {
                    if let Some(rule) = rules.rule(*id) {
                        let text = format!("`{}` {lets}", rules.name(*id));
                        finding = finding.label(rule.origin.span, text);
                    }
                }
            }
        }
    }
    finding.help(help(&open, named, host))
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

/// An end that nothing can be in.
pub(super) fn vacuous(intent: &Intent, end: &End, name: &str, conflict: &Conflict) -> Diagnostic {
    let why = match conflict {
        Conflict::Contradiction(requirements) => {
            let texts: Vec<_> = requirements
                .iter()
                .map(|requirement| format!("`{requirement}`"))
                .collect();
            format!("{} contradict each other", texts.join(" and "))
        }
        Conflict::NeverOnPods(requirement) => {
            format!("no pod has a label that meets `{requirement}`")
        }
        Conflict::AlwaysOnPods(requirement) => {
            format!("every pod has the label `{}`", requirement.key)
        }
    };
    let message = format!(
        "`{}` says nothing: no possible pod is its {name}, because {why}",
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
        .help("at least one end must be a pod of this cluster")
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
pub(super) fn not_confirmed(intent: &Intent, witness: &Witness) -> Diagnostic {
    let message = format!(
        "the model does not confirm a flow that the solver says breaks `{}`",
        intent.text
    );
    Diagnostic::new(codes::COUNTEREXAMPLE, message)
        .label(intent.span, "")
        .note(format!("the flow: {}", witness.show(Direction::Egress)))
        .help("please report this: it is a fault in this tool, not in the policy")
}

/// Ports worth showing: those that the intent names, then common ones.
pub(super) fn port_hints(services: &Services) -> Vec<u16> {
    let mut hints = Vec::new();
    if let Services::Of(list) = services {
        hints.extend(list.iter().filter_map(|l4| match l4.ports {
            Ports::Range(first, _) => Some(first),
            _ => None,
        }));
    }
    hints.extend([80, 8]);
    hints
}
