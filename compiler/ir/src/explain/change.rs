//! What would have to change for a flow to be allowed.
//!
//! Every rule of the subject is measured against the flow: which requirements of the peer's labels, prefix, port or
//! protocol do not hold. The nearest allows are then tried, since another rule may still deny the changed flow.

use crate::cidr::Cidr;
use crate::fqdn::Fqdn;
use crate::ids::RuleId;
use crate::label::Source;
use crate::model::{Flow, Model};
use crate::port::{L4, Protocol};
use crate::rule::{Action, Services};
use crate::selector::{Requirement, Selector};
use crate::settings::Settings;
use crate::universe::Identity;

use super::{MISSES, peer, range, suppose};

/// Rules that are tried at most; each costs as much as resolving the peers of all rules against a handful of pods.
const TRIES: usize = 12;

/// How much farther than the nearest a miss may be to be told of.
const FARTHER: usize = 1;

/// A rule that would allow the flow if it were a little different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The rule.
    pub rule: RuleId,
    /// All of these are needed.
    pub changes: Vec<Change>,
}

/// One thing that would have to be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A label of the peer.
    Label(Requirement),
    /// The peer would have to be a pod of this kind, instead of something that is no pod.
    Pod(Selector),
    /// The peer's address would have to be in this prefix, and in none of the exceptions.
    Prefix(Cidr, Vec<Cidr>),
    /// A DNS answer would have to have given the peer's address for this name.
    Name(Fqdn),
    /// The protocol.
    Protocol(Protocol),
    /// The port, or the ICMP type: from the first to the last.
    Port(u16, u16),
}

/// Weight of a change that makes something else of the peer, compared with one label or port.
const ANOTHER_KIND: usize = 3;

/// How far away changes are, for a peer that is an address outside the cluster or not.
pub(super) fn weight(changes: &[Change], outside: bool) -> usize {
    let one = |change: &Change| match change {
        Change::Pod(selector) => selector.requirements().len() + ANOTHER_KIND,
        Change::Label(requirement) if requirement.key.source == Source::Reserved => ANOTHER_KIND,
        Change::Prefix(..) | Change::Name(_) if !outside => ANOTHER_KIND,
        _ => 1,
    };
    changes.iter().map(one).sum()
}

/// A rule, what it asks, and the flow that it would match.
struct Candidate {
    miss: Miss,
    weight: usize,
    peer: Identity,
    flow: Flow,
}

/// The least changes with which a rule would match; none if it does.
pub(super) fn needs(model: &Model<'_>, id: RuleId, flow: &Flow) -> Option<Vec<Change>> {
    candidate(model, id, flow).map(|candidate| candidate.miss.changes)
}

/// The nearest misses that would really be allowed, fewest changes first, then in the order of the rules.
pub(super) fn nearest(
    model: &Model<'_>,
    rules: &[RuleId],
    flow: &Flow,
    settings: &Settings,
) -> Vec<Miss> {
    let allows = |id: &&RuleId| {
        let rule = model.resolved.rules.rule(**id);
        rule.is_some_and(|rule| rule.action == Action::Allow)
    };
    let allows = rules.iter().filter(allows);
    let mut candidates: Vec<_> = allows
        .filter_map(|id| candidate(model, *id, flow))
        .collect();
    candidates.sort_by_key(|candidate| (candidate.weight, candidate.miss.rule));
    candidates.truncate(TRIES);
    candidates
        .retain(|candidate| suppose::allowed(model, &candidate.flow, &candidate.peer, settings));
    let nearest = candidates.first().map_or(0, |candidate| candidate.weight);
    candidates.retain(|candidate| candidate.weight <= nearest + FARTHER);
    candidates.truncate(MISSES);
    candidates
        .into_iter()
        .map(|candidate| candidate.miss)
        .collect()
}

fn candidate(model: &Model<'_>, id: RuleId, flow: &Flow) -> Option<Candidate> {
    let rule = model.resolved.rules.rule(id)?;
    let outside = model.universe().identity(flow.peer)?.cidr.is_some();
    let (mut changes, peer) = peer::peers(model, rule, flow)?;
    let (of_service, flow) = services(model, &rule.services, flow)?;
    changes.extend(of_service);
    Some(Candidate {
        weight: weight(&changes, outside),
        miss: Miss { rule: id, changes },
        peer,
        flow,
    })
}

/// The least changes to protocol and port, and the flow with them.
fn services(model: &Model<'_>, services: &Services, flow: &Flow) -> Option<(Vec<Change>, Flow)> {
    let Services::Of(list) = services else {
        return Some((Vec::new(), *flow));
    };
    let each = list.iter().filter_map(|l4| one_service(model, l4, flow));
    each.min_by_key(|(changes, _)| changes.len())
}

fn one_service(model: &Model<'_>, l4: &L4, flow: &Flow) -> Option<(Vec<Change>, Flow)> {
    let (first, last) = range(model, l4, flow)?;
    let mut changes = Vec::new();
    let mut changed = *flow;
    if l4.protocol != flow.protocol {
        changes.push(Change::Protocol(l4.protocol));
        changed.protocol = l4.protocol;
    }
    if !(first..=last).contains(&flow.port) {
        changes.push(Change::Port(first, last));
        changed.port = first;
    }
    Some((changes, changed))
}
