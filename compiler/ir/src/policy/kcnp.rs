//! From the syntax tree of Kubernetes ClusterNetworkPolicy. Validation has passed, so `None` here means a fault in
//! this tool.
//!
//! Source of every rule here: Cilium's ParseClusterNetworkPolicy.

use std::sync::Arc;

use policyc_diag::Spanned;
use policyc_syntax::ast::{self, List, Text, kcnp};

use super::cilium::{block, selector};
use super::{Element, Entry, KubernetesPeer, Peers, Policy, Rule, Traffic};
use crate::fqdn::Fqdn;
use crate::l7;
use crate::label::{Key, Source};
use crate::normalise::scope;
use crate::port::{L4, Ports, Protocol};
use crate::rule::{Action, Direction, Kind, Level, Tier};
use crate::selector::{Requirement, Selector};

/// What a policy becomes.
#[cfg(test)]
mod tests;

/// How far apart two priorities are; rules of one policy count the steps between.
const STEPS: u32 = 100;

/// The label by which Cilium finds the servers that pods ask for names.
const DNS_SERVER: (&str, &str) = ("k8s-app", "kube-dns");
/// The names of their ports.
const DNS_PORTS: [&str; 2] = ["dns", "dns-tcp"];

pub(super) fn policy(document: &ast::Document, policy: &kcnp::Policy) -> Option<Policy> {
    let written = policy.subject.as_ref()?;
    let first = Level {
        tier: tier(policy.tier.as_ref()?)?,
        priority: u32::try_from(policy.priority?.value).ok()? * STEPS,
    };
    let mut entries = Vec::new();
    for (direction, section) in [
        (Direction::Ingress, &policy.ingress),
        (Direction::Egress, &policy.egress),
    ] {
        for (at, rule) in section.iter().flat_map(|list| list.iter()).enumerate() {
            // More rules than steps would go on among those of the next priority; validation allows fewer.
            let priority = first.priority + u32::try_from(at).ok()?;
            let place = Place {
                path: super::path("spec", direction.name(), at),
                direction,
                level: Level { priority, ..first },
                rule,
            };
            place.entries(&mut entries)?;
        }
    }
    let rule = Rule {
        subject: Spanned::new(subject(written)?, written.span),
        node: false,
        default_deny: [false, false],
        log: None,
        entries,
    };
    Some(Policy {
        info: super::info(document, Kind::Kcnp)?,
        rules: vec![rule],
    })
}

fn tier(text: &Text) -> Option<Tier> {
    match text.value.as_str() {
        "Admin" => Some(Tier::Admin),
        "Baseline" => Some(Tier::Baseline),
        _ => None,
    }
}

/// Pods of any cluster, unlike a peer.
fn subject(written: &kcnp::Subject) -> Option<Selector> {
    if let Some(namespaces) = &written.namespaces {
        let namespaces = selector(namespaces, k8s)?;
        return Some(scope::in_namespaces(Selector::EMPTY, &namespaces));
    }
    let (pods, namespaces) = pods(written.pods.as_ref()?)?;
    Some(scope::in_namespaces(pods, &namespaces))
}

/// `podSelector` and `namespaceSelector`; without the latter any namespace.
fn pods(written: &kcnp::Pods) -> Option<(Selector, Selector)> {
    let all = |written: Option<&ast::Selector>| match written {
        Some(written) => selector(written, k8s),
        None => Some(Selector::EMPTY),
    };
    let pods = all(written.pod_selector.as_ref())?;
    Some((pods, all(written.namespace_selector.as_ref())?))
}

/// A rule, and where it stands.
struct Place<'a> {
    path: Arc<str>,
    direction: Direction,
    level: Level,
    rule: &'a kcnp::Rule,
}

impl Place<'_> {
    /// One entry for all peers that are known, and others that follow from them.
    fn entries(&self, entries: &mut Vec<Entry>) -> Option<()> {
        let action = match self.rule.action.as_ref()?.value.as_str() {
            "Accept" => Action::Allow,
            "Deny" => Action::Deny,
            "Pass" => Action::Pass,
            _ => return None,
        };
        let traffic = traffic(self.rule.protocols.as_ref())?;
        let listed = self.rule.peers.iter().flat_map(|list| list.iter());
        let mut known = Vec::new();
        let mut unknown = false;
        for written in listed.clone() {
            unknown |= !has_member(written);
            known.extend(peers(written)?);
        }
        if listed.clone().next().is_none() {
            entries.push(self.entry(action, Peers::Absent, traffic.clone()));
        } else if !known.is_empty() {
            entries.push(self.entry(action, Peers::Kubernetes(known), traffic.clone()));
        }
        // What a newer definition calls by a field that Cilium does not know must not get more than was meant.
        if unknown && action != Action::Allow {
            let everyone = Peers::Kubernetes(vec![KubernetesPeer::Everyone]);
            entries.push(self.entry(Action::Deny, everyone, traffic));
        }
        for names in listed.filter_map(|peer| peer.domain_names.as_ref()) {
            entries.push(self.questions(names));
        }
        Some(())
    }

    fn entry(&self, action: Action, peers: Peers, traffic: Traffic) -> Entry {
        Entry {
            path: self.path.clone(),
            span: self.rule.span,
            direction: self.direction,
            action,
            level: self.level,
            peers,
            traffic,
            auth: None,
        }
    }

    /// The addresses of a name are learnt from the answers that the DNS proxy sees, so Cilium lets the subject ask.
    fn questions(&self, names: &List<Text>) -> Entry {
        let names = names.iter().map(fqdn).collect();
        let (name, value) = DNS_SERVER;
        let servers = Selector::new([Requirement::equals(Key::new(Source::Any, name), value)]);
        let element = Element {
            path: "domainNames".into(),
            span: self.rule.span,
            l4: DNS_PORTS.into_iter().flat_map(named).collect(),
            l7: Some(Arc::new(l7::Rules {
                content: l7::Content::Dns(names),
                ..l7::Rules::default()
            })),
        };
        let peers = Peers::Kubernetes(vec![KubernetesPeer::Labels(servers)]);
        self.entry(Action::Allow, peers, Traffic::Of(vec![element]))
    }
}

/// Whether an element of `from` or `to` has a member that is known.
fn has_member(written: &kcnp::Peer) -> bool {
    let labels = written.pods.is_some() || written.namespaces.is_some() || written.nodes.is_some();
    labels || written.networks.is_some() || written.domain_names.is_some()
}

/// What an element of `from` or `to` means; nothing if it has no member that is known.
fn peers(written: &kcnp::Peer) -> Option<Vec<KubernetesPeer>> {
    Some(if let Some(written) = &written.pods {
        let (pods, namespaces) = pods(written)?;
        vec![KubernetesPeer::Pods {
            pods,
            namespaces: Some(namespaces),
        }]
    } else if let Some(namespaces) = &written.namespaces {
        vec![KubernetesPeer::Namespaces(selector(namespaces, k8s)?)]
    } else if let Some(nodes) = &written.nodes {
        let labels = selector(nodes, |name| Key::new(Source::Node, name))?;
        vec![KubernetesPeer::Nodes(labels)]
    } else if let Some(networks) = &written.networks {
        let one = |text: &Text| {
            let (cidr, except) = block(text, None)?;
            Some(KubernetesPeer::Block(cidr, except))
        };
        networks.iter().map(one).collect::<Option<_>>()?
    } else if let Some(names) = &written.domain_names {
        let each = names.iter().map(|name| KubernetesPeer::Fqdn(fqdn(name)));
        each.collect()
    } else {
        Vec::new()
    })
}

/// A leading `*.` stands for one label or more here, for which Cilium writes `**.`.
fn fqdn(name: &Text) -> Fqdn {
    if name.starts_with("*.") {
        Fqdn::new(None, Some(&format!("*{}", name.value)))
    } else {
        Fqdn::new(Some(&name.value), None)
    }
}

fn traffic(protocols: Option<&List<kcnp::Protocol>>) -> Option<Traffic> {
    let Some(list) = protocols.filter(|list| !list.is_empty()) else {
        return Some(Traffic::Any);
    };
    let mut services = Vec::new();
    for protocol in list.iter() {
        let transports = [
            (&protocol.tcp, Protocol::TCP),
            (&protocol.udp, Protocol::UDP),
            (&protocol.sctp, Protocol::SCTP),
        ];
        let mut present = transports
            .into_iter()
            .filter_map(|(transport, number)| Some((transport.as_ref()?, number)));
        match present.next() {
            Some((transport, protocol)) => {
                let ports = range(transport.port.as_ref()?)?;
                services.push(L4 { protocol, ports });
            }
            None => services.extend(named(&protocol.named_port.as_ref()?.value)),
        }
    }
    Some(Traffic::Of(vec![Element {
        path: "protocols".into(),
        span: list.span,
        l4: services,
        l7: None,
    }]))
}

fn range(port: &kcnp::Port) -> Option<Ports> {
    let number = |number: Spanned<i64>| u16::try_from(number.value).ok();
    match (&port.number, &port.range) {
        (Some(one), None) => {
            let one = number(*one)?;
            Some(Ports::Range(one, one))
        }
        (None, Some(range)) => Some(Ports::Range(number(range.start?)?, number(range.end?)?)),
        _ => None,
    }
}

/// A port by name, of whatever protocol.
fn named(name: &str) -> impl Iterator<Item = L4> {
    let name: Arc<str> = name.into();
    Protocol::WITH_PORTS.into_iter().map(move |protocol| L4 {
        protocol,
        ports: Ports::Named(name.clone(), None),
    })
}

fn k8s(name: &str) -> Key {
    Key::new(Source::K8s, name)
}
