//! A solver that knows a group's rules, and the terms it is asked about.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::rule::Direction;
use policyc_ir::settings::Settings;

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
    /// Loads a group's rules.
    pub(super) fn new(context: &Context<'_>, group: &Group) -> Self {
        let (frame, rules) = encode(context, group);
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
    pub(super) fn removal(
        &self,
        id: RuleId,
        direction: Direction,
        slice: &[RuleId],
        settings: &Settings,
    ) -> Term {
        removal(&self.frame, &self.rules, id, direction, slice, settings)
    }
}

/// "Some subject of the rule has a flow that is judged otherwise without the rule."
pub(super) fn removal(
    frame: &Frame,
    rules: &BTreeMap<RuleId, Encoded>,
    id: RuleId,
    direction: Direction,
    slice: &[RuleId],
    settings: &Settings,
) -> Term {
    let others = || slice.iter().filter_map(|id| rules.get(id));
    let Some(rule) = rules.get(&id) else {
        return Term::Const(false);
    };
    let with = frame.verdict(others().chain([rule]), direction, Seat::First, settings);
    let without = frame.verdict(others(), direction, Seat::First, settings);
    rule.selects.clone().and(with.differs(without))
}

/// A frame for a group, its subject first, and its rules as terms.
pub(super) fn encode(context: &Context<'_>, group: &Group) -> (Frame, BTreeMap<RuleId, Encoded>) {
    let rules = context.rules;
    let all = || group.own.iter().chain(&group.others);
    let dims = Dims::new(
        rules,
        all().filter_map(|id| rules.rule(*id)),
        context.settings,
    );
    let mut frame = dims.frame();
    let direction = all()
        .find_map(|id| rules.rule(*id))
        .map_or(Direction::Ingress, |rule| rule.direction);
    frame.subject_and_peer(direction);
    let mut encoded = BTreeMap::new();
    for id in all() {
        if let Some(rule) = rules.rule(*id) {
            encoded.insert(*id, frame.encode(rules, *id, rule, Seat::First));
        }
    }
    (frame, encoded)
}
