//! What tables cost, and which rule makes most of it. Only asked for once tables do not fit.
//!
//! Rules are added to a table one after the other; what a table grows by, its last rule costs. A table is cells (peer
//! classes times port classes) with a bit each, identities that are not in the class of most around them, and pages of ports likewise; what
//! tables share counts for each of them.

use std::collections::{BTreeMap, BTreeSet};

use policy_abi::{arena, proto};
use policyc_ir::RuleId;
use policyc_ir::ids::IdentityId;
use policyc_ir::model::Model;
use policyc_ir::port::Protocol;
use policyc_ir::rule::{Peers, Rule, Services};

use crate::classes::{self, Judged};
use crate::{Distinct, Key};

/// Tables that are looked into, the largest first.
const TABLES: usize = 32;

/// The rule that costs most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dearest {
    /// The rule.
    pub(crate) rule: RuleId,
    /// Bytes that it adds to the tables that were looked into.
    pub(crate) bytes: u64,
    /// How many of them it is in.
    pub(crate) tables: usize,
}

/// The rule that adds most to the largest tables; of equals the first. `None` if no rule adds anything.
pub(crate) fn dearest(
    model: &Model<'_>,
    distinct: &Distinct<'_>,
    judged: &[Judged],
) -> Option<Dearest> {
    let mut tables: Vec<_> = distinct.keys.iter().zip(judged).collect();
    tables.sort_by_key(|(_, table)| std::cmp::Reverse(table.cells.len()));
    let mut costs: BTreeMap<RuleId, (u64, usize)> = BTreeMap::new();
    for (key, table) in tables.into_iter().take(TABLES) {
        for (rule, bytes) in added(model, key, table) {
            let cost = costs.entry(rule).or_default();
            cost.0 += bytes;
            cost.1 += 1;
        }
    }
    let most = costs
        .into_iter()
        .max_by_key(|(rule, (bytes, _))| (*bytes, std::cmp::Reverse(*rule)));
    most.map(|(rule, (bytes, tables))| Dearest {
        rule,
        bytes,
        tables,
    })
    .filter(|dearest| dearest.bytes > 0)
}

/// What each rule of a table adds to it.
fn added(model: &Model<'_>, key: &Key<'_>, table: &Judged) -> Vec<(RuleId, u64)> {
    let mut growing = Growing::new(table);
    let mut before = growing.bytes();
    let mut found = Vec::new();
    for id in &key.enforced.rules {
        let Some(rule) = model.resolved.rules.rule(*id) else {
            continue;
        };
        growing.add(model, key, rule);
        let after = growing.bytes();
        found.push((*id, after.saturating_sub(before)));
        before = after;
    }
    found
}

/// A table of the rules added so far, over the classes of all of its rules.
struct Growing<'a> {
    table: &'a Judged,
    /// One identity of each class.
    peers: BTreeMap<u32, IdentityId>,
    /// The part that each peer class is in by now.
    peer_part: BTreeMap<u32, u32>,
    /// One protocol and port of each class.
    ports: BTreeMap<u32, (Protocol, u16)>,
    /// The part that each port class is in by now.
    port_part: BTreeMap<u32, u32>,
}

impl<'a> Growing<'a> {
    fn new(table: &'a Judged) -> Self {
        let mut peers = BTreeMap::new();
        for (at, class) in table.peers.iter().enumerate() {
            peers.entry(*class).or_insert(IdentityId::at(at));
        }
        let mut ports = BTreeMap::new();
        for (number, intervals) in proto::BY_SLOT.iter().zip(&table.slots) {
            for (start, class) in intervals {
                ports.entry(*class).or_insert((Protocol(*number), *start));
            }
        }
        Self {
            table,
            peer_part: peers.keys().map(|class| (*class, 0)).collect(),
            peers,
            port_part: ports.keys().map(|class| (*class, 0)).collect(),
            ports,
        }
    }

    fn add(&mut self, model: &Model<'_>, key: &Key<'_>, rule: &Rule) {
        if let Peers::Of(list) = &rule.peers {
            let is_peer = |identity: &IdentityId| {
                let mut of = list.iter().map(|peer| model.resolved.peer(*peer));
                of.any(|members| members.contains(*identity))
            };
            let inside: Vec<_> = self.peers.values().map(is_peer).collect();
            split(&mut self.peer_part, &inside);
        }
        if let Services::Of(list) = &rule.services {
            let ranges = classes::ranges(model, key, &list.iter().collect());
            let is_meant = |(protocol, port): &(Protocol, u16)| {
                ranges
                    .iter()
                    .any(|(of, first, last)| of == protocol && (first..=last).contains(&port))
            };
            let inside: Vec<_> = self.ports.values().map(is_meant).collect();
            split(&mut self.port_part, &inside);
        }
    }

    fn bytes(&self) -> u64 {
        let cells = parts(&self.peer_part) * parts(&self.port_part);
        let cells = cells * 2 + cells.div_ceil(32) * 4;
        let peers = 4 * self.exceptions();
        let ports = u64::from(arena::PORT_PAGE) * 2 * self.port_pages();
        cells + peers + ports
    }

    /// Identities that are not in the part of most of their group.
    fn exceptions(&self) -> u64 {
        let groups = self.table.peers.chunks(arena::PEER_PAGE as usize);
        let exceptions = groups.map(|group| {
            let mut counts: BTreeMap<Option<&u32>, usize> = BTreeMap::new();
            for class in group {
                *counts.entry(self.peer_part.get(class)).or_default() += 1;
            }
            group.len() - counts.into_values().max().unwrap_or(0)
        });
        exceptions.sum::<usize>() as u64
    }

    /// Pages of ports in which a part ends.
    fn port_pages(&self) -> u64 {
        let part = |class: &u32| self.port_part.get(class);
        let mut pages = BTreeSet::new();
        for (slot, intervals) in self.table.slots.iter().enumerate() {
            for pair in intervals.windows(2) {
                if let [(_, before), (start, after)] = pair
                    && part(before) != part(after)
                    && u32::from(*start) % arena::PORT_PAGE != 0
                {
                    pages.insert((slot, u32::from(*start) / arena::PORT_PAGE));
                }
            }
        }
        pages.len() as u64
    }
}

/// Parts every part into what is inside and what is not.
fn split(part: &mut BTreeMap<u32, u32>, inside: &[bool]) {
    let mut known = BTreeMap::new();
    for (part, inside) in part.values_mut().zip(inside) {
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        *part = *known.entry((*part, *inside)).or_insert(next);
    }
}

fn parts(part: &BTreeMap<u32, u32>) -> u64 {
    part.values().collect::<BTreeSet<_>>().len() as u64
}
