//! The verdicts of both sides as terms.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Direction, Peer, Rule};

use super::component::{Component, Context};
use super::conflict;
use super::joint::Version;
use crate::encode::{Dims, Encoded, Frame, Seat, matching};
use crate::term::Term;

/// What one side says of a flow.
#[derive(Debug)]
pub(super) struct Says {
    /// It passes.
    pub(super) passes: Term,
    /// Its subject is in default deny.
    pub(super) enforced: Term,
    /// Its subject has no policy, since rules exclude each other.
    pub(super) conflict: Term,
    /// Some rule allows or denies it.
    pub(super) matched: Term,
}

/// A component as terms.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) frame: Frame,
    pub(super) encoded: BTreeMap<RuleId, Encoded>,
    pub(super) old: Says,
    pub(super) new: Says,
    /// Some changed rule selects the subject, and policy applies to it.
    pub(super) scope: Term,
    /// What the terms may get wrong.
    pub(super) doubts: Vec<String>,
}

impl Question {
    pub(super) fn new(context: &Context<'_>, component: &Component) -> Self {
        let rules = &context.joint.rules;
        let all = component.near.iter().chain(&component.across);
        let known: Vec<(RuleId, &Rule)> =
            all.filter_map(|id| Some((*id, rules.rule(*id)?))).collect();
        let mut dims = Dims::new(rules, known.iter().map(|(_, rule)| *rule), context.settings);
        for id in known.iter().flat_map(|(_, rule)| &rule.beside) {
            if let Some(Peer::Labels(selector)) = rules.peer(*id) {
                dims.peer(rules.selector(*selector));
            }
        }
        let mut frame = dims.frame();
        frame.subject_and_peer(component.direction, component.node);
        let mut encoded = BTreeMap::new();
        let mut selects = BTreeMap::new();
        for (id, rule) in known {
            if rule.direction == component.direction {
                let terms = frame.encode(rules, id, rule, Seat::First);
                selects.insert(id, terms.selects.clone());
                encoded.insert(id, terms);
            } else {
                let (subject, _) = frame.seats(Seat::First);
                let term = matching::subject(&frame, subject, rules, rule);
                selects.insert(id, term);
            }
        }
        let mut doubts = Vec::new();
        let [old, new] = Version::BOTH.map(|version| {
            let conflict = conflict_term(context, component, version, &selects, &mut doubts);
            says(context, component, version, &mut frame, &encoded, conflict)
        });
        let changed = component.changed.iter();
        let changed = changed.filter_map(|id| encoded.get(id).map(|rule| rule.selects.clone()));
        let exempt = frame.exempt(Seat::First, context.settings);
        let scope = Term::any(changed).and(exempt.negate());
        let scope = frame.script.define("scope", scope);
        Self {
            frame,
            encoded,
            old,
            new,
            scope,
            doubts,
        }
    }

    /// What a side says.
    pub(super) const fn says(&self, version: Version) -> &Says {
        match version {
            Version::Old => &self.old,
            Version::New => &self.new,
        }
    }

    /// "The subject has a policy on both sides, and some changed rule selects it."
    pub(super) fn judged(&self) -> Term {
        let conflict = self.old.conflict.clone().or(self.new.conflict.clone());
        self.scope.clone().and(conflict.negate())
    }
}

fn says(
    context: &Context<'_>,
    component: &Component,
    version: Version,
    frame: &mut Frame,
    encoded: &BTreeMap<RuleId, Encoded>,
    conflict: Term,
) -> Says {
    let name = match version {
        Version::Old => "old",
        Version::New => "new",
    };
    let here = || {
        let own = encoded.iter();
        own.filter(|(id, _)| context.joint.has(version, **id))
            .map(|(_, rule)| rule)
    };
    let (settings, direction) = (context.settings, component.direction);
    let judged = frame.verdict(here(), direction, Seat::First, settings);
    let conflict = frame.script.define(format!("conflict.{name}"), conflict);
    let passes = judged.and(conflict.clone().negate());
    let enforced = frame.enforced(here(), Seat::First, settings);
    let deciding = here().filter(|rule| rule.action != Action::Pass);
    let matched = Term::any(deciding.map(|rule| rule.matches.clone()));
    Says {
        passes: frame.script.define(format!("passes.{name}"), passes),
        enforced: frame.script.define(format!("enforced.{name}"), enforced),
        matched: frame.script.define(format!("matched.{name}"), matched),
        conflict,
    }
}

/// "Rules of a side that select the subject exclude each other."
fn conflict_term(
    context: &Context<'_>,
    component: &Component,
    version: Version,
    selects: &BTreeMap<RuleId, Term>,
    doubts: &mut Vec<String>,
) -> Term {
    let mut joint_ids = BTreeMap::new();
    for id in selects.keys() {
        if let Some(own) = context.joint.ids(*id).of(version) {
            joint_ids.insert(own, *id);
        }
    }
    let own: Vec<_> = joint_ids.keys().copied().collect();
    let set = context.set(version);
    let pairs = conflict::pairs(set, &own);
    if conflict::is_doubtful(set, &own, &pairs) {
        let direction = match component.direction {
            Direction::Ingress => "to",
            Direction::Egress => "from",
        };
        doubts.push(format!(
            "rules {direction} some subjects exclude each other, and a deny may take their place"
        ));
    }
    let term = |id: &RuleId| {
        let joint = joint_ids.get(id)?;
        selects.get(joint).cloned()
    };
    Term::any(
        pairs
            .iter()
            .filter_map(|(left, right)| Some(term(left)?.and(term(right)?))),
    )
}
