//! Rules by the filters that Cilium makes of them: one for each pair of ports and peer.
//!
//! Which rules without terms match makes no difference to a proxy or to authentication, but for three things: whether some
//! do, under which kinds of keys they stand beside keys with authentication, and with which rules for proxies they become
//! one filter, which takes the same ports and the same peer.

use std::collections::BTreeMap;

use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Action, Peers, Rule, Services};
use policyc_ir::{PeerId, RuleId};

use super::{Known, conflict, merges};
use crate::diff::joint::Version;
use crate::diff::search::Search;
use crate::encode::{Seat, matching};
use crate::term::Term;

/// What stands for many pairs of ports and peer: their map entries are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    /// Of no account but for being there.
    Any,
    /// For anyone, on these ports.
    Anyone(Option<&'a L4>),
    /// For some peer, on these ports.
    Some(Option<&'a L4>),
    /// For this peer, on these ports.
    Peer(Option<&'a L4>, PeerId),
}

/// A pair of ports and peer of a rule.
pub(super) type Pair<'a> = (RuleId, Option<&'a L4>, Option<PeerId>);

/// "Some rule without terms matches under this key", for each side and key.
pub(super) fn plain(search: &Search<'_>, rules: &[Known<'_>], authenticated: bool) -> Vec<Term> {
    let allows = || {
        let all = rules.iter();
        all.filter(|(_, rule, _)| rule.action == Action::Allow)
    };
    let special: Vec<_> = allows()
        .filter(|(_, rule, _)| conflict::may_clash(rule))
        .collect();
    let mut keys: BTreeMap<Key<'_>, [Vec<Pair<'_>>; 2]> = BTreeMap::new();
    for (id, rule, _) in allows().filter(|(_, rule, _)| !conflict::may_clash(rule)) {
        let tangled: Vec<_> = special
            .iter()
            .filter(|(_, other, _)| merges(rule, other))
            .collect();
        for (l4, peer) in pairs(rule) {
            let same = |(_, other, _): &&&Known<'_>| ports(other).any(|own| own == l4);
            let key = match peer {
                Some(peer) if tangled.iter().any(same) => Key::Peer(l4, peer),
                None if tangled.iter().any(same) => Key::Anyone(l4),
                _ if !authenticated => Key::Any,
                None => Key::Anyone(l4),
                Some(_) => Key::Some(l4),
            };
            let sides = keys.entry(key).or_default();
            for (side, version) in sides.iter_mut().zip(Version::BOTH) {
                if search.context.joint.has(version, *id) {
                    side.push((*id, l4, peer));
                }
            }
        }
    }
    let mut atoms = Vec::new();
    for [old, new] in keys.into_values() {
        atoms.push(any(search, &old));
        if old != new {
            atoms.push(any(search, &new));
        }
    }
    atoms
}

/// "Some of these filters match the flow."
pub(super) fn any(search: &Search<'_>, pairs: &[Pair<'_>]) -> Term {
    let (frame, rules) = (&search.question.frame, &search.context.joint.rules);
    let (_, side) = frame.seats(Seat::First);
    Term::any(pairs.iter().filter_map(|(id, l4, peer)| {
        let selects = search.question.encoded.get(id)?.selects.clone();
        let peers = peer.map_or(Peers::Any, |peer| Peers::Of(vec![peer]));
        let services = l4.map_or(Services::All, |l4| Services::Of(vec![l4.clone()]));
        let peer = matching::peers(frame, side, rules, &peers);
        Some(Term::all([
            selects,
            peer,
            matching::services(frame, &services),
        ]))
    }))
}

fn ports(rule: &Rule) -> impl Iterator<Item = Option<&L4>> {
    let (all, list) = match &rule.services {
        Services::All => (Some(None), &[][..]),
        Services::Of(list) => (None, list.as_slice()),
    };
    all.into_iter().chain(list.iter().map(Some))
}

/// The filters that a rule becomes: on all ports, who is named beside anyone is left out.
pub(super) fn pairs(rule: &Rule) -> impl Iterator<Item = (Option<&L4>, Option<PeerId>)> {
    let (anyone, list) = match &rule.peers {
        Peers::Any => (true, &rule.beside),
        Peers::Of(list) => (false, list),
    };
    ports(rule).flat_map(move |l4| {
        let all_ports = l4.is_none_or(|l4| l4.ports == Ports::All);
        let peers = list.iter().filter(move |_| !(anyone && all_ports));
        let peers = peers.map(|peer| Some(*peer));
        let none = anyone.then_some(None).into_iter();
        none.chain(peers).map(move |peer| (l4, peer))
    })
}
