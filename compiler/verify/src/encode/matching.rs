//! What rules match, as terms.

use policyc_ir::cidr::Cidr;
use policyc_ir::label::NAMESPACE;
use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Peer, Peers, Rule, RuleSet, Services};

use super::{Frame, Side};
use crate::algebra::kind::Kind;
use crate::term::Term;

/// A rule's subject is this side.
pub(crate) fn subject(frame: &Frame, side: &Side, rules: &RuleSet, rule: &Rule) -> Term {
    let selector = rules.selector(rule.subject.selector);
    if rule.subject.node {
        return side.matches_as_host(&frame.dims, selector);
    }
    // Selectors of endpoints never select the node itself.
    let endpoint = match Kind::HOSTS.map(|kind| selector.matches(&kind.labels())) {
        [false, false] => Term::Const(true),
        _ => side.is_host().negate(),
    };
    let selected = side.matches(&frame.dims, selector).and(endpoint);
    let Some(namespace) = &rule.subject.namespace else {
        return selected;
    };
    let code = frame.dims.code(NAMESPACE, namespace);
    let inside = side.label(NAMESPACE).zip(code);
    inside.map_or(Term::Const(false), |(var, code)| {
        selected.and(Term::Is(var, code))
    })
}

/// A rule's peers include this side.
pub(crate) fn peers(frame: &Frame, side: &Side, rules: &RuleSet, peers: &Peers) -> Term {
    let Peers::Of(list) = peers else {
        return Term::Const(true);
    };
    Term::any(list.iter().map(|id| {
        match rules.peer(*id) {
            Some(Peer::Labels(selector)) => side.matches(&frame.dims, rules.selector(*selector)),
            Some(Peer::Fqdn(fqdn)) => side.name(fqdn).map_or(Term::Const(false), Term::Flag),
            Some(peer) => Term::any(
                peer.blocks()
                    .map(|(cidr, except)| block(side, cidr, except)),
            ),
            None => Term::Const(false),
        }
    }))
}

fn block(side: &Side, cidr: &Cidr, except: &[Cidr]) -> Term {
    #[cfg(test)]
    if super::mutant::is(super::mutant::Mutant::NoExceptions) {
        return inside(side, cidr);
    }
    let outside = except.iter().map(|one| inside(side, one).negate());
    inside(side, cidr).and(Term::all(outside))
}

/// This side is an address outside the cluster, in a prefix.
pub(crate) fn inside(side: &Side, cidr: &Cidr) -> Term {
    let (family, var, value) = match cidr.address() {
        std::net::IpAddr::V4(address) => (side.is_v4(), side.v4, u128::from(address.to_bits())),
        std::net::IpAddr::V6(address) => (side.is_v6(), side.v6, address.to_bits()),
    };
    if cidr.is_all() {
        return family;
    }
    let bits = cidr.bits();
    family.and(Term::Prefix { var, bits, value })
}

/// A rule's services include the flow's.
pub(crate) fn services(frame: &Frame, services: &Services) -> Term {
    match services {
        Services::All => Term::Const(true),
        Services::Of(list) => Term::any(list.iter().map(|l4| layer4(frame, l4))),
    }
}

fn layer4(frame: &Frame, l4: &L4) -> Term {
    let protocol = Term::Is(frame.protocol, u128::from(l4.protocol.0));
    let ports = match &l4.ports {
        Ports::All => Term::Const(true),
        Ports::Range(first, last) => range(frame, *first, *last),
        Ports::Named(name, last) => named(frame, name, *last),
    };
    protocol.and(ports)
}

/// The port of a name, or one between it and the last of a range (a range that ends before it is that port alone).
fn named(frame: &Frame, name: &str, last: Option<u16>) -> Term {
    let Some(named) = frame.named.iter().find(|named| &*named.name == name) else {
        return Term::Const(false);
    };
    let here = Term::Flag(named.here);
    match (last, named.below) {
        (Some(last), Some(below)) => {
            let within = Term::AtMost(frame.port, u128::from(last));
            here.or(Term::Flag(below).and(within))
        }
        _ => here,
    }
}

fn range(frame: &Frame, first: u16, last: u16) -> Term {
    if first == last {
        return Term::Is(frame.port, u128::from(first));
    }
    let upper = match last {
        u16::MAX => Term::Const(true),
        last => Term::AtMost(frame.port, u128::from(last)),
    };
    let lower = match first.checked_sub(1) {
        None => Term::Const(true),
        Some(below) => Term::AtMost(frame.port, u128::from(below)).negate(),
    };
    lower.and(upper)
}
