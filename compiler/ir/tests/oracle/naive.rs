//! A second evaluator, straight from the syntax tree: no normal form, no interning, no identities.
//!
//! It shares no code with the crate under test, so that a mistake would have to be made twice.

/// NetworkPolicy.
mod kubernetes;
/// Selectors, prefixes and ports.
mod text;

use std::collections::BTreeMap;
use std::net::IpAddr;

use policyc_ir::rule::Direction;
use policyc_ir::settings::{Enforcement, Settings};
use policyc_syntax::ast::{Document, List, Object, Selector, Text, cilium};

use crate::generate::{Cluster, NAMESPACES};
use text::{holds, icmp_matches, keys, number, range, selects};

const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// Labels by name: source and value.
pub(crate) type Labels = BTreeMap<String, (&'static str, String)>;

/// The other side of a flow.
#[derive(Clone, Debug)]
pub(crate) enum Other {
    /// A pod, by its number.
    Pod(usize),
    /// A reserved identity with these labels.
    Reserved(Vec<&'static str>),
    /// An address outside the cluster.
    Address(IpAddr),
    /// An address that the datapath does not know.
    Unknown,
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The pod, or the host.
    pub(crate) subject: Option<usize>,
    /// Which way.
    pub(crate) direction: Direction,
    /// The other side.
    pub(crate) other: Other,
    /// IP protocol.
    pub(crate) protocol: u8,
    /// Port or ICMP type.
    pub(crate) port: u16,
}

/// A cluster, its settings and the policies in force.
#[derive(Debug)]
pub(crate) struct World<'a> {
    /// The cluster.
    pub(crate) cluster: &'a Cluster,
    /// Its settings.
    pub(crate) settings: &'a Settings,
    /// The policies.
    pub(crate) documents: Vec<&'a Document>,
}

/// What all entries together say of a flow.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent answers, each found by its own entries"
)]
struct Tally {
    selected: bool,
    default_deny: bool,
    denied: bool,
    allowed: bool,
}

impl World<'_> {
    /// Whether a flow passes, and whether its subject is in default deny in its direction.
    pub(crate) fn ask(&self, question: &Question) -> (bool, bool) {
        let labels = self.subject_labels(question);
        let exempt = !self.settings.host_firewall && labels.contains_key("host");
        if exempt || self.settings.enforcement == Enforcement::Never {
            return (true, false);
        }
        let mut tally = Tally::default();
        for document in &self.documents {
            match &document.object {
                Object::CiliumNetworkPolicy(policy) => {
                    self.cilium(
                        policy,
                        Some(namespace(document)),
                        &labels,
                        question,
                        &mut tally,
                    );
                }
                Object::CiliumClusterwideNetworkPolicy(policy) => {
                    self.cilium(policy, None, &labels, question, &mut tally);
                }
                Object::NetworkPolicy(policy) => {
                    self.kubernetes(policy, namespace(document), &labels, question, &mut tally);
                }
                _ => {}
            }
        }
        let always =
            self.settings.enforcement == Enforcement::Always || labels.contains_key("init");
        let enforced = always || tally.default_deny;
        let from_host =
            matches!(&question.other, Other::Reserved(names) if names.contains(&"host"));
        let localhost = self.settings.allow_localhost
            && from_host
            && question.direction == Direction::Ingress
            && question.subject.is_some()
            && tally.selected;
        let passes = !tally.denied && (tally.allowed || !enforced || localhost);
        (passes, enforced)
    }

    fn pod_labels(&self, pod: usize) -> Labels {
        let pod = &self.cluster.pods[pod];
        let mut labels = Labels::new();
        let own = pod
            .labels
            .iter()
            .filter(|(key, _)| !key.starts_with("io.cilium.k8s") && *key != "pod-template-hash");
        for (key, value) in own {
            labels.insert((*key).to_owned(), ("k8s", (*value).to_owned()));
        }
        let at = NAMESPACES
            .iter()
            .position(|name| *name == pod.namespace)
            .unwrap();
        for (key, value) in &self.cluster.namespaces[at] {
            labels.insert(
                format!("{NAMESPACE_LABELS}{key}"),
                ("k8s", (*value).to_owned()),
            );
        }
        labels.insert(NAMESPACE.to_owned(), ("k8s", pod.namespace.to_owned()));
        labels.insert(
            CLUSTER.to_owned(),
            ("k8s", self.settings.cluster.to_string()),
        );
        labels.insert(
            "io.cilium.k8s.policy.serviceaccount".to_owned(),
            ("k8s", pod.account.to_owned()),
        );
        labels
    }

    fn subject_labels(&self, question: &Question) -> Labels {
        if let Some(pod) = question.subject {
            return self.pod_labels(pod);
        }
        let mut labels = Labels::from([("host".to_owned(), ("reserved", String::new()))]);
        for (key, value) in self
            .cluster
            .node
            .iter()
            .filter(|(key, _)| *key != "kubernetes.io/hostname")
        {
            labels.insert((*key).to_owned(), ("k8s", (*value).to_owned()));
        }
        labels
    }

    /// `None` for who has no labels at all: only a rule for everyone matches it.
    fn other_labels(&self, other: &Other) -> Option<Labels> {
        let reserved = |names: &[&str]| {
            names
                .iter()
                .map(|name| ((*name).to_owned(), ("reserved", String::new())))
                .collect()
        };
        match other {
            Other::Pod(pod) => Some(self.pod_labels(*pod)),
            Other::Reserved(names) => Some(reserved(names)),
            Other::Address(address) if address.is_ipv4() => Some(reserved(&["world-ipv4"])),
            Other::Address(_) => Some(reserved(&["world-ipv6"])),
            Other::Unknown => None,
        }
    }

    fn cilium(
        &self,
        policy: &cilium::Policy,
        home: Option<&str>,
        labels: &Labels,
        question: &Question,
        tally: &mut Tally,
    ) {
        let rules = policy
            .spec
            .iter()
            .chain(policy.specs.iter().flat_map(|list| list.iter()));
        for rule in rules {
            let init = rule
                .endpoint_selector
                .as_ref()
                .is_some_and(|selector| keys(selector).contains(&("reserved", "init")));
            let scope = Scope { home, init };
            if !subject_selected(rule, home, labels, question.subject.is_none()) {
                continue;
            }
            let entries: Vec<_> = entries(rule, question.direction);
            if entries.is_empty() {
                continue;
            }
            tally.selected = true;
            let written =
                rule.enable_default_deny
                    .as_ref()
                    .and_then(|written| match question.direction {
                        Direction::Ingress => written.ingress.as_ref(),
                        Direction::Egress => written.egress.as_ref(),
                    });
            let written = written.is_none_or(|written| written.value);
            tally.default_deny |= written || !self.settings.non_default_deny;
            for entry in entries
                .iter()
                .filter(|entry| self.entry_matches(entry, &scope, question))
            {
                if entry.deny {
                    tally.denied = true;
                } else {
                    tally.allowed = true;
                }
            }
        }
    }

    fn entry_matches(&self, entry: &Entry<'_>, scope: &Scope<'_>, question: &Question) -> bool {
        let ports = entry.ports.filter(|list| !list.is_empty());
        let icmps = entry.icmps.filter(|list| !list.is_empty());
        let service = match (ports, icmps) {
            (Some(ports), _) => ports
                .iter()
                .flat_map(|rule| rule.ports.iter().flat_map(|list| list.iter()))
                .any(|port| self.port_matches(port, question)),
            (None, Some(icmps)) => icmps
                .iter()
                .flat_map(|rule| rule.fields.iter().flat_map(|list| list.iter()))
                .any(|field| icmp_matches(field, question)),
            (None, None) => true,
        };
        let unspoken = ports.is_none() && icmps.is_none();
        service && self.peer_matches(entry, scope, unspoken, &question.other)
    }

    fn peer_matches(
        &self,
        entry: &Entry<'_>,
        scope: &Scope<'_>,
        unspoken: bool,
        other: &Other,
    ) -> bool {
        let empty = entry.endpoints.is_some_and(|list| list.is_empty())
            || entry.entities.is_some_and(|list| list.is_empty())
            || entry.cidrs.is_some_and(|list| list.is_empty())
            || entry.cidr_set.is_some_and(|list| list.is_empty());
        if empty {
            return false;
        }
        if let Some(list) = entry.endpoints {
            return list
                .iter()
                .any(|selector| self.endpoint_matches(selector, scope, other));
        }
        if let Some(list) = entry.entities {
            return list
                .iter()
                .any(|entity| entity_matches(&entity.value, other));
        }
        let Other::Address(address) = other else {
            // Prefixes never match pods, nodes or reserved identities.
            return entry.cidrs.is_none() && entry.cidr_set.is_none() && !unspoken;
        };
        match (entry.cidrs, entry.cidr_set) {
            (Some(list), _) => list.iter().any(|cidr| holds(&cidr.value, *address)),
            (None, Some(list)) => list.iter().any(|rule| {
                let excepted = rule
                    .except
                    .iter()
                    .flat_map(|list| list.iter())
                    .any(|cidr| holds(&cidr.value, *address));
                holds(&rule.cidr.as_ref().unwrap().value, *address) && !excepted
            }),
            (None, None) => !unspoken,
        }
    }

    fn endpoint_matches(&self, selector: &Selector, scope: &Scope<'_>, other: &Other) -> bool {
        let keys = keys(selector);
        let labels = self.other_labels(other);
        let has = |wanted: &str| {
            keys.iter()
                .any(|(source, name)| matches!(*source, "any" | "k8s") && *name == wanted)
        };
        if keys.iter().any(|(source, _)| *source == "reserved") {
            return labels.is_some_and(|labels| selects(selector, &labels));
        }
        let by_namespace_label = keys.iter().any(|(source, name)| {
            matches!(*source, "any" | "k8s") && name.starts_with(NAMESPACE_LABELS)
        });
        let local = self.settings.default_local_cluster && !has(CLUSTER);
        let home = scope
            .home
            .filter(|_| !has(NAMESPACE) && !by_namespace_label);
        let any_pod = scope.home.is_none() && !has(NAMESPACE) && !scope.init;
        if keys.is_empty() && !local && home.is_none() && !any_pod {
            return true;
        }
        let Some(labels) = labels else { return false };
        let equals =
            |key: &str, value: &str| labels.get(key).is_some_and(|(_, given)| given == value);
        selects(selector, &labels)
            && (!local || equals(CLUSTER, &self.settings.cluster))
            && home.is_none_or(|home| equals(NAMESPACE, home))
            && (!any_pod || labels.contains_key(NAMESPACE))
    }

    fn port_matches(&self, port: &cilium::Port, question: &Question) -> bool {
        let protocol = port
            .protocol
            .as_ref()
            .map_or("ANY", |text| text.value.as_str());
        let wanted: &[u8] = match protocol.to_ascii_uppercase().as_str() {
            "TCP" => &[6],
            "UDP" => &[17],
            "SCTP" => &[132],
            _ => &[6, 17, 132],
        };
        let end = port.end_port.as_ref().map_or(0, |end| end.value);
        wanted.contains(&question.protocol)
            && match port.port.as_ref().unwrap().value.as_str() {
                "0" => true,
                "010" => range(8, end, question.port),
                text => match text.parse::<i64>() {
                    Ok(number) => range(number, end, question.port),
                    Err(_) => self.named(&text.to_ascii_lowercase(), question),
                },
            }
    }

    /// A name is the destination's: the subject's own on ingress; on egress what all pods with the labels of the other
    /// one, as far as they have the name, agree on.
    fn named(&self, name: &str, question: &Question) -> bool {
        let numbers = |pod: usize| {
            let ports = self.cluster.pods[pod].ports.iter();
            let of_name = ports.filter(|(known, protocol, _)| {
                *known == name && number(protocol) == question.protocol
            });
            of_name.map(|(_, _, number)| *number).next_back()
        };
        match (question.direction, question.subject, &question.other) {
            (Direction::Ingress, Some(pod), _) => numbers(pod) == Some(question.port),
            (Direction::Egress, _, Other::Pod(pod)) => {
                let labels = self.pod_labels(*pod);
                let like =
                    (0..self.cluster.pods.len()).filter(|one| self.pod_labels(*one) == labels);
                let given: Vec<_> = like.filter_map(numbers).collect();
                !given.is_empty() && given.iter().all(|number| *number == question.port)
            }
            _ => false,
        }
    }
}

fn entity_matches(entity: &str, other: &Other) -> bool {
    let reserved = |name: &str| match other {
        Other::Reserved(names) => names.contains(&name),
        Other::Address(address) => {
            name == if address.is_ipv4() {
                "world-ipv4"
            } else {
                "world-ipv6"
            }
        }
        Other::Pod(_) | Other::Unknown => false,
    };
    match entity {
        "all" => true,
        "world" => ["world", "world-ipv4", "world-ipv6"]
            .into_iter()
            .any(reserved),
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
            matches!(other, Other::Pod(_)) || inside.into_iter().any(reserved)
        }
        name => reserved(name),
    }
}

/// What peers of a policy are bound to.
struct Scope<'a> {
    /// Namespace of the policy.
    home: Option<&'a str>,
    /// Whether the subject names the init identity.
    init: bool,
}

/// An entry of either direction.
struct Entry<'a> {
    deny: bool,
    endpoints: Option<&'a List<Selector>>,
    entities: Option<&'a List<Text>>,
    cidrs: Option<&'a List<Text>>,
    cidr_set: Option<&'a List<cilium::CidrRule>>,
    ports: Option<&'a List<cilium::PortRule>>,
    icmps: Option<&'a List<cilium::IcmpRule>>,
}

fn entries(rule: &cilium::Rule, direction: Direction) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    if direction == Direction::Ingress {
        for (deny, section) in [(false, &rule.ingress), (true, &rule.ingress_deny)] {
            entries.extend(
                section
                    .iter()
                    .flat_map(|list| list.iter())
                    .map(|entry| Entry {
                        deny,
                        endpoints: entry.from_endpoints.as_ref(),
                        entities: entry.from_entities.as_ref(),
                        cidrs: entry.from_cidr.as_ref(),
                        cidr_set: entry.from_cidr_set.as_ref(),
                        ports: entry.to_ports.as_ref(),
                        icmps: entry.icmps.as_ref(),
                    }),
            );
        }
    } else {
        for (deny, section) in [(false, &rule.egress), (true, &rule.egress_deny)] {
            entries.extend(
                section
                    .iter()
                    .flat_map(|list| list.iter())
                    .map(|entry| Entry {
                        deny,
                        endpoints: entry.to_endpoints.as_ref(),
                        entities: entry.to_entities.as_ref(),
                        cidrs: entry.to_cidr.as_ref(),
                        cidr_set: entry.to_cidr_set.as_ref(),
                        ports: entry.to_ports.as_ref(),
                        icmps: entry.icmps.as_ref(),
                    }),
            );
        }
    }
    entries
}

fn subject_selected(rule: &cilium::Rule, home: Option<&str>, labels: &Labels, host: bool) -> bool {
    if let Some(selector) = &rule.node_selector {
        return host && selects(selector, labels);
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
    !host && in_home && selects(&selector, labels)
}

fn namespace(document: &Document) -> &str {
    document
        .meta
        .namespace
        .as_ref()
        .map_or("default", |text| text.value.as_str())
}
