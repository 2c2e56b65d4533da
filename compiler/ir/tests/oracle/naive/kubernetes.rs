//! NetworkPolicy.

use policyc_ir::rule::Direction;
use policyc_syntax::ast::netpol;

use super::World;
use super::entry::{Act, Entry, NORMAL, Service};
use super::l7::Proxy;
use super::labels::{self, Labels, NAMESPACE, NAMESPACE_LABELS};
use super::peer::{ANYONE, Select};
use super::text::{self, ALL, Port, block};

impl World<'_> {
    /// The entries of a policy that are for a subject with these labels.
    pub(super) fn kubernetes(
        &self,
        policy: &netpol::Policy,
        home: &str,
        labels: &Labels,
    ) -> Vec<Entry> {
        let in_home = labels.get(NAMESPACE).is_some_and(|(_, name)| name == home);
        let selected = policy
            .pod_selector
            .as_ref()
            .is_none_or(|selector| labels::meet(labels, &labels::plain(selector, "")));
        if !in_home || !selected {
            return Vec::new();
        }
        let types = || policy.policy_types.iter().flat_map(|list| list.iter());
        let named = |name| types().any(|text| text.value == name);
        let mut entries = Vec::new();
        for direction in Direction::BOTH {
            let (section, isolated) = match direction {
                Direction::Ingress => (&policy.ingress, named("Ingress") || !named("Egress")),
                Direction::Egress => (&policy.egress, named("Egress")),
            };
            let rules: Vec<_> = section.iter().flat_map(|list| list.iter()).collect();
            if rules.is_empty() && isolated {
                entries.push(entry(direction, Vec::new(), Vec::new()));
            }
            for rule in rules {
                entries.push(entry(
                    direction,
                    self.kubernetes_peers(rule, home),
                    services(rule),
                ));
            }
        }
        entries
    }

    fn kubernetes_peers(&self, rule: &netpol::Rule, home: &str) -> Vec<Select> {
        match rule.peers.as_ref().filter(|list| !list.is_empty()) {
            Some(list) => list
                .iter()
                .map(|peer| self.kubernetes_peer(peer, home))
                .collect(),
            None => vec![ANYONE],
        }
    }

    fn kubernetes_peer(&self, peer: &netpol::Peer, home: &str) -> Select {
        if let Some(ip) = &peer.ip_block {
            let except = ip.except.iter().flat_map(|list| list.iter());
            let except: Vec<_> = except.map(|cidr| block(&cidr.value)).collect();
            return super::cilium::prefix(&ip.cidr.as_ref().unwrap().value, except);
        }
        // Only an empty namespace selector demands a pod. One that rules labels out matches whatever lacks them, unless
        // the local cluster is demanded, which has nothing but pods.
        let mut all = match &peer.namespace_selector {
            Some(selector)
                if selector.match_labels.is_empty() && selector.match_expressions.is_empty() =>
            {
                vec![labels::exists("k8s", NAMESPACE)]
            }
            Some(selector) => labels::plain(selector, NAMESPACE_LABELS),
            None => vec![labels::equals("k8s", NAMESPACE, home)],
        };
        all.extend(
            peer.pod_selector
                .iter()
                .flat_map(|selector| labels::plain(selector, "")),
        );
        all.extend(self.settings.default_local_cluster.then(|| self.local()));
        all.sort();
        all.dedup();
        Select::Labels(all)
    }
}

fn entry(direction: Direction, peers: Vec<Select>, services: Vec<(Service, Proxy)>) -> Entry {
    Entry {
        direction,
        tier: NORMAL,
        priority: 0,
        act: Act::Allow,
        default_deny: true,
        peers,
        services,
        auth: None,
    }
}

fn services(rule: &netpol::Rule) -> Vec<(Service, Proxy)> {
    let Some(ports) = rule.ports.as_ref().filter(|list| !list.is_empty()) else {
        return vec![(
            Service {
                protocol: 0,
                port: ALL,
            },
            Proxy::default(),
        )];
    };
    let read = |port: &netpol::Port| {
        let protocol = port
            .protocol
            .as_ref()
            .map_or(6, |text| text::protocol(&text.value));
        let end = port
            .end_port
            .as_ref()
            .map_or(0, |end| u16::try_from(end.value).unwrap());
        let port = match port.port.as_ref().map(|port| &port.value) {
            None => ALL,
            // Kubernetes has no names without letters; Cilium takes them as numbers.
            Some(netpol::PortValue::Name(name)) if name.parse::<u16>().is_ok() => {
                text::port(name, end.into())
            }
            Some(netpol::PortValue::Name(name)) => Port::Named(name.clone(), end),
            Some(netpol::PortValue::Number(first)) => {
                text::number(u16::try_from(*first).unwrap(), end)
            }
        };
        (Service { protocol, port }, Proxy::default())
    };
    ports.iter().map(read).collect()
}
