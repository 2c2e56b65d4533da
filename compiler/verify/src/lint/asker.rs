//! A solver that knows a group's rules, and the terms it is asked about.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::rule::Direction;

use super::near::Near;
use super::{Context, Group};
use crate::encode::{Dims, Encoded, Frame, Seat};
use crate::solver::both::Both;
use crate::solver::{Answer, Limits, Literal, Solver};
use crate::term::Term;

/// A frame with a group's rules and, once it is needed, the solver that knows it.
pub(super) struct Asker {
    pub(super) frame: Frame,
    pub(super) rules: BTreeMap<RuleId, Encoded>,
    limits: Limits,
    solver: Option<Both>,
    literals: BTreeMap<(RuleId, bool), Literal>,
}

impl Asker {
    /// A group's rules for questions about all that they could mean.
    pub(super) fn new(context: &Context<'_>, group: &Group) -> Self {
        Self::of(context, encode(context, group, true))
    }

    /// Rules for an example, which the model must be able to judge.
    pub(super) fn for_example(context: &Context<'_>, group: &Group) -> Self {
        Self::of(context, encode(context, group, false))
    }

    fn of(context: &Context<'_>, (frame, rules): (Frame, BTreeMap<RuleId, Encoded>)) -> Self {
        Self {
            frame,
            rules,
            limits: context.options.limits,
            solver: None,
            literals: BTreeMap::new(),
        }
    }

    /// The solver, loaded when it is first needed.
    pub(super) fn solver(&mut self) -> &mut Both {
        let (frame, limits) = (&self.frame, self.limits);
        self.solver
            .get_or_insert_with(|| Both::new(frame.script.clone(), limits))
    }

    /// Whether some flow fits.
    pub(super) fn ask(&mut self, question: &Term) -> Answer {
        match question {
            Term::Const(true) => Answer::Sat,
            Term::Const(false) => Answer::Unsat,
            question => {
                let solver = self.solver();
                let literal = solver.literal(question);
                solver.surely(&[literal])
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
        let literal = self.solver().literal(&term);
        self.literals.insert((id, positive), literal);
        literal
    }

    /// "Some flow of the rule is judged otherwise without it, or more or less is asked of it", where others are certain
    /// to keep its subjects in default deny: then only rules that may match its flows have a say.
    pub(super) fn change(&self, context: &Context<'_>, id: RuleId, near: &Near) -> Term {
        let encoded = &self.rules;
        let others = || near.touching.iter().filter_map(|id| encoded.get(id));
        let (Some(one), Some(rule)) = (encoded.get(&id), context.rules.rule(id)) else {
            return Term::Const(false);
        };
        let keeper = Encoded {
            default_deny: true,
            ..one.known(true, false)
        };
        let kept = || others().chain([&keeper]);
        let (frame, settings) = (&self.frame, context.settings);
        let with = frame.verdict(kept().chain([one]), rule.direction, Seat::First, settings);
        let without = frame.verdict(kept(), rule.direction, Seat::First, settings);
        let lost = near.effects.lost(id, encoded).and(with.clone());
        one.matches.clone().and(with.differs(without).or(lost))
    }

    /// [`removal`] for the rules of this solver.
    pub(super) fn removal(&self, context: &Context<'_>, id: RuleId, near: &Near) -> Term {
        removal(&self.frame, &self.rules, context, id, near)
    }
}

/// "Some subject of the rule has a flow that is judged otherwise without the rule, or of which more or less is asked."
pub(super) fn removal(
    frame: &Frame,
    encoded: &BTreeMap<RuleId, Encoded>,
    context: &Context<'_>,
    id: RuleId,
    near: &Near,
) -> Term {
    let others = || near.slice.iter().filter_map(|id| encoded.get(id));
    let (Some(one), Some(rule)) = (encoded.get(&id), context.rules.rule(id)) else {
        return Term::Const(false);
    };
    let settings = context.settings;
    let with = frame.verdict(others().chain([one]), rule.direction, Seat::First, settings);
    let without = frame.verdict(others(), rule.direction, Seat::First, settings);
    if near.effects.clashes {
        return one.selects.clone();
    }
    let lost = near.effects.lost(id, encoded).and(with.clone());
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
