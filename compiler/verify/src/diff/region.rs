//! Sets of flows as people read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::{Key, Labels, Source};

use super::fact::{self, Fact};
use super::{Change, What};
use crate::algebra::kind::Kind;
use crate::algebra::values::Values;
use crate::encode::Seat;

/// Text forms.
mod show;
/// Whether parties of a universe are in a region.
#[cfg(test)]
pub(super) mod tests;

/// Accepted values by label name.
type Asked = BTreeMap<Arc<str>, Values>;

/// One end of a set of flows: all parties that meet this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Kinds, as bits.
    kinds: u16,
    /// Kinds that this end of any flow can be of.
    possible: u16,
    /// Whether it is the end whose policy is asked.
    subject: bool,
    /// The cluster whose name need not be said.
    cluster: Arc<str>,
    /// Labels of pods.
    labels: Asked,
    /// Labels of nodes.
    nodes: Asked,
    /// Prefixes that hold the address, the narrowest first.
    inside: Vec<Cidr>,
    /// Prefixes that do not.
    outside: Vec<Cidr>,
    /// DNS names whose answers gave the address, or did not.
    names: Vec<(Fqdn, bool)>,
}

/// Protocols and ports of a set of flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    protocol: Option<u8>,
    not: Vec<u8>,
    first: u16,
    last: u16,
    names: Vec<(Arc<str>, bool)>,
    below: Vec<(Arc<str>, bool)>,
}

/// A set of flows.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) subject: Party,
    pub(super) peer: Party,
    pub(super) service: Service,
}

/// Flows of a set that do not change with the others: those that meet all that is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Except {
    /// Whose policy it is; any subject of the set if not given.
    pub subject: Option<Party>,
    /// The other end.
    pub peer: Option<Party>,
    /// Protocols and ports.
    pub service: Option<Service>,
}

impl Except {
    /// The flows of a set of which some more facts hold.
    pub(super) fn new(set: &[Fact], facts: &[Fact], node: bool, cluster: &Arc<str>) -> Self {
        let all: Vec<_> = set.iter().chain(facts).cloned().collect();
        let Region {
            subject,
            peer,
            service,
        } = Region::new(&all, node, cluster);
        let has = |of: fn(&Fact) -> bool| facts.iter().any(of);
        Self {
            subject: has(Fact::is_of_subject).then_some(subject),
            peer: has(Fact::is_of_peer).then_some(peer),
            service: has(|fact| !fact.is_of_subject() && !fact.is_of_peer()).then_some(service),
        }
    }
}

impl Region {
    /// The flows of which all facts hold.
    pub(super) fn new(facts: &[Fact], node: bool, cluster: &Arc<str>) -> Self {
        let mut region = Self {
            subject: Party::all(fact::subjects(node), true, cluster.clone()),
            peer: Party::all(fact::peers(), false, cluster.clone()),
            service: Service {
                protocol: None,
                not: Vec::new(),
                first: 0,
                last: u16::MAX,
                names: Vec::new(),
                below: Vec::new(),
            },
        };
        for fact in facts {
            region.narrow(fact);
        }
        region.subject.finish();
        region.peer.finish();
        region
    }

    fn narrow(&mut self, fact: &Fact) {
        let (Fact::Kinds(seat, _) | Fact::Label(seat, ..) | Fact::Node(seat, ..)) = fact else {
            return self.narrow_flow(fact);
        };
        let side = match seat {
            Seat::First => &mut self.subject,
            Seat::Second => &mut self.peer,
        };
        match fact {
            Fact::Kinds(_, kinds) => side.kinds &= kinds,
            Fact::Label(_, name, values) => narrow(&mut side.labels, name, values),
            Fact::Node(_, name, values) => narrow(&mut side.nodes, name, values),
            _ => {}
        }
    }

    fn narrow_flow(&mut self, fact: &Fact) {
        let Self { peer, service, .. } = self;
        match fact {
            Fact::Kinds(..) | Fact::Label(..) | Fact::Node(..) => {}
            Fact::Prefix(cidr, true) => peer.inside.push(*cidr),
            Fact::Prefix(cidr, false) => peer.outside.push(*cidr),
            Fact::Name(fqdn, holds) => peer.names.push((fqdn.clone(), *holds)),
            Fact::Protocol(number, true) => service.protocol = Some(*number),
            Fact::Protocol(number, false) => service.not.push(*number),
            Fact::AtMost(port, true) => service.last = service.last.min(*port),
            Fact::AtMost(port, false) => {
                service.first = service.first.max(port.saturating_add(1));
            }
            Fact::Named(name, holds) => service.names.push((name.clone(), *holds)),
            Fact::Below(name, holds) => service.below.push((name.clone(), *holds)),
        }
    }
}

fn narrow(asked: &mut Asked, name: &Arc<str>, values: &Values) {
    match asked.get_mut(name) {
        Some(known) => *known = known.meet(values),
        None => {
            asked.insert(name.clone(), values.clone());
        }
    }
}

impl Party {
    const fn all(possible: u16, subject: bool, cluster: Arc<str>) -> Self {
        Self {
            kinds: possible,
            possible,
            subject,
            cluster,
            labels: Asked::new(),
            nodes: Asked::new(),
            inside: Vec::new(),
            outside: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Draws from labels and prefixes what they say of kinds.
    fn finish(&mut self) {
        const NODES: u16 =
            Kind::HOST.bit() | Kind::HOST_API.bit() | Kind::NODE.bit() | Kind::NODE_API.bit();
        let both = |kinds: [Kind; 2]| kinds.iter().fold(0, |set, kind| set | kind.bit());
        if self.labels.values().any(|values| !values.absent) {
            self.kinds &= Kind::POD.bit();
        }
        if self.nodes.values().any(|values| !values.absent) {
            self.kinds &= NODES;
        }
        for cidr in &self.inside {
            self.kinds &= both(if cidr.is_ipv4() { Kind::V4 } else { Kind::V6 });
        }
        if self.names.iter().any(|(_, holds)| *holds) {
            self.kinds &= both(Kind::V4) | both(Kind::V6);
        }
        // What cannot hold of the kinds that are left need not be said.
        if self.kinds & Kind::POD.bit() == 0 {
            self.labels.clear();
        }
        if self.kinds & NODES == 0 {
            self.nodes.clear();
        }
        let kinds = self.kinds;
        self.outside
            .retain(|cidr| kinds & both(if cidr.is_ipv4() { Kind::V4 } else { Kind::V6 }) != 0);
        self.inside
            .sort_by_key(|cidr| std::cmp::Reverse(cidr.bits()));
        let narrowest = self.inside.first().copied();
        self.outside
            .retain(|cidr| narrowest.is_none_or(|inside| inside.covers(cidr)));
        self.outside.sort();
    }

    /// Whether it is nothing but pods.
    pub const fn is_pods(&self) -> bool {
        self.kinds == Kind::POD.bit()
    }

    /// Whether it has pods among others.
    pub const fn has_pods(&self) -> bool {
        self.kinds & Kind::POD.bit() != 0
    }

    /// Whether addresses outside the cluster are in it.
    pub fn has_world(&self) -> bool {
        let world = Kind::V4.into_iter().chain(Kind::V6);
        world.into_iter().any(|kind| self.kinds & kind.bit() != 0)
    }

    /// Whether a pod with these labels is in it.
    pub fn has_pod(&self, labels: &Labels) -> bool {
        self.has_pods()
            && self.labels.iter().all(|(name, values)| {
                let value = labels.get(&Key::new(Source::K8s, name.clone()));
                values.has(value.map(|value| &**value))
            })
    }

    /// How many conditions it has: the fewer, the more parties are in it.
    fn conditions(&self) -> usize {
        let kinds = usize::from(self.kinds.count_ones() <= 2 && self.labels.is_empty());
        kinds + self.labels.len() + self.inside.len() + self.names.len()
    }
}

impl Service {
    /// The one port, if there is but one.
    pub const fn port(&self) -> Option<u16> {
        if self.first == self.last {
            return Some(self.first);
        }
        None
    }

    /// The protocol, if there is but one.
    pub const fn protocol(&self) -> Option<u8> {
        self.protocol
    }
}

/// Puts together changes that differ in one respect only, and sorts them.
pub(super) fn merge(changes: Vec<Change>) -> Vec<Change> {
    let changes = join(changes, |one| &mut one.services);
    let changes = join(changes, |one| &mut one.peers);
    let mut changes = join(changes, |one| &mut one.subjects);
    changes.sort_by_cached_key(|one| {
        let conditions = |parties: &[Party]| parties.iter().map(Party::conditions).min();
        let width = (conditions(&one.peers), conditions(&one.subjects));
        (
            one.what,
            width,
            one.direction,
            one.subjects.clone(),
            one.peers.clone(),
            one.services.clone(),
        )
    });
    changes
}

/// Joins changes that are equal but for one list.
fn join<T: Ord + Clone>(changes: Vec<Change>, list: fn(&mut Change) -> &mut Vec<T>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    'each: for mut change in changes {
        let mut rest = change.clone();
        list(&mut rest).clear();
        for known in &mut joined {
            let mut other = known.clone();
            list(&mut other).clear();
            if is_alike(&rest, &other) {
                let more = std::mem::take(list(&mut change));
                absorb(known, change);
                let own = list(known);
                own.extend(more);
                own.sort();
                own.dedup();
                continue 'each;
            }
        }
        joined.push(change);
    }
    joined
}

fn is_alike(left: &Change, right: &Change) -> bool {
    let asks = |one: &Change| {
        (
            one.example.before.asks.clone(),
            one.example.after.asks.clone(),
        )
    };
    (left.what, left.direction) == (right.what, right.direction)
        && left.subjects == right.subjects
        && left.peers == right.peers
        && left.services == right.services
        && (&left.except, left.partly) == (&right.except, right.partly)
        && (left.what != What::Terms || asks(left) == asks(right))
}

/// Takes over the rules of a change that is joined; the first example stays.
fn absorb(known: &mut Change, other: Change) {
    for (own, more) in [
        (&mut known.removed, other.removed),
        (&mut known.added, other.added),
    ] {
        own.extend(more);
        own.sort();
        own.dedup();
    }
}
