//! The least changes to a peer with which a rule is about it.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cidr::Cidr;
use crate::fqdn::Fqdn;
use crate::label::{Key, Labels, Source};
use crate::model::{Flow, Model};
use crate::rule::{Peer, Peers, Rule};
use crate::selector::{Operator, Selector};
use crate::universe::{Identity, RESERVED};

use super::change::{Change, weight};

/// The least changes to the peer, and the peer with them.
pub(super) fn peers(
    model: &Model<'_>,
    rule: &Rule,
    flow: &Flow,
) -> Option<(Vec<Change>, Identity)> {
    let identity = model.universe().identity(flow.peer)?;
    let Peers::Of(list) = &rule.peers else {
        return Some((Vec::new(), identity.clone()));
    };
    let known = |id: &crate::ids::PeerId| model.resolved.peer(*id).contains(flow.peer);
    if list.iter().any(known) {
        return Some((Vec::new(), identity.clone()));
    }
    let each = list.iter().filter_map(|id| model.resolved.rules.peer(*id));
    let each = each.filter_map(|peer| one_peer(model, peer, identity));
    each.min_by_key(|(changes, _)| {
        let shared = changes.iter().map(|change| match change {
            Change::Prefix(cidr, _) => shared(cidr, identity),
            _ => 0,
        });
        let shared = shared.max().unwrap_or(0);
        (weight(changes, identity.cidr.is_some()), Reverse(shared))
    })
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
        if key.source == Source::Reserved && !is_reserved(&key.name) {
            return None;
        }
        all.retain(|(label, _)| label.name != key.name);
        let others = selector.requirements().iter();
        let others: Vec<_> = others.filter(|one| one.key.name == key.name).collect();
        let fits = |value: &&Arc<str>| others.iter().all(|one| one.accepts(Some(value)));
        match &requirement.operator {
            Operator::In(values) => all.push((key, values.iter().find(fits)?.clone())),
            Operator::Exists => all.push((key, "".into())),
            Operator::NotIn(_) | Operator::DoesNotExist => {}
        }
    }
    let labels = Labels::new(all);
    selector.matches(&labels).then_some(labels)
}

/// Whether something can have a reserved label; the entity `none` is one that nothing has.
fn is_reserved(name: &str) -> bool {
    let mut all = RESERVED.iter().flat_map(|(_, labels)| labels.iter());
    all.any(|label| *label == name)
}

/// The block that shares most of its prefix with the peer's.
fn nearest_block<'p>(peer: &'p Peer, identity: &Identity) -> Option<(&'p Cidr, &'p [Cidr])> {
    let usable = peer
        .blocks()
        .filter(|(cidr, except)| inside(cidr, except).is_some());
    usable.min_by_key(|(cidr, _)| Reverse(shared(cidr, identity)))
}

/// Leading bits that a prefix shares with what is known of the peer's address.
fn shared(cidr: &Cidr, identity: &Identity) -> u8 {
    let cut = |cidr: &Cidr, len| Cidr::new(cidr.address(), len);
    let Some(own) = &identity.cidr else {
        return 0;
    };
    let longest = own.bits().min(cidr.bits());
    let shared = (0..=longest)
        .rev()
        .find(|len| cut(own, *len) == cut(cidr, *len));
    shared.unwrap_or(0)
}

/// A prefix within a block that none of its exceptions touches.
pub(super) fn inside(cidr: &Cidr, except: &[Cidr]) -> Option<Cidr> {
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
