//! The questions of a group, one rule after the other.

use std::collections::BTreeSet;

use policyc_ir::RuleId;
use policyc_ir::model::Reason as Decided;
use policyc_ir::rule::{Action, Direction, Peers, Rule, RuleSet, Services};

use super::asker::Asker;
use super::effect::Effects;
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

/// The rules around one that is asked about.
#[derive(Debug)]
struct Near {
    /// Those whose subjects may be its subjects.
    slice: Vec<RuleId>,
    /// Of these, those that may match its flows.
    touching: Vec<RuleId>,
    /// Of these, denies that beat it or are asked before it.
    denies: Vec<RuleId>,
    /// Of these, rules that leave it nothing to decide of what they match, or decide it the same way.
    deciding: Vec<RuleId>,
    /// Of these, allows and passes of earlier levels.
    sooner: Vec<RuleId>,
    /// Whether rules of later levels may match its flows.
    later: bool,
}

impl Near {
    fn new(rules: &RuleSet, rule: &Rule, slice: Vec<RuleId>, touching: Vec<RuleId>) -> Self {
        let effects = Effects::new(rules, rule, &slice);
        let pick = |wanted: &dyn Fn(RuleId, &Rule) -> bool| -> Vec<RuleId> {
            let known = touching
                .iter()
                .filter(|id| rules.rule(**id).is_some_and(|other| wanted(**id, other)));
            known.copied().collect()
        };
        let denies = pick(&|_, other| other.action == Action::Deny && other.level <= rule.level);
        let deciding = pick(&|id, other| {
            // An unresolved rule matches anyone only until its service exists.
            let lasting = !other.unresolved && other.level <= rule.level;
            let earlier = other.level < rule.level;
            let same = other.action == rule.action;
            lasting
                && match other.action {
                    Action::Deny => true,
                    Action::Allow if effects.asks => effects.same.contains(&id),
                    Action::Allow => earlier || same || rule.action == Action::Pass,
                    Action::Pass => other.level.tier == rule.level.tier && (earlier || same),
                }
        });
        let sooner = pick(&|_, other| other.action != Action::Deny && other.level < rule.level);
        let later = !pick(&|_, other| other.level > rule.level).is_empty();
        Self {
            slice,
            touching,
            denies,
            deciding,
            sooner,
            later,
        }
    }
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
        let near = Near::new(self.context.rules, rule, slice, touching);
        // Where a deny is not the first to speak, its flows may have been allowed or passed on before.
        if rule.action == Action::Allow
            && !near.denies.is_empty()
            && near.sooner.is_empty()
            && let Some(cover) = self.cover(id, rule, &near.denies)?
        {
            let matters = !self.is_needless(id, &near)?;
            let reason = Reason::Denied { cover, matters };
            return self.report(id, rule, &reason, &[], found);
        }
        if !self.plainly_matters(rule, &near) && self.is_needless(id, &near)? {
            self.gone.insert(id);
            found.needless.push(id);
            if let Some(reason) = self.explain(id, rule, &near)? {
                self.report(id, rule, &reason, &near.touching, found)?;
            }
            return Ok(());
        }
        if rule.action == Action::Allow && !near.denies.is_empty() {
            return self.overlaps(id, rule, &near, found);
        }
        Ok(())
    }

    /// Without a solver: an allow whose flows no other rule speaks of changes the verdict of just these flows, if its
    /// subjects are in default deny anyhow, and of all others, if it alone puts them there.
    fn plainly_matters(&self, rule: &Rule, near: &Near) -> bool {
        let all_enforce = near
            .slice
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
            && near.touching.is_empty()
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
    fn is_needless(&mut self, id: RuleId, near: &Near) -> Result<bool, String> {
        self.questions += 1;
        let context = self.context;
        let asker = self.asker();
        let question = asker.removal(context, id, &near.slice);
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
    fn explain(&mut self, id: RuleId, rule: &Rule, near: &Near) -> Result<Option<Reason>, String> {
        if let Some(cover) = self.cover(id, rule, &near.deciding)? {
            return Ok(Some(Reason::Covered { cover }));
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
            Reason::Covered { .. } | Reason::Denied { .. } | Reason::Later => &[],
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
            if example.is_none() {
                example = self.example(rule, &[id, deny], &near.sooner)?;
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
        let rules = self.context.rules;
        let group = Group {
            own: matched.to_vec(),
            others: avoided.to_vec(),
        };
        let mut asker = Asker::for_example(self.context, &group);
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
        let witness = witness::decode(&asker.frame, &values)?;
        let destination = match rule.direction {
            Direction::Ingress => Seat::First,
            Direction::Egress => Seat::Second,
        };
        let stage = Stage::new(self.context.library, &witness, destination);
        let judgement = stage.judge(&witness, Seat::First, rule.direction);
        match judgement {
            None => Err("the example's subject has no policy".to_owned()),
            Some(judgement) if judgement.verdict.reason == Decided::Conflict => {
                Err("rules of the example's subject exclude each other".to_owned())
            }
            Some(judgement) => Ok(Some((witness, judgement))),
        }
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
