//! Checks the bytes against the model, cell by cell.
//!
//! The lookup that runs here is the one the datapath runs. For every distinct table, every identity is judged at
//! both ends of every interval of every protocol between two cut points (all port constants of the policy, found
//! here anew), up to a budget; beyond it, identities are taken one per class of equal peers.

use std::collections::{BTreeMap, BTreeSet};

use policy_abi::arena::{Read, record};
use policy_abi::reason::Reason;
use policy_abi::{lookup, proto};
use policyc_diag::{Diagnostic, codes};
use policyc_ir::frontend::{self, Frontend};
use policyc_ir::ids::IdentityId;
use policyc_ir::model::Model;
use policyc_ir::port::{Ports, Protocol};
use policyc_ir::rule::Services;
use rayon::prelude::*;

use crate::classes::{self, Judged};
use crate::image::Image;
use crate::records::Record;
use crate::{Distinct, Key, services};

/// Questions per table before identities are sampled.
const BUDGET: usize = 200_000;

/// Compares every table with the model and notes how many questions were asked.
pub(crate) fn check(
    model: &Model<'_>,
    image: &Image,
    distinct: &Distinct<'_>,
    judged: &[Judged],
    services: &[Frontend],
) -> Result<u64, Vec<Diagnostic>> {
    let offsets: BTreeSet<(usize, u32)> = image
        .endpoints
        .iter()
        .zip(&distinct.by_endpoint)
        .flat_map(|(bound, [ingress, egress])| [(*ingress, bound.ingress), (*egress, bound.egress)])
        .collect();
    let checked: Vec<Result<u64, Box<Diagnostic>>> = offsets
        .into_par_iter()
        .map(|(table, offset)| {
            let key = distinct.keys.get(table).zip(judged.get(table));
            let Some(((key, judged), nodes)) = key.zip(distinct.nodes.get(table)) else {
                return Ok(0);
            };
            let asked = table_agrees(model, image, key, judged, offset)?;
            Ok(asked + services_agree(model, image, (key, nodes), services, offset)?)
        })
        .collect();
    let mut total = 0;
    let mut faults = Vec::new();
    for result in checked {
        match result {
            Ok(asked) => total += asked,
            Err(fault) => faults.push(*fault),
        }
    }
    if faults.is_empty() {
        Ok(total)
    } else {
        Err(faults)
    }
}

fn table_agrees(
    model: &Model<'_>,
    image: &Image,
    key: &Key<'_>,
    judged: &Judged,
    offset: u32,
) -> Result<u64, Box<Diagnostic>> {
    let points = points(model, key);
    let known = model.universe().identities().len();
    let known = judged.peers.get(..known).unwrap_or(&judged.peers);
    let identities = sample(known, points.len());
    for identity in &identities {
        for (protocol, port) in &points {
            let wanted = classes::verdict(model, key, *identity, *protocol, *port);
            let found = read(image, offset, *identity, *protocol, *port);
            if found != Some(Record::new(model, &wanted)) {
                return Err(Box::new(disagreement(*identity, *protocol, *port)));
            }
        }
    }
    Ok((identities.len() * points.len()) as u64)
}

/// Compares what a table says about services with what the model says about their backends: at the services' own ports,
/// and up to the budget at all others where something could change.
fn services_agree(
    model: &Model<'_>,
    image: &Image,
    (key, nodes): (&Key<'_>, &frontend::Nodes),
    services: &[Frontend],
    offset: u32,
) -> Result<u64, Box<Diagnostic>> {
    let points = points(model, key);
    let first = model.universe().identities().len();
    let mut known: BTreeMap<&frontend::Ports, services::Wanted<'_>> = BTreeMap::new();
    let mut asked = 0;
    for (at, service) in services.iter().enumerate() {
        let wanted = known
            .entry(&service.ports)
            .or_insert_with(|| services::wanted(model, key, &service.ports, &points, nodes));
        let identity = IdentityId(services::identity(first, at));
        let more = if asked <= BUDGET { &points[..] } else { &[] };
        for (protocol, port) in service.ports.keys().chain(more) {
            let wanted = wanted.decision(*protocol, *port);
            if read(image, offset, identity, *protocol, *port) != Some(wanted) {
                return Err(Box::new(disagreement(identity, *protocol, *port)));
            }
            asked += 1;
        }
    }
    Ok(asked as u64)
}

/// The record that the datapath would find, `None` if it would not do what the record says.
fn read(
    image: &Image,
    table: u32,
    identity: IdentityId,
    protocol: Protocol,
    port: u16,
) -> Option<Record> {
    let arena = image.arena.as_slice();
    let verdict = lookup::verdict(arena, table, identity.0, protocol.0, port);
    let at = lookup::record_at(arena, verdict.record);
    if verdict.passes != lookup::passes(arena, at) {
        return None;
    }
    let text = |list: &[String], number: u32| match number.checked_sub(1) {
        Some(index) => list.get(index as usize).cloned(),
        None => Some(String::new()),
    };
    Some(Record {
        action: lookup::action(arena, at),
        cause: Reason::from_number(lookup::reason(arena, at))?,
        rule: arena.u32(at + record::RULE),
        auth: lookup::auth(arena, at),
        log: text(&image.logs, arena.u32(at + record::COOKIE))?,
        proxy: text(&image.proxies, arena.u32(at + record::PROXY))?,
    })
}

/// Both sides of every port constant, for every protocol slot and one protocol without a slot.
fn points(model: &Model<'_>, key: &Key<'_>) -> Vec<(Protocol, u16)> {
    let mut points = BTreeSet::new();
    let merged = key.enforced.filters.is_some();
    let mut add = |protocol: Protocol, first: u16, last: u16| {
        points.extend([(protocol, first), (protocol, last)]);
        points.extend(first.checked_sub(1).map(|port| (protocol, port)));
        points.extend(last.checked_add(1).map(|port| (protocol, port)));
        if merged {
            let cuts = block_bounds(first, last).into_iter();
            points.extend(cuts.map(|port| (protocol, port)));
        }
    };
    for protocol in proto::BY_SLOT.iter().copied().chain([253]) {
        add(Protocol(protocol), 0, u16::MAX);
    }
    let rules = key
        .enforced
        .rules
        .iter()
        .filter_map(|id| model.resolved.rules.rule(*id));
    for rule in rules {
        let Services::Of(list) = &rule.services else {
            continue;
        };
        for l4 in list {
            match &l4.ports {
                Ports::All => {}
                Ports::Range(first, last) => add(l4.protocol, *first, *last),
                Ports::Named(name, last) => {
                    let own = key.ports.get(&(name.clone(), l4.protocol)).copied();
                    let identities = 0..model.universe().identities().len();
                    let peers = identities.filter_map(|at| {
                        model
                            .universe()
                            .named_port(IdentityId::at(at), name, l4.protocol)
                    });
                    for number in own.into_iter().chain(peers) {
                        add(l4.protocol, number, last.unwrap_or(number).max(number));
                    }
                }
            }
        }
    }
    points.into_iter().collect()
}

/// Where the blocks may begin and end that a range's map entries stand for: at the first and the last multiple of every
/// power of two in it.
fn block_bounds(first: u16, last: u16) -> Vec<u16> {
    let (start, end) = (u32::from(first), u32::from(last) + 1);
    let cuts = (0..16).flat_map(|bits| {
        let size = 1_u32 << bits;
        [start.next_multiple_of(size), end / size * size]
    });
    let inside = cuts.filter(|cut| (start + 1..end).contains(cut));
    let both = inside.flat_map(|cut| [cut - 1, cut]);
    both.filter_map(|port| u16::try_from(port).ok()).collect()
}

/// All identities, or the first and the last of each class where that would be too many questions.
fn sample(peers: &[u32], points: usize) -> Vec<IdentityId> {
    if peers.len().saturating_mul(points) <= BUDGET {
        return (0..peers.len()).map(IdentityId::at).collect();
    }
    let mut first: BTreeMap<u32, usize> = BTreeMap::new();
    let mut last = first.clone();
    for (at, class) in peers.iter().enumerate() {
        first.entry(*class).or_insert(at);
        last.insert(*class, at);
    }
    let chosen: BTreeSet<_> = first.into_values().chain(last.into_values()).collect();
    chosen.into_iter().map(IdentityId::at).collect()
}

fn disagreement(identity: IdentityId, protocol: Protocol, port: u16) -> Diagnostic {
    let message = format!(
        "the tables decide identity {} on {protocol}/{port} otherwise than the policy",
        identity.0
    );
    Diagnostic::new(codes::SELF_CHECK, message)
        .help("nothing was written; please report this with the policies")
}
