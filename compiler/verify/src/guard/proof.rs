//! From a guard to questions, and from their answers to findings.

use std::collections::BTreeSet;

use policyc_diag::Diagnostic;
use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Direction, Rule};

use super::{Act, Guard, text};
use crate::algebra::kind::Kind;
use crate::encode::{Dims, Encoded, Frame, Seat};
use crate::intent::End;
use crate::intent::end::Clusters;
use crate::intent::question::{Context, has_policy};
use crate::replay::Stage;
use crate::solver::both::Both;
use crate::solver::{Answer, Literal, Solver, smtlib};
use crate::term::Term;
use crate::witness::{self, Witness};
use crate::{Question, Stats};

/// Proves that a guard is kept, or finds the rules that break it.
pub(super) fn check(context: &Context<'_>, guard: &Guard) -> (Vec<Diagnostic>, Stats) {
    let mut stats = Stats {
        subjects: 1,
        ..Stats::default()
    };
    let ends = [&guard.from, &guard.to].into_iter().flatten();
    if let Some((end, conflict)) = ends
        .into_iter()
        .find_map(|end| Some((end, end.conflict(&context.settings.labels)?)))
    {
        stats.by_algebra = 1;
        return (vec![text::vacuous(guard, end, &conflict)], stats);
    }
    let mut findings = Vec::new();
    for direction in guard.directions() {
        match one_direction(context, guard, *direction, &mut stats) {
            Ok(found) => findings.extend(found),
            Err(why) => {
                stats.undecided = 1;
                findings.push(text::undecided(guard, &why));
            }
        }
    }
    if findings.is_empty() {
        stats.proven = 1;
    }
    (findings, stats)
}

/// What the solver is asked about a guard: whether each rule breaks it.
pub(super) fn texts(context: &Context<'_>, guard: &Guard) -> Vec<Question> {
    let mut texts = Vec::new();
    for direction in guard.directions() {
        let own = own(context, guard, *direction);
        if own.is_empty() || is_bare(guard) {
            continue;
        }
        texts.extend(own.iter().map(|id| {
            let asked = Asked::new(context, guard, *direction, *id);
            let rule = context.rules.name(*id);
            let about = [
                format!("`{}`: does `{rule}` break it?", guard.text),
                "sat: it does; unsat: it does not".to_owned(),
            ];
            Question {
                asked: "does it break the guard".to_owned(),
                text: smtlib::print(&asked.frame.script, &[asked.breach(*id)], &about),
                rule,
            }
        }));
    }
    texts
}

/// Whether a guard forbids what it is about altogether, so that no solver is needed.
fn is_bare(guard: &Guard) -> bool {
    let bare = guard.from.is_none() && guard.to.is_none() && guard.services.each.is_empty();
    bare && guard.act != Act::Select
}

/// The rules of the policies that a guard is about, as far as they can break it.
fn own(context: &Context<'_>, guard: &Guard, direction: Direction) -> Vec<RuleId> {
    let policies = context.rules.policies();
    let theirs = |rule: &Rule| {
        let policy = policies.get(rule.origin.policy.index());
        policy.is_some_and(|policy| guard.authors.wrote(policy))
    };
    let mut selected = BTreeSet::new();
    let rules = context.rules.iter().filter(|(_, rule)| {
        rule.direction == direction
            && guard.concerns(rule.action)
            && theirs(rule)
            && context.algebra.has_subject(rule)
            // One rule of a policy shows whom all with its subject select.
            && (guard.act != Act::Select
                || selected.insert((rule.origin.policy, rule.subject.clone())))
    });
    rules.map(|(id, _)| id).collect()
}

fn one_direction(
    context: &Context<'_>,
    guard: &Guard,
    direction: Direction,
    stats: &mut Stats,
) -> Result<Vec<Diagnostic>, String> {
    let own = own(context, guard, direction);
    if own.is_empty() {
        return Ok(Vec::new());
    }
    if is_bare(guard) {
        let found = own.iter().map(|id| text::says(context.rules, guard, *id));
        return Ok(found.collect());
    }
    if context.is_late() {
        return Err("the time limit for all questions was reached".to_owned());
    }
    let mut findings = Vec::new();
    for id in &own {
        let mut asked = Asked::new(context, guard, direction, *id);
        let breach = asked.breach(*id);
        if let Some(assumed) = asked.fits(&breach)? {
            findings.push(asked.finding(*id, assumed)?);
        }
        stats.questions += asked.questions;
    }
    Ok(findings)
}

/// The rules of one direction that concern a guard, and the solver that knows them.
struct Asked<'a> {
    context: &'a Context<'a>,
    guard: &'a Guard,
    direction: Direction,
    /// Where the subject of the rules sits; the first side opens the connection.
    seat: Seat,
    frame: Frame,
    encoded: Vec<(RuleId, Encoded)>,
    /// What the guard forbids.
    forbidden: Term,
    /// The flow passes at the end of the subject: with all rules, and without those the guard is about.
    passes: [Term; 2],
    solver: Both,
    questions: usize,
}

impl<'a> Asked<'a> {
    fn new(context: &'a Context<'a>, guard: &'a Guard, direction: Direction, own: RuleId) -> Self {
        let (rules, settings) = (context.rules, context.settings);
        let near = near(context, guard, own);
        let mut dims = Dims::new(rules, near.iter().map(|(_, rule)| *rule), settings);
        for end in [&guard.from, &guard.to].into_iter().flatten() {
            end.describe(&mut dims);
        }
        guard.services.describe(&mut dims);
        let mut frame = dims.frame();
        frame.destination(Seat::Second);
        let seat = match direction {
            Direction::Ingress => Seat::Second,
            Direction::Egress => Seat::First,
        };
        let encoded: Vec<_> = near
            .iter()
            .map(|(id, rule)| (*id, frame.encode(rules, *id, rule, seat)))
            .collect();
        let (subject, peer) = frame.seats(seat);
        let real = |kind: &Kind| !matches!(*kind, Kind::WORLD | Kind::UNKNOWN);
        let facts = [
            has_policy(&frame, subject, settings),
            peer.is_any(Kind::OTHERS.into_iter().filter(real).chain([Kind::POD])),
            subject.is_host().and(peer.is_host()).negate(),
        ];
        for fact in facts {
            frame.script.assert(fact);
        }
        let all = encoded.iter().map(|(_, rule)| rule);
        let with = frame.verdict(all, direction, seat, settings);
        let policies = rules.policies();
        let others = encoded.iter().filter(|(id, _)| {
            let policy = rules.rule(*id).map(|rule| rule.origin.policy.index());
            let policy = policy.and_then(|at| policies.get(at));
            policy.is_some_and(|policy| !guard.authors.wrote(policy))
        });
        let without = frame.verdict(others.map(|(_, rule)| rule), direction, seat, settings);
        let forbidden = forbidden(guard, &frame, seat, context);
        let solver = Both::new(frame.script.clone(), context.options.limits);
        Self {
            context,
            guard,
            direction,
            seat,
            frame,
            encoded,
            forbidden,
            passes: [with, without],
            solver,
            questions: 0,
        }
    }

    /// "The rule does what the guard forbids."
    fn breach(&self, id: RuleId) -> Term {
        let Some((_, one)) = self.encoded.iter().find(|(own, _)| *own == id) else {
            return Term::Const(false);
        };
        let [with, without] = &self.passes;
        let does = match (self.guard.act, one.action) {
            (Act::Select, _) => one.selects.clone(),
            (Act::Allow, Action::Pass) => {
                Term::all([one.matches.clone(), with.clone(), without.clone().negate()])
            }
            (Act::Allow, _) => one.matches.clone().and(with.clone()),
            (Act::Deny | Act::Pass, _) => one.matches.clone(),
        };
        does.and(self.forbidden.clone())
    }

    /// A literal for the term, if some flow fits it.
    fn fits(&mut self, term: &Term) -> Result<Option<Literal>, String> {
        self.questions += 1;
        let literal = self.solver.literal(term);
        match self.solver.surely(&[literal]) {
            Answer::Sat => Ok(Some(literal)),
            Answer::Unsat => Ok(None),
            Answer::Unknown(why) => Err(why),
        }
    }

    /// The most readable flow of a breach, confirmed by the model.
    fn finding(&mut self, id: RuleId, assumed: Literal) -> Result<Diagnostic, String> {
        let wishes = self.frame.wishes(&self.guard.services.port_hints());
        let values = witness::find(&mut self.solver, &wishes, &[assumed])?;
        let values = values.ok_or("the solver took its answer back")?;
        let witness = witness::decode(&self.frame, &values)?;
        let rules = self.context.rules;
        Ok(if self.is_confirmed(id, &witness) {
            let subject = match self.seat {
                Seat::First => &witness.sides[0],
                Seat::Second => &witness.sides[1],
            };
            let subject = witness.party(subject);
            text::breach(rules, self.guard, id, &witness, &subject)
        } else {
            text::not_confirmed(self.guard, &witness)
        })
    }

    fn is_confirmed(&self, id: RuleId, witness: &Witness) -> bool {
        let stage = Stage::new(&self.context.library, witness, Seat::Second);
        let Some(judgement) = stage.judge(witness, self.seat, self.direction) else {
            return false;
        };
        match self.guard.act {
            Act::Select => judgement.selecting.contains(&id),
            Act::Allow => judgement.matching.contains(&id) && judgement.verdict.allowed,
            Act::Deny | Act::Pass => judgement.matching.contains(&id),
        }
    }
}

/// The rules that have a say in whether a rule breaks a guard. What it allows no other allow of its level changes, and
/// what it denies or selects is its own affair.
fn near<'a>(context: &Context<'a>, guard: &Guard, own: RuleId) -> Vec<(RuleId, &'a Rule)> {
    let rules = context.rules;
    let Some(rule) = rules.rule(own) else {
        return Vec::new();
    };
    let mut near = match guard.act {
        Act::Allow => context.algebra.near(&[own]),
        Act::Deny | Act::Pass | Act::Select => vec![own],
    };
    if rule.action == Action::Allow {
        near.retain(|id| {
            let idle = |other: &Rule| other.action == Action::Allow && other.level == rule.level;
            *id == own || !rules.rule(*id).is_some_and(idle)
        });
    }
    let known = near.into_iter();
    known.filter_map(|id| Some((id, rules.rule(id)?))).collect()
}

/// The flows that a guard forbids; for whom policies select, of the subject alone.
fn forbidden(guard: &Guard, frame: &Frame, seat: Seat, context: &Context<'_>) -> Term {
    let holds = |end: &Option<End>, seat| {
        end.as_ref().map_or(Term::Const(true), |end| {
            end.holds(frame, seat, context.settings, Clusters::All)
        })
    };
    let named = match guard.act {
        Act::Select => holds(&guard.to, seat),
        _ => Term::all([
            holds(&guard.from, Seat::First),
            holds(&guard.to, Seat::Second),
            guard.services.holds(frame),
        ]),
    };
    if guard.only { named.negate() } else { named }
}
