//! What would have to change for a flow to be allowed.
//!
//! Every rule of the subject is measured against the flow: which requirements of the peer's labels, prefix, port or
//! protocol do not hold. The nearest allows are then tried, since another rule may still deny the changed flow.

use std::net::IpAddr;
use std::sync::Arc;

use crate::cidr::Cidr;
use crate::fqdn::Fqdn;
use crate::ids::RuleId;
use crate::label::{Key, Labels, Source};
use crate::model::{Flow, Model};
use crate::port::{L4, Protocol};
use crate::rule::{Action, Peer, Peers, Rule, Services};
use crate::selector::{Operator, Requirement, Selector};
use crate::settings::Settings;
use crate::universe::Identity;

use super::{MISSES, range, suppose};

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
fn weight(changes: &[Change], outside: bool) -> usize {
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
    let (mut changes, peer) = peers(model, rule, flow)?;
    let (of_service, flow) = services(model, &rule.services, flow)?;
    changes.extend(of_service);
    Some(Candidate {
        weight: weight(&changes, outside),
        miss: Miss { rule: id, changes },
        peer,
        flow,
    })
}

/// The least changes to the peer, and the peer with them.
fn peers(model: &Model<'_>, rule: &Rule, flow: &Flow) -> Option<(Vec<Change>, Identity)> {
    let identity = model.universe().identity(flow.peer)?;
    let Peers::Of(list) = &rule.peers else {
        return Some((Vec::new(), identity.clone()));
    };
    let known = |id: &crate::ids::PeerId| model.resolved.peer(*id).contains(flow.peer);
    if list.iter().any(|id| known(id)) {
        return Some((Vec::new(), identity.clone()));
    }
    let each = list.iter().filter_map(|id| model.resolved.rules.peer(*id));
    let each = each.filter_map(|peer| one_peer(model, peer, identity));
    each.min_by_key(|(changes, _)| weight(changes, identity.cidr.is_some()))
}

fn one_peer(
    model: &Model<'_>,
    peer: &Peer,
    identity: &Identity,
) -> Option<(Vec<Change>, Identity)> {
    match peer {
        Peer::Labels(id) => labels(model.resolved.rules.selector(*id), identity),
        Peer::Cidr(..) | Peer::Group(..) => {
            let (cidr, except) = nearest_block(peer, identity)?;
            let change = Change::Prefix(*cidr, except.to_vec());
            let changed = outside(model, inside(cidr, except)?, identity.names.clone());
            Some((vec![change], changed))
        }
        Peer::Fqdn(fqdn) => {
            let name = example(fqdn)?;
            let cidr = identity.cidr.unwrap_or(Cidr::ALL_V4);
            let changed = outside(model, cidr, vec![name]);
            Some((vec![Change::Name(fqdn.clone())], changed))
        }
    }
}

/// Requirements that do not hold, and labels with which they do.
fn labels(selector: &Selector, identity: &Identity) -> Option<(Vec<Change>, Identity)> {
    let all = selector.requirements();
    let is_pod = identity
        .labels
        .iter()
        .any(|(key, _)| key.source == Source::K8s);
    let of_pods = all.iter().all(|one| one.key.source != Source::Reserved);
    let unmet = all.iter().filter(|one| !one.matches(&identity.labels));
    let unmet = unmet.cloned().map(Change::Label).collect();
    let (changes, start) = match (of_pods, is_pod) {
        (true, false) => (vec![Change::Pod(selector.clone())], Labels::default()),
        // What has a reserved label is no pod.
        (false, true) => (unmet, Labels::default()),
        _ => (unmet, identity.labels.clone()),
    };
    let labels = mended(selector, &start)?;
    let changed = Identity {
        labels,
        ..Identity::default()
    };
    Some((changes, changed))
}

/// Labels with as little changed as a selector needs; `None` if nothing meets it.
fn mended(selector: &Selector, labels: &Labels) -> Option<Labels> {
    let mut all: Vec<_> = labels.iter().cloned().collect();
    for requirement in selector.requirements() {
        let key = match &requirement.key {
            Key {
                name,
                source: Source::Any,
            } => Key::new(Source::K8s, name.clone()),
            key => key.clone(),
        };
        if requirement.matches(&Labels::new(all.iter().cloned())) {
            continue;
        }
        all.retain(|(label, _)| label.name != key.name);
        match &requirement.operator {
            Operator::In(values) => all.push((key, values.first()?.clone())),
            Operator::Exists => all.push((key, "".into())),
            Operator::NotIn(_) | Operator::DoesNotExist => {}
        }
    }
    let labels = Labels::new(all);
    selector.matches(&labels).then_some(labels)
}

/// The block that shares most of its prefix with the peer's.
fn nearest_block<'p>(peer: &'p Peer, identity: &Identity) -> Option<(&'p Cidr, &'p [Cidr])> {
    let shared = |cidr: &Cidr| identity.cidr.map_or(0, |own| common(&own, cidr));
    let usable = peer
        .blocks()
        .filter(|(cidr, except)| inside(cidr, except).is_some());
    usable.min_by_key(|(cidr, _)| std::cmp::Reverse(shared(cidr)))
}

/// Leading bits that two prefixes share.
fn common(one: &Cidr, other: &Cidr) -> u8 {
    let cut = |cidr: &Cidr, len| Cidr::new(cidr.address(), len);
    let longest = one.bits().min(other.bits());
    let shared = (0..=longest)
        .rev()
        .find(|len| cut(one, *len) == cut(other, *len));
    shared.unwrap_or(0)
}

/// A prefix within a block that none of its exceptions touches.
fn inside(cidr: &Cidr, except: &[Cidr]) -> Option<Cidr> {
    let mut left = vec![*cidr];
    while let Some(part) = left.pop() {
        if except.iter().any(|hole| hole.covers(&part)) {
            continue;
        }
        if !except.iter().any(|hole| part.covers(hole)) {
            return Some(part);
        }
        // Only halves that hold an exception are split again, so this ends after as many steps as those have bits.
        left.extend(halves(&part).into_iter().flatten());
    }
    None
}

/// The upper and the lower half of a prefix.
fn halves(cidr: &Cidr) -> Option<[Cidr; 2]> {
    let len = cidr.bits() + 1;
    let lower = Cidr::new(cidr.address(), len)?;
    let upper = match cidr.address() {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() | 1 << (32 - u32::from(len))).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() | 1 << (128 - u32::from(len))).into()),
    };
    Some([Cidr::new(upper, len)?, lower])
}

/// A name that a pattern selects.
fn example(fqdn: &Fqdn) -> Option<Arc<str>> {
    let name = fqdn.name.clone().or_else(|| {
        let pattern = fqdn.pattern.as_deref()?;
        let labels = pattern.split('.').map(|label| {
            let bare = label.replace('*', "");
            if bare.is_empty() {
                "a".to_owned()
            } else {
                bare
            }
        });
        Some(labels.collect::<Vec<_>>().join(".").into())
    });
    name.filter(|name| fqdn.matches(name))
}

/// An address outside the cluster, with the label that such an address has.
fn outside(model: &Model<'_>, cidr: Cidr, names: Vec<Arc<str>>) -> Identity {
    let everything = if cidr.is_ipv4() {
        Cidr::ALL_V4
    } else {
        Cidr::ALL_V6
    };
    let world = model
        .universe()
        .addresses()
        .find(|(owned, _)| **owned == everything);
    let world = world.and_then(|(_, owner)| model.universe().identity(owner.identity));
    Identity {
        labels: world.map_or_else(Labels::default, |world| world.labels.clone()),
        cidr: Some(cidr),
        names,
    }
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
