//! What a decision comes with: the authentication an allow waits for, the proxy that has the last word, and what its
//! rules say for logs.
//!
//! A rule makes map entries for the peers it names, or for anyone, each for a block of ports. Of the entries that
//! match, the longest for the peer and the longest for anyone answer (Cilium's look-up; rules that ask for a proxy
//! have precedence over those that do not, but nobody asks for both). Who does not ask for authentication itself inherits it from the next shorter
//! entry of the same kind that does. Of the two answers the longer counts, the peer's first; if it has not asked
//! itself, the stronger demand of the two.
//!
//! Of the rules that ask for a proxy the one with the best listener priority is followed, then the one with the longest
//! entry, the peer's first. Cilium makes one entry of those that are alike in all of that, and so do we.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use policy_abi::arena::record;
use policyc_ir::PeerId;
use policyc_ir::l7::{self, Auth};
use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Action, Level, Peers, Rule, RuleSet};

use crate::decide::Applied;

/// How a rule's entries for one peer ask for authentication.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asking {
    /// What it asks for.
    pub(crate) auth: Option<Auth>,
    /// The proxy it asks for, and the priority of that: the lower wins.
    pub(crate) proxy: Option<(u8, String)>,
    /// Whether it names its peers.
    pub(crate) names_peers: bool,
    /// Whether it names this peer beside anyone.
    pub(crate) beside: bool,
    /// The names that it has for this peer, if some rule asks for authentication: else they make no difference.
    pub(crate) peers: Vec<PeerId>,
    /// For each of its spans: what is written, and whether the peer itself gives the port its number.
    pub(crate) spans: Vec<(L4, bool)>,
}

impl Asking {
    /// How a rule asks; `beside` says whether the peer is among those named beside anyone.
    pub(crate) fn new(
        rule: &Rule,
        beside: bool,
        peers: Vec<PeerId>,
        spans: Vec<(L4, bool)>,
    ) -> Self {
        Self {
            auth: rule.auth,
            proxy: rule.l7.as_deref().and_then(proxy_of),
            names_peers: rule.peers != Peers::Any,
            beside,
            peers,
            spans,
        }
    }
}

/// The proxy that layer 7 of a rule calls for, with its priority.
fn proxy_of(l7: &l7::Rules) -> Option<(u8, String)> {
    let of_parser = l7.parser()?.priority();
    let stated = l7.listener.as_ref().and_then(|listener| listener.priority);
    Some((stated.unwrap_or(of_parser), l7.proxy()?))
}

/// The proxy that the allows of a level leave the last word to; several if none of them comes before the others.
pub(crate) fn proxies<'a>(allows: &[&'a Applied], protocol: u8, port: u16) -> BTreeSet<&'a str> {
    let ranked = allows.iter().flat_map(|one| {
        let asked = one.asking.proxy.iter();
        asked.flat_map(move |(priority, name)| {
            let entries = entries(one, protocol, port).into_iter();
            entries.map(move |entry| ((Reverse(*priority), entry.bits, entry.own), name.as_str()))
        })
    });
    let ranked: BTreeSet<_> = ranked.collect();
    let best = ranked.last().map(|(rank, _)| *rank);
    let best = ranked
        .iter()
        .rev()
        .take_while(|(rank, _)| Some(*rank) == best);
    best.map(|(_, name)| *name).collect()
}

/// An entry that matches a flow.
#[derive(Clone, Copy)]
struct Entry {
    /// Bits of protocol and port that it fixes.
    bits: u8,
    /// Whether it is the peer's own.
    own: bool,
    auth: Option<Auth>,
}

/// The number of the authentication that the allows of a level demand.
pub(crate) fn auth(allows: &[&Applied], protocol: u8, port: u16) -> u8 {
    let entries = kept(allows, protocol, port);
    let own = answer(&entries, true);
    let anyone = answer(&entries, false);
    let (first, other) = match (own, anyone) {
        (Some(own), Some(anyone)) if anyone.0 > own.0 => (Some(anyone), Some(own)),
        (None, anyone) => (anyone, None),
        (own, anyone) => (own, anyone),
    };
    let Some((_, asks, strength)) = first else {
        return record::AUTH_NONE;
    };
    let stronger = other.map_or(0, |(.., strength)| strength);
    if asks {
        strength
    } else {
        strength.max(stronger)
    }
}

/// The entries that are left of those that rules ask for. Rules for the very same ports and peer make one, which asks for
/// what either asks for; and where anyone's entry for the very same ports asks for the same, a peer has none.
fn kept(allows: &[&Applied], protocol: u8, port: u16) -> Vec<Entry> {
    let mut merged: BTreeMap<(Option<PeerId>, Option<&L4>), Entry> = BTreeMap::new();
    for one in allows {
        let asking = &one.asking;
        let named = asking.peers.iter().copied().map(Some);
        let anyone = (!asking.names_peers).then_some(None);
        let all: Vec<_> = anyone.into_iter().chain(named).collect();
        for (l4, bits, by_name) in spans(one, protocol, port) {
            let all_ports = l4.is_none_or(|l4| l4.ports == Ports::All);
            // On all ports, anyone stands for whoever is named beside.
            let beside = |peer: &Option<PeerId>| peer.is_some() && !asking.names_peers;
            for peer in all.iter().filter(|peer| !(all_ports && beside(peer))) {
                let entry = merged.entry((*peer, l4)).or_insert(Entry {
                    bits,
                    own: peer.is_some() || by_name,
                    auth: None,
                });
                entry.auth = entry.auth.or(asking.auth);
            }
        }
    }
    let needed = merged.iter().filter(|((peer, l4), entry)| {
        let some_ports = l4.is_some_and(|l4| l4.ports != Ports::All);
        let anyone = merged.get(&(None, *l4)).filter(|_| some_ports);
        peer.is_none() || anyone.is_none_or(|anyone| anyone.auth != entry.auth)
    });
    needed.map(|(_, entry)| *entry).collect()
}

/// The spans of a rule that a port is in: what is written, the bits of protocol and port that an entry for it fixes, and
/// whether the peer gives the port its number.
fn spans(one: &Applied, protocol: u8, port: u16) -> impl Iterator<Item = (Option<&L4>, u8, bool)> {
    let whole = one.spans.is_none().then_some((None, 0, false));
    let some = one.spans.iter().flatten().zip(&one.asking.spans);
    let some = some.filter_map(move |((of, first, last), (l4, by_name))| {
        let is_in = *of == protocol && *first <= port && port <= *last;
        is_in.then(|| (Some(l4), 8 + 16 - block(*first, *last, port), *by_name))
    });
    whole.into_iter().chain(some)
}

fn entries(one: &Applied, protocol: u8, port: u16) -> Vec<Entry> {
    let asking = &one.asking;
    let mut found = Vec::new();
    for (l4, bits, by_name) in spans(one, protocol, port) {
        let mut add = |own| {
            found.push(Entry {
                bits,
                own,
                auth: asking.auth,
            });
        };
        add(asking.names_peers || by_name);
        if asking.beside && l4.is_some_and(|l4| l4.ports != Ports::All) {
            add(true);
        }
    }
    found
}

/// Bits that the ports of a block have free: the largest power of two that is whole around a port and inside a range.
fn block(first: u16, last: u16, port: u16) -> u8 {
    let (first, last, port) = (u32::from(first), u32::from(last), u32::from(port));
    let fits = |free: &u8| {
        let start = port >> free << free;
        first <= start && start + (1 << free) - 1 <= last
    };
    (0..=16).rev().find(fits).unwrap_or(0)
}

/// Where blocks of a range may begin: at its multiples of powers of two.
pub(crate) fn bounds(first: u16, last: u16) -> impl Iterator<Item = u16> {
    let (first, end) = (u32::from(first), u32::from(last) + 1);
    let bounds = (0..16).flat_map(move |free| {
        let size = 1_u32 << free;
        [first.div_ceil(size) * size, (end >> free) * size]
    });
    let inside = bounds.filter(move |bound| first < *bound && *bound < end);
    inside.filter_map(|bound| u16::try_from(bound).ok())
}

/// Bits of the longest entry of one kind, whether it asks itself, and for what.
fn answer(entries: &[Entry], own: bool) -> Option<(u8, bool, u8)> {
    let kind = || entries.iter().filter(|entry| entry.own == own);
    let bits = kind().map(|entry| entry.bits).max()?;
    let asking = kind().filter_map(|entry| Some((entry.bits, number(entry.auth?))));
    let strongest = asking.max();
    let asks = strongest.is_some_and(|(at, _)| at == bits);
    Some((bits, asks, strongest.map_or(0, |(_, number)| number)))
}

/// The number of a mode; the greater is the stronger.
const fn number(mode: Auth) -> u8 {
    match mode {
        Auth::Disabled => record::AUTH_NONE,
        Auth::Required => record::AUTH_REQUIRED,
        Auth::AlwaysFail => record::AUTH_ALWAYS_FAIL,
    }
}

/// What the rules of a level and action that match say for logs, a line for each of their texts.
pub(crate) fn log(rules: &RuleSet, matching: &[&Applied], decided: (Level, Action)) -> String {
    let mut deciding: Vec<_> = matching
        .iter()
        .filter(|one| (one.level, one.action) == decided)
        .map(|one| one.rule)
        .collect();
    deciding.sort_unstable();
    let mut log: Vec<&str> = Vec::new();
    let texts = deciding.iter().filter_map(|id| rules.rule(*id));
    for text in texts.filter_map(|rule| rule.log.as_deref()) {
        if !log.contains(&text) {
            log.push(text);
        }
    }
    log.join("\n")
}
