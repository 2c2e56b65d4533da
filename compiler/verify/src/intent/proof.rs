//! From an intent to a question, and from its answer to a finding.

use std::time::Instant;

use policyc_diag::Diagnostic;
use policyc_ir::RuleId;
use policyc_ir::model::Reason;
use policyc_ir::rule::{Direction, Rule, RuleSet};
use policyc_ir::settings::Settings;

use super::{Intent, text};
use crate::algebra::kind::Kind;
use crate::algebra::overlap::Algebra;
use crate::encode::{Dims, Encoded, Frame, Seat, Side, matching};
use crate::replay::{Library, Stage};
use crate::solver::z3::Z3;
use crate::solver::{Answer, Solver};
use crate::term::Term;
use crate::{Options, Stats, witness};

/// What all intents share.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) rules: &'a RuleSet,
    algebra: Algebra<'a>,
    library: Library<'a>,
    settings: &'a Settings,
    options: &'a Options,
    deadline: Option<Instant>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        rules: &'a RuleSet,
        settings: &'a Settings,
        options: &'a Options,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            rules,
            algebra: Algebra::new(rules, settings),
            library: Library::new(rules, settings),
            settings,
            options,
            deadline,
        }
    }

    /// Rules of a direction that may select a party of the end.
    fn slice(&self, intent: &Intent, direction: Direction) -> Vec<(RuleId, &'a Rule)> {
        let end = match direction {
            Direction::Ingress => &intent.to,
            Direction::Egress => &intent.from,
        };
        let concerns = |(_, rule): &(RuleId, &Rule)| {
            let reach = || self.algebra.subject(rule);
            rule.direction == direction
                && if rule.subject.node {
                    self.settings.host_firewall && end.may_be_host()
                } else {
                    reach().is_some_and(|reach| end.may_meet(reach, &self.settings.labels))
                }
        };
        self.rules.iter().filter(concerns).collect()
    }
}

/// Proves an intent or finds a flow that breaks it.
pub(super) fn check(context: &Context<'_>, intent: &Intent) -> (Option<Diagnostic>, Stats) {
    let mut stats = Stats {
        subjects: 1,
        ..Stats::default()
    };
    let conflict = [(&intent.from, "source"), (&intent.to, "destination")]
        .into_iter()
        .find_map(|(end, name)| {
            end.conflict(&context.settings.labels)
                .map(|conflict| (end, name, conflict))
        });
    if let Some((end, name, conflict)) = conflict {
        stats.by_algebra = 1;
        return (Some(text::vacuous(intent, end, name, &conflict)), stats);
    }
    let late = context
        .deadline
        .is_some_and(|deadline| Instant::now() >= deadline);
    let answer = if late {
        Err("the time limit for all questions was reached".to_owned())
    } else {
        solve(context, intent, &mut stats)
    };
    let finding = answer.unwrap_or_else(|why| {
        stats.undecided = 1;
        Some(text::undecided(intent, &why))
    });
    (finding, stats)
}

fn solve(
    context: &Context<'_>,
    intent: &Intent,
    stats: &mut Stats,
) -> Result<Option<Diagnostic>, String> {
    let (frame, premise, passes) = question(context, intent);
    let mut solver = Z3::new(frame.script.clone(), context.options.limits);
    let premise = solver.literal(&premise);
    let passes = solver.literal(&passes);
    stats.questions += 1;
    match solver.check(&[premise, passes]) {
        Answer::Unknown(why) => return Err(why),
        Answer::Unsat => {
            stats.questions += 1;
            // A proof about nothing is no comfort: some party and port must exist.
            return match solver.check(&[premise]) {
                Answer::Sat => {
                    stats.proven += 1;
                    Ok(None)
                }
                Answer::Unsat => Ok(Some(text::no_flow(intent))),
                Answer::Unknown(why) => Err(why),
            };
        }
        Answer::Sat => {}
    }
    let wishes = frame.wishes(&super::text::port_hints(&intent.services));
    let values = witness::find(&mut solver, &wishes, &[premise, passes])?;
    let Some(values) = values else {
        return Err("the solver took its answer back".to_owned());
    };
    let witness = witness::decode(&frame, &values)?;
    let stage = Stage::new(&context.library, &witness, Seat::Second);
    let out = stage.judge(&witness, Seat::First, Direction::Egress);
    let into = stage.judge(&witness, Seat::Second, Direction::Ingress);
    let judged = out.iter().chain(&into);
    if judged
        .clone()
        .any(|judgement| judgement.verdict.reason == Reason::Conflict)
    {
        return Err(format!(
            "rules of an end of {} exclude each other",
            witness.show(Direction::Egress)
        ));
    }
    let confirmed = out
        .iter()
        .chain(&into)
        .all(|judgement| judgement.verdict.allowed)
        && (out.is_some() || into.is_some());
    Ok(Some(if confirmed {
        text::broken(context.rules, intent, &witness, out.as_ref(), into.as_ref())
    } else {
        text::not_confirmed(intent, &witness)
    }))
}

/// The frame, "the flow is one the intent speaks of", and "it passes both ends".
fn question(context: &Context<'_>, intent: &Intent) -> (Frame, Term, Term) {
    let rules = context.rules;
    let egress = context.slice(intent, Direction::Egress);
    let ingress = context.slice(intent, Direction::Ingress);
    let all = egress.iter().chain(&ingress).map(|(_, rule)| *rule);
    let mut dims = Dims::new(rules, all, context.settings);
    intent.from.describe(&mut dims);
    intent.to.describe(&mut dims);
    dims.services(&intent.services);
    let mut frame = dims.frame();
    frame.destination(Seat::Second);
    let mut verdict = |slice: &[(RuleId, &Rule)], direction, seat| {
        let encoded: Vec<Encoded> = slice
            .iter()
            .map(|(id, rule)| frame.encode(rules, *id, rule, seat))
            .collect();
        let judged = frame.verdict(&encoded, direction, seat, context.settings);
        let (subject, _) = frame.seats(seat);
        has_policy(&frame, subject, context.settings).implies(judged)
    };
    let out = verdict(&egress, Direction::Egress, Seat::First);
    let into = verdict(&ingress, Direction::Ingress, Seat::Second);
    let (from, to) = frame.seats(Seat::First);
    let has_policy = |side: &Side| has_policy(&frame, side, context.settings);
    let premise = Term::all([
        intent.from.holds(&frame, Seat::First),
        intent.to.holds(&frame, Seat::Second),
        has_policy(from).or(has_policy(to)),
        matching::services(&frame, &intent.services),
    ]);
    (frame, premise, out.and(into))
}

/// The party of a side is an endpoint of this cluster. Pods of other clusters have policies that are not ours to see,
/// and nodes have some only with the host firewall.
fn has_policy(frame: &Frame, side: &Side, settings: &Settings) -> Term {
    let pod = side.is_pod().and(side.is_local(&frame.dims));
    let host = if settings.host_firewall {
        side.is_host()
    } else {
        Term::Const(false)
    };
    Term::any([pod, side.is_any(Kind::SUBJECTS), host])
}
