//! Partitions of peers and of layer 4 on which a verdict is constant.
//!
//! Two identities are in one class if the same peers of the policy's rules match them (and, where a rule names a
//! port of the peer, if they give it the same number). Two ports of a protocol are in one class if the same layer 4
//! alternatives match them. The verdict of a pair of classes is then that of any representative.
//!
//! Cost: the members of each peer once, plus cut points times alternatives; nothing is a product but the cells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy_abi::proto;
use policy_abi::reason::Reason as Cause;
use policyc_ir::ids::{EndpointId, IdentityId, PeerId};
use policyc_ir::model::{Enforced, Flow, Model, Verdict};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::rule::{Direction, Peers, Rule, Services};

use crate::records::Record;
use crate::{Key, services};

/// Classes of one table, and the verdict of each pair.
#[derive(Debug)]
pub(crate) struct Judged {
    /// Class of each identity.
    pub(crate) peers: Vec<u32>,
    /// Number of peer classes.
    pub(crate) peer_classes: u32,
    /// For each protocol slot, the first port of each interval and its class; the first interval starts at 0.
    pub(crate) slots: Vec<Vec<(u16, u32)>>,
    /// Number of layer 4 classes.
    pub(crate) l4_classes: u32,
    /// What holds, row by peer class, column by layer 4 class.
    pub(crate) cells: Vec<Record>,
}

impl Judged {
    /// What holds for a peer, protocol and port.
    pub(crate) fn decision(&self, peer: IdentityId, protocol: u8, port: u16) -> Record {
        let slot = self.slots.get(proto::slot(protocol) as usize);
        let l4 = slot.map_or(0, |intervals| services::class_at(intervals, port));
        let cells = self.row(peer);
        // Peers outside the table, of which there are none, get what no record could say.
        let undecided = || Record::drop(Cause::InvalidTables);
        cells.get(l4 as usize).cloned().unwrap_or_else(undecided)
    }

    /// Whether a peer is allowed at every port of every protocol.
    pub(crate) fn is_open(&self, peer: IdentityId) -> bool {
        let row = self.row(peer);
        !row.is_empty() && row.iter().all(Record::passes)
    }

    fn row(&self, peer: IdentityId) -> &[Record] {
        let class = self.peers.get(peer.index()).copied().unwrap_or(u32::MAX) as usize;
        let width = self.l4_classes as usize;
        let start = class.saturating_mul(width);
        let cells = start..start.saturating_add(width);
        self.cells.get(cells).unwrap_or_default()
    }
}

/// Whether any rule names a port.
pub(crate) fn names_ports(model: &Model<'_>, enforced: &Enforced) -> bool {
    alternatives(model, enforced)
        .iter()
        .any(|l4| matches!(l4.ports, Ports::Named(..)))
}

/// Partitions and judges one table.
pub(crate) fn judge(model: &Model<'_>, key: &Key<'_>) -> Judged {
    let alternatives = alternatives(model, key.enforced);
    let (peers, peer_examples) = peer_classes(model, key, &alternatives);
    let (slots, l4_examples) = l4_classes(model, key, &alternatives);
    let mut cells = Vec::with_capacity(peer_examples.len() * l4_examples.len());
    for peer in &peer_examples {
        for (protocol, port) in &l4_examples {
            let verdict = verdict(model, key, *peer, *protocol, *port);
            cells.push(Record::new(model, &verdict));
        }
    }
    Judged {
        peers,
        peer_classes: u32::try_from(peer_examples.len()).unwrap_or(u32::MAX),
        slots,
        l4_classes: u32::try_from(l4_examples.len()).unwrap_or(u32::MAX),
        cells,
    }
}

/// The model's verdict under a table's policy.
pub(crate) fn verdict(
    model: &Model<'_>,
    key: &Key<'_>,
    peer: IdentityId,
    protocol: Protocol,
    port: u16,
) -> Verdict {
    // The subject is not looked at: policy and ports are given.
    let flow = Flow {
        subject: EndpointId(u32::MAX),
        direction: key.direction,
        peer,
        protocol,
        port,
    };
    model.judge(key.enforced, key.ports, &flow)
}

fn rules<'a>(model: &'a Model<'_>, enforced: &'a Enforced) -> impl Iterator<Item = &'a Rule> {
    enforced
        .rules
        .iter()
        .filter_map(|id| model.resolved.rules.rule(*id))
}

/// Every layer 4 alternative of a policy's rules.
pub(crate) fn alternatives<'a>(model: &'a Model<'_>, enforced: &'a Enforced) -> BTreeSet<&'a L4> {
    let lists = rules(model, enforced).filter_map(|rule| match &rule.services {
        Services::Of(list) => Some(list),
        Services::All => None,
    });
    lists.flatten().collect()
}

/// Class of each identity, and one identity of each class.
fn peer_classes(
    model: &Model<'_>,
    key: &Key<'_>,
    alternatives: &BTreeSet<&L4>,
) -> (Vec<u32>, Vec<IdentityId>) {
    let mut partition = Partition::new(model.universe().identities().len());
    let named: BTreeSet<PeerId> = rules(model, key.enforced)
        .filter_map(|rule| match &rule.peers {
            Peers::Of(list) => Some(list),
            Peers::Any => None,
        })
        .flatten()
        .copied()
        .collect();
    // Which entry asks for authentication depends on peers that rules name beside anyone, too.
    let merged = key.enforced.filters.iter().flat_map(|filters| &filters.0);
    let beside = merged.filter_map(|filter| filter.peer);
    for peer in named.into_iter().chain(beside) {
        partition.split(model.resolved.peer(peer).iter());
    }
    if key.enforced.localhost {
        partition.split(model.universe().hosts());
    }
    if key.direction == Direction::Egress {
        for (_, members) in numbers_of_names(model, alternatives) {
            partition.split(members);
        }
    }
    partition.finish()
}

/// For named ports of peers: the identities that give a name a certain number.
pub(crate) fn numbers_of_names<'a>(
    model: &Model<'_>,
    alternatives: &BTreeSet<&'a L4>,
) -> BTreeMap<(&'a Arc<str>, Protocol, u16, u16), Vec<IdentityId>> {
    let mut numbers: BTreeMap<_, Vec<IdentityId>> = BTreeMap::new();
    for l4 in alternatives {
        let Ports::Named(name, last) = &l4.ports else {
            continue;
        };
        for at in 0..model.universe().identities().len() {
            let identity = IdentityId::at(at);
            if let Some(number) = model.universe().named_port(identity, name, l4.protocol) {
                numbers
                    .entry((
                        name,
                        l4.protocol,
                        number,
                        last.unwrap_or(number).max(number),
                    ))
                    .or_default()
                    .push(identity);
            }
        }
    }
    numbers
}

/// A partition of identities, refined set by set.
pub(crate) struct Partition {
    class: Vec<u32>,
    classes: u32,
}

impl Partition {
    /// All identities in one class.
    pub(crate) fn new(identities: usize) -> Self {
        Self {
            class: vec![0; identities],
            classes: 1,
        }
    }

    /// Parts every class into members and others.
    pub(crate) fn split(&mut self, members: impl IntoIterator<Item = IdentityId>) {
        let mut moved: BTreeMap<u32, u32> = BTreeMap::new();
        for id in members {
            if let Some(class) = self.class.get_mut(id.index()) {
                *class = *moved.entry(*class).or_insert_with(|| {
                    self.classes += 1;
                    self.classes - 1
                });
            }
        }
    }

    /// Classes numbered by their first identity, and that identity.
    pub(crate) fn finish(self) -> (Vec<u32>, Vec<IdentityId>) {
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        let mut examples = Vec::new();
        let mut class = self.class;
        for (at, class) in class.iter_mut().enumerate() {
            *class = *numbers.entry(*class).or_insert_with(|| {
                examples.push(IdentityId::at(at));
                u32::try_from(examples.len() - 1).unwrap_or(u32::MAX)
            });
        }
        (class, examples)
    }
}

type Intervals = Vec<Vec<(u16, u32)>>;

/// Intervals of each protocol slot with their classes, and one (protocol, port) of each class.
fn l4_classes(
    model: &Model<'_>,
    key: &Key<'_>,
    alternatives: &BTreeSet<&L4>,
) -> (Intervals, Vec<(Protocol, u16)>) {
    let ranges = ranges(model, key, alternatives);
    let mut known: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
    let mut examples = Vec::new();
    let slots = proto::BY_SLOT.iter().map(|number| {
        let protocol = Protocol(*number);
        let here: Vec<_> = ranges
            .iter()
            .enumerate()
            .filter(|(_, range)| range.0 == protocol)
            .collect();
        let mut starts = BTreeSet::from([0_u16]);
        for (_, (_, first, last)) in &here {
            starts.insert(*first);
            starts.extend(last.checked_add(1));
        }
        let intervals = starts.into_iter().map(|start| {
            let hits = here
                .iter()
                .filter(|(_, (_, first, last))| (*first..=*last).contains(&start));
            let class = *known
                .entry(hits.map(|(at, _)| *at).collect())
                .or_insert_with(|| {
                    examples.push((protocol, start));
                    u32::try_from(examples.len() - 1).unwrap_or(u32::MAX)
                });
            (start, class)
        });
        merge(intervals.collect())
    });
    (slots.collect(), examples)
}

/// Port ranges of the alternatives, named ones by every number they can have. Where rules ask for authentication, each
/// in the blocks that its map entries stand for: which entry is asked depends on their length.
pub(crate) fn ranges(
    model: &Model<'_>,
    key: &Key<'_>,
    alternatives: &BTreeSet<&L4>,
) -> Vec<(Protocol, u16, u16)> {
    let ranges = whole_ranges(model, key, alternatives);
    if key.enforced.filters.is_none() {
        return ranges.into_iter().collect();
    }
    let blocks = ranges.into_iter().flat_map(|(protocol, first, last)| {
        let blocks = blocks(first, last).into_iter();
        blocks.map(move |(first, last)| (protocol, first, last))
    });
    let distinct: BTreeSet<_> = blocks.collect();
    distinct.into_iter().collect()
}

/// The fewest aligned blocks that make up a range, in order.
pub(crate) fn blocks(first: u16, last: u16) -> Vec<(u16, u16)> {
    let mut found = Vec::new();
    let (mut at, end) = (u32::from(first), u32::from(last) + 1);
    while at < end {
        let aligned = if at == 0 {
            16
        } else {
            at.trailing_zeros().min(16)
        };
        let fits = (end - at).ilog2();
        let next = at + (1 << aligned.min(fits));
        found.extend(u16::try_from(at).ok().zip(u16::try_from(next - 1).ok()));
        at = next;
    }
    found
}

fn whole_ranges(
    model: &Model<'_>,
    key: &Key<'_>,
    alternatives: &BTreeSet<&L4>,
) -> BTreeSet<(Protocol, u16, u16)> {
    let mut ranges: BTreeSet<(Protocol, u16, u16)> = BTreeSet::new();
    for l4 in alternatives {
        match &l4.ports {
            Ports::All => {
                ranges.insert((l4.protocol, 0, u16::MAX));
            }
            Ports::Range(first, last) => {
                ranges.insert((l4.protocol, *first, *last));
            }
            Ports::Named(name, last) => {
                let own = key.ports.get(&(name.clone(), l4.protocol)).copied();
                ranges.extend(
                    own.map(|number| (l4.protocol, number, last.unwrap_or(number).max(number))),
                );
            }
        }
    }
    if key.direction == Direction::Egress {
        let numbers = numbers_of_names(model, alternatives);
        ranges.extend(
            numbers
                .into_keys()
                .map(|(_, protocol, first, last)| (protocol, first, last)),
        );
    }
    ranges
}

/// Joins neighbouring intervals of one class.
fn merge(mut intervals: Vec<(u16, u32)>) -> Vec<(u16, u32)> {
    intervals.dedup_by_key(|(_, class)| *class);
    intervals
}
