//! A solver that knows a group's rules, and the terms it is asked about.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::rule::Direction;

use super::effect::Effects;
use super::{Context, Group};
use crate::encode::{Dims, Encoded, Frame, Seat};
use crate::solver::z3::Z3;
use crate::solver::{Answer, Literal, Solver};
use crate::term::Term;

/// A frame with a group's rules and the solver that knows it.
pub(super) struct Asker {
    pub(super) frame: Frame,
    pub(super) rules: BTreeMap<RuleId, Encoded>,
    pub(super) solver: Z3,
    literals: BTreeMap<(RuleId, bool), Literal>,
}

impl Asker {
    /// Loads a group's rules for questions about all that they could mean.
    pub(super) fn new(context: &Context<'_>, group: &Group) -> Self {
        Self::of(context, encode(context, group, true))
    }

    /// Loads rules for an example, which the model must be able to judge.
    pub(super) fn for_example(context: &Context<'_>, group: &Group) -> Self {
        Self::of(context, encode(context, group, false))
    }

    fn of(context: &Context<'_>, (frame, rules): (Frame, BTreeMap<RuleId, Encoded>)) -> Self {
        let solver = Z3::new(frame.script.clone(), context.options.limits);
        Self {
            frame,
            rules,
            solver,
            literals: BTreeMap::new(),
        }
    }

    /// Whether some flow fits.
    pub(super) fn ask(&mut self, question: &Term) -> Answer {
        match question {
            Term::Const(true) => Answer::Sat,
            Term::Const(false) => Answer::Unsat,
            question => {
                let literal = self.solver.literal(question);
                self.solver.check(&[literal])
            }
        }
    }

    /// "The rule matches", or its opposite.
    pub(super) fn matches(&mut self, id: RuleId, positive: bool) -> Literal {
        if let Some(literal) = self.literals.get(&(id, positive)) {
            return *literal;
        }
        let known = self.rules.get(&id).map(|rule| rule.matches.clone());
        let term = known.unwrap_or(Term::Const(false));
        let term = if positive { term } else { term.negate() };
        let literal = self.solver.literal(&term);
        self.literals.insert((id, positive), literal);
        literal
    }

    /// [`removal`] for the rules of this solver.
    pub(super) fn removal(&self, context: &Context<'_>, id: RuleId, slice: &[RuleId]) -> Term {
        removal(&self.frame, &self.rules, context, id, slice)
    }
}

/// "Some subject of the rule has a flow that is judged otherwise without the rule, or of which more or less is asked."
pub(super) fn removal(
    frame: &Frame,
    encoded: &BTreeMap<RuleId, Encoded>,
    context: &Context<'_>,
    id: RuleId,
    slice: &[RuleId],
) -> Term {
    let others = || slice.iter().filter_map(|id| encoded.get(id));
    let (Some(one), Some(rule)) = (encoded.get(&id), context.rules.rule(id)) else {
        return Term::Const(false);
    };
    let settings = context.settings;
    let with = frame.verdict(others().chain([one]), rule.direction, Seat::First, settings);
    let without = frame.verdict(others(), rule.direction, Seat::First, settings);
    let effects = Effects::new(context.rules, rule, slice);
    if effects.clashes {
        return one.selects.clone();
    }
    let lost = effects.lost(id, encoded).and(with.clone());
    one.selects.clone().and(with.differs(without).or(lost))
}

/// A frame for a group, its subject first, and its rules as terms. `doubtful`: whom a rule means whose peers could
/// not be resolved is left open.
pub(super) fn encode(
    context: &Context<'_>,
    group: &Group,
    doubtful: bool,
) -> (Frame, BTreeMap<RuleId, Encoded>) {
    let rules = context.rules;
    let all = || group.own.iter().chain(&group.others);
    let dims = Dims::new(
        rules,
        all().filter_map(|id| rules.rule(*id)),
        context.settings,
    );
    let mut frame = dims.frame();
    let first = all().find_map(|id| rules.rule(*id));
    let direction = first.map_or(Direction::Ingress, |rule| rule.direction);
    frame.subject_and_peer(direction, first.is_some_and(|rule| rule.subject.node));
    let mut encoded = BTreeMap::new();
    for id in all() {
        if let Some(rule) = rules.rule(*id) {
            let mut terms = frame.encode(rules, *id, rule, Seat::First);
            if doubtful && rule.unresolved {
                let meant = frame.script.declare(format!("resolves.{}", id.0), 0);
                terms.matches = terms.matches.and(Term::Flag(meant));
            }
            encoded.insert(*id, terms);
        }
    }
    (frame, encoded)
}
