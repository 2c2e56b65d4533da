//! Ports of a ClusterNetworkPolicy's rule.

use policyc_diag::{Span, Spanned, codes};
use policyc_syntax::ast::kcnp::{Port, Protocol, Rule, Transport};

use super::super::netpol::is_name;
use super::super::text::shown;
use super::{Check, most};

pub(super) fn check(rule: &Rule, check: &mut Check<'_>) {
    let Some(list) = &rule.protocols else { return };
    if list.is_empty() {
        let message = "`protocols` names none";
        check
            .missing(codes::INVALID_VALUE, message, list.span, "an empty list")
            .help("leave the field out to speak of every protocol");
    }
    most("protocols", Some(list), check);
    let nameless = nameless(rule);
    for protocol in &list.items {
        one(protocol, check);
        if let (Some(name), Some(peer)) = (&protocol.named_port, nameless) {
            let message = "a port by name needs peers that have names for their ports";
            check
                .fault(codes::INVALID_PORT, message, name.span, "a port by name")
                .label(peer, "these have none")
                .help("write the number, or put `namespaces` and `pods` into a rule of their own");
        }
    }
}

/// A peer that is no pod.
fn nameless(rule: &Rule) -> Option<Span> {
    let peers = rule.peers.iter().flat_map(|peers| &peers.items);
    let mut places = peers.filter_map(|peer| {
        let nodes = peer.nodes.as_ref().map(|one| one.span);
        let networks = peer.networks.as_ref().map(|one| one.span);
        let names = peer.domain_names.as_ref().map(|one| one.span);
        nodes.or(networks).or(names)
    });
    places.next()
}

/// Exactly one member, and that in order.
fn one(protocol: &Protocol, check: &mut Check<'_>) {
    let members = [
        ("tcp", protocol.tcp.as_ref().map(|one| one.span)),
        ("udp", protocol.udp.as_ref().map(|one| one.span)),
        ("sctp", protocol.sctp.as_ref().map(|one| one.span)),
        (
            "destinationNamedPort",
            protocol.named_port.as_ref().map(|one| one.span),
        ),
    ];
    let mut present = members
        .iter()
        .filter_map(|(name, span)| Some((*name, (*span)?)));
    match (present.next(), present.next()) {
        (None, _) => {
            let message = "the element names no protocol";
            check
                .missing(codes::INVALID_VALUE, message, protocol.span, "empty")
                .help("add one of `tcp`, `udp`, `sctp` and `destinationNamedPort`");
        }
        (Some((first, span)), Some((second, other))) => {
            let message = format!("`{first}` and `{second}` cannot stand in one element");
            check
                .fault(codes::INVALID_VALUE, message, other, "a second one")
                .label(span, "the first one")
                .help("make an element of each");
        }
        (Some(_), None) => {}
    }
    let written = [&protocol.tcp, &protocol.udp, &protocol.sctp];
    for transport in written.into_iter().flatten() {
        ports(transport, check);
    }
    let wrong = |name: &&policyc_syntax::ast::Text| !is_name(name);
    if let Some(name) = protocol.named_port.as_ref().filter(wrong) {
        let message = format!("`{}` is no port name", shown(name));
        let help = "a name has at most 15 lower-case letters, digits and hyphens";
        check
            .fault(
                codes::INVALID_PORT,
                message,
                name.span,
                "no container can have this",
            )
            .help(help);
    }
}

fn ports(transport: &Transport, check: &mut Check<'_>) {
    let Some(port) = &transport.port else {
        let message = "the protocol lacks the field `destinationPort`";
        let label = "`destinationPort` is missing";
        check
            .missing(codes::MISSING_FIELD, message, transport.span, label)
            .help("every port is `range: {start: 1, end: 65535}`");
        return;
    };
    match (&port.number, &port.range) {
        (None, None) => {
            let message = "`destinationPort` needs `number` or `range`";
            check.missing(codes::INVALID_PORT, message, port.span, "no port");
        }
        (Some(number), Some(range)) => {
            let message = "`number` and `range` cannot stand in one port";
            check
                .fault(codes::INVALID_PORT, message, range.span, "a range")
                .label(number.span, "and a number");
        }
        _ => {}
    }
    numbers(port, check);
}

fn numbers(port: &Port, check: &mut Check<'_>) {
    let (start, end) = port.range.as_ref().map_or((None, None), |range| {
        (range.start.as_ref(), range.end.as_ref())
    });
    for number in port.number.iter().chain(start).chain(end) {
        valid(number, check);
    }
    if let (Some(start), Some(end)) = (start, end)
        && start.value >= end.value
    {
        let message = format!("{} is no end of this range", end.value);
        check
            .fault(codes::INVALID_PORT, message, end.span, "not above `start`")
            .label(start.span, "the start")
            .help("a single port is `number`");
    }
}

fn valid(number: &Spanned<i64>, check: &mut Check<'_>) {
    if !(1..=65535).contains(&number.value) {
        let message = format!("{} is no port", number.value);
        check.fault(
            codes::INVALID_PORT,
            message,
            number.span,
            "not in 1 to 65535",
        );
    }
}
