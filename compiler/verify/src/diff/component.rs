//! Rules that may share subjects, and the search for their differences.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Direction, Rule, RuleSet};
use policyc_ir::settings::Settings;

use super::joint::{Joint, Version};
use super::question::{About, Question};
use super::search::Search;
use super::{Change, What, conflict, effect};
use crate::Options;
use crate::algebra::overlap::Algebra;
use crate::replay::Library;

/// What all components share.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) joint: &'a Joint,
    pub(super) algebra: Algebra<'a>,
    pub(super) sets: [&'a RuleSet; 2],
    libraries: [Library<'a>; 2],
    pub(super) settings: &'a Settings,
    pub(super) options: &'a Options,
    deadline: Option<Instant>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        joint: &'a Joint,
        sets: [&'a RuleSet; 2],
        settings: &'a Settings,
        options: &'a Options,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            joint,
            algebra: Algebra::new(&joint.rules, settings),
            sets,
            libraries: sets.map(|set| Library::new(set, settings)),
            settings,
            options,
            deadline,
        }
    }

    /// A side's rules for examples.
    pub(super) const fn library(&self, version: Version) -> &Library<'a> {
        let [old, new] = &self.libraries;
        match version {
            Version::Old => old,
            Version::New => new,
        }
    }

    /// A side's rules.
    pub(super) const fn set(&self, version: Version) -> &'a RuleSet {
        let [old, new] = self.sets;
        match version {
            Version::Old => old,
            Version::New => new,
        }
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Changed rules of one direction of which each may share subjects with the next, and all that may select those
/// subjects.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub(super) direction: Direction,
    /// Rules that only one side has.
    pub(super) changed: Vec<RuleId>,
    /// All rules of the direction whose subjects may be theirs, themselves included.
    pub(super) near: Vec<RuleId>,
    /// Rules of the other direction that may have a part in a conflict.
    pub(super) across: Vec<RuleId>,
    /// Whether the subject is the local node.
    pub(super) node: bool,
}

/// Parts the changed rules into components; what selects nobody is left out.
pub(super) fn split(context: &Context<'_>) -> Vec<Component> {
    let mut components = Vec::new();
    for direction in Direction::BOTH {
        let rules = context.joint.rules.iter();
        let mut left: BTreeSet<_> = rules
            .filter(|(id, rule)| {
                rule.direction == direction
                    && context.joint.is_changed(*id)
                    && context.algebra.has_subject(rule)
                    && (!rule.subject.node || context.settings.host_firewall)
            })
            .map(|(id, _)| id)
            .collect();
        while let Some(first) = left.pop_first() {
            let changed = connected(context, first, &mut left);
            components.push(component(context, direction, changed));
        }
    }
    components
}

/// The changed rules that `first` is connected with, taken out of those left.
fn connected(context: &Context<'_>, first: RuleId, left: &mut BTreeSet<RuleId>) -> Vec<RuleId> {
    let mut found = vec![first];
    let mut at = 0;
    while let Some(id) = found.get(at).copied() {
        at += 1;
        for other in context.algebra.near(&[id]) {
            if left.remove(&other) {
                found.push(other);
            }
        }
    }
    found.sort_unstable();
    found
}

fn component(context: &Context<'_>, direction: Direction, changed: Vec<RuleId>) -> Component {
    let rule = |id: &RuleId| context.joint.rules.rule(*id);
    let subjects: BTreeMap<_, &Rule> = changed
        .iter()
        .filter_map(rule)
        .map(|rule| (&rule.subject, rule))
        .collect();
    let across = context.joint.rules.iter().filter(|(_, rule)| {
        rule.direction != direction
            && conflict::may_clash(rule)
            && subjects
                .values()
                .any(|one| context.algebra.subjects_meet(one, rule))
    });
    Component {
        direction,
        near: context.algebra.near(&changed),
        across: across.map(|(id, _)| id).collect(),
        node: changed
            .iter()
            .filter_map(rule)
            .any(|rule| rule.subject.node),
        changed,
    }
}

/// What came of a component.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    pub(super) undecided: Vec<String>,
    pub(super) faults: Vec<String>,
    pub(super) more: bool,
    pub(super) questions: usize,
}

/// All questions about a component.
///
/// A flow that no changed rule matches is decided otherwise only if the default is another, unless a pass leads from
/// rules to the default. So most questions are about flows that changed rules match, for which few rules count.
pub(super) fn run(context: &Context<'_>, component: &Component) -> Found {
    let rules = component.near.iter();
    let mut rules = rules.filter_map(|id| context.joint.rules.rule(*id));
    let about = if rules.any(|rule| rule.action == Action::Pass) {
        About::All
    } else {
        About::Changed
    };
    let question = Question::new(context, component, about);
    let mut found = Found {
        undecided: question.doubts.clone(),
        ..Found::default()
    };
    let mut search = Search::new(context, component, &question);
    for what in [What::Broken, What::Mended, What::Allowed, What::Denied] {
        search.all(what, &mut found);
    }
    let localhost = component.direction == Direction::Ingress
        && context.settings.allow_localhost
        && about == About::Changed;
    let localhost = if localhost {
        search.is_possible(&question.lets_localhost())
    } else {
        Ok(false)
    };
    let flips = search.is_possible(&question.flips());
    if flips == Ok(false) {
        effect::search(&mut search, &mut found);
    }
    finish(search, &mut found);
    for possible in [&flips, &localhost] {
        found.undecided.extend(possible.clone().err());
    }
    if flips == Ok(true) {
        of_flips(context, component, &mut found);
    }
    if localhost == Ok(true) {
        of_localhost(context, component, &mut found);
    }
    found
}

/// Questions about all flows of subjects whose default deny is another.
fn of_flips(context: &Context<'_>, component: &Component, found: &mut Found) {
    let question = Question::new(context, component, About::All);
    let mut search = Search::new(context, component, &question);
    for what in [What::Opened, What::Isolated] {
        search.all(what, found);
    }
    effect::search(&mut search, found);
    finish(search, found);
}

/// Questions about the local node, which is let in where some rule selects the subject.
fn of_localhost(context: &Context<'_>, component: &Component, found: &mut Found) {
    let question = Question::new(context, component, About::Localhost);
    let mut search = Search::new(context, component, &question);
    for what in [What::Allowed, What::Denied] {
        search.all(what, found);
    }
    finish(search, found);
}

fn finish(mut search: Search<'_>, found: &mut Found) {
    found.undecided.extend(search.confirm().err());
    found.questions += search.questions();
}
