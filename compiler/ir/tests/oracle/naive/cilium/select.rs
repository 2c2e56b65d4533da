//! Peers as selectors.

use std::net::IpAddr;

use policyc_syntax::ast::{Selector, Text, cilium};

use super::super::World;
use super::super::cluster::Service as Known;
use super::super::labels::{self, CLUSTER, NAMESPACE, NAMESPACE_LABELS, Requirement};
use super::super::peer::{ANYONE, Groups, Select};
use super::super::text::{self, block, dns};
use super::Scope;

impl World<'_> {
    /// A peer selector within its bounds.
    pub(super) fn scoped(&self, selector: &Selector, scope: &Scope<'_>) -> Vec<Requirement> {
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

    /// A selector of nodes.
    pub(super) fn of_nodes(&self, selector: &Selector) -> Vec<Requirement> {
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
    pub(in super::super) fn local(&self) -> Requirement {
        labels::equals("k8s", CLUSTER, &self.settings.cluster)
    }

    /// What an entity stands for.
    pub(super) fn entity(&self, entity: &str) -> Vec<Select> {
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
    pub(super) fn behind(&self, written: &cilium::Service) -> Vec<Select> {
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

/// A prefix of every address is the world of its family.
pub(in super::super) fn prefix(text: &str, except: Vec<text::Block>) -> Select {
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

/// An element of `fromCIDRSet` or `toCIDRSet`.
pub(super) fn cidr_rule(rule: &cilium::CidrRule) -> Select {
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

/// An element of `toFQDNs`.
pub(super) fn names(fqdn: &cilium::Fqdn) -> Select {
    let text = |text: &Option<Text>| {
        text.as_ref()
            .filter(|text| !text.value.is_empty())
            .map(|text| dns(&text.value))
    };
    Select::Fqdn(text(&fqdn.match_name), text(&fqdn.match_pattern))
}
