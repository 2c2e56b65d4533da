//! The rules around one that is asked about.

use std::collections::BTreeSet;

use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Rule, RuleSet};

use super::effect::Effects;
use crate::algebra::overlap::Algebra;

/// The rules around one that is asked about.
#[derive(Debug)]
pub(super) struct Near {
    /// Those whose subjects may be its subjects.
    pub(super) slice: Vec<RuleId>,
    /// Of these, those that may match its flows.
    pub(super) touching: Vec<RuleId>,
    /// Of these, denies that beat it or are asked before it.
    pub(super) denies: Vec<RuleId>,
    /// Of these, rules that leave it nothing to decide of what they match, or decide it the same way.
    pub(super) deciding: Vec<RuleId>,
    /// Of these, allows and passes of earlier levels.
    pub(super) sooner: Vec<RuleId>,
    /// Whether rules of later levels may match its flows.
    pub(super) later: bool,
    /// What it does beyond layer 4.
    pub(super) effects: Effects,
}

impl Near {
    /// Looks around a rule; those that are `gone` no longer count.
    pub(super) fn new(
        algebra: &Algebra<'_>,
        id: RuleId,
        rule: &Rule,
        gone: &BTreeSet<RuleId>,
    ) -> Self {
        let rules = algebra.rules;
        let slice = algebra.slice(id, gone);
        let meets = |other: &&RuleId| {
            let other = rules.rule(**other);
            other.is_some_and(|other| algebra.flows_meet(rule, other))
        };
        let touching: Vec<RuleId> = slice.iter().filter(meets).copied().collect();
        let effects = Effects::new(rules, rule, &slice);
        let pick = |wanted: &dyn Fn(RuleId, &Rule) -> bool| -> Vec<RuleId> {
            let known = touching
                .iter()
                .filter(|id| rules.rule(**id).is_some_and(|other| wanted(**id, other)));
            known.copied().collect()
        };
        let denies = pick(&|_, other| other.action == Action::Deny && other.level <= rule.level);
        let passes = !pick(&|_, other| other.action == Action::Pass).is_empty();
        let deciding = pick(&|id, other| {
            // An unresolved rule matches anyone only until its service exists.
            let lasting = !other.unresolved && other.level <= rule.level;
            let earlier = other.level < rule.level;
            let same = other.action == rule.action;
            // A rule of an earlier tier has the first word only if no pass leads past it.
            let sure = other.level.tier == rule.level.tier || !passes;
            lasting
                && sure
                && match other.action {
                    Action::Deny => true,
                    Action::Allow if effects.asks => effects.same.contains(&id),
                    Action::Allow => earlier || same || rule.action == Action::Pass,
                    Action::Pass if effects.asks => false,
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
            effects,
        }
    }

    /// Forgets what only the question whether the rule matters takes: of those that touch it, the rules of earlier levels
    /// are left.
    pub(super) fn forget(&mut self, rules: &RuleSet, rule: &Rule) {
        let earlier = |id: &RuleId| rules.rule(*id).is_some_and(|one| one.level < rule.level);
        self.touching.retain(earlier);
        self.slice = Vec::new();
        self.deciding = Vec::new();
        self.effects = Effects::default();
    }

    /// Without a solver: whether another rule leaves this one nothing to decide, and its subjects in default deny.
    pub(super) fn is_contained(&self, algebra: &Algebra<'_>, rule: &Rule) -> bool {
        let mut deciding = self
            .deciding
            .iter()
            .filter_map(|id| algebra.rules.rule(*id));
        !self.effects.clashes
            && deciding.any(|other| {
                other.level.tier == rule.level.tier
                    && (other.default_deny || !rule.default_deny)
                    && algebra.contains(other, rule)
            })
    }
}
