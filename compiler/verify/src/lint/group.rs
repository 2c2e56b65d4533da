//! The questions of a group, one rule after the other.

use std::collections::{BTreeMap, BTreeSet};

use policyc_ir::RuleId;
use policyc_ir::model::Conflict;
use policyc_ir::rule::{Action, Direction, Rule};

use super::asker::Asker;
use super::cover::rank;
use super::example::Example;
use super::near::Near;
use super::text::{self, Reason};
use super::{Context, Found, Group};
use crate::solver::Answer;
use crate::term::{Assignment, Term};
use crate::witness::Witness;

/// Asks about every rule of a group, the last one first.
pub(super) fn run(context: &Context<'_>, group: &Group, gone: &BTreeSet<RuleId>) -> Found {
    let mut found = Found::default();
    let mut run = Run::new(context, group, gone);
    for id in group.own.iter().rev() {
        let Some(rule) = context.rules.rule(*id) else {
            continue;
        };
        found.stats.subjects += 1;
        if context.is_late() {
            found.stats.undecided += 1;
            continue;
        }
        let before = run.questions;
        if let Err(why) = run.rule(*id, rule, &mut found) {
            found.stats.undecided += 1;
            found
                .findings
                .push(text::undecided(context.rules, *id, &why));
        }
        found.stats.by_algebra += usize::from(run.questions == before);
    }
    found.stats.questions = run.questions;
    found.conflicts = run.conflicts;
    found
}

/// A group at work.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) group: &'a Group,
    pub(super) gone: BTreeSet<RuleId>,
    pub(super) asker: Option<Asker>,
    /// Flows of the rule at hand that were found without a solver.
    pub(super) drawn: Option<Vec<Assignment>>,
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

    fn rule(&mut self, id: RuleId, rule: &Rule, found: &mut Found) -> Result<(), String> {
        let algebra = self.context.algebra;
        if !algebra.is_live(rule) {
            return Ok(());
        }
        let near = Near::new(algebra, id, rule, &self.gone);
        self.drawn = None;
        self.local = None;
        self.partners = self.partners(rule, &near);
        // Where a deny is not the first to speak, its flows may have been allowed or passed on before.
        if rule.action == Action::Allow
            && !near.denies.is_empty()
            && near.sooner.is_empty()
            && let Some(cover) = self.cover(id, rule, &near.denies)?
        {
            let matters = !self.is_needless(id, rule, &near)?;
            let reason = Reason::Denied { cover, matters };
            return self.report(id, rule, &reason, &[], found);
        }
        if self.is_needless(id, rule, &near)? {
            self.gone.insert(id);
            found.needless.push(id);
            if let Some(reason) = self.explain(id, rule, &near)? {
                self.report(id, rule, &reason, &near.touching, found)?;
            }
            return Ok(());
        }
        if rule.action == Action::Allow && !near.denies.is_empty() {
            self.overlaps(id, rule, &near, found)?;
        }
        self.bypass(id, rule, &near, found)
    }

    /// Whether rules that are asked before it or with it leave the rule no flow to decide, and its subjects are
    /// selected and put into default deny by others. A question about few rules, and so a fast one.
    fn nothing_is_left(&mut self, id: RuleId, rule: &Rule, near: &Near) -> Result<bool, String> {
        if near.deciding.is_empty()
            || self.drawn_flow_escapes(id, rule, &near.deciding)
            || !self.covers(id, &near.deciding)?
        {
            return Ok(false);
        }
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
        let asker = self.asker();
        let question = asker.removal(context, id, near);
        match asker.ask(&question) {
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
                [other] if self.says_the_same(id, rule, *other)? => Reason::Same { other: *other },
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

    /// Reports a reason, with a flow that the rule matches and that the model judges as the reason says.
    fn report(
        &mut self,
        id: RuleId,
        rule: &Rule,
        reason: &Reason,
        touching: &[RuleId],
        found: &mut Found,
    ) -> Result<(), String> {
        let context = self.context;
        // Where other rules are no part of the reason, the flow is one they leave alone.
        let avoided = match reason {
            Reason::Same { .. }
            | Reason::Covered { .. }
            | Reason::Denied { .. }
            | Reason::Later => &[],
            _ => touching,
        };
        let (witness, judgement) = match self.example(rule, &[id], avoided)? {
            Example::Flow(flow) => *flow,
            Example::Broken => return Ok(()),
            Example::None => {
                found.findings.push(text::no_flow(context.rules, id));
                return Ok(());
            }
        };
        let finding = if reason.fits(id, &judgement) {
            text::needless(context.rules, id, reason, &witness, &judgement)
        } else {
            text::not_confirmed(context.rules, id, &witness)
        };
        found.findings.push(finding);
        Ok(())
    }

    /// Denies that take part of an allow's flows, the widest ones with an example.
    fn overlaps(
        &mut self,
        id: RuleId,
        rule: &Rule,
        near: &Near,
        found: &mut Found,
    ) -> Result<(), String> {
        let rules = self.context.rules;
        let mut denies = near.denies.clone();
        denies.sort_by_key(|deny| {
            let rank = rules.rule(*deny).map(|deny| rank(rule, deny));
            (std::cmp::Reverse(rank), *deny)
        });
        let mut cuts = Vec::new();
        let mut example = None;
        let mut more = 0;
        for deny in denies {
            if cuts.len() == text::SHOWN {
                more += 1;
                continue;
            }
            // The deny has the word only where no rule of an earlier level has it.
            let level = rules.rule(deny).map(|deny| deny.level);
            let earlier = |id: &RuleId| rules.rule(*id).map(|rule| rule.level) < level;
            let earlier: Vec<_> = near.touching.iter().copied().filter(earlier).collect();
            if example.is_some() {
                if self.has_flow(&[id, deny], &earlier)? {
                    cuts.push(deny);
                }
            } else if let Example::Flow(flow) = self.example(rule, &[id, deny], &earlier)? {
                cuts.push(deny);
                example = Some(*flow);
            }
        }
        let Some((witness, judgement)) = example else {
            return Ok(());
        };
        let deny = cuts.first().copied().unwrap_or(id);
        let confirmed = !judgement.verdict.allowed
            && judgement.verdict.rules.contains(&deny)
            && judgement.matching.contains(&id);
        found.findings.push(if confirmed {
            text::overlap(rules, id, &cuts, more, &witness, &judgement)
        } else {
            text::not_confirmed(rules, id, &witness)
        });
        Ok(())
    }
}
