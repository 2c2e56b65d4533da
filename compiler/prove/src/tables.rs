//! Every flow of every table.
//!
//! For one set of rules in force, identities are grouped by the rules that match them and by the class the table has
//! them in; all of a group have the same answer on either side. The ports of a protocol are cut where a rule begins or
//! ends and where the table's class changes; within a part neither side changes. One comparison for each group, each of
//! the 256 protocols and each part is therefore one for every flow there is.

use std::collections::{BTreeMap, BTreeSet};

use policy_abi::arena::{Read, record};
use policy_abi::lookup;
use policy_abi::reason::Reason;
use policy_bundle::Bundle;
use policyc_diag::Diagnostic;
use policyc_ir::frontend::Nodes;
use policyc_ir::port::Protocol;
use policyc_ir::rule::{Action, Direction};
use policyc_ir::universe::{Endpoint, NamedPorts, Universe};
use policyc_ir::{IdentityId, RuleId};
use policyc_verify::solver::Answer;
use rayon::prelude::*;

use crate::decide::{Applied, Wanted, decide};
use crate::decode::{self, Rows};
use crate::rules::{self, Matches, Stance};
use crate::{Proof, Sources, fault, hosts, services, solve, terms};

/// A table and what it must say.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Table {
    pub(crate) direction: Direction,
    /// Byte offset of its image.
    pub(crate) image: u32,
    pub(crate) stance: Stance,
    pub(crate) rules: Vec<RuleId>,
    /// The subject's ports, if a rule names one.
    pub(crate) ports: NamedPorts,
}

/// Identities for which neither the rules nor the table make a difference.
#[derive(Debug)]
pub(crate) struct Group {
    /// One of them.
    pub(crate) peer: IdentityId,
    /// The rules that match them.
    pub(crate) applied: Vec<Applied>,
    /// What holds where none of these decides.
    pub(crate) default: Wanted,
}

/// Compares all tables; what is decided otherwise, and how much was compared.
pub(crate) fn compare(bundle: &Bundle<'_>, sources: &Sources<'_>) -> (Vec<Diagnostic>, Proof) {
    let tables = tables(bundle, sources);
    let matches = Matches::new(sources.rules, sources.universe);
    let images = tables.keys().map(|table| table.image).collect();
    let arena = Arena {
        bytes: bundle.arena(),
        rows: Rows::read(bundle.arena(), &images),
        cookies: bundle.logs().zip(1..).collect(),
        proxies: bundle.proxies().zip(1..).collect(),
    };
    let compared = tables.par_iter().map(|(table, users)| {
        let subject = users.subject;
        let groups = groups(table, &matches, &arena, sources.universe);
        let (mut faults, comparisons, passes) =
            differences(table, subject, &groups, &arena, sources);
        let asked = solve::ask(table, &groups, &arena, sources.limits);
        let solved = u64::from(asked == Answer::Unsat);
        if let Some(reason) = objection(&asked, passes) {
            let direction = table.direction.name();
            faults.push(fault(&format!("{direction} of `{subject}`: {reason}")));
        }
        (faults, groups.len() as u64, comparisons, solved)
    });
    let compared: Vec<_> = compared.collect();
    let mut proof = Proof {
        tables: tables.len() as u64,
        ..Proof::default()
    };
    let listed: Vec<_> = tables.iter().collect();
    let of_services = services::compare(&listed, &arena, sources);
    let mut faults = Vec::new();
    for (found, groups, comparisons, solved) in compared {
        faults.extend(found);
        proof.groups += groups;
        proof.comparisons += comparisons;
        proof.solved += solved;
    }
    faults.extend(of_services);
    (faults, proof)
}

/// What the solver's answer has against a table. `differs`: the comparison found a flow that passes on one side only.
fn objection(asked: &Answer, differs: bool) -> Option<String> {
    match asked {
        Answer::Unsat if differs => Some("the solver does not find what differs".to_owned()),
        Answer::Sat if !differs => Some("the solver finds a flow that differs".to_owned()),
        Answer::Unsat | Answer::Sat => None,
        Answer::Unknown(reason) => Some(format!("the solver gave up ({reason})")),
    }
}

/// An arena, and where its rows change.
#[derive(Debug)]
pub(crate) struct Arena<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) rows: Rows,
    /// The cookie of each log text.
    cookies: BTreeMap<&'a str, u32>,
    /// The number of each proxy.
    proxies: BTreeMap<&'a str, u32>,
}

impl Arena<'_> {
    /// What the datapath would find.
    pub(crate) fn answer(&self, image: u32, peer: IdentityId, protocol: u8, port: u16) -> Wanted {
        let verdict = lookup::verdict(self.bytes, image, peer.0, protocol, port);
        let at = lookup::record_at(self.bytes, verdict.record);
        let auth = lookup::auth(self.bytes, at);
        let is_allowed = match lookup::action(self.bytes, at) {
            // What is allowed on a condition does not pass yet.
            record::ALLOW if auth != record::AUTH_NONE => !verdict.passes,
            record::REDIRECT => !verdict.passes,
            _ => verdict.passes,
        };
        Wanted {
            allowed: is_allowed,
            reason: lookup::reason(self.bytes, at),
            rule: self.bytes.u32(at + record::RULE),
            auth,
            cookie: self.bytes.u32(at + record::COOKIE),
            proxy: self.bytes.u32(at + record::PROXY),
        }
    }

    /// Where an answer can change: at starts of the table's runs, and where a rule begins or has ended.
    pub(crate) fn cuts(&self, image: u32, protocol: u8, applied: &[&Applied]) -> BTreeSet<u16> {
        let mut cuts: BTreeSet<u16> = BTreeSet::from([0]);
        cuts.extend(self.rows.starts(self.bytes, image, protocol));
        // Where rules ask for authentication or a proxy, each block of a range speaks for itself.
        let asks = |rule: &&Applied| rule.asking.auth.is_some() || rule.asking.proxy.is_some();
        let asks = applied.iter().any(asks);
        let spans = applied.iter().filter_map(|rule| rule.spans.as_ref());
        for (_, first, last) in spans.flatten().filter(|(of, _, _)| *of == protocol) {
            cuts.insert(*first);
            cuts.extend(last.checked_add(1));
            if asks {
                cuts.extend(terms::bounds(*first, *last));
            }
        }
        cuts
    }
}

/// Who has a table.
#[derive(Debug)]
pub(crate) struct Users<'a> {
    /// One of the endpoints.
    pub(crate) subject: &'a str,
    /// The nodes of all.
    pub(crate) nodes: Nodes,
}

/// The tables of the bundle's endpoints.
fn tables<'a>(bundle: &Bundle<'a>, sources: &Sources<'_>) -> BTreeMap<Table, Users<'a>> {
    let universe = sources.universe;
    let known = |name: &str| universe.find(name).and_then(|id| universe.endpoint(id));
    let pods = bundle
        .endpoints()
        .filter_map(|pod| Some((pod.name, [pod.ingress, pod.egress], known(pod.name)?)));
    let nodes = bundle.hosts().filter_map(|host| {
        let known = hosts::endpoint(universe, host.node)?;
        Some((host.name, [host.ingress, host.egress], known))
    });
    let endpoints: Vec<(_, _, &Endpoint)> = pods.chain(nodes).collect();
    let selecting = rules::selecting(sources.rules, endpoints.iter().map(|(_, _, known)| *known));
    let mut tables = BTreeMap::new();
    for (name, images, known) in endpoints {
        let own = selecting.get(&known.labels).map_or(&[][..], Vec::as_slice);
        for (direction, image) in Direction::BOTH.into_iter().zip(images) {
            let (stance, ids) =
                rules::in_force(sources.rules, sources.settings, known, own, direction);
            let names = direction == Direction::Ingress && rules::names_ports(sources.rules, &ids);
            let table = Table {
                direction,
                image,
                stance,
                ports: if names {
                    known.ports.clone()
                } else {
                    NamedPorts::new()
                },
                rules: ids,
            };
            let users = tables.entry(table).or_insert_with(|| Users {
                subject: name,
                nodes: Nodes::new(),
            });
            users.nodes.insert(known.node);
        }
    }
    tables
}

fn groups(
    table: &Table,
    matches: &Matches<'_>,
    arena: &Arena<'_>,
    universe: &Universe,
) -> Vec<Group> {
    let mut known = BTreeSet::new();
    let mut groups = Vec::new();
    for at in 0..universe.identities().len() {
        let peer = IdentityId::at(at);
        let class = decode::peer_class(arena.bytes, table.image, peer.0);
        let applied = table.rules.iter();
        let applied: Vec<_> = applied
            .filter_map(|id| matches.applied(*id, peer, &table.ports))
            .collect();
        let default = universe
            .identity(peer)
            .map_or(Wanted::without_rule(false), |identity| {
                table.stance.default(identity)
            });
        let what: Vec<_> = applied
            .iter()
            .map(|one| (one.rule, one.spans.clone(), one.asking.clone()))
            .collect();
        if known.insert((class, default.allowed, what)) {
            groups.push(Group {
                peer,
                applied,
                default,
            });
        }
    }
    groups
}

/// What a table says otherwise than the rules, one for each group and protocol at most; how many answers were compared;
/// and whether a flow passes on one side only.
fn differences(
    table: &Table,
    subject: &str,
    groups: &[Group],
    arena: &Arena<'_>,
    sources: &Sources<'_>,
) -> (Vec<Diagnostic>, u64, bool) {
    let mut faults = Vec::new();
    let (mut comparisons, mut passes) = (0, false);
    for group in groups {
        for protocol in 0..=u8::MAX {
            let applied: Vec<_> = group.applied.iter().collect();
            let cuts = arena.cuts(table.image, protocol, &applied);
            comparisons += cuts.len() as u64;
            let differing = cuts.into_iter().filter_map(|port| {
                let matching = applied.iter().filter(|rule| rule.matches(protocol, port));
                let matching: Vec<_> = matching.copied().collect();
                let found = arena.answer(table.image, group.peer, protocol, port);
                let flow = (protocol, port, found);
                let wanted = wanted(&matching, group.default, flow, arena, sources);
                (found != wanted).then_some((port, wanted, found))
            });
            let differing: Vec<_> = differing.collect();
            passes |= differing
                .iter()
                .any(|(_, wanted, found)| found.allowed != wanted.allowed);
            let Some((port, wanted, found)) = differing.first().copied() else {
                continue;
            };
            let flow = (group.peer, Protocol(protocol), port);
            faults.push(difference(
                table.direction,
                subject,
                flow,
                (wanted, found),
                sources,
            ));
        }
    }
    (faults, comparisons, passes)
}

/// What the rules that match a flow say. Where they leave open which of several proxies it is, it is the one found.
fn wanted(
    matching: &[&Applied],
    default: Wanted,
    (protocol, port, found): (u8, u16, Wanted),
    arena: &Arena<'_>,
    sources: &Sources<'_>,
) -> Wanted {
    let (mut wanted, decided) = decide(matching, default);
    let Some(decided) = decided else {
        return wanted;
    };
    if decided.1 == Action::Allow {
        let here = |one: &&&Applied| (one.level, one.action) == decided;
        let allows: Vec<_> = matching.iter().filter(here).copied().collect();
        if allows.iter().any(|one| one.asking.auth.is_some()) {
            wanted.auth = terms::auth(&allows, protocol, port);
        }
        let proxies = terms::proxies(&allows, protocol, port);
        let mut numbers = proxies.iter().map(|proxy| arena.proxies.get(proxy));
        if !proxies.is_empty() {
            wanted.reason = Reason::NoProxy as u8;
            // A proxy that the bundle does not have is none of its numbers.
            let is_one = numbers.any(|number| number == Some(&found.proxy));
            wanted.proxy = if is_one { found.proxy } else { u32::MAX };
        }
    }
    let log = terms::log(sources.rules, matching, decided);
    if !log.is_empty() {
        // A text that the bundle does not have is none of its cookies.
        wanted.cookie = arena.cookies.get(log.as_str()).copied().unwrap_or(u32::MAX);
    }
    wanted
}

fn difference(
    direction: Direction,
    subject: &str,
    (peer, protocol, port): (IdentityId, Protocol, u16),
    (wanted, found): (Wanted, Wanted),
    sources: &Sources<'_>,
) -> Diagnostic {
    let identity = sources.universe.identity(peer);
    let who = match identity {
        _ if peer == IdentityId::UNKNOWN => "an unknown address".to_owned(),
        Some(identity) => match identity.cidr {
            Some(cidr) => format!("`{cidr}`"),
            None => format!("`{}`", identity.labels),
        },
        None => format!("identity {}", peer.0),
    };
    let side = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let says = |answer: Wanted| {
        let verb = match (answer.allowed, answer.auth, answer.proxy) {
            (true, record::AUTH_NONE, 0) => "allow",
            (true, record::AUTH_NONE, u32::MAX) => "ask another proxy about",
            (true, record::AUTH_NONE, proxy) => &*format!("ask proxy {proxy} about"),
            (true, ..) => "demand authentication for",
            (false, ..) => "deny",
        };
        let name = sources.rules.name(RuleId(answer.rule));
        if answer.rule == record::NO_RULE || name.is_empty() {
            format!("{verb} it without a rule")
        } else {
            format!("{verb} it by `{name}`")
        }
    };
    let found = if (wanted.rule, wanted.cookie) != (found.rule, found.cookie)
        && says(wanted) == says(found)
    {
        format!("{} with another log text", says(found))
    } else {
        says(found)
    };
    fault(&format!(
        "{} of `{subject}` {side} {who} on {protocol}/{port}: the tables {found}, the policies {}",
        direction.name(),
        says(wanted)
    ))
}
