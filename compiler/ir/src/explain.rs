//! Why a flow has its verdict: what each rule makes of it, and what little would have to change.
//!
//! Nothing here decides. Verdicts, those of changed flows included, are [`Model::eval`]'s.

use crate::ids::{IdentityId, PeerId, RuleId};
use crate::model::{Conflict, Flow, Model, Reason, Verdict};
use crate::port::{L4, Ports};
use crate::resolve::Resolved;
use crate::rule::{Peers, Services};
use crate::settings::Settings;

/// What would have to change for a flow to be allowed.
mod change;
/// The least changes to a peer with which a rule is about it.
mod peer;
/// Small universes in which changed flows are asked.
mod suppose;
/// Explanations of flows between a few pods.
#[cfg(test)]
mod tests;

pub use change::{Change, Miss};

/// Nearest misses that are told of.
pub const MISSES: usize = 3;

/// Why a flow has its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Rules of the subject that exclude each other, whatever the flow.
    pub conflict: Option<Conflict>,
    /// The rules that put the subject into default deny in this direction.
    pub isolating: Vec<RuleId>,
    /// Every rule that selects the subject in this direction: by level, then as written.
    pub examined: Vec<Examined>,
    /// For a deny because no rule matches: the least changes with which the flow would be allowed, fewest first.
    pub misses: Vec<Miss>,
}

/// What a rule makes of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The rule.
    pub rule: RuleId,
    /// Whether its peers match.
    pub peer: Fit<PeerId>,
    /// Whether its layer 4 matches.
    pub service: Fit<L4>,
    /// The least changes to the flow with which the rule would match; `None` if none would do.
    pub needs: Option<Vec<Change>>,
    /// Whether it is among those that decided.
    pub decides: bool,
}

impl Examined {
    /// Whether the whole rule matches.
    pub fn matches(&self) -> bool {
        self.peer != Fit::No && self.service != Fit::No
    }
}

/// Whether one of a rule's alternatives matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit<T> {
    /// The rule leaves it open.
    Any,
    /// This alternative does.
    By(T),
    /// None does.
    No,
}

/// Explains a flow; a subject outside the universe has no rules.
pub fn explain(model: &Model<'_>, flow: &Flow, settings: &Settings) -> Report {
    let verdict = model.eval(flow);
    let resolved = model.resolved;
    let policy = model.policy_of(flow.subject);
    let mut rules = policy.map_or_else(Vec::new, |policy| {
        policy.direction(flow.direction).rules.clone()
    });
    rules.sort_by_key(|id| (resolved.rules.rule(*id).map(|rule| rule.level), *id));
    let isolates = |id: &&RuleId| {
        resolved
            .rules
            .rule(**id)
            .is_some_and(|rule| rule.default_deny)
    };
    let examined = rules
        .iter()
        .filter_map(|id| examine(model, *id, flow, &verdict));
    let misses = if verdict.reason == Reason::DefaultDeny {
        change::nearest(model, &rules, flow, settings)
    } else {
        Vec::new()
    };
    Report {
        conflict: policy.and_then(|policy| policy.conflict),
        isolating: rules.iter().filter(isolates).copied().collect(),
        examined: examined.collect(),
        verdict,
        misses,
    }
}

fn examine(model: &Model<'_>, id: RuleId, flow: &Flow, verdict: &Verdict) -> Option<Examined> {
    let rule = model.resolved.rules.rule(id)?;
    Some(Examined {
        rule: id,
        peer: peer_fit(model.resolved, &rule.peers, flow.peer),
        service: service_fit(model, &rule.services, flow),
        needs: change::needs(model, id, flow),
        decides: verdict.rules.contains(&id),
    })
}

fn peer_fit(resolved: &Resolved<'_>, peers: &Peers, identity: IdentityId) -> Fit<PeerId> {
    let Peers::Of(list) = peers else {
        return Fit::Any;
    };
    let found = list
        .iter()
        .find(|peer| resolved.peer(**peer).contains(identity));
    found.map_or(Fit::No, |peer| Fit::By(*peer))
}

fn service_fit(model: &Model<'_>, services: &Services, flow: &Flow) -> Fit<L4> {
    let Services::Of(list) = services else {
        return Fit::Any;
    };
    let fits = |l4: &&L4| {
        l4.protocol == flow.protocol
            && range(model, l4, flow)
                .is_some_and(|(first, last)| (first..=last).contains(&flow.port))
    };
    list.iter()
        .find(fits)
        .map_or(Fit::No, |l4| Fit::By(l4.clone()))
}

/// The numbers that an alternative's ports stand for; `None` for a name that the destination does not have.
pub fn range(model: &Model<'_>, l4: &L4, flow: &Flow) -> Option<(u16, u16)> {
    match &l4.ports {
        Ports::All => Some((0, u16::MAX)),
        Ports::Range(first, last) => Some((*first, *last)),
        Ports::Named(name, last) => {
            let first = suppose::named(model, flow, name, l4.protocol)?;
            Some((first, last.unwrap_or(first).max(first)))
        }
    }
}
