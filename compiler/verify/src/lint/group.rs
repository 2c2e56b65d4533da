//! The questions of a group, one rule after the other.

use std::collections::BTreeSet;

use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Direction, Peers, Rule, Services};

use super::asker::Asker;
use super::text::{self, Reason};
use super::{Context, Found, Group};
use crate::encode::Seat;
use crate::replay::{Judgement, Stage};
use crate::solver::{Answer, Solver};
use crate::witness::{self, Witness};

/// Asks about every rule of a group, the last one first.
pub(super) fn run(context: &Context<'_>, group: &Group, gone: &BTreeSet<RuleId>) -> Found {
    let mut found = Found::default();
    let mut run = Run {
        context,
        group,
        gone: gone.clone(),
        asker: None,
        questions: 0,
    };
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
    found
}

struct Run<'a> {
    context: &'a Context<'a>,
    group: &'a Group,
    gone: BTreeSet<RuleId>,
    asker: Option<Asker>,
    questions: usize,
}

impl Run<'_> {
    fn rule(&mut self, id: RuleId, rule: &Rule, found: &mut Found) -> Result<(), String> {
        let algebra = self.context.algebra;
        if !algebra.is_live(rule) {
            return Ok(());
        }
        let all = self.group.own.iter().chain(&self.group.others);
        let present: Vec<_> = all.filter(|id| !self.gone.contains(id)).copied().collect();
        let slice = algebra.slice(id, &present);
        let touching: Vec<RuleId> = slice
            .iter()
            .filter(|other| {
                self.context
                    .rules
                    .rule(**other)
                    .is_some_and(|other| algebra.rules_meet(rule, other))
            })
            .copied()
            .collect();
        let denies: Vec<_> = touching
            .iter()
            .filter(|id| self.is_deny(**id))
            .copied()
            .collect();
        if rule.action == Action::Allow
            && !denies.is_empty()
            && let Some(cover) = self.cover(id, rule, &denies)?
        {
            let matters = !self.is_needless(id, rule, &slice)?;
            let reason = Reason::Denied { cover, matters };
            return self.report(id, rule, &reason, &[], found);
        }
        if !self.plainly_matters(rule, &slice, &touching) && self.is_needless(id, rule, &slice)? {
            self.gone.insert(id);
            found.needless.push(id);
            let candidates = match rule.action {
                Action::Allow => &touching,
                Action::Deny | Action::Pass => &denies,
            };
            if let Some(reason) = self.explain(id, rule, candidates)? {
                self.report(id, rule, &reason, candidates, found)?;
            }
            return Ok(());
        }
        if rule.action == Action::Allow && !denies.is_empty() {
            return self.overlaps(id, rule, denies, found);
        }
        Ok(())
    }

    fn is_deny(&self, id: RuleId) -> bool {
        let rule = self.context.rules.rule(id);
        rule.is_some_and(|rule| rule.action == Action::Deny)
    }

    /// Without a solver: an allow whose flows no other rule speaks of changes the verdict of just these flows, if its
    /// subjects are in default deny anyhow, and of all others, if it alone puts them there.
    fn plainly_matters(&self, rule: &Rule, slice: &[RuleId], touching: &[RuleId]) -> bool {
        let all_enforce = slice
            .iter()
            .filter_map(|id| self.context.rules.rule(*id))
            .all(|other| other.default_deny);
        let everything = rule.peers == Peers::Any && rule.services == Services::All;
        let default =
            self.context.settings.enforcement == policyc_ir::settings::Enforcement::Default;
        // A label `host` on a pod lifts enforcement, and only the solver knows about it.
        let plain = !self.context.algebra.only_host(rule);
        rule.action == Action::Allow
            && rule.default_deny
            && touching.is_empty()
            && all_enforce
            && !everything
            && default
            && plain
            && !self.names_exempt(rule)
    }

    fn names_exempt(&self, rule: &Rule) -> bool {
        let subject = self.context.rules.selector(rule.subject.selector);
        subject
            .requirements()
            .iter()
            .any(|requirement| matches!(&*requirement.key.name, "host" | "init"))
    }

    fn asker(&mut self) -> &mut Asker {
        let (context, group) = (self.context, self.group);
        self.asker.get_or_insert_with(|| Asker::new(context, group))
    }

    /// Whether the set decides every flow the same without the rule.
    fn is_needless(&mut self, id: RuleId, rule: &Rule, slice: &[RuleId]) -> Result<bool, String> {
        self.questions += 1;
        let settings = self.context.settings;
        let asker = self.asker();
        let question = asker.removal(id, rule.direction, slice, settings);
        match asker.ask(&question) {
            Answer::Sat => Ok(false),
            Answer::Unsat => Ok(true),
            Answer::Unknown(why) => Err(why),
        }
    }

    /// The fewest of the candidates that together match all that the rule matches; `None` if even all do not.
    fn cover(
        &mut self,
        id: RuleId,
        rule: &Rule,
        candidates: &[RuleId],
    ) -> Result<Option<Vec<RuleId>>, String> {
        let rules = self.context.rules;
        let mut left: Vec<_> = candidates.to_vec();
        // Rules of the same policy and wide ones are the explanation people look for, so they go last.
        left.sort_by_key(|other| (rules.rule(*other).map(|other| rank(rule, other)), *other));
        if left.is_empty() || !self.covers(id, &left)? {
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
        Ok(Some(left))
    }

    fn covers(&mut self, id: RuleId, others: &[RuleId]) -> Result<bool, String> {
        self.questions += 1;
        let asker = self.asker();
        let mut assumed = vec![asker.matches(id, true)];
        assumed.extend(others.iter().map(|other| asker.matches(*other, false)));
        match asker.solver.check(&assumed) {
            Answer::Sat => Ok(false),
            Answer::Unsat => Ok(true),
            Answer::Unknown(why) => Err(why),
        }
    }

    /// Why a needless rule is needless. `None` if there is nothing worth saying: it allows everything to subjects
    /// that nothing else restricts, which is a statement and no mistake.
    fn explain(
        &mut self,
        id: RuleId,
        rule: &Rule,
        candidates: &[RuleId],
    ) -> Result<Option<Reason>, String> {
        if let Some(cover) = self.cover(id, rule, candidates)? {
            return Ok(Some(Reason::Covered { cover }));
        }
        let localhost =
            self.context.algebra.only_host(rule) && rule.direction == Direction::Ingress;
        Ok(match rule.action {
            Action::Deny | Action::Pass => Some(Reason::DeniedAnyway),
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
            Reason::Covered { .. } | Reason::Denied { .. } => &[],
            _ => touching,
        };
        let Some((witness, judgement)) = self.example(rule, &[id], avoided)? else {
            found.findings.push(text::no_flow(context.rules, id));
            return Ok(());
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
        mut denies: Vec<RuleId>,
        found: &mut Found,
    ) -> Result<(), String> {
        let rules = self.context.rules;
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
            if example.is_none() {
                example = self.example(rule, &[id, deny], &[])?;
                if example.is_some() {
                    cuts.push(deny);
                }
            } else if self.meet(id, deny)? {
                cuts.push(deny);
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

    fn meet(&mut self, left: RuleId, right: RuleId) -> Result<bool, String> {
        self.questions += 1;
        let asker = self.asker();
        let assumed = [asker.matches(left, true), asker.matches(right, true)];
        match asker.solver.check(&assumed) {
            Answer::Sat => Ok(true),
            Answer::Unsat => Ok(false),
            Answer::Unknown(why) => Err(why),
        }
    }

    /// A flow that all of `matched` match and none of `avoided` does, and what the model says of it.
    ///
    /// It has a solver of its own that knows only these rules: fewer labels to choose, and the same flow whatever was
    /// asked before.
    fn example(
        &mut self,
        rule: &Rule,
        matched: &[RuleId],
        avoided: &[RuleId],
    ) -> Result<Option<(Witness, Judgement)>, String> {
        self.questions += 1;
        let (rules, settings) = (self.context.rules, self.context.settings);
        let group = Group {
            own: matched.to_vec(),
            others: avoided.to_vec(),
        };
        let mut asker = Asker::new(self.context, &group);
        let positive = matched.iter().map(|id| (*id, true));
        let negative = avoided.iter().map(|id| (*id, false));
        let assumed: Vec<_> = positive
            .chain(negative)
            .map(|(id, positive)| asker.matches(id, positive))
            .collect();
        let wishes = asker.frame.wishes(&text::port_hints(rules, matched));
        let Some(values) = witness::find(&mut asker.solver, &wishes, &assumed)? else {
            return Ok(None);
        };
        let witness = witness::decode(&asker.frame, &values);
        let destination = match rule.direction {
            Direction::Ingress => Seat::First,
            Direction::Egress => Seat::Second,
        };
        let stage = Stage::new(rules, settings, &witness, destination);
        let judgement = stage.judge(&witness, Seat::First, rule.direction);
        judgement.map_or_else(
            || Err("the example's subject has no policy".to_owned()),
            |judgement| Ok(Some((witness, judgement))),
        )
    }
}

/// How much a rule explains another: same policy, then wide peers, services and subject.
fn rank(rule: &Rule, other: &Rule) -> (bool, bool, bool, bool) {
    (
        rule.origin.policy == other.origin.policy,
        other.peers == Peers::Any,
        other.services == Services::All,
        other.subject == rule.subject,
    )
}
