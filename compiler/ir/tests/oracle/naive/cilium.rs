//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

use std::net::IpAddr;

use policyc_ir::rule::Direction;
use policyc_syntax::ast::{List, Selector, Text, cilium};

use super::World;
use super::cluster::Service as Known;
use super::entry::{Act, Entry, NORMAL, Service};
use super::l7::Proxy;
use super::labels::{self, CLUSTER, Labels, NAMESPACE, NAMESPACE_LABELS, Requirement};
use super::peer::{ANYONE, Groups, Select};
use super::text::{self, ALL, block, dns};

/// An entry of either direction.
struct Written<'a> {
    deny: bool,
    endpoints: Option<&'a List<Selector>>,
    nodes: Option<&'a List<Selector>>,
    entities: Option<&'a List<Text>>,
    cidrs: Option<&'a List<Text>>,
    cidr_set: Option<&'a List<cilium::CidrRule>>,
    services: Option<&'a List<cilium::Service>>,
    fqdns: Option<&'a List<cilium::Fqdn>>,
    groups: bool,
    ports: Option<&'a List<cilium::PortRule>>,
    icmps: Option<&'a List<cilium::IcmpRule>>,
    auth: Option<&'a cilium::Authentication>,
}

/// What peers of a policy are bound to.
pub(super) struct Scope<'a> {
    /// Namespace of the policy.
    pub(super) home: Option<&'a str>,
    /// Whether the subject names the init identity.
    pub(super) init: bool,
}

impl World<'_> {
    /// The entries of a policy that are for a subject with these labels.
    pub(super) fn cilium(
        &self,
        policy: &cilium::Policy,
        home: Option<&str>,
        labels: &Labels,
        host: bool,
    ) -> Vec<Entry> {
        let specs = policy.specs.iter().flat_map(|list| list.iter());
        let rules = policy.spec.iter().chain(specs);
        let rules = rules.filter(|rule| subject_selected(rule, home, labels, host));
        rules.flat_map(|rule| self.rule(rule, home)).collect()
    }

    fn rule(&self, rule: &cilium::Rule, home: Option<&str>) -> Vec<Entry> {
        let subject = rule
            .endpoint_selector
            .as_ref()
            .map(labels::cilium)
            .unwrap_or_default();
        let init = subject
            .iter()
            .any(|(source, name, _)| source == "reserved" && name == "init");
        let scope = Scope { home, init };
        let mut entries = Vec::new();
        for direction in Direction::BOTH {
            let written = rule
                .enable_default_deny
                .as_ref()
                .and_then(|written| match direction {
                    Direction::Ingress => written.ingress.as_ref(),
                    Direction::Egress => written.egress.as_ref(),
                });
            let default_deny =
                written.is_none_or(|written| written.value) || !self.settings.non_default_deny;
            for written in sections(rule, direction) {
                let services = services(&written, home);
                let filtered = [
                    written.ports.is_some_and(|list| !list.is_empty()),
                    written.icmps.is_some_and(|list| !list.is_empty()),
                ];
                entries.push(Entry {
                    direction,
                    tier: NORMAL,
                    priority: 0,
                    act: if written.deny { Act::Deny } else { Act::Allow },
                    default_deny,
                    peers: self.peers(&written, &scope, filtered.contains(&true)),
                    services,
                    auth: written
                        .auth
                        .and_then(|auth| auth.mode.as_ref())
                        .map(|mode| mode.value.clone()),
                });
            }
        }
        entries
    }

    fn peers(&self, written: &Written<'_>, scope: &Scope<'_>, with_ports: bool) -> Vec<Select> {
        let empty = [written.endpoints, written.nodes]
            .into_iter()
            .flatten()
            .any(|list| list.is_empty())
            || [written.entities, written.cidrs]
                .into_iter()
                .flatten()
                .any(|list| list.is_empty())
            || written.cidr_set.is_some_and(|list| list.is_empty());
        if empty {
            return Vec::new();
        }
        let given = |any: bool| if any { vec![ANYONE] } else { Vec::new() };
        if let Some(list) = written.endpoints {
            return list
                .iter()
                .map(|one| Select::Labels(self.scoped(one, scope)))
                .collect();
        }
        if let Some(list) = written.nodes {
            return list
                .iter()
                .map(|one| Select::Labels(self.of_nodes(one)))
                .collect();
        }
        if let Some(list) = written.entities {
            return list
                .iter()
                .flat_map(|entity| self.entity(&entity.value))
                .collect();
        }
        if let Some(list) = written.cidrs {
            return list
                .iter()
                .map(|cidr| prefix(&cidr.value, Vec::new()))
                .collect();
        }
        if let Some(list) = written.cidr_set {
            return list.iter().map(cidr_rule).collect();
        }
        if let Some(list) = written.fqdns.filter(|list| !list.is_empty()) {
            return list.iter().map(names).collect();
        }
        if written.groups {
            return vec![Select::Group(Groups::Foreign, Vec::new())];
        }
        match written.services.filter(|list| !list.is_empty()) {
            // Nobody looks services of deny sections up.
            Some(_) if written.deny => given(with_ports),
            Some(list) => {
                let found: Vec<_> = list
                    .iter()
                    .flat_map(|service| self.behind(service))
                    .collect();
                if found.is_empty() {
                    given(with_ports)
                } else {
                    found
                }
            }
            None => given(with_ports),
        }
    }

    fn scoped(&self, selector: &Selector, scope: &Scope<'_>) -> Vec<Requirement> {
        let mut all = labels::cilium(selector);
        let has = |all: &[Requirement], test: &dyn Fn(&str) -> bool| {
            all.iter()
                .any(|(source, name, _)| matches!(source.as_str(), "any" | "k8s") && test(name))
        };
        if all.iter().any(|(source, ..)| source == "reserved") {
            return all;
        }
        let with_cluster = has(&all, &|name| name == CLUSTER);
        if !has(&all, &|name| name == NAMESPACE) {
            match scope.home {
                Some(_) if has(&all, &|name| name.starts_with(NAMESPACE_LABELS)) => {}
                Some(home) => all.push(labels::equals("k8s", NAMESPACE, home)),
                None if scope.init => {}
                None => all.push(labels::exists("k8s", NAMESPACE)),
            }
        }
        if self.settings.default_local_cluster && !with_cluster {
            all.push(self.local());
        }
        canonical(all)
    }

    fn of_nodes(&self, selector: &Selector) -> Vec<Requirement> {
        let mut all = labels::cilium(selector);
        let with_cluster = all
            .iter()
            .any(|(source, name, _)| source != "reserved" && name == CLUSTER);
        all.push(labels::exists("reserved", "remote-node"));
        if self.settings.default_local_cluster && !with_cluster {
            all.push(self.local());
        }
        canonical(all)
    }

    /// The requirement of the local cluster.
    pub(super) fn local(&self) -> Requirement {
        labels::equals("k8s", CLUSTER, &self.settings.cluster)
    }

    fn entity(&self, entity: &str) -> Vec<Select> {
        let reserved = |name: &str| Select::Labels(vec![labels::equals("reserved", name, "")]);
        match entity {
            "all" => vec![ANYONE],
            "world" => ["world", "world-ipv4", "world-ipv6"].map(reserved).to_vec(),
            "cluster" => {
                let inside = [
                    "host",
                    "remote-node",
                    "init",
                    "ingress",
                    "health",
                    "unmanaged",
                    "kube-apiserver",
                ];
                let pods = Select::Labels(vec![self.local()]);
                inside.into_iter().map(reserved).chain([pods]).collect()
            }
            name => vec![reserved(name)],
        }
    }

    /// What stands behind services: pods by label, or addresses.
    fn behind(&self, written: &cilium::Service) -> Vec<Select> {
        let services = self.cluster.services.iter();
        let found = services.filter(|service| refers(written, service));
        found.flat_map(|service| self.backends(service)).collect()
    }

    fn backends(&self, service: &Known) -> Vec<Select> {
        if let Some(pods) = &service.selector {
            let labels = pods
                .iter()
                .map(|(key, value)| labels::equals("any", key, value));
            let mut all: Vec<_> = labels.collect();
            all.push(labels::equals("k8s", NAMESPACE, &service.name.0));
            all.extend(self.settings.default_local_cluster.then(|| self.local()));
            return vec![Select::Labels(canonical(all))];
        }
        let own = self
            .cluster
            .backends
            .iter()
            .filter(|(name, _)| *name == service.name);
        let addresses = own.flat_map(|(_, list)| list);
        let alone = |address: &IpAddr| Select::Cidr(block(&address.to_string()), Vec::new());
        addresses.map(alone).collect()
    }
}

/// Whether an element of `toServices` means a service. Sources of labels do not count.
fn refers(written: &cilium::Service, service: &Known) -> bool {
    let text = |text: &Option<Text>| {
        text.as_ref()
            .map(|text| text.value.clone())
            .filter(|text| !text.is_empty())
    };
    let here = |namespace: &Option<Text>| text(namespace).is_none_or(|name| name == service.name.0);
    let by_name = |by: &cilium::ServiceName| {
        here(&by.namespace) && text(&by.name).is_some_and(|name| name == service.name.1)
    };
    let by_label = |by: &cilium::ServiceSelector| {
        let own = service.labels.iter();
        let own = own.map(|(key, value)| (key.clone(), ("k8s", value.clone())));
        let read = |key| ("any", labels::split(key).1.to_owned());
        let wanted = by
            .selector
            .as_ref()
            .map(|selector| labels::requirements(selector, read));
        here(&by.namespace) && labels::meet(&own.collect(), &wanted.unwrap_or_default())
    };
    written.by_name.as_ref().is_some_and(by_name)
        || written.by_selector.as_ref().is_some_and(by_label)
}

fn canonical(mut all: Vec<Requirement>) -> Vec<Requirement> {
    all.sort();
    all.dedup();
    all
}

fn subject_selected(rule: &cilium::Rule, home: Option<&str>, labels: &Labels, host: bool) -> bool {
    if let Some(selector) = &rule.node_selector {
        return host && labels::meet(labels, &labels::cilium(selector));
    }
    let Some(selector) = &rule.endpoint_selector else {
        return false;
    };
    let in_home =
        home.is_none_or(|home| labels.get(NAMESPACE).is_some_and(|(_, name)| name == home));
    let mut selector = selector.clone();
    if home.is_some() {
        // The policy's namespace takes the place of a label written with that very key.
        selector
            .match_labels
            .retain(|(key, _)| key.value != format!("k8s:{NAMESPACE}"));
    }
    !host && in_home && labels::meet(labels, &labels::cilium(&selector))
}

/// A prefix of every address is the world of its family.
pub(super) fn prefix(text: &str, except: Vec<text::Block>) -> Select {
    let block = block(text);
    if block.1 == 0 && except.is_empty() {
        let family = if block.0.is_ipv4() {
            "world-ipv4"
        } else {
            "world-ipv6"
        };
        return Select::Labels(vec![labels::equals("reserved", family, "")]);
    }
    Select::Cidr(block, except)
}

fn cidr_rule(rule: &cilium::CidrRule) -> Select {
    let except = rule.except.iter().flat_map(|list| list.iter());
    let mut except: Vec<_> = except.map(|cidr| block(&cidr.value)).collect();
    except.sort();
    except.dedup();
    match (&rule.cidr, &rule.group_ref, &rule.group_selector) {
        (Some(cidr), ..) => prefix(&cidr.value, except),
        (None, Some(name), _) => Select::Group(Groups::Named(name.value.clone()), except),
        (None, None, Some(selector)) => {
            Select::Group(Groups::Labelled(labels::cilium(selector)), except)
        }
        (None, None, None) => panic!("a prefix of nothing was let through"),
    }
}

fn names(fqdn: &cilium::Fqdn) -> Select {
    let text = |text: &Option<Text>| {
        text.as_ref()
            .filter(|text| !text.value.is_empty())
            .map(|text| dns(&text.value))
    };
    Select::Fqdn(text(&fqdn.match_name), text(&fqdn.match_pattern))
}

fn services(written: &Written<'_>, home: Option<&str>) -> Vec<(Service, Proxy)> {
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

fn sections(rule: &cilium::Rule, direction: Direction) -> Vec<Written<'_>> {
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
