//! The questions of a group, one rule after the other.

use std::collections::{BTreeMap, BTreeSet};

use policyc_ir::RuleId;
use policyc_ir::model::Conflict;
use policyc_ir::rule::{Action, Direction, Rule};
use rayon::prelude::*;

use super::asker::Asker;
use super::example::Drawn;
use super::near::Near;
use super::report;
use super::text::Reason;
use super::{Context, Found, Group};
use crate::solver::Answer;
use crate::term::Term;
use crate::witness::Witness;

/// Asks about every rule of a group, the last one first, and then says what came of it.
pub(super) fn run(context: &Context<'_>, group: &Group, gone: &BTreeSet<RuleId>) -> Found {
    let mut found = Found::default();
    let mut run = Run::new(context, group, gone);
    let mut outcomes = Vec::new();
    for id in group.own.iter().rev() {
        let Some(rule) = context.rules.rule(*id) else {
            continue;
        };
        found.stats.subjects += 1;
        context.tick();
        if context.is_late() {
            found.stats.undecided += 1;
            continue;
        }
        let before = run.questions;
        match run.rule(*id, rule, &mut found) {
            Ok(outcome) => outcomes.extend(outcome.map(|outcome| (*id, rule, outcome))),
            Err(why) => found.undecided(context, *id, &why),
        }
        found.stats.by_algebra += usize::from(run.questions == before);
    }
    found.stats.questions = run.questions;
    // What is needless depends on what was found needless before; the examples do not depend on each other.
    let told = outcomes
        .into_par_iter()
        .map(|(id, rule, outcome)| report::tell(context, id, rule, &outcome));
    let told: Vec<Found> = told.collect();
    for one in told {
        found.add(one);
    }
    found
}

/// What came of a rule that something may be said of.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It does not matter, or allows nothing.
    Idle {
        reason: Reason,
        /// Rules that an example keeps away from.
        avoided: Vec<RuleId>,
    },
    /// It does something, but perhaps not all that it says.
    Kept(Box<Near>),
}

/// A group at work.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) group: &'a Group,
    pub(super) gone: BTreeSet<RuleId>,
    pub(super) asker: Option<Asker>,
    /// Flows of the rule at hand that were found without a solver.
    pub(super) drawn: Option<Drawn>,
    /// What knows the rule at hand and those that may cover it.
    pub(super) local: Option<Asker>,
    /// Rules that some of them match as well.
    pub(super) partners: Vec<RuleId>,
    /// Rules that exclude each other, and a flow of a subject that they leave without a policy.
    pub(super) conflicts: BTreeMap<Conflict, Witness>,
    pub(super) questions: usize,
}

impl<'a> Run<'a> {
    /// Before the first question.
    pub(super) fn new(context: &'a Context<'a>, group: &'a Group, gone: &BTreeSet<RuleId>) -> Self {
        Self {
            context,
            group,
            gone: gone.clone(),
            asker: None,
            drawn: None,
            local: None,
            partners: Vec::new(),
            conflicts: BTreeMap::new(),
            questions: 0,
        }
    }

    fn rule(
        &mut self,
        id: RuleId,
        rule: &Rule,
        found: &mut Found,
    ) -> Result<Option<Outcome>, String> {
        let algebra = self.context.algebra;
        if !algebra.is_live(rule) {
            return Ok(None);
        }
        let mut near = Near::new(algebra, id, rule, &self.gone);
        self.drawn = None;
        self.local = None;
        self.partners = self.partners(rule, &near);
        // Where a deny is not the first to speak, its flows may have been allowed or passed on before.
        if rule.action == Action::Allow
            && !near.denies.is_empty()
            && near.sooner.is_empty()
            && let Some(cover) = self.cover(id, rule, &near.denies)?
        {
            // Its flows are denied with it and without it, so all that is left is default deny.
            let matters = near.effects.clashes || !self.is_kept(id, rule, &near)?;
            let reason = Reason::Denied { cover, matters };
            return Ok(Some(Outcome::Idle {
                reason,
                avoided: Vec::new(),
            }));
        }
        if self.is_needless(id, rule, &near)? {
            self.gone.insert(id);
            found.needless.push(id);
            if let Some(reason) = self.explain(id, rule, &near)? {
                let avoided = if reason.avoids() {
                    near.touching
                } else {
                    Vec::new()
                };
                return Ok(Some(Outcome::Idle { reason, avoided }));
            }
        }
        let loses = !near.denies.is_empty() || rule.l7.is_some();
        if rule.action != Action::Allow || !loses {
            return Ok(None);
        }
        if rule.l7.is_none() {
            near.forget(self.context.rules, rule);
        }
        Ok(Some(Outcome::Kept(Box::new(near))))
    }

    /// Whether rules that are asked before it or with it leave the rule no flow to decide, and its subjects are
    /// selected and put into default deny by others. A question about few rules, and so a fast one.
    fn nothing_is_left(&mut self, id: RuleId, rule: &Rule, near: &Near) -> Result<bool, String> {
        if near.deciding.is_empty()
            || self.drawn_flow_escapes(id, rule, &near.deciding)
            || !self.covers_surely(id, &near.deciding)?
        {
            return Ok(false);
        }
        self.is_kept(id, rule, near)
    }

    /// Whether others select the rule's subjects, and put them into default deny if it does.
    fn is_kept(&mut self, id: RuleId, rule: &Rule, near: &Near) -> Result<bool, String> {
        let context = self.context;
        let keeps = |other: &RuleId| {
            let other = context.rules.rule(*other);
            other.is_some_and(|other| other.default_deny || !rule.default_deny)
        };
        let keeping: Vec<RuleId> = near.slice.iter().filter(|id| keeps(id)).copied().collect();
        let mut certain = keeping.iter().filter_map(|id| context.rules.rule(*id));
        if certain.any(|other| context.algebra.subject_contains(other, rule)) {
            return Ok(true);
        }
        self.questions += 1;
        let asker = self.asker();
        let terms = |id: &RuleId| asker.rules.get(id).map(|rule| rule.selects.clone());
        let kept = Term::any(keeping.iter().filter_map(terms)).negate();
        match asker.ask(&Term::all(terms(&id).into_iter().chain([kept]))) {
            Answer::Sat => Ok(false),
            Answer::Unsat => Ok(true),
            Answer::Unknown(why) => Err(why),
        }
    }

    /// Whether some other rule is certain to put the rule's subjects into default deny.
    fn stays_enforced(&self, rule: &Rule, near: &Near) -> bool {
        let context = self.context;
        let mut others = near.slice.iter().filter_map(|id| context.rules.rule(*id));
        others.any(|other| other.default_deny && context.algebra.subject_contains(other, rule))
    }

    /// What knows the group's rules.
    pub(super) fn asker(&mut self) -> &mut Asker {
        let (context, group) = (self.context, self.group);
        self.asker.get_or_insert_with(|| Asker::new(context, group))
    }

    /// Whether the set decides every flow the same without the rule.
    fn is_needless(&mut self, id: RuleId, rule: &Rule, near: &Near) -> Result<bool, String> {
        let context = self.context;
        if near.effects.clashes {
            return Ok(false);
        }
        if near.is_contained(context.algebra, rule) {
            return Ok(true);
        }
        if self.drawn_flow_changes(id, rule, near) {
            return Ok(false);
        }
        if self.nothing_is_left(id, rule, near)? {
            return Ok(true);
        }
        self.questions += 1;
        let enforced = self.stays_enforced(rule, near);
        let asker = self.asker();
        let question = if enforced {
            asker.change(context, id, near)
        } else {
            asker.removal(context, id, near)
        };
        let answer = asker.ask(&question);
        match answer {
            Answer::Sat => Ok(false),
            Answer::Unsat => Ok(true),
            Answer::Unknown(why) => Err(why),
        }
    }

    /// Why a needless rule is needless. `None` if there is nothing worth saying: it allows everything to subjects
    /// that nothing else restricts, which is a statement and no mistake.
    fn explain(&mut self, id: RuleId, rule: &Rule, near: &Near) -> Result<Option<Reason>, String> {
        if let Some(cover) = self.cover(id, rule, &near.deciding)? {
            return Ok(Some(match cover.as_slice() {
                [other] if self.says_the_same(id, rule, *other, near)? => {
                    Reason::Same { other: *other }
                }
                _ => Reason::Covered { cover },
            }));
        }
        let localhost =
            self.context.algebra.only_host(rule) && rule.direction == Direction::Ingress;
        Ok(match rule.action {
            _ if near.later => Some(Reason::Later),
            Action::Deny => Some(Reason::DeniedAnyway),
            Action::Pass => Some(Reason::Later),
            Action::Allow if localhost => Some(Reason::Localhost),
            Action::Allow if rule.default_deny => None,
            Action::Allow => Some(Reason::AllowedAnyway),
        })
    }
}
