//! Who an entry speaks of.

use policyc_diag::{Span, codes, suggest};
use policyc_syntax::ast::cilium::{Authentication, Egress, IcmpRule, Ingress, PortRule};
use policyc_syntax::ast::{List, Selector, Text};

use super::rule::Place;
use super::selector::{self, Keys};
use super::text::shown;
use super::{Check, cidr, fqdn, icmp, ports};
use crate::settings::Version;

const ENTITIES: [&str; 11] = [
    "all",
    "world",
    "cluster",
    "host",
    "init",
    "ingress",
    "unmanaged",
    "remote-node",
    "health",
    "none",
    "kube-apiserver",
];

const MODES: [&str; 3] = ["disabled", "required", "test-always-fail"];

/// The first release without `fromRequires` and `toRequires`.
const WITHOUT_REQUIRES: Version = Version::new(1, 19);
/// The first release that takes `toServices` with `toPorts`.
const SERVICES_WITH_PORTS: Version = Version::new(1, 18);

/// A member's name, and its place if it is not empty.
type Member = (&'static str, Option<Span>);

/// An element of `ingress` or `ingressDeny`.
pub(super) fn ingress(entry: &Ingress, place: Place, check: &mut Check<'_>) {
    let members = [
        ("fromEndpoints", filled(entry.from_endpoints.as_ref())),
        ("fromCIDR", filled(entry.from_cidr.as_ref())),
        ("fromCIDRSet", filled(entry.from_cidr_set.as_ref())),
        ("fromEntities", filled(entry.from_entities.as_ref())),
        ("fromNodes", filled(entry.from_nodes.as_ref())),
        ("fromGroups", filled(entry.from_groups.as_ref())),
    ];
    one_kind(&members, check);
    requires("fromRequires", filled(entry.from_requires.as_ref()), check);
    selectors(entry.from_endpoints.as_ref(), check);
    nodes("fromNodes", entry.from_nodes.as_ref(), check);
    entities(entry.from_entities.as_ref(), check);
    cidr::list(entry.from_cidr.as_ref(), check);
    cidr::set(entry.from_cidr_set.as_ref(), check);
    layers(entry.to_ports.as_ref(), entry.icmps.as_ref(), place, check);
    authentication(entry.authentication.as_ref(), check);
}

/// An element of `egress` or `egressDeny`.
pub(super) fn egress(entry: &Egress, place: Place, check: &mut Check<'_>) {
    let members = [
        ("toEndpoints", filled(entry.to_endpoints.as_ref())),
        ("toCIDR", filled(entry.to_cidr.as_ref())),
        ("toCIDRSet", filled(entry.to_cidr_set.as_ref())),
        ("toEntities", filled(entry.to_entities.as_ref())),
        ("toServices", filled(entry.to_services.as_ref())),
        ("toFQDNs", filled(entry.to_fqdns.as_ref())),
        ("toGroups", filled(entry.to_groups.as_ref())),
        ("toNodes", filled(entry.to_nodes.as_ref())),
    ];
    one_kind(&members, check);
    requires("toRequires", filled(entry.to_requires.as_ref()), check);
    selectors(entry.to_endpoints.as_ref(), check);
    nodes("toNodes", entry.to_nodes.as_ref(), check);
    entities(entry.to_entities.as_ref(), check);
    cidr::list(entry.to_cidr.as_ref(), check);
    cidr::set(entry.to_cidr_set.as_ref(), check);
    services(entry, check);
    fqdn::list(entry.to_fqdns.as_ref(), check);
    layers(entry.to_ports.as_ref(), entry.icmps.as_ref(), place, check);
    authentication(entry.authentication.as_ref(), check);
}

fn filled<T>(list: Option<&List<T>>) -> Option<Span> {
    list.filter(|list| !list.is_empty()).map(|list| list.span)
}

fn one_kind(members: &[Member], check: &mut Check<'_>) {
    let mut present = members
        .iter()
        .filter_map(|(name, span)| Some((*name, (*span)?)));
    let (Some((first, span)), Some((second, other))) = (present.next(), present.next()) else {
        return;
    };
    let message = format!("`{first}` and `{second}` cannot stand in one entry");
    let mut report = check
        .fault(
            codes::COMBINED_PEERS,
            message,
            other,
            "a second kind of peers",
        )
        .label(span, "the first kind of peers")
        .help("make an entry of each: a peer that any entry names is a peer");
    for (_, span) in present {
        report = report.label(span, "another kind of peers");
    }
}

fn requires(name: &str, place: Option<Span>, check: &mut Check<'_>) {
    if let Some(span) = place.filter(|_| check.settings.version >= WITHOUT_REQUIRES) {
        let message = format!("Cilium no longer has `{name}`");
        check
            .fault(
                codes::REMOVED_FIELD,
                message,
                span,
                "removed in Cilium 1.19",
            )
            .help("add the required labels to each peer selector instead");
    }
}

fn selectors(list: Option<&List<Selector>>, check: &mut Check<'_>) {
    for selector in list.iter().flat_map(|list| &list.items) {
        selector::check(selector, Keys::Cilium, check);
    }
}

fn nodes(name: &str, list: Option<&List<Selector>>, check: &mut Check<'_>) {
    if let (Some(span), false) = (filled(list), check.settings.node_selector_labels) {
        let message =
            format!("`{name}` needs the agent's `enable-node-selector-labels`, which is off");
        check.fault(codes::FEATURE_DISABLED, message, span, "rejected by the agent").help(
            "switch it on in the cluster and in the settings file, or use the entities `host` and `remote-node`",
        );
    }
    selectors(list, check);
}

fn entities(list: Option<&List<Text>>, check: &mut Check<'_>) {
    for entity in list.iter().flat_map(|list| &list.items) {
        if ENTITIES.contains(&entity.value.as_str()) {
            continue;
        }
        let message = format!("`{}` is no entity", shown(entity));
        let help = suggest::did_you_mean(entity, ENTITIES).unwrap_or_else(|| {
            format!(
                "entities are {}",
                ENTITIES.map(|name| format!("`{name}`")).join(", ")
            )
        });
        check
            .fault(
                codes::UNKNOWN_ENTITY,
                message,
                entity.span,
                "Cilium does not know it",
            )
            .help(help);
    }
}

fn services(entry: &Egress, check: &mut Check<'_>) {
    let both = (
        filled(entry.to_services.as_ref()),
        filled(entry.to_ports.as_ref()),
    );
    if let (Some(services), Some(ports)) = both
        && check.settings.version < SERVICES_WITH_PORTS
    {
        let message = format!(
            "Cilium {} does not take `toServices` with `toPorts`",
            check.settings.version
        );
        check
            .fault(
                codes::NEWER_FIELD,
                message,
                ports,
                format!("from Cilium {SERVICES_WITH_PORTS} on"),
            )
            .label(services, "services")
            .help("select the pods behind the service with `toEndpoints` instead");
    }
    for service in entry.to_services.iter().flat_map(|list| &list.items) {
        if let Some(selector) = service
            .by_selector
            .as_ref()
            .and_then(|service| service.selector.as_ref())
        {
            selector::check(selector, Keys::Cilium, check);
        }
    }
}

fn layers(
    to_ports: Option<&List<PortRule>>,
    icmps: Option<&List<IcmpRule>>,
    place: Place,
    check: &mut Check<'_>,
) {
    if let (Some(ports), Some(icmps)) = (filled(to_ports), filled(icmps)) {
        let message = "`toPorts` and `icmps` cannot stand in one entry";
        check
            .fault(codes::PORTS_AND_ICMPS, message, icmps, "ICMP types")
            .label(ports, "and ports")
            .help("make an entry of each, with the same peers");
    }
    for rule in to_ports.iter().flat_map(|list| &list.items) {
        ports::rule(rule, place, check);
    }
    icmp::list(icmps, check);
}

fn authentication(authentication: Option<&Authentication>, check: &mut Check<'_>) {
    let mode = authentication.and_then(|authentication| authentication.mode.as_ref());
    if let Some(mode) = mode.filter(|mode| !MODES.contains(&mode.value.as_str())) {
        let message = format!("`{}` is no authentication mode", shown(mode));
        let help = format!(
            "modes are {}",
            MODES.map(|name| format!("`{name}`")).join(", ")
        );
        check
            .fault(codes::INVALID_VALUE, message, mode.span, "unknown mode")
            .help(help);
    }
}
