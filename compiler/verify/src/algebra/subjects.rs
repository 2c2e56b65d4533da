//! Rules by subject, and which subjects may be one endpoint.
//!
//! Many rules share a subject, so subjects are compared instead of rules.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::rule::{Direction, Rule, RuleSet};

use super::overlap::Algebra;

/// Which of many subjects may be one endpoint.
mod meeting;

/// The subjects of a rule set.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    /// By rule.
    class: Vec<usize>,
    /// By subject: its rules to and from it, in order.
    rules: Vec<[Vec<RuleId>; 2]>,
    /// By subject: those that may be subjects of one endpoint with it, itself included.
    meeting: Vec<Vec<usize>>,
}

const fn side(direction: Direction) -> usize {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}

impl Subjects {
    /// Compares all subjects.
    pub(super) fn new(algebra: &Algebra<'_>) -> Self {
        let mut known = BTreeMap::new();
        let mut class = Vec::new();
        let mut rules: Vec<[Vec<RuleId>; 2]> = Vec::new();
        let mut first: Vec<&Rule> = Vec::new();
        for (id, rule) in algebra.rules.iter() {
            let at = *known.entry(&rule.subject).or_insert(first.len());
            if at == first.len() {
                first.push(rule);
                rules.push([Vec::new(), Vec::new()]);
            }
            class.push(at);
            let of = rules
                .get_mut(at)
                .and_then(|of| of.get_mut(side(rule.direction)));
            if let Some(of) = of {
                of.push(id);
            }
        }
        let meeting = meeting::all(algebra, &first);
        Self {
            class,
            rules,
            meeting,
        }
    }

    /// The number of a rule's subject.
    pub(super) fn class(&self, id: RuleId) -> Option<usize> {
        self.class.get(id.index()).copied()
    }

    /// The rules of a rule's direction whose subjects may be its subject, itself included, in order.
    pub(super) fn near(&self, id: RuleId, rules: &RuleSet) -> Vec<RuleId> {
        let meeting = self.class(id).and_then(|class| self.meeting.get(class));
        let (Some(rule), Some(meeting)) = (rules.rule(id), meeting) else {
            return Vec::new();
        };
        let lists = meeting.iter().filter_map(|class| {
            let of = self.rules.get(*class)?;
            of.get(side(rule.direction))
        });
        let mut near: Vec<_> = lists.flatten().copied().collect();
        near.sort_unstable();
        near
    }
}
