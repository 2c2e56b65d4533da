//! Which rules together match all that another matches.

use policyc_ir::RuleId;
use policyc_ir::rule::{Peers, Rule, Services};

use super::Group;
use super::asker::Asker;
use super::effect::has_same_effect;
use super::example::Drawn;
use super::group::Run;
use super::near::Near;
use crate::solver::both::Both;
use crate::solver::{Answer, Literal, Solver as _};

impl Run<'_> {
    /// The fewest of the candidates that together match all that the rule matches; `None` if even all do not.
    pub(super) fn cover(
        &mut self,
        id: RuleId,
        rule: &Rule,
        candidates: &[RuleId],
    ) -> Result<Option<Vec<RuleId>>, String> {
        let rules = self.context.rules;
        let mut left: Vec<_> = candidates.to_vec();
        // Rules of the same policy and wide ones are the explanation people look for, so they go last.
        left.sort_by_key(|other| (rules.rule(*other).map(|other| rank(rule, other)), *other));
        let algebra = self.context.algebra;
        let single = left.iter().rev().find(|other| {
            let other = rules.rule(**other);
            other.is_some_and(|other| !other.unresolved && algebra.contains(other, rule))
        });
        if let Some(single) = single {
            return Ok(Some(vec![*single]));
        }
        if left.is_empty() || self.drawn_flow_escapes(id, rule, &left) || !self.covers(id, &left)? {
            return Ok(None);
        }
        let mut step = left.len().div_ceil(2);
        loop {
            let mut at = 0;
            while at < left.len() {
                let end = (at + step).min(left.len());
                let rest: Vec<_> = left
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| !(at..end).contains(place))
                    .map(|(_, id)| *id)
                    .collect();
                if !rest.is_empty() && self.covers(id, &rest)? {
                    left = rest;
                } else {
                    at = end;
                }
            }
            if step == 1 {
                break;
            }
            step = step.div_ceil(2);
        }
        left.sort_unstable();
        self.covers_surely(id, &left)
            .map(|sure| sure.then_some(left))
    }

    /// Whether a rule that matches all that another matches does the same to the same flows.
    pub(super) fn says_the_same(
        &mut self,
        id: RuleId,
        rule: &Rule,
        other: RuleId,
        near: &Near,
    ) -> Result<bool, String> {
        let context = self.context;
        let Some(wider) = context.rules.rule(other) else {
            return Ok(false);
        };
        // Where more than layer 4 is asked, it may count how a rule is written.
        let shape = rule.peers == wider.peers
            && rule.services == wider.services
            && rule.beside == wider.beside;
        let alike = has_same_effect(rule, wider)
            && rule.default_deny == wider.default_deny
            && !rule.unresolved
            && (shape || !near.effects.asks);
        if !alike {
            return Ok(false);
        }
        if context.algebra.contains(rule, wider) {
            return Ok(true);
        }
        let asker = self.asker();
        let escapes = asker.rules.get(&id).is_some_and(|rule| {
            let escapes = |values: &_| !rule.matches_in(values);
            Drawn::default().any(context, asker, (other, wider), escapes)
        });
        Ok(!escapes && self.covers_surely(other, &[id])?)
    }

    /// A solver that knows only some rules: it answers several times faster than the group's. It is kept for as long as
    /// it knows enough.
    pub(super) fn local(&mut self, id: RuleId, others: &[RuleId]) -> &mut Asker {
        let context = self.context;
        let mut all = others.iter().chain([&id]);
        let known = self.local.take();
        let known = known.filter(|asker| all.all(|id| asker.rules.contains_key(id)));
        self.local.insert(known.unwrap_or_else(|| {
            let group = Group {
                own: vec![id],
                others: others.to_vec(),
            };
            Asker::new(context, &group)
        }))
    }

    /// Whether the others together match all that the rule matches, as far as the first look goes.
    fn covers(&mut self, id: RuleId, others: &[RuleId]) -> Result<bool, String> {
        self.settled(id, others, Both::check)
    }

    /// The same, where something is concluded from it.
    pub(super) fn covers_surely(&mut self, id: RuleId, others: &[RuleId]) -> Result<bool, String> {
        self.settled(id, others, Both::surely)
    }

    fn settled(
        &mut self,
        id: RuleId,
        others: &[RuleId],
        ask: impl Fn(&mut Both, &[Literal]) -> Answer,
    ) -> Result<bool, String> {
        self.questions += 1;
        let asker = self.local(id, others);
        let mut assumed = vec![asker.matches(id, true)];
        assumed.extend(others.iter().map(|other| asker.matches(*other, false)));
        match ask(asker.solver(), &assumed) {
            Answer::Sat => Ok(false),
            Answer::Unsat => Ok(true),
            Answer::Unknown(why) => Err(why),
        }
    }
}

/// How much a rule explains another: same policy, then wide peers, services and subject.
pub(super) fn rank(rule: &Rule, other: &Rule) -> (bool, bool, bool, bool) {
    (
        rule.origin.policy == other.origin.policy,
        other.peers == Peers::Any,
        other.services == Services::All,
        other.subject == rule.subject,
    )
}
