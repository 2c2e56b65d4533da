//! Flows that match rules, put together without a solver.
//!
//! A rule asks for a set of values of each label, a kind of peer, a prefix, a port. Where several rules ask, the sets
//! are met one by one and a value is picked from each. What comes out is checked against the terms, so a flow that is
//! returned is one; none may be found though one exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::{CLUSTER, NAMESPACE, NAMESPACE_LABELS};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::rule::{Direction, Peer, Peers, Rule, Services};

use super::dims::{ABSENT, Domain, FIRST, OTHER};
use super::{Frame, Side};
use crate::algebra::kind::Kind;
use crate::algebra::overlap::Algebra;
use crate::algebra::selector::{Asked, Reach, always};
use crate::algebra::values::Values;
use crate::term::Assignment;

/// How values are picked where several fit.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    /// The most readable; these ports first.
    Nice(Vec<u16>),
    /// At random, repeatably; the state is never zero.
    Random(u64),
}

impl Pick {
    /// A position below `count`.
    fn below(&mut self, count: usize) -> usize {
        match self {
            Self::Nice(_) => 0,
            Self::Random(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
                usize::try_from(*state % count).unwrap_or(0)
            }
        }
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let at = self.below(list.len());
        list.get(at).copied()
    }
}

/// What a flow must be for the rules to match it.
struct Wanted<'a> {
    peers: Vec<&'a Peer>,
    services: Vec<&'a L4>,
}

/// Alternatives of all rules that are tried together.
const TRIES: usize = 64;

impl Frame {
    /// A flow that all rules match, if one is found. The frame must know the rules, subject first.
    pub(crate) fn draw(
        &self,
        algebra: &Algebra<'_>,
        rules: &[&Rule],
        pick: &mut Pick,
    ) -> Option<Assignment> {
        let tries = match pick {
            Pick::Nice(_) => TRIES,
            Pick::Random(_) => 4,
        };
        (0..tries).find_map(|number| {
            let wanted = wanted(algebra, rules, number, pick)?;
            let mut values = Assignment::zero(&self.script);
            self.subject(algebra, rules, pick, &mut values)?;
            self.peer(algebra, &wanted, pick, &mut values)?;
            self.tie(&mut values);
            self.layer4(rules, &wanted, pick, &mut values)?;
            let possible = self.script.assertions.iter();
            possible
                .into_iter()
                .all(|fact| fact.eval(&values))
                .then_some(values)
        })
    }

    fn subject(
        &self,
        algebra: &Algebra<'_>,
        rules: &[&Rule],
        pick: &mut Pick,
        values: &mut Assignment,
    ) -> Option<()> {
        let [side, _] = &self.sides;
        if rules.iter().any(|rule| rule.subject.node) {
            let asked = meet(rules.iter().map(|rule| algebra.host(rule)))?;
            values.set(side.kind, u128::from(Kind::HOST.0));
            return self.node_labels(side, &asked, pick, values);
        }
        let reaches: Vec<&Reach> = rules
            .iter()
            .filter_map(|rule| algebra.subject(rule))
            .collect();
        let mut asked = meet(reaches.iter().map(|reach| reach.pod.as_ref()));
        if let Some(asked) = &mut asked {
            let local = self.dims.cluster.clone();
            narrow(asked, CLUSTER, local)?;
            for namespace in rules
                .iter()
                .filter_map(|rule| rule.subject.namespace.as_ref())
            {
                narrow(asked, NAMESPACE, namespace.clone())?;
            }
        }
        let kinds = reaches
            .iter()
            .fold(u16::MAX, |set, reach| set & reach.kinds);
        let others = Kind::SUBJECTS.into_iter();
        let mut kinds: Vec<Kind> = others.filter(|kind| kinds & kind.bit() != 0).collect();
        if asked.is_some() {
            kinds.insert(0, Kind::POD);
        }
        match (pick.one_of(&kinds)?, asked) {
            (Kind::POD, Some(asked)) => self.pod(side, &asked, pick, values),
            (kind, _) => {
                values.set(side.kind, u128::from(kind.0));
                Some(())
            }
        }
    }

    fn peer(
        &self,
        algebra: &Algebra<'_>,
        wanted: &Wanted<'_>,
        pick: &mut Pick,
        values: &mut Assignment,
    ) -> Option<()> {
        let [_, side] = &self.sides;
        let reaches: Vec<&Reach> = wanted
            .peers
            .iter()
            .filter_map(|peer| match peer {
                Peer::Labels(selector) => algebra.reach(*selector),
                _ => None,
            })
            .collect();
        let outside: Vec<&Peer> = wanted
            .peers
            .iter()
            .filter(|peer| !matches!(peer, Peer::Labels(_)))
            .copied()
            .collect();
        let kinds = reaches
            .iter()
            .fold(u16::MAX, |set, reach| set & reach.kinds);
        let real = |kind: &Kind| !matches!(*kind, Kind::UNKNOWN | Kind::WORLD);
        let others = Kind::OTHERS.into_iter().filter(real);
        let mut kinds: Vec<Kind> = others.filter(|kind| kinds & kind.bit() != 0).collect();
        if !outside.is_empty() {
            kinds.retain(|kind| Kind::V4.contains(kind) || Kind::V6.contains(kind));
            let v4 = outside.iter().filter_map(|peer| family(peer)).next();
            kinds.retain(|kind| v4.is_none_or(|v4| Kind::V4.contains(kind) == v4));
            let kind = pick.one_of(&kinds)?;
            return self.address(side, kind, &outside, pick, values);
        }
        let asked = meet(reaches.iter().map(|reach| reach.pod.as_ref()));
        let pod = asked.filter(|_| kinds.is_empty() || pick.below(4) < 3);
        if let Some(asked) = pod {
            return self.pod(side, &asked, pick, values);
        }
        let kind = pick.one_of(&kinds)?;
        if Kind::NODES.contains(&kind) && self.dims.node_labels {
            let asked = meet(reaches.iter().map(|reach| Some(&reach.node)))?;
            values.set(side.kind, u128::from(kind.0));
            return self.node_labels(side, &asked, pick, values);
        }
        self.address(side, kind, &[], pick, values)
    }

    fn pod(
        &self,
        side: &Side,
        asked: &Asked,
        pick: &mut Pick,
        values: &mut Assignment,
    ) -> Option<()> {
        values.set(side.kind, u128::from(Kind::POD.0));
        for (name, var) in &side.labels {
            let domain = self.dims.of_pods(name);
            let free = Values {
                absent: !always(name),
                complement: true,
                list: Vec::new(),
            };
            let wanted = find(asked, name).unwrap_or(&free);
            let code = if &**name == CLUSTER {
                // A pod of the local cluster unless another is asked for.
                domain
                    .code(&self.dims.cluster)
                    .filter(|_| accepts(wanted, &self.dims.cluster))
            } else {
                None
            };
            let code = match code {
                Some(code) => code,
                None => pick_code(wanted, domain, pick)?,
            };
            values.set(*var, code);
        }
        Some(())
    }

    fn node_labels(
        &self,
        side: &Side,
        asked: &Asked,
        pick: &mut Pick,
        values: &mut Assignment,
    ) -> Option<()> {
        for (name, var) in &side.nodes {
            if let Some(wanted) = find(asked, name) {
                values.set(*var, pick_code(wanted, self.dims.of_nodes(name), pick)?);
            }
        }
        Some(())
    }

    /// A party without labels; an address outside the cluster in all of the blocks, with all of the names.
    fn address(
        &self,
        side: &Side,
        kind: Kind,
        peers: &[&Peer],
        pick: &mut Pick,
        values: &mut Assignment,
    ) -> Option<()> {
        values.set(side.kind, u128::from(kind.0));
        let v4 = Kind::V4.contains(&kind);
        if !v4 && !Kind::V6.contains(&kind) {
            return Some(());
        }
        let mut names: Vec<&Fqdn> = Vec::new();
        let mut blocks: Vec<(&Cidr, &[Cidr])> = Vec::new();
        for peer in peers {
            if let Peer::Fqdn(fqdn) = peer {
                names.push(fqdn);
                continue;
            }
            let fitting: Vec<_> = peer
                .blocks()
                .filter(|(cidr, _)| cidr.is_ipv4() == v4)
                .collect();
            blocks.push(pick.one_of(&fitting)?);
        }
        let bits = within(&blocks, v4, pick)?;
        values.set(if v4 { side.v4 } else { side.v6 }, bits);
        // What a name implies may imply more, but every pair of that chain is among the pairs.
        let implied = self.implied.iter().filter(|(one, _)| names.contains(&one));
        let all: Vec<&Fqdn> = implied
            .map(|(_, another)| another)
            .chain(names.iter().copied())
            .collect();
        for fqdn in all {
            values.set(side.name(fqdn)?, 1);
        }
        Some(())
    }

    /// Two pods of one namespace see the same labels of it: what one side is free in follows the other.
    fn tie(&self, values: &mut Assignment) {
        let [first, second] = &self.sides;
        let same = |name: &str| {
            let pair = first.label(name).zip(second.label(name));
            pair.is_some_and(|(left, right)| values.get(left) == values.get(right))
        };
        let pods = values.get(first.kind) == 0 && values.get(second.kind) == 0;
        if !(pods && same(NAMESPACE) && same(CLUSTER)) {
            return;
        }
        for (name, var) in &first.labels {
            let Some(other) = second
                .label(name)
                .filter(|_| name.starts_with(NAMESPACE_LABELS))
            else {
                continue;
            };
            match (values.get(*var), values.get(other)) {
                (ABSENT, value) => values.set(*var, value),
                (value, _) => values.set(other, value),
            }
        }
    }

    fn layer4(
        &self,
        rules: &[&Rule],
        wanted: &Wanted<'_>,
        pick: &mut Pick,
        values: &mut Assignment,
    ) -> Option<()> {
        let [first, second] = &self.sides;
        let ingress = rules.first()?.direction == Direction::Ingress;
        let destination = if ingress { first } else { second };
        let common = [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol(47)];
        let mut protocol = wanted.services.first().map(|l4| l4.protocol);
        if protocol.is_none() {
            protocol = pick.one_of(&common);
        }
        let protocol = protocol?;
        let top = if protocol.is_icmp() { 255 } else { u16::MAX };
        let (mut low, mut high) = (0, top);
        let mut names = Vec::new();
        for l4 in &wanted.services {
            if l4.protocol != protocol {
                return None;
            }
            match &l4.ports {
                Ports::All => {}
                Ports::Range(first, last) => (low, high) = (low.max(*first), high.min(*last)),
                Ports::Named(name, _) => names.push(name),
            }
        }
        if !names.is_empty() && values.get(destination.kind) != 0 {
            return None;
        }
        let lowest = if protocol.has_ports() {
            low.max(1)
        } else {
            low
        };
        let port = if protocol.has_ports() || protocol.is_icmp() {
            port(lowest, high, rules, pick)?
        } else {
            (low == 0).then_some(0)?
        };
        values.set(self.protocol, u128::from(protocol.0));
        values.set(self.port, u128::from(port));
        for name in names {
            let named = self.named.iter().find(|named| named.name == *name)?;
            values.set(named.here, 1);
        }
        Some(())
    }
}

/// One alternative of each rule's peers and ports; `None` if a rule has none.
fn wanted<'a>(
    algebra: &'a Algebra<'_>,
    rules: &[&'a Rule],
    number: usize,
    pick: &mut Pick,
) -> Option<Wanted<'a>> {
    let mut wanted = Wanted {
        peers: Vec::new(),
        services: Vec::new(),
    };
    let mut rest = number;
    let mut choose = |count: usize, pick: &mut Pick| {
        if count == 0 {
            return None;
        }
        if matches!(pick, Pick::Random(_)) {
            return Some(pick.below(count));
        }
        let at = rest % count;
        rest /= count;
        Some(at)
    };
    for rule in rules {
        if let Peers::Of(list) = &rule.peers {
            let at = choose(list.len(), pick)?;
            wanted.peers.push(algebra.rules.peer(*list.get(at)?)?);
        }
        if let Services::Of(list) = &rule.services {
            let at = choose(list.len(), pick)?;
            wanted.services.push(list.get(at)?);
        }
    }
    // All alternatives were seen.
    let again = matches!(pick, Pick::Nice(_)) && rest > 0;
    (!again).then_some(wanted)
}

/// Whether a peer made of prefixes has IPv4 ones first; `None` for names, which may have either.
fn family(peer: &Peer) -> Option<bool> {
    peer.blocks().next().map(|(cidr, _)| cidr.is_ipv4())
}

/// What all of them ask for; `None` if nothing meets it.
fn meet<'a>(all: impl Iterator<Item = Option<&'a Asked>>) -> Option<Asked> {
    let mut met: BTreeMap<Arc<str>, Values> = BTreeMap::new();
    for asked in all {
        for (name, values) in asked? {
            match met.get_mut(name) {
                Some(known) => {
                    *known = known.meet(values);
                    if known.is_empty() {
                        return None;
                    }
                }
                None => {
                    met.insert(name.clone(), values.clone());
                }
            }
        }
    }
    Some(met.into_iter().collect())
}

/// Asks for one value more.
fn narrow(asked: &mut Asked, name: &str, value: Arc<str>) -> Option<()> {
    let own = Values {
        absent: false,
        complement: false,
        list: vec![value],
    };
    match asked.binary_search_by(|(known, _)| (**known).cmp(name)) {
        Ok(at) => {
            let (_, known) = asked.get_mut(at)?;
            *known = known.meet(&own);
            (!known.is_empty()).then_some(())
        }
        Err(at) => {
            asked.insert(at, (name.into(), own));
            Some(())
        }
    }
}

fn find<'a>(asked: &'a Asked, name: &str) -> Option<&'a Values> {
    let at = asked
        .binary_search_by(|(known, _)| (**known).cmp(name))
        .ok()?;
    asked.get(at).map(|(_, values)| values)
}

fn accepts(values: &Values, value: &str) -> bool {
    let listed = values
        .list
        .binary_search_by(|known| (**known).cmp(value))
        .is_ok();
    listed != values.complement
}

/// The code of an accepted value.
fn pick_code(values: &Values, domain: Domain<'_>, pick: &mut Pick) -> Option<u128> {
    let named = |number: u128| {
        let (text, _) = domain.text(FIRST + number)?;
        accepts(values, &text).then_some(FIRST + number)
    };
    let count = domain.size() - FIRST;
    let absent = values.absent.then_some(ABSENT);
    let other = values.complement.then_some(OTHER);
    match pick {
        Pick::Nice(_) => absent.or_else(|| (0..count).find_map(named)).or(other),
        Pick::Random(_) => {
            let wide = values.complement;
            match pick.below(8) {
                0..4 if absent.is_some() => absent,
                0..6 if other.is_some() => other,
                _ => {
                    let start = if wide {
                        pick.below(usize::try_from(count).unwrap_or(0))
                    } else {
                        pick.below(values.list.len())
                    };
                    let some = if wide {
                        named(u128::try_from(start).unwrap_or(0))
                    } else {
                        values.list.get(start).and_then(|value| domain.code(value))
                    };
                    some.or(other).or(absent)
                }
            }
        }
    }
}

/// An address in all blocks and in none of their exceptions.
fn within(blocks: &[(&Cidr, &[Cidr])], v4: bool, pick: &mut Pick) -> Option<u128> {
    let whole = if v4 { &Cidr::ALL_V4 } else { &Cidr::ALL_V6 };
    let narrowest = blocks
        .iter()
        .map(|(cidr, _)| *cidr)
        .max_by_key(|cidr| cidr.bits());
    let prefix = narrowest.unwrap_or(whole);
    if !blocks.iter().all(|(cidr, _)| cidr.covers(prefix)) {
        return None;
    }
    let holes: Vec<_> = blocks
        .iter()
        .flat_map(|(_, except)| except.iter())
        .map(range)
        .collect();
    let (low, high) = range(prefix);
    let example = if v4 {
        0xcb00_7107
    } else {
        0x2001_0db8_0000_0000_0000_0000_0000_0007
    };
    let start = match pick {
        Pick::Nice(_) if (low..=high).contains(&example) => example,
        Pick::Nice(_) => low,
        Pick::Random(_) => {
            let step = high.saturating_sub(low) / 16;
            low + step * u128::try_from(pick.below(16)).unwrap_or(0)
        }
    };
    free(start, high, &holes).or_else(|| free(low, high, &holes))
}

/// The first address from `start` on that is in no hole.
fn free(start: u128, high: u128, holes: &[(u128, u128)]) -> Option<u128> {
    let mut at = start;
    while let Some((_, last)) = holes
        .iter()
        .find(|(first, last)| (*first..=*last).contains(&at))
    {
        at = last.checked_add(1)?;
    }
    (at <= high).then_some(at)
}

fn range(cidr: &Cidr) -> (u128, u128) {
    let (first, width) = match cidr.address() {
        std::net::IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        std::net::IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let host = width - u32::from(cidr.bits());
    let size = 1_u128.checked_shl(host).map_or(u128::MAX, |size| size - 1);
    (first, first | size)
}

fn port(low: u16, high: u16, rules: &[&Rule], pick: &mut Pick) -> Option<u16> {
    if low > high {
        return None;
    }
    if let Pick::Nice(hints) = pick {
        let hint = hints.iter().find(|hint| (low..=high).contains(hint));
        return Some(hint.copied().unwrap_or(low));
    }
    // Ends of ranges are where verdicts change; a port that nobody names is where most rules do not match.
    let bounds = rules.iter().filter_map(|rule| match &rule.services {
        Services::Of(list) => Some(list),
        Services::All => None,
    });
    let mut ports: Vec<u16> = bounds
        .flatten()
        .filter_map(|l4| match l4.ports {
            Ports::Range(first, last) => Some([first, last]),
            _ => None,
        })
        .flatten()
        .collect();
    ports.extend([low, high, low.midpoint(high), 47_123]);
    ports.retain(|port| (low..=high).contains(port));
    pick.one_of(&ports)
}
