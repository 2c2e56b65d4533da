//! Kubernetes NetworkPolicy.

use policyc_diag::codes;
use policyc_syntax::ast::netpol::{IpBlock, Peer, Policy, Port, PortValue, Rule};
use policyc_syntax::ast::{List, Text};

use super::selector::{self, Keys};
use super::text::shown;
use super::{Check, cidr};
use crate::port;

/// `spec` of a NetworkPolicy.
pub(super) fn policy(policy: &Policy, check: &mut Check<'_>) {
    if let Some(selector) = &policy.pod_selector {
        selector::check(selector, Keys::Kubernetes, check);
    }
    types(policy.policy_types.as_ref(), check);
    let ingress = policy.ingress.iter().flat_map(|list| &list.items);
    for rule in ingress.chain(policy.egress.iter().flat_map(|list| &list.items)) {
        entry(rule, check);
    }
}

fn types(types: Option<&List<Text>>, check: &mut Check<'_>) {
    let Some(types) = types else { return };
    if types.len() > 2 {
        let message = "`policyTypes` takes at most two elements";
        check.fault(
            codes::TOO_MANY_ITEMS,
            message,
            types.span,
            "there are only two directions",
        );
    }
    for text in types
        .iter()
        .filter(|text| !matches!(text.value.as_str(), "Ingress" | "Egress"))
    {
        let message = format!("`{}` is no policy type", shown(text));
        let help = "policy types are `Ingress` and `Egress`";
        check
            .fault(codes::INVALID_VALUE, message, text.span, "unknown type")
            .help(help);
    }
}

fn entry(rule: &Rule, check: &mut Check<'_>) {
    rule.ports
        .iter()
        .flat_map(|ports| &ports.items)
        .for_each(|port| ports(port, check));
    rule.peers
        .iter()
        .flat_map(|peers| &peers.items)
        .for_each(|one| peer(one, check));
}

fn peer(peer: &Peer, check: &mut Check<'_>) {
    let Peer {
        span,
        pod_selector,
        namespace_selector,
        ip_block,
    } = peer;
    if pod_selector.is_none() && namespace_selector.is_none() && ip_block.is_none() {
        let message = "the peer names no one";
        let help = "add `podSelector`, `namespaceSelector` or `ipBlock`; `podSelector: {}` is every pod of the namespace";
        check
            .missing(codes::INVALID_PEER, message, *span, "an empty peer")
            .help(help);
    }
    for selector in pod_selector.iter().chain(namespace_selector) {
        selector::check(selector, Keys::Kubernetes, check);
    }
    let Some(block) = ip_block else { return };
    if let Some(selector) = pod_selector.as_ref().or(namespace_selector.as_ref()) {
        let message = "a peer is either an `ipBlock` or selected by labels";
        check
            .fault(codes::INVALID_PEER, message, block.span, "addresses")
            .label(selector.span, "and labels")
            .help("make a peer of each");
    }
    addresses(block, check);
}

fn addresses(block: &IpBlock, check: &mut Check<'_>) {
    if block.cidr.is_none() {
        let message = "`ipBlock` lacks the field `cidr`";
        check.missing(
            codes::MISSING_FIELD,
            message,
            block.span,
            "`cidr` is missing",
        );
    }
    let cidr = block
        .cidr
        .as_ref()
        .and_then(|text| cidr::prefix(text, check));
    for except in block.except.iter().flat_map(|list| &list.items) {
        let parsed = cidr::prefix(except, check);
        if let (Some(cidr), Some(parsed), Some(text)) = (cidr, parsed, &block.cidr)
            && (!cidr.covers(&parsed) || cidr.bits() == parsed.bits())
        {
            outside(except, text, check);
        }
    }
}

/// Reports an exception that is not within its prefix.
pub(super) fn outside(except: &Text, cidr: &Text, check: &mut Check<'_>) {
    let message = format!(
        "the exception `{}` does not lie within `{}`",
        shown(except),
        shown(cidr)
    );
    check
        .fault(
            codes::EXCEPT_OUTSIDE,
            message,
            except.span,
            "excludes nothing of the prefix, or all of it",
        )
        .label(cidr.span, "the prefix");
}

fn ports(port: &Port, check: &mut Check<'_>) {
    let message = match port.port.as_ref().map(|port| &port.value) {
        Some(PortValue::Number(number)) if !(1..=65535).contains(number) => {
            format!("{number} is no port")
        }
        Some(PortValue::Name(name)) if check.settings.lenient && name.parse::<u16>().is_ok() => {
            String::new()
        }
        Some(PortValue::Name(name)) if !is_name(name) => {
            format!("`{}` is no port name", shown(name))
        }
        _ => String::new(),
    };
    if let (false, Some(written)) = (message.is_empty(), &port.port) {
        let help = match &written.value {
            PortValue::Name(name) if name.parse::<u16>().is_ok() => {
                format!("write it without quotes: `{name}`")
            }
            PortValue::Name(_) => {
                "a name has at most 15 lower-case letters, digits and hyphens".to_owned()
            }
            PortValue::Number(_) => "ports are 1 to 65535".to_owned(),
        };
        check
            .fault(codes::INVALID_PORT, message, written.span, "not a port")
            .help(help);
    }
    end(port, check);
    if let Some(text) = port
        .protocol
        .as_ref()
        .filter(|text| !matches!(text.value.as_str(), "TCP" | "UDP" | "SCTP"))
    {
        let message = format!(
            "`{}` is no protocol that a NetworkPolicy can name",
            shown(text)
        );
        let help = "protocols are `TCP`, `UDP` and `SCTP`";
        check
            .fault(
                codes::INVALID_PROTOCOL,
                message,
                text.span,
                "unknown protocol",
            )
            .help(help);
    }
}

fn end(port: &Port, check: &mut Check<'_>) {
    let Some(end) = port.end_port else { return };
    match port.port.as_ref().map(|port| &port.value) {
        Some(PortValue::Number(first)) if *first <= end.value && end.value <= 65535 => {}
        Some(PortValue::Number(_)) => {
            let message = format!("{} is no end of this range", end.value);
            check.fault(
                codes::INVALID_PORT,
                message,
                end.span,
                "below `port`, or above 65535",
            );
        }
        Some(PortValue::Name(_)) => {
            check.fault(
                codes::INVALID_PORT,
                "`endPort` needs a `port` by number",
                end.span,
                "`port` is a name",
            );
        }
        None => {
            check.missing(
                codes::INVALID_PORT,
                "`endPort` needs a `port`",
                end.span,
                "there is none",
            );
        }
    }
}

/// A name that a container can give to a port.
pub(super) fn is_name(text: &str) -> bool {
    port::is_service_name(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}
