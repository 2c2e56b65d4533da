//! What can be said of a flow, in the words of the rules.
//!
//! The verdict of a flow depends on nothing but which of these facts hold of it. So the facts that hold of one flow
//! that differs, all together, describe flows that all differ, and the fewest of them that still do so are the most
//! general description.

use std::collections::BTreeSet;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::filter::Filter;
use policyc_ir::label::{Key, NAMESPACE};
use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Peer, Peers, Rule, Services};
use policyc_ir::selector::Selector;

use super::component::Context;
use crate::algebra::kind::Kind;
use crate::algebra::selector::{Reach, canonical, on_host, on_kind, on_nodes, on_pods};
use crate::algebra::values::Values;
use crate::encode::side::among;
use crate::encode::{Frame, NamedPort, Seat, matching};
use crate::term::{Assignment, Term};

/// A fact, or its opposite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    /// A side is of one of these kinds, as bits.
    Kinds(Seat, u16),
    /// A label of a pod.
    Label(Seat, Arc<str>, Values),
    /// A label of a node.
    Node(Seat, Arc<str>, Values),
    /// The peer is an address in a prefix.
    Prefix(Cidr, bool),
    /// The peer is an address that a DNS answer gave for a name.
    Name(Fqdn, bool),
    /// The IP protocol.
    Protocol(u8, bool),
    /// The port is at most this.
    AtMost(u16, bool),
    /// The destination gives the port this name.
    Named(Arc<str>, bool),
    /// The destination gives a lower port this name.
    Below(Arc<str>, bool),
}

/// Every kind a subject can be of.
pub(super) fn subjects(node: bool) -> u16 {
    if node {
        return Kind::HOST.bit();
    }
    Kind::SUBJECTS
        .iter()
        .fold(Kind::POD.bit(), |set, kind| set | kind.bit())
}

/// Every kind a peer can be of.
pub(super) fn peers() -> u16 {
    let others = Kind::OTHERS.iter().filter(|kind| **kind != Kind::WORLD);
    others.fold(Kind::POD.bit(), |set, kind| set | kind.bit())
}

fn of_kinds(kinds: &[Kind]) -> u16 {
    kinds.iter().fold(0, |set, kind| set | kind.bit())
}

impl Fact {
    /// As a term.
    pub(super) fn term(&self, frame: &Frame) -> Term {
        let side = |seat: Seat| frame.seats(seat).0;
        let flag = |name: &str, flag: fn(&NamedPort) -> Option<crate::term::Var>| {
            let named = frame.named.iter().find(|named| &*named.name == name);
            named.and_then(flag).map_or(Term::Const(false), Term::Flag)
        };
        let signed = |term: Term, holds: bool| if holds { term } else { term.negate() };
        match self {
            Self::Kinds(seat, kinds) => {
                let all = std::iter::once(Kind::POD).chain(Kind::OTHERS);
                side(*seat).is_any(all.filter(|kind| kinds & kind.bit() != 0))
            }
            Self::Label(seat, name, values) => side(*seat)
                .label(name)
                .map_or(Term::Const(values.absent), |var| {
                    among(var, frame.dims.of_pods(name), values)
                }),
            Self::Node(seat, name, values) => side(*seat)
                .nodes
                .get(name)
                .map_or(Term::Const(values.absent), |var| {
                    among(*var, frame.dims.of_nodes(name), values)
                }),
            Self::Prefix(cidr, holds) => signed(matching::inside(side(Seat::Second), cidr), *holds),
            Self::Name(fqdn, holds) => {
                let var = side(Seat::Second).name(fqdn);
                signed(var.map_or(Term::Const(false), Term::Flag), *holds)
            }
            Self::Protocol(number, holds) => {
                signed(Term::Is(frame.protocol, u128::from(*number)), *holds)
            }
            Self::AtMost(port, holds) => {
                signed(Term::AtMost(frame.port, u128::from(*port)), *holds)
            }
            Self::Named(name, holds) => signed(flag(name, |named| Some(named.here)), *holds),
            Self::Below(name, holds) => signed(flag(name, |named| named.below), *holds),
        }
    }

    fn opposite(self, node: bool) -> Self {
        match self {
            Self::Kinds(Seat::First, kinds) => Self::Kinds(Seat::First, subjects(node) & !kinds),
            Self::Kinds(Seat::Second, kinds) => Self::Kinds(Seat::Second, peers() & !kinds),
            Self::Label(seat, name, values) => Self::Label(seat, name, values.opposite()),
            Self::Node(seat, name, values) => Self::Node(seat, name, values.opposite()),
            Self::Prefix(cidr, holds) => Self::Prefix(cidr, !holds),
            Self::Name(fqdn, holds) => Self::Name(fqdn, !holds),
            Self::Protocol(number, holds) => Self::Protocol(number, !holds),
            Self::AtMost(port, holds) => Self::AtMost(port, !holds),
            Self::Named(name, holds) => Self::Named(name, !holds),
            Self::Below(name, holds) => Self::Below(name, !holds),
        }
    }

    /// Itself where it holds, otherwise its opposite.
    pub(super) fn signed(self, frame: &Frame, node: bool, values: &Assignment) -> Self {
        if self.term(frame).eval(values) {
            self
        } else {
            self.opposite(node)
        }
    }

    /// Whether it narrows a set without cutting something out of its middle.
    pub(super) const fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::AtMost(..)
                | Self::Prefix(..)
                | Self::Protocol(_, true)
                | Self::Name(_, true)
                | Self::Named(_, true)
        )
    }

    /// Whether it is about the peer.
    pub(super) const fn is_of_peer(&self) -> bool {
        matches!(
            self,
            Self::Kinds(Seat::Second, _)
                | Self::Label(Seat::Second, ..)
                | Self::Node(Seat::Second, ..)
                | Self::Prefix(..)
                | Self::Name(..)
        )
    }

    /// Whether it is about the subject.
    pub(super) const fn is_of_subject(&self) -> bool {
        matches!(
            self,
            Self::Kinds(Seat::First, _)
                | Self::Label(Seat::First, ..)
                | Self::Node(Seat::First, ..)
        )
    }

    /// The lower, the better for a description; then the wider.
    pub(super) fn rank(&self) -> (u8, u32) {
        match self {
            Self::Label(_, _, values) | Self::Node(_, _, values) => {
                (u8::from(values.absent) * 2, 0)
            }
            Self::Prefix(cidr, true) => (0, u32::from(cidr.bits())),
            Self::Name(_, true) | Self::Protocol(_, true) | Self::Named(_, true) => (0, 0),
            Self::AtMost(port, true) => (1, u32::from(u16::MAX - *port)),
            Self::AtMost(port, false) => (1, u32::from(*port)),
            Self::Below(_, true) => (1, 0),
            Self::Kinds(_, kinds) if kinds.count_ones() > 1 => (1, 16 - kinds.count_ones()),
            Self::Kinds(..) => (3, 0),
            Self::Prefix(cidr, false) => (2, 128 - u32::from(cidr.bits())),
            Self::Name(_, false) | Self::Protocol(_, false) => (2, 0),
            Self::Named(_, false) | Self::Below(_, false) => (2, 1),
        }
    }
}

/// All facts that the rules of a component tell apart.
pub(super) fn vocabulary<'a>(
    context: &Context<'_>,
    frame: &Frame,
    node: bool,
    rules: impl Iterator<Item = &'a Rule>,
) -> Vec<Fact> {
    let mut all = BTreeSet::new();
    for rule in rules {
        all.extend(of_subject(context, rule));
        let peers = match &rule.peers {
            Peers::Any => &[],
            Peers::Of(list) => list.as_slice(),
        };
        for peer in peers.iter().chain(&rule.beside) {
            all.extend(of_peer(context, frame, *peer));
        }
        if let Services::Of(list) = &rule.services {
            all.extend(list.iter().flat_map(of_service));
        }
    }
    for name in ["host", "init"] {
        let any = Values {
            absent: false,
            complement: true,
            list: Vec::new(),
        };
        let (side, _) = frame.seats(Seat::First);
        if side.label(name).is_some() {
            all.insert(Fact::Label(Seat::First, name.into(), any.clone()));
        }
        if side.nodes.contains_key(name) {
            all.insert(Fact::Node(Seat::First, name.into(), any));
        }
    }
    all.insert(Fact::Kinds(Seat::Second, of_kinds(&Kind::HOSTS)));
    for kind in std::iter::once(Kind::POD).chain(Kind::OTHERS) {
        for (seat, possible) in [(Seat::First, subjects(node)), (Seat::Second, peers())] {
            if possible & kind.bit() != 0 {
                all.insert(Fact::Kinds(seat, kind.bit()));
            }
        }
    }
    all.into_iter().collect()
}

/// The facts a rule's subject is selected by.
pub(super) fn of_subject(context: &Context<'_>, rule: &Rule) -> Vec<Fact> {
    let filter = &context.settings.labels;
    let selector = context.joint.rules.selector(rule.subject.selector);
    if rule.subject.node {
        let own = |key: &Key| on_host(key, filter);
        let asked = on_kind(selector, &Kind::HOST.labels(), own).unwrap_or_default();
        let labels = asked.into_iter();
        return labels
            .map(|(name, values)| Fact::Node(Seat::First, name, values))
            .collect();
    }
    let mut facts = of_selector(Seat::First, selector, filter);
    facts.extend(rule.subject.namespace.as_ref().map(|namespace| {
        let values = Values {
            absent: false,
            complement: false,
            list: vec![namespace.clone()],
        };
        Fact::Label(Seat::First, NAMESPACE.into(), values)
    }));
    if let Some(reach) = context.algebra.subject(rule) {
        facts.push(Fact::Kinds(Seat::First, kinds(reach) & subjects(false)));
    }
    facts
}

fn kinds(reach: &Reach) -> u16 {
    let pods = reach.pod.is_some();
    reach.kinds | if pods { Kind::POD.bit() } else { 0 }
}

fn of_selector(seat: Seat, selector: &Selector, filter: &Filter) -> Vec<Fact> {
    let requirements = selector.requirements().iter();
    let requirements = requirements.filter(|one| on_pods(&one.key, filter));
    requirements
        .map(|one| Fact::Label(seat, canonical(&one.key.name), Values::of(&one.operator)))
        .collect()
}

/// The facts a peer is selected by.
pub(super) fn of_peer(context: &Context<'_>, frame: &Frame, id: policyc_ir::PeerId) -> Vec<Fact> {
    let rules = &context.joint.rules;
    match rules.peer(id) {
        Some(Peer::Labels(id)) => {
            let selector = rules.selector(*id);
            let mut facts = of_selector(Seat::Second, selector, &context.settings.labels);
            if frame.dims.nodes().next().is_some() {
                for kind in Kind::NODES {
                    let asked = on_kind(selector, &kind.labels(), on_nodes).unwrap_or_default();
                    let asked = asked.into_iter();
                    facts
                        .extend(asked.map(|(name, values)| Fact::Node(Seat::Second, name, values)));
                }
            }
            let reach = context.algebra.reach(*id);
            facts.extend(reach.map(|reach| Fact::Kinds(Seat::Second, kinds(reach) & peers())));
            facts
        }
        Some(Peer::Fqdn(fqdn)) => vec![Fact::Name(fqdn.clone(), true)],
        Some(peer) => {
            let blocks = peer.blocks();
            let each = blocks.flat_map(|(cidr, except)| {
                let except = except.iter().map(|one| Fact::Prefix(*one, false));
                std::iter::once(Fact::Prefix(*cidr, true)).chain(except)
            });
            each.collect()
        }
        None => Vec::new(),
    }
}

/// The facts of one of several peers. Where it is nothing but some kinds of parties, those of the others like it go with
/// it: `world` is one word for several.
pub(super) fn with_siblings(
    context: &Context<'_>,
    frame: &Frame,
    peers: &[policyc_ir::PeerId],
    facts: Vec<Fact>,
) -> Vec<Fact> {
    let only_kinds = |facts: &[Fact]| match facts {
        [Fact::Kinds(Seat::Second, kinds)] => Some(*kinds),
        _ => None,
    };
    let Some(own) = only_kinds(&facts) else {
        return facts;
    };
    let others = peers.iter().map(|id| of_peer(context, frame, *id));
    let all = others.filter_map(|facts| only_kinds(&facts));
    vec![Fact::Kinds(
        Seat::Second,
        all.fold(own, |all, kinds| all | kinds),
    )]
}

/// The facts a service is selected by.
pub(super) fn of_service(l4: &L4) -> Vec<Fact> {
    let mut facts = vec![Fact::Protocol(l4.protocol.0, true)];
    match &l4.ports {
        Ports::All => {}
        Ports::Range(first, last) => {
            facts.extend(first.checked_sub(1).map(|below| Fact::AtMost(below, false)));
            if *last < u16::MAX {
                facts.push(Fact::AtMost(*last, true));
            }
        }
        Ports::Named(name, None) => facts.push(Fact::Named(name.clone(), true)),
        Ports::Named(name, Some(last)) => facts.extend([
            Fact::Named(name.clone(), true),
            Fact::Below(name.clone(), true),
            Fact::AtMost(*last, true),
        ]),
    }
    facts
}
