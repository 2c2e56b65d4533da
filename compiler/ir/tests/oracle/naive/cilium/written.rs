//! Entries as they are written, of either direction.

use policyc_ir::rule::Direction;
use policyc_syntax::ast::{List, Selector, Text, cilium};

use super::super::entry::Service;
use super::super::l7::Proxy;
use super::super::text::{self, ALL};

/// An entry of either direction.
pub(super) struct Written<'a> {
    pub(super) deny: bool,
    pub(super) endpoints: Option<&'a List<Selector>>,
    pub(super) nodes: Option<&'a List<Selector>>,
    pub(super) entities: Option<&'a List<Text>>,
    pub(super) cidrs: Option<&'a List<Text>>,
    pub(super) cidr_set: Option<&'a List<cilium::CidrRule>>,
    pub(super) services: Option<&'a List<cilium::Service>>,
    pub(super) fqdns: Option<&'a List<cilium::Fqdn>>,
    pub(super) groups: bool,
    pub(super) ports: Option<&'a List<cilium::PortRule>>,
    pub(super) icmps: Option<&'a List<cilium::IcmpRule>>,
    pub(super) auth: Option<&'a cilium::Authentication>,
}

/// Layer 4 of an entry, with what a proxy does there.
pub(super) fn services(written: &Written<'_>, home: Option<&str>) -> Vec<(Service, Proxy)> {
    let mut services = Vec::new();
    let ports = written.ports.filter(|list| !list.is_empty());
    let icmps = written.icmps.filter(|list| !list.is_empty());
    for rule in ports.iter().flat_map(|list| list.iter()) {
        let proxy = Proxy::of(rule, home);
        for port in rule.ports.iter().flat_map(|list| list.iter()) {
            let end = port.end_port.as_ref().map_or(0, |end| end.value);
            let read = text::port(port.port.as_ref().map_or("", |text| &text.value), end);
            for protocol in text::protocols(port.protocol.as_ref().map(|text| text.value.as_str()))
            {
                services.push((
                    Service {
                        protocol,
                        port: read.clone(),
                    },
                    proxy.clone(),
                ));
            }
        }
    }
    for field in icmps
        .iter()
        .flat_map(|list| list.iter())
        .flat_map(|rule| rule.fields.iter().flat_map(|list| list.iter()))
    {
        let (protocol, port) = text::icmp(field);
        services.extend(port.map(|port| (Service { protocol, port }, Proxy::default())));
    }
    if ports.is_none() && icmps.is_none() {
        services.push((
            Service {
                protocol: 0,
                port: ALL,
            },
            Proxy::default(),
        ));
    }
    services
}

/// All entries of one direction, denies behind allows.
pub(super) fn sections(rule: &cilium::Rule, direction: Direction) -> Vec<Written<'_>> {
    let mut entries = Vec::new();
    if direction == Direction::Ingress {
        for (deny, section) in [(false, &rule.ingress), (true, &rule.ingress_deny)] {
            entries.extend(section.iter().flat_map(|list| list.iter()).map(|entry| {
                Written {
                    deny,
                    endpoints: entry.from_endpoints.as_ref(),
                    nodes: entry.from_nodes.as_ref(),
                    entities: entry.from_entities.as_ref(),
                    cidrs: entry.from_cidr.as_ref(),
                    cidr_set: entry.from_cidr_set.as_ref(),
                    services: None,
                    fqdns: None,
                    groups: entry
                        .from_groups
                        .as_ref()
                        .is_some_and(|list| !list.is_empty()),
                    ports: entry.to_ports.as_ref(),
                    icmps: entry.icmps.as_ref(),
                    auth: entry.authentication.as_ref(),
                }
            }));
        }
    } else {
        for (deny, section) in [(false, &rule.egress), (true, &rule.egress_deny)] {
            entries.extend(section.iter().flat_map(|list| list.iter()).map(|entry| {
                Written {
                    deny,
                    endpoints: entry.to_endpoints.as_ref(),
                    nodes: entry.to_nodes.as_ref(),
                    entities: entry.to_entities.as_ref(),
                    cidrs: entry.to_cidr.as_ref(),
                    cidr_set: entry.to_cidr_set.as_ref(),
                    services: entry.to_services.as_ref(),
                    fqdns: entry.to_fqdns.as_ref(),
                    groups: entry
                        .to_groups
                        .as_ref()
                        .is_some_and(|list| !list.is_empty()),
                    ports: entry.to_ports.as_ref(),
                    icmps: entry.icmps.as_ref(),
                    auth: entry.authentication.as_ref(),
                }
            }));
        }
    }
    entries
}
