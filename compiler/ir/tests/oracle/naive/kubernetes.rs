//! NetworkPolicy.

use policyc_ir::rule::Direction;
use policyc_syntax::ast::netpol;

use super::text::{holds, keys, number, range, selects_plain};
use super::{CLUSTER, Labels, NAMESPACE, NAMESPACE_LABELS, Other, Question, Tally, World};

impl World<'_> {
    pub(super) fn kubernetes(
        &self,
        policy: &netpol::Policy,
        home: &str,
        labels: &Labels,
        question: &Question,
        tally: &mut Tally,
    ) {
        let in_home = labels.get(NAMESPACE).is_some_and(|(_, name)| name == home);
        let selected = policy
            .pod_selector
            .as_ref()
            .is_none_or(|selector| selects_plain(selector, labels, ""));
        if !in_home || !selected {
            return;
        }
        let named = |name| {
            policy
                .policy_types
                .iter()
                .flat_map(|list| list.iter())
                .any(|text| text.value == name)
        };
        let (section, isolated) = match question.direction {
            Direction::Ingress => (&policy.ingress, named("Ingress") || !named("Egress")),
            Direction::Egress => (&policy.egress, named("Egress")),
        };
        let rules: Vec<_> = section.iter().flat_map(|list| list.iter()).collect();
        if rules.is_empty() && !isolated {
            return;
        }
        tally.selected = true;
        tally.default_deny = true;
        tally.allowed |= rules.iter().any(|rule| {
            let peers = rule.peers.as_ref().filter(|list| !list.is_empty());
            let ports = rule.ports.as_ref().filter(|list| !list.is_empty());
            peers.is_none_or(|list| {
                list.iter()
                    .any(|peer| self.kubernetes_peer(peer, home, &question.other))
            }) && ports
                .is_none_or(|list| list.iter().any(|port| self.kubernetes_port(port, question)))
        });
    }

    fn kubernetes_peer(&self, peer: &netpol::Peer, home: &str, other: &Other) -> bool {
        if let Some(block) = &peer.ip_block {
            let Other::Address(address) = other else {
                return false;
            };
            let excepted = block
                .except
                .iter()
                .flat_map(|list| list.iter())
                .any(|cidr| holds(&cidr.value, *address));
            return holds(&block.cidr.as_ref().unwrap().value, *address) && !excepted;
        }
        let Some(labels) = self.other_labels(other) else {
            return false;
        };
        let equals = |key: &str, value: &str| labels.get(key).is_some_and(|(_, it)| it == value);
        // Only an empty namespace selector demands a pod. One that rules labels out matches whatever lacks them, unless
        // the local cluster is demanded, which has nothing but pods.
        let in_space = match &peer.namespace_selector {
            Some(selector) if keys(selector).is_empty() => labels.contains_key(NAMESPACE),
            Some(selector) => selects_plain(selector, &labels, NAMESPACE_LABELS),
            None => equals(NAMESPACE, home),
        };
        let pods = peer.pod_selector.as_ref();
        in_space
            && (!self.settings.default_local_cluster || equals(CLUSTER, &self.settings.cluster))
            && pods.is_none_or(|selector| selects_plain(selector, &labels, ""))
    }

    fn kubernetes_port(&self, port: &netpol::Port, question: &Question) -> bool {
        let protocol = port
            .protocol
            .as_ref()
            .map_or("TCP", |text| text.value.as_str());
        number(protocol) == question.protocol
            && match port.port.as_ref().map(|port| &port.value) {
                None => true,
                Some(netpol::PortValue::Name(name)) => self.named(name, question),
                Some(netpol::PortValue::Number(first)) => range(
                    *first,
                    port.end_port.as_ref().map_or(0, |end| end.value),
                    question.port,
                ),
            }
    }
}
