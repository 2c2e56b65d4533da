//! The verdicts of both sides as terms.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Direction, Peer, Peers, Rule, Services};

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
    /// Some rule selects its subject.
    pub(super) selected: Term,
}

/// A component as terms.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) frame: Frame,
    /// The rules, as far as they matter.
    pub(super) rules: BTreeMap<RuleId, Rule>,
    pub(super) encoded: BTreeMap<RuleId, Encoded>,
    pub(super) old: Says,
    pub(super) new: Says,
    /// Some changed rule selects the subject, and policy applies to it.
    pub(super) scope: Term,
    /// The flow is one for which the terms hold.
    pub(super) about: Term,
    /// What the terms may get wrong.
    pub(super) doubts: Vec<String>,
}

/// Which flows a question is about. All that matters for others may be left out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// All.
    All,
    /// Those that some changed rule matches.
    Changed,
    /// Those from the local node to subjects that some rule selects on one side only.
    Localhost,
}

/// How many pairs of rules are compared to leave out what cannot matter.
const PAIRS: usize = 1 << 18;

/// The rules of a component as far as they matter: for flows that some changed rule matches, rules that match no such
/// flow count by their subject alone.
fn mattering(context: &Context<'_>, component: &Component, about: About) -> BTreeMap<RuleId, Rule> {
    let slim = about == About::Changed;
    let rules = &context.joint.rules;
    let changed: Vec<_> = component
        .changed
        .iter()
        .filter_map(|id| rules.rule(*id))
        .collect();
    let slim = slim && changed.len() * component.near.len() <= PAIRS;
    let matters = |rule: &Rule| {
        let mut changed = changed.iter();
        !slim || changed.any(|one| context.algebra.flows_meet(one, rule))
    };
    let all = component.near.iter().chain(&component.across);
    let known = all.filter_map(|id| Some((*id, rules.rule(*id)?)));
    let each = known.map(|(id, rule)| {
        let mut rule = rule.clone();
        if rule.direction != component.direction
            || !component.changed.contains(&id) && !matters(&rule)
        {
            rule.peers = Peers::Of(Vec::new());
            rule.services = Services::Of(Vec::new());
            rule.beside = Vec::new();
        }
        (id, rule)
    });
    each.collect()
}

impl Question {
    pub(super) fn new(context: &Context<'_>, component: &Component, about: About) -> Self {
        let rules = &context.joint.rules;
        let known = mattering(context, component, about);
        let mut dims = Dims::new(rules, known.values(), context.settings);
        for id in known.values().flat_map(|rule| &rule.beside) {
            if let Some(Peer::Labels(selector)) = rules.peer(*id) {
                dims.peer(rules.selector(*selector));
            }
        }
        let mut frame = dims.frame();
        frame.subject_and_peer(component.direction, component.node);
        let mut encoded = BTreeMap::new();
        let mut selects = BTreeMap::new();
        for (id, rule) in &known {
            if rule.direction == component.direction {
                let terms = frame.encode(rules, *id, rule, Seat::First);
                selects.insert(*id, terms.selects.clone());
                encoded.insert(*id, terms);
            } else {
                let (subject, _) = frame.seats(Seat::First);
                let term = matching::subject(&frame, subject, rules, rule);
                selects.insert(*id, term);
            }
        }
        let mut doubts = Vec::new();
        let [old, new] = Version::BOTH.map(|version| {
            let conflict = conflict_term(context, component, version, &selects, &mut doubts);
            says(context, component, version, &mut frame, &encoded, conflict)
        });
        let changed = || component.changed.iter().filter_map(|id| encoded.get(id));
        let about = match about {
            About::All => Term::Const(true),
            About::Changed => Term::any(changed().map(|rule| rule.matches.clone())),
            About::Localhost => {
                let (_, peer) = frame.seats(Seat::First);
                started(&old, &new).and(peer.is_host())
            }
        };
        let about = frame.script.define("about", about);
        let changed = changed().map(|rule| rule.selects.clone());
        let exempt = frame.exempt(Seat::First, context.settings);
        let scope = Term::any(changed).and(exempt.negate());
        let scope = frame.script.define("scope", scope);
        Self {
            frame,
            rules: known,
            encoded,
            old,
            new,
            scope,
            about,
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

    /// "The subject comes into default deny, or leaves it."
    pub(super) fn flips(&self) -> Term {
        let (old, new) = (self.old.enforced.clone(), self.new.enforced.clone());
        self.judged().and(old.differs(new))
    }

    /// "The local node is let into the subject on one side only, without a word of any rule."
    pub(super) fn lets_localhost(&self) -> Term {
        self.judged().and(started(&self.old, &self.new))
    }

    /// "The subject has a policy on both sides, and some changed rule selects it."
    pub(super) fn judged(&self) -> Term {
        let conflict = self.old.conflict.clone().or(self.new.conflict.clone());
        self.scope.clone().and(conflict.negate())
    }
}

/// "The subject is in default deny, and some rule selects it on one side only": then the local node is let in on one
/// side only.
fn started(old: &Says, new: &Says) -> Term {
    let selected = old.selected.clone().differs(new.selected.clone());
    Term::all([selected, old.enforced.clone(), new.enforced.clone()])
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
    let selected = Term::any(here().map(|rule| rule.selects.clone()));
    let matched = Term::any(deciding.map(|rule| rule.matches.clone()));
    Says {
        passes: frame.script.define(format!("passes.{name}"), passes),
        enforced: frame.script.define(format!("enforced.{name}"), enforced),
        matched: frame.script.define(format!("matched.{name}"), matched),
        selected: frame.script.define(format!("selected.{name}"), selected),
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
