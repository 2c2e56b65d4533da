//! ClusterNetworkPolicy.

use policyc_ir::rule::Direction;
use policyc_syntax::ast::{Selector, kcnp};

use super::World;
use super::entry::{Act, Entry, Service};
use super::l7::{self, Proxy};
use super::labels::{self, Labels, NAMESPACE, NAMESPACE_LABELS, Requirement};
use super::peer::{ANYONE, Select};
use super::text::{self, ALL, Port};

impl World<'_> {
    /// The entries of a policy that are for a subject with these labels.
    pub(super) fn tiered(&self, policy: &kcnp::Policy, labels: &Labels) -> Vec<Entry> {
        let subject = policy.subject.as_ref().unwrap();
        let mut wanted: Vec<_> = subject.namespaces.iter().flat_map(spaces).collect();
        wanted.extend(subject.pods.iter().flat_map(pods));
        if !labels.contains_key(NAMESPACE) || !labels::meet(labels, &wanted) {
            return Vec::new();
        }
        let tier = if policy.tier.as_ref().unwrap().value == "Admin" {
            100
        } else {
            250
        };
        let priority = u32::try_from(policy.priority.as_ref().unwrap().value).unwrap();
        let mut entries = Vec::new();
        for (direction, section) in [
            (Direction::Ingress, &policy.ingress),
            (Direction::Egress, &policy.egress),
        ] {
            for (at, rule) in (0..).zip(section.iter().flat_map(|list| list.iter())) {
                let entry = |peers, services| Entry {
                    direction,
                    tier,
                    // Behind the point Cilium counts the rules of a section: the hundredth is the next priority's first.
                    priority: priority * 100 + at,
                    act: act(rule),
                    default_deny: false,
                    peers,
                    services,
                    auth: None,
                };
                entries.push(entry(self.tiered_peers(rule), services(rule)));
                entries.extend(
                    self.name_lookup(rule)
                        .map(|(peer, services)| entry(vec![peer], services)),
                );
            }
        }
        entries
    }

    fn tiered_peers(&self, rule: &kcnp::Rule) -> Vec<Select> {
        let Some(list) = &rule.peers else {
            return vec![ANYONE];
        };
        list.iter()
            .flat_map(|peer| self.tiered_peer(peer))
            .collect()
    }

    fn tiered_peer(&self, peer: &kcnp::Peer) -> Vec<Select> {
        let local = self.settings.default_local_cluster.then(|| self.local());
        let sorted = |mut all: Vec<Requirement>| {
            all.sort();
            all.dedup();
            vec![Select::Labels(all)]
        };
        if let Some(selector) = &peer.namespaces {
            return sorted(spaces(selector));
        }
        if let Some(selectors) = &peer.pods {
            return sorted(pods(selectors).into_iter().chain(local).collect());
        }
        if let Some(selector) = &peer.nodes {
            let nodes = labels::requirements(selector, |key| ("node", key.to_owned()));
            let remote = [labels::exists("reserved", "remote-node")];
            return sorted(nodes.into_iter().chain(remote).chain(local).collect());
        }
        if let Some(list) = &peer.networks {
            return list
                .iter()
                .map(|cidr| super::cilium::prefix(&cidr.value, Vec::new()))
                .collect();
        }
        let names = peer.domain_names.iter().flat_map(|list| list.iter());
        names
            .map(|name| domain(&name.value))
            .map(|(name, pattern)| Select::Fqdn(name, pattern))
            .collect()
    }

    /// Names can only be learned from answers, so accepting a name accepts asking the cluster's DNS for it.
    fn name_lookup(&self, rule: &kcnp::Rule) -> Option<(Select, Vec<(Service, Proxy)>)> {
        let peers = rule.peers.iter().flat_map(|list| list.iter());
        let names: Vec<_> = peers
            .flat_map(|peer| peer.domain_names.iter())
            .flat_map(|list| list.iter())
            .collect();
        if names.is_empty() {
            return None;
        }
        let proxy = Proxy::for_dns(names.iter().map(|name| {
            let (name, pattern) = domain(&name.value);
            l7::dns_rule(name.as_deref(), pattern.as_deref())
        }));
        let mut dns = vec![labels::equals("k8s", "k8s-app", "kube-dns")];
        dns.extend(self.settings.default_local_cluster.then(|| self.local()));
        dns.sort();
        let named = |(name, protocol): (&str, u8)| {
            let port = Port::Named(name.to_owned(), 0);
            (Service { protocol, port }, proxy.clone())
        };
        let ports = ["dns", "dns-tcp"].into_iter();
        let ports = ports.flat_map(|name| [6, 17, 132].map(|protocol| (name, protocol)));
        Some((Select::Labels(dns), ports.map(named).collect()))
    }
}

fn act(rule: &kcnp::Rule) -> Act {
    match rule.action.as_ref().unwrap().value.as_str() {
        "Accept" => Act::Allow,
        "Deny" => Act::Deny,
        _ => Act::Pass,
    }
}

fn spaces(selector: &Selector) -> Vec<Requirement> {
    if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
        return vec![labels::exists("k8s", NAMESPACE)];
    }
    labels::plain(selector, NAMESPACE_LABELS)
}

fn pods(both: &kcnp::Pods) -> Vec<Requirement> {
    let namespaces = both.namespace_selector.iter().flat_map(spaces);
    namespaces
        .chain(
            both.pod_selector
                .iter()
                .flat_map(|selector| labels::plain(selector, "")),
        )
        .collect()
}

/// A name, or a pattern whose star is one label or more.
fn domain(text: &str) -> (Option<String>, Option<String>) {
    if text.starts_with("*.") {
        (None, Some(format!("*{}", text::dns(text))))
    } else {
        (Some(text::dns(text)), None)
    }
}

fn services(rule: &kcnp::Rule) -> Vec<(Service, Proxy)> {
    let Some(list) = &rule.protocols else {
        return vec![(
            Service {
                protocol: 0,
                port: ALL,
            },
            Proxy::default(),
        )];
    };
    let mut services = Vec::new();
    for one in list.iter() {
        for (protocol, transport) in [(6, &one.tcp), (17, &one.udp), (132, &one.sctp)] {
            let ports = transport
                .iter()
                .filter_map(|transport| transport.port.as_ref());
            services.extend(ports.map(|port| Service {
                protocol,
                port: numbers(port),
            }));
        }
        if let Some(name) = &one.named_port {
            services.extend([6, 17, 132].map(|protocol| Service {
                protocol,
                port: Port::Named(name.value.clone(), 0),
            }));
        }
    }
    services
        .into_iter()
        .map(|service| (service, Proxy::default()))
        .collect()
}

fn numbers(port: &kcnp::Port) -> Port {
    let read = |number: &policyc_diag::Spanned<i64>| u16::try_from(number.value).unwrap();
    match (&port.number, &port.range) {
        (Some(number), _) => text::number(read(number), 0),
        (None, Some(range)) => text::number(
            read(range.start.as_ref().unwrap()),
            read(range.end.as_ref().unwrap()),
        ),
        (None, None) => panic!("a port without a number was let through"),
    }
}
