//! What one distinct policy of a direction lets pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::class::{Class, Partition};
use super::ports::{Pool, Ports, Span};
use crate::ids::{EndpointId, IdentityId, PeerId};
use crate::model::{Enforced, Flow, Model};
use crate::port::{L4, Ports as Written, Protocol};
use crate::rule::{Direction, Peers, Rule, Services};
use crate::universe::NamedPorts;

/// For each class the set of ports that pass.
pub(super) type Table = Vec<u32>;

/// The name of a port, and the protocol it is of.
type Name = (Arc<str>, Protocol);

/// What one table is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Policy<'a> {
    /// None if the subject has no policy at all, because its rules exclude each other.
    enforced: Option<&'a Enforced>,
    /// The subject's own ports, as far as its ingress rules name them.
    ports: NamedPorts,
}

/// Distinct policies of both directions, and who has which.
pub(super) struct Tables<'a> {
    egress: Vec<Policy<'a>>,
    ingress: Vec<Policy<'a>>,
    by_endpoint: Vec<(usize, usize)>,
    /// Protocols that rules speak of.
    protocols: BTreeSet<Protocol>,
    /// Named ports in rules for egress.
    names: BTreeSet<Name>,
}

/// What judging the tables of a direction needs.
struct Judge<'m> {
    model: &'m Model<'m>,
    direction: Direction,
    classes: &'m [Class],
    /// The classes that each peer matches.
    peers: Vec<Vec<usize>>,
    /// The number that each class gives a named port.
    numbers: BTreeMap<Name, Vec<Option<u16>>>,
    /// Protocols to ask about, `None` for those that no rule speaks of.
    protocols: Vec<(Option<Protocol>, Protocol)>,
}

impl<'a> Tables<'a> {
    /// Finds the distinct policies.
    pub(super) fn new(model: &'a Model<'_>) -> Self {
        let mut known: [BTreeMap<Policy<'a>, usize>; 2] = [BTreeMap::new(), BTreeMap::new()];
        let mut by_endpoint = Vec::new();
        let mut names_of: BTreeMap<&Enforced, BTreeSet<Name>> = BTreeMap::new();
        for policy in model.policies() {
            let enforced = &policy.ingress;
            names_of
                .entry(enforced)
                .or_insert_with(|| names(model, enforced).collect());
        }
        let mut places: BTreeMap<(usize, NamedPorts), (usize, usize)> = BTreeMap::new();
        for (at, endpoint) in model.universe().endpoints().iter().enumerate() {
            let position = model.policy_index(EndpointId::at(at));
            let policy = position.and_then(|at| model.policies().get(at));
            let wanted = policy.and_then(|policy| names_of.get(&policy.ingress));
            let own = endpoint.ports.iter();
            let own = own.filter(|(name, _)| wanted.is_some_and(|wanted| wanted.contains(*name)));
            let ports: NamedPorts = own.map(|(name, number)| (name.clone(), *number)).collect();
            let place = (position.unwrap_or(usize::MAX), ports);
            if let Some(found) = places.get(&place) {
                by_endpoint.push(*found);
                continue;
            }
            let policy = policy.filter(|policy| policy.conflict.is_none());
            let [egress, ingress] = &mut known;
            let of = |known: &mut BTreeMap<_, _>, enforced, ports| {
                let next = known.len();
                *known.entry(Policy { enforced, ports }).or_insert(next)
            };
            let egress = of(
                egress,
                policy.map(|policy| &policy.egress),
                NamedPorts::new(),
            );
            let ingress = of(
                ingress,
                policy.map(|policy| &policy.ingress),
                place.1.clone(),
            );
            by_endpoint.push((egress, ingress));
            places.insert(place, (egress, ingress));
        }
        let [egress, ingress] = known.map(in_order);
        let sides = egress.iter().filter_map(|policy| policy.enforced);
        let egress_names = sides.flat_map(|enforced| names(model, enforced)).collect();
        let rules = model.resolved.rules.iter().map(|(_, rule)| rule);
        Self {
            egress,
            ingress,
            by_endpoint,
            protocols: rules.flat_map(alternatives).map(|l4| l4.protocol).collect(),
            names: egress_names,
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.egress.len() + self.ingress.len()
    }

    /// The tables of an endpoint: of egress and of ingress.
    pub(super) fn of(&self, endpoint: EndpointId) -> Option<(usize, usize)> {
        self.by_endpoint.get(endpoint.index()).copied()
    }

    /// Names that rules give to ports of their peers.
    pub(super) fn names_of_peers(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// Judges every policy of a direction.
    pub(super) fn judge(
        &self,
        model: &Model<'_>,
        direction: Direction,
        classes: &[Class],
        pool: &mut Pool,
    ) -> Vec<Table> {
        let judge = Judge {
            model,
            direction,
            classes,
            peers: classes_of_peers(model, classes),
            numbers: self.numbers(model, classes),
            protocols: self.asked(),
        };
        let policies = match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        };
        // Sets are shared as soon as they are known, so that no more than a batch of tables stands unshared.
        let batches = policies.chunks(64).flat_map(|batch| {
            let judged: Vec<_> = batch.par_iter().map(|policy| judge.table(policy)).collect();
            let shared = judged.into_iter().map(|(kinds, sets)| {
                let ids: Vec<_> = sets.into_iter().map(|set| pool.id(set)).collect();
                let id = |kind: &usize| ids.get(*kind).copied().unwrap_or_default();
                kinds.iter().map(id).collect()
            });
            shared.collect::<Vec<Table>>()
        });
        batches.collect()
    }

    fn numbers(&self, model: &Model<'_>, classes: &[Class]) -> BTreeMap<Name, Vec<Option<u16>>> {
        let numbers = |(name, protocol): &Name| {
            let number =
                |class: &Class| model.universe().named_port(class.identity, name, *protocol);
            classes.iter().map(number).collect()
        };
        let names = self.names.iter();
        names.map(|name| (name.clone(), numbers(name))).collect()
    }

    /// The protocols to ask about. One that no rule speaks of stands for all such, unless there is none.
    fn asked(&self) -> Vec<(Option<Protocol>, Protocol)> {
        let silent = (0..=u8::MAX).map(Protocol);
        let silent = silent.into_iter().find(|one| !self.protocols.contains(one));
        let other = silent.map(|protocol| (None, protocol));
        let spoken_of = self.protocols.iter().map(|one| (Some(*one), *one));
        other.into_iter().chain(spoken_of).collect()
    }
}

fn in_order(known: BTreeMap<Policy<'_>, usize>) -> Vec<Policy<'_>> {
    let mut policies: Vec<_> = known.into_iter().collect();
    policies.sort_by_key(|(_, at)| *at);
    policies.into_iter().map(|(policy, _)| policy).collect()
}

fn classes_of_peers(model: &Model<'_>, classes: &[Class]) -> Vec<Vec<usize>> {
    let peers = 0..model.resolved.rules.peers().len();
    let of = |at| {
        let set = model.resolved.peer(PeerId::at(at));
        let each = classes.iter().enumerate();
        let inside = each.filter(|(_, class)| set.contains(class.identity));
        inside.map(|(at, _)| at).collect()
    };
    peers.into_par_iter().map(of).collect()
}

fn rules<'m>(model: &'m Model<'_>, enforced: &'m Enforced) -> impl Iterator<Item = &'m Rule> {
    let ids = enforced.rules.iter();
    ids.filter_map(|id| model.resolved.rules.rule(*id))
}

fn alternatives(rule: &Rule) -> &[L4] {
    match &rule.services {
        Services::Of(list) => list,
        Services::All => &[],
    }
}

fn names<'m>(model: &'m Model<'_>, enforced: &'m Enforced) -> impl Iterator<Item = Name> + 'm {
    let all = rules(model, enforced).flat_map(alternatives);
    all.filter_map(|l4| match &l4.ports {
        Written::Named(name, _) => Some((name.clone(), l4.protocol)),
        _ => None,
    })
}

impl Judge<'_> {
    /// For each class its kind, and for each kind what passes.
    fn table(&self, policy: &Policy<'_>) -> (Vec<usize>, Vec<Ports>) {
        let Some(enforced) = policy.enforced else {
            return (
                vec![0; self.classes.len()],
                vec![super::ports::NONE.clone()],
            );
        };
        let all = rules(self.model, enforced).flat_map(alternatives);
        let alternatives: BTreeSet<&L4> = all.collect();
        let partition = self.partition(enforced, &alternatives);
        let mut known: BTreeMap<u32, usize> = BTreeMap::new();
        let mut sets = Vec::new();
        let mut kinds = Vec::with_capacity(self.classes.len());
        for (at, part) in partition.classes.iter().enumerate() {
            let kind = *known.entry(*part).or_insert_with(|| {
                sets.push(self.passing(enforced, &policy.ports, &alternatives, at));
                sets.len() - 1
            });
            kinds.push(kind);
        }
        (kinds, sets)
    }

    /// Parts classes by what a policy's rules tell apart.
    fn partition(&self, enforced: &Enforced, alternatives: &BTreeSet<&L4>) -> Partition {
        let mut partition = Partition::new(self.classes.len());
        let lists = rules(self.model, enforced).filter_map(|rule| match &rule.peers {
            Peers::Of(list) => Some(list),
            Peers::Any => None,
        });
        let peers: BTreeSet<_> = lists.flatten().collect();
        for members in peers.iter().filter_map(|peer| self.peers.get(peer.index())) {
            partition.split(members.iter().copied());
        }
        if enforced.localhost {
            let each = self.classes.iter().enumerate();
            let host = each.filter(|(_, class)| class.identity == IdentityId::HOST);
            partition.split(host.map(|(at, _)| at));
        }
        if self.direction == Direction::Egress {
            for l4 in alternatives {
                self.split_by_number(&mut partition, l4);
            }
        }
        partition
    }

    fn split_by_number(&self, partition: &mut Partition, l4: &L4) {
        let Written::Named(name, _) = &l4.ports else {
            return;
        };
        let Some(numbers) = self.numbers.get(&(name.clone(), l4.protocol)) else {
            return;
        };
        let mut by_number: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (at, number) in numbers.iter().enumerate() {
            if let Some(number) = number {
                by_number.entry(*number).or_default().push(at);
            }
        }
        for members in by_number.into_values() {
            partition.split(members);
        }
    }

    /// What passes between a policy's subject and a class.
    fn passing(
        &self,
        enforced: &Enforced,
        own: &NamedPorts,
        alternatives: &BTreeSet<&L4>,
        class: usize,
    ) -> Ports {
        let Some(identity) = self.classes.get(class).map(|class| class.identity) else {
            return super::ports::NONE.clone();
        };
        let mut spans = Vec::new();
        for (spoken_of, protocol) in &self.protocols {
            let here = alternatives.iter().filter(|l4| l4.protocol == *protocol);
            let mut starts = BTreeSet::from([0]);
            for (first, last) in here.filter_map(|l4| self.range(l4, own, class)) {
                starts.insert(first);
                starts.extend(last.checked_add(1));
            }
            let starts: Vec<u16> = starts.into_iter().collect();
            for (at, first) in starts.iter().enumerate() {
                let next = starts.get(at + 1);
                let flow = Flow {
                    // Policy and ports are given, so the subject is not looked at.
                    subject: EndpointId(u32::MAX),
                    direction: self.direction,
                    peer: identity,
                    protocol: *protocol,
                    port: *first,
                };
                let verdict = self.model.judge(enforced, own, &flow);
                if verdict.allowed {
                    spans.push(Span {
                        protocol: *spoken_of,
                        first: *first,
                        last: next.map_or(u16::MAX, |next| next - 1),
                        proxied: verdict.redirect.is_some(),
                        authenticated: verdict
                            .auth
                            .is_some_and(|demand| demand.mode != crate::l7::Auth::Disabled),
                    });
                }
            }
        }
        Ports::new(spans, self.protocols.len())
    }

    /// The ports that an alternative means for a class.
    fn range(&self, l4: &L4, own: &NamedPorts, class: usize) -> Option<(u16, u16)> {
        match &l4.ports {
            Written::All => None,
            Written::Range(first, last) => Some((*first, *last)),
            Written::Named(name, last) => {
                let name = (name.clone(), l4.protocol);
                let first = match self.direction {
                    Direction::Ingress => own.get(&name).copied(),
                    Direction::Egress => self
                        .numbers
                        .get(&name)
                        .and_then(|numbers| numbers.get(class).copied().flatten()),
                }?;
                Some((first, last.unwrap_or(first).max(first)))
            }
        }
    }
}
