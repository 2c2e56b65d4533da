//! Prefixes and their exceptions.

use std::net::IpAddr;

use policyc_diag::codes;
use policyc_syntax::ast::cilium::CidrRule;
use policyc_syntax::ast::inventory::CidrGroup;
use policyc_syntax::ast::{Document, List, Text};

use super::selector::{self, Keys};
use super::text::{is_dns_name, shown};
use super::{Check, netpol};
use crate::cidr::Cidr;

/// `fromCIDR` or `toCIDR`.
pub(super) fn list(list: Option<&List<Text>>, check: &mut Check<'_>) {
    for text in list.iter().flat_map(|list| &list.items) {
        prefix(text, check);
    }
}

/// `fromCIDRSet` or `toCIDRSet`.
pub(super) fn set(list: Option<&List<CidrRule>>, check: &mut Check<'_>) {
    for rule in list.iter().flat_map(|list| &list.items) {
        choice(rule, check);
        let cidr = rule.cidr.as_ref().and_then(|text| prefix(text, check));
        if let Some(name) = rule.group_ref.as_ref().filter(|name| !is_dns_name(name)) {
            let message = format!("`{}` is no object name", shown(name));
            check.fault(
                codes::INVALID_NAME,
                message,
                name.span,
                "no CiliumCIDRGroup can have this name",
            );
        }
        if let Some(selector) = &rule.group_selector {
            selector::check(selector, Keys::Cilium, check);
        }
        for except in rule.except.iter().flat_map(|list| &list.items) {
            let parsed = prefix(except, check);
            if let (Some(cidr), Some(_), Some(text)) = (cidr, parsed, &rule.cidr) {
                inside(except, cidr, text, check);
            }
        }
    }
}

/// An exception must start inside its prefix. One that is as wide or wider leaves nothing, which Cilium allows.
fn inside(except: &Text, cidr: Cidr, written: &Text, check: &mut Check<'_>) {
    let address: Option<IpAddr> = except
        .split_once('/')
        .and_then(|(address, _)| address.parse().ok());
    if address.is_none_or(|address| cidr.contains(address)) {
        return;
    }
    netpol::outside(except, written, check);
}

fn choice(rule: &CidrRule, check: &mut Check<'_>) {
    let cidr = rule.cidr.as_ref().map(|text| ("cidr", text.span));
    let group = rule
        .group_ref
        .as_ref()
        .map(|text| ("cidrGroupRef", text.span));
    let selector = rule
        .group_selector
        .as_ref()
        .map(|selector| ("cidrGroupSelector", selector.span));
    let mut sources = [cidr, group, selector].into_iter().flatten();
    match (sources.next(), sources.next()) {
        (None, _) => {
            let message = "the entry names no prefixes";
            let help = "add exactly one of `cidr`, `cidrGroupRef` and `cidrGroupSelector`";
            check
                .missing(
                    codes::CIDR_CHOICE,
                    message,
                    rule.span,
                    "no source of prefixes",
                )
                .help(help);
        }
        (Some((first, span)), Some((second, other))) => {
            let message = format!("`{first}` and `{second}` cannot stand in one entry");
            check
                .fault(
                    codes::CIDR_CHOICE,
                    message,
                    other,
                    "a second source of prefixes",
                )
                .label(span, "the first one")
                .help("make an entry of each");
        }
        (Some(_), None) => {}
    }
}

/// Text that must be `address/length`. A bare address is a prefix for the agent, but not for the API server.
pub(super) fn prefix(text: &Text, check: &mut Check<'_>) -> Option<Cidr> {
    let parsed = Cidr::parse(text);
    if text.contains('/') && parsed.is_some() {
        return parsed;
    }
    let message = format!("`{}` is no address prefix", shown(text));
    let help = parsed.map(|cidr| {
        format!(
            "a single address is written `{}/{}`",
            text.value,
            cidr.bits()
        )
    });
    check
        .fault(
            codes::INVALID_CIDR,
            message,
            text.span,
            "not `address/length`",
        )
        .maybe_help(help);
    None
}

/// `spec` of a CiliumCIDRGroup.
pub(super) fn group(group: &CidrGroup, document: &Document, check: &mut Check<'_>) {
    if group.cidrs.is_none() {
        let message = "the group lacks the field `externalCIDRs`";
        check
            .missing(
                codes::MISSING_FIELD,
                message,
                document.kind.span,
                "a group of nothing",
            )
            .help("an empty group says `externalCIDRs: []`");
    }
    list(group.cidrs.as_ref(), check);
}
