//! Flows that match rules, put together without a solver.
//!
//! A rule asks for a set of values of each label, a kind of peer, a prefix, a port. Where several rules ask, the sets
//! are met one by one and a value is picked from each. What comes out is checked against the terms, so a flow that is
//! returned is one; none may be found though one exists.

use policyc_ir::PeerId;
use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::{CLUSTER, NAMESPACE, NAMESPACE_LABELS};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::rule::{Direction, Peer, Peers, Rule, Services};

use super::dims::ABSENT;
use super::{Frame, Side};
use crate::algebra::kind::Kind;
use crate::algebra::overlap::{Algebra, ports_meet};
use crate::algebra::selector::{Asked, Reach, always};
use crate::algebra::values::Values;
use crate::term::Assignment;

/// One value of each set that rules leave.
mod pick;

pub(crate) use pick::Pick;
use pick::{accepts, find, meet, narrow, pick_code, port, within};

/// What a flow must be for the rules to match it.
struct Wanted<'a> {
    peers: Vec<&'a Peer>,
    services: Vec<&'a L4>,
}

/// Combinations of peers, and of ports, that are tried.
const TRIES: usize = 8;

impl Frame {
    /// A flow that all rules match, if one is found. The frame must know the rules, subject first.
    pub(crate) fn draw(
        &self,
        algebra: &Algebra<'_>,
        rules: &[&Rule],
        pick: &mut Pick,
    ) -> Option<Assignment> {
        let one = |wanted: &Wanted<'_>, pick: &mut Pick| {
            let mut values = Assignment::zero(&self.script);
            self.subject(algebra, rules, pick, &mut values)?;
            self.peer(algebra, wanted, pick, &mut values)?;
            self.tie(&mut values);
            self.layer4(rules, wanted, pick, &mut values)?;
            self.is_possible(&values).then_some(values)
        };
        let all = alternatives(algebra, rules);
        if let Pick::Random(_) = pick {
            let at = pick.below(all.len());
            return all.get(at).and_then(|wanted| one(wanted, pick));
        }
        let drawn = all.iter().filter_map(|wanted| one(wanted, pick));
        drawn.min_by_key(|values| self.length(values))
    }

    /// The same flow with one thing about it drawn anew, at random.
    pub(crate) fn redraw(
        &self,
        algebra: &Algebra<'_>,
        rule: &Rule,
        pick: &mut Pick,
        values: &Assignment,
    ) -> Option<Assignment> {
        let mut new = values.clone();
        let all = alternatives(algebra, &[rule]);
        let wanted = all.get(pick.below(all.len()))?;
        let [subject, peer] = &self.sides;
        match pick.below(4) {
            0 => self.subject(algebra, &[rule], pick, &mut new)?,
            1 => {
                let vars = [peer.v4, peer.v6].into_iter();
                let vars = vars.chain(peer.names.values().copied());
                let vars = vars.chain(peer.labels.values().copied());
                for var in vars.chain(peer.nodes.values().copied()) {
                    new.set(var, 0);
                }
                self.peer(algebra, wanted, pick, &mut new)?;
            }
            2 => self.layer4(&[rule], wanted, pick, &mut new)?,
            _ => {
                // One label of one pod; whether the rule still matches is for the caller to see.
                let side = if pick.below(2) == 0 { subject } else { peer };
                let labels: Vec<_> = side.labels.iter().collect();
                let (name, var) = pick.one_of(&labels)?;
                let size = self.dims.of_pods(name).size();
                let code = pick.below(usize::try_from(size).unwrap_or(1));
                new.set(*var, u128::try_from(code).unwrap_or(0));
            }
        }
        self.tie(&mut new);
        self.is_possible(&new).then_some(new)
    }

    /// Whether a flow like this can exist.
    fn is_possible(&self, values: &Assignment) -> bool {
        let mut facts = self.script.assertions.iter();
        facts.all(|fact| fact.eval(values))
    }

    /// How much there is to read: kinds without labels are less telling than pods with some.
    fn length(&self, values: &Assignment) -> usize {
        let sides = self.sides.iter().map(|side| {
            let labels = side.labels.values().chain(side.nodes.values());
            let present = labels.filter(|var| values.get(**var) != ABSENT).count();
            let foreign = values.get(side.kind) != u128::from(Kind::POD.0);
            present + 100 * usize::from(foreign)
        });
        sides.sum()
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
            let v4 = outside.iter().find_map(|peer| family(peer));
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

/// Combinations of the rules' peers and ports that may be one flow's, not too many.
fn alternatives<'a>(algebra: &'a Algebra<'_>, rules: &[&'a Rule]) -> Vec<Wanted<'a>> {
    let mut peers: Vec<Vec<PeerId>> = vec![Vec::new()];
    let mut services: Vec<Vec<&L4>> = vec![Vec::new()];
    for rule in rules {
        if let Peers::Of(list) = &rule.peers {
            peers = combine(&peers, list, |one, other| algebra.pair_meets(*one, *other));
        }
        if let Services::Of(list) = &rule.services {
            let list: Vec<&L4> = list.iter().collect();
            services = combine(&services, &list, |one, other| ports_meet(one, other));
        }
    }
    let pairs = peers
        .iter()
        .flat_map(|peers| services.iter().map(move |services| (peers, services)));
    pairs
        .map(|(peers, services)| Wanted {
            peers: peers
                .iter()
                .filter_map(|id| algebra.rules.peer(*id))
                .collect(),
            services: services.clone(),
        })
        .collect()
}

/// Each list with each item that meets all of it.
fn combine<T: Clone>(lists: &[Vec<T>], items: &[T], meets: impl Fn(&T, &T) -> bool) -> Vec<Vec<T>> {
    let pairs = lists
        .iter()
        .flat_map(|list| items.iter().map(move |item| (list, item)));
    pairs
        .filter(|(list, item)| list.iter().all(|other| meets(other, item)))
        .take(TRIES)
        .map(|(list, item)| [list.as_slice(), std::slice::from_ref(item)].concat())
        .collect()
}

/// Whether a peer made of prefixes has IPv4 ones first; `None` for names, which may have either.
fn family(peer: &Peer) -> Option<bool> {
    peer.blocks().next().map(|(cidr, _)| cidr.is_ipv4())
}
