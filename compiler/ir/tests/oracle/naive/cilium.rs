//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

/// Peers as selectors.
mod select;
/// Entries as they are written.
mod written;

use policyc_ir::rule::Direction;
use policyc_syntax::ast::cilium;

use super::World;
use super::entry::{Act, Entry, NORMAL};
use super::labels::{self, Labels, NAMESPACE};
use super::peer::{ANYONE, Groups, Select};
use select::{cidr_rule, names};
use written::{Written, sections, services};

pub(super) use select::prefix;

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
}

/// Whether a rule is for a subject.
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
