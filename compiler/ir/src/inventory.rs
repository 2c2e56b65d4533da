//! What is in the cluster: namespaces, nodes, pods.
//!
//! An inventory is plain Kubernetes objects. Workload templates count as the pods they would make, so that a
//! repository without a cluster is inventory enough.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use policyc_diag::{Diagnostic, Span, codes};
use policyc_syntax::ast::{self, Object, Text, inventory as tree};

use crate::cidr::Cidr;
use crate::port::Protocol;
use crate::universe::NamedPorts;

/// From an inventory and rules to a universe.
mod build;
/// The identities of pods: equal labels, one identity.
mod identities;
/// What stands behind services, groups and names.
mod resources;

pub use build::{cluster, universe};

/// The ConfigMap of names that a DNS proxy has learned: name to addresses, parted by blanks.
const DNS_CACHE: &str = "dns-cache";

/// Labels as written: key and value.
pub type Pairs = Vec<(Arc<str>, Arc<str>)>;

/// Namespace and name.
pub type Named = (Arc<str>, Arc<str>);

/// What is in the cluster.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Labels of each namespace.
    pub namespaces: BTreeMap<Arc<str>, Pairs>,
    /// Nodes, in the order they were given: the first is the local one unless the user names another.
    pub nodes: Vec<Node>,
    /// Pods by namespace and name.
    pub pods: BTreeMap<Named, Pod>,
    /// Addresses of the API server.
    pub api_servers: Vec<IpAddr>,
    /// CIDR groups by name.
    pub cidr_groups: BTreeMap<Arc<str>, CidrGroup>,
    /// Services by namespace and name.
    pub services: BTreeMap<Named, Service>,
    /// Addresses that DNS answers gave, by name.
    pub dns: BTreeMap<Arc<str>, Vec<IpAddr>>,
}

/// A CiliumCIDRGroup.
#[derive(Clone, Debug)]
pub struct CidrGroup {
    /// Its labels.
    pub labels: Pairs,
    /// Its prefixes.
    pub cidrs: Vec<Cidr>,
}

/// A service, as far as policies look at it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Whether there is a Service object, not just backends of that name.
    pub exists: bool,
    /// Its own labels.
    pub labels: Pairs,
    /// The labels of the pods behind it; without a selector its backends are listed.
    pub selector: Option<Pairs>,
    /// Addresses listed for it.
    pub backends: Vec<IpAddr>,
    /// Its own addresses: none if it is headless.
    pub addresses: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Its backends as they are listed, with the ports they take.
    pub slices: Vec<Slice>,
    /// Where it was written.
    pub span: Option<Span>,
}

/// A port of a service, or of what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// By which a service's port and a backend's belong together; empty for the only one.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// Backends that take the same ports.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Their addresses.
    pub addresses: Vec<IpAddr>,
    /// Their ports.
    pub ports: Vec<ServicePort>,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Pairs,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Ranges its pods get addresses from.
    pub pod_ranges: Vec<Cidr>,
}

/// A pod, running or as a template would make it.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its own labels.
    pub labels: Pairs,
    /// Its service account.
    pub service_account: Arc<str>,
    /// Its node.
    pub node: Option<Arc<str>>,
    /// Whether it shares its node's network: policies for pods do not apply to it.
    pub host_network: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its named ports.
    pub ports: NamedPorts,
    /// Where it was written.
    pub span: Span,
}

impl Inventory {
    /// Reads the inventory objects among documents; policies are passed over.
    pub fn read(documents: &[ast::Document]) -> (Self, Vec<Diagnostic>) {
        let mut inventory = Self::default();
        let mut diagnostics = Vec::new();
        for document in documents {
            match &document.object {
                Object::Inventory(object) => inventory.add(document, object, &mut diagnostics),
                Object::CidrGroup(group) => {
                    inventory.add_cidr_group(document, group, &mut diagnostics);
                }
                _ => {}
            }
        }
        diagnostics.extend(inventory.shared_addresses());
        (inventory, diagnostics)
    }

    /// Pods that claim one address: whose policy holds for it cannot be told.
    fn shared_addresses(&self) -> Vec<Diagnostic> {
        let mut owners: BTreeMap<IpAddr, (&Named, &Pod)> = BTreeMap::new();
        let mut found = Vec::new();
        for (key, pod) in self.pods.iter().filter(|(_, pod)| !pod.host_network) {
            for address in &pod.addresses {
                let Some((first, other)) = owners.insert(*address, (key, pod)) else {
                    continue;
                };
                let message = format!(
                    "pods `{}/{}` and `{}/{}` both have address {address}",
                    first.0, first.1, key.0, key.1
                );
                let diagnostic = Diagnostic::new(codes::INVALID_INVENTORY, message)
                    .label(pod.span, "this pod")
                    .label(other.span, "and this one")
                    .help("remove the one that no longer runs");
                found.push(diagnostic);
            }
        }
        found
    }

    fn add(
        &mut self,
        document: &ast::Document,
        object: &tree::Object,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Some(name) = document.meta.name.as_ref() else {
            if !matches!(object, tree::Object::Other | tree::Object::ConfigMap(_)) {
                let message = format!("this {} has no name", document.kind.value);
                diagnostics.push(
                    Diagnostic::new(codes::INVALID_INVENTORY, message).label(document.span, ""),
                );
            }
            return;
        };
        let name: Arc<str> = name.value.as_str().into();
        match object {
            tree::Object::Namespace => {
                self.namespaces.insert(name, pairs(&document.meta.labels));
            }
            tree::Object::Node(node) => {
                self.nodes
                    .push(read_node(name, document, node, diagnostics));
            }
            tree::Object::Pod(pod) => {
                self.add_pod(name, document, &document.meta.labels, pod, diagnostics);
            }
            tree::Object::Workload(workload) => {
                self.add_pod(name, document, &workload.labels, &workload.pod, diagnostics);
            }
            tree::Object::Backends(backends) => {
                self.add_backends(document, backends, diagnostics);
            }
            tree::Object::Service(service) => {
                self.add_service(name, document, service, diagnostics);
            }
            tree::Object::ConfigMap(data) if &*name == DNS_CACHE => {
                self.learn_names(data, diagnostics);
            }
            tree::Object::ConfigMap(_) | tree::Object::Other => {}
        }
    }

    /// Pods that have ended keep an address that others may have by now, so they are left out. A running pod
    /// stands before a template of the same name.
    fn add_pod(
        &mut self,
        name: Arc<str>,
        document: &ast::Document,
        labels: &[(Text, Text)],
        pod: &tree::Pod,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        if pod
            .phase
            .as_ref()
            .is_some_and(|phase| matches!(phase.value.as_str(), "Succeeded" | "Failed"))
        {
            return;
        }
        let namespace = namespace(document);
        let addresses = addresses(&pod.addresses, diagnostics);
        let read = Pod {
            labels: pairs(labels),
            service_account: pod
                .service_account
                .as_ref()
                .map_or("default", |text| text.value.as_str())
                .into(),
            node: pod.node.as_ref().map(|node| node.value.as_str().into()),
            host_network: pod.host_network,
            addresses,
            ports: named_ports(&pod.ports),
            span: document.span,
        };
        let template = !matches!(document.object, Object::Inventory(tree::Object::Pod(_)));
        let key = (namespace, name);
        match self.pods.get(&key) {
            Some(_) if template => {}
            Some(first) if !first.addresses.is_empty() && !read.addresses.is_empty() => {
                let message = format!("pod `{}/{}` is in the inventory twice", key.0, key.1);
                let diagnostic = Diagnostic::new(codes::DUPLICATE_OBJECT, message)
                    .label(document.span, "again here")
                    .label(first.span, "first here");
                diagnostics.push(diagnostic);
            }
            _ => {
                self.pods.insert(key, read);
            }
        }
    }

    /// Ranges that pods get addresses from, over all nodes.
    pub fn pod_ranges(&self) -> Vec<Cidr> {
        let mut ranges: Vec<_> = self
            .nodes
            .iter()
            .flat_map(|node| node.pod_ranges.iter().copied())
            .collect();
        ranges.sort_unstable();
        ranges.dedup();
        ranges
    }
}

fn namespace(document: &ast::Document) -> Arc<str> {
    let written = document.meta.namespace.as_ref();
    written
        .map_or("default", |namespace| namespace.value.as_str())
        .into()
}

fn read_node(
    name: Arc<str>,
    document: &ast::Document,
    node: &tree::Node,
    diagnostics: &mut Vec<Diagnostic>,
) -> Node {
    let ranges = node.pod_cidrs.iter().filter_map(|text| {
        let range = Cidr::parse(&text.value);
        if range.is_none() {
            diagnostics.push(invalid(text, "no address range"));
        }
        range
    });
    let pod_ranges = ranges.collect();
    Node {
        name,
        labels: pairs(&document.meta.labels),
        addresses: addresses(&node.addresses, diagnostics),
        pod_ranges,
    }
}

fn addresses(texts: &[Text], diagnostics: &mut Vec<Diagnostic>) -> Vec<IpAddr> {
    let mut read = Vec::new();
    for text in texts {
        match text.value.parse() {
            Ok(address) => read.push(address),
            Err(_) => diagnostics.push(invalid(text, "no IP address")),
        }
    }
    read
}

fn invalid(text: &Text, what: &str) -> Diagnostic {
    let message = format!("`{}` is {what}", text.value);
    Diagnostic::new(codes::INVALID_INVENTORY, message).label(text.span, "")
}

fn named_ports(ports: &[tree::ContainerPort]) -> NamedPorts {
    let named = ports.iter().filter_map(|port| {
        let name = port.name.as_ref()?;
        let protocol = port
            .protocol
            .as_ref()
            .map_or(Some(Protocol::TCP), |text| Protocol::parse(&text.value))?;
        Some((
            (Arc::from(name.value.as_str()), protocol),
            u16::try_from(port.number.value).ok()?,
        ))
    });
    named.collect()
}

fn pairs(labels: &[(Text, Text)]) -> Pairs {
    labels
        .iter()
        .map(|(name, value)| (name.value.as_str().into(), value.value.as_str().into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Inventory, Vec<Diagnostic>) {
        let source = policyc_diag::SourceMap::new().add("inventory.yaml", text);
        let parsed = policyc_syntax::parse(&source);
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        Inventory::read(&parsed.documents)
    }

    fn pod(name: &str, phase: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{{spec}}}\nstatus: {{phase: {phase}, podIP: 10.0.0.1}}\n"
        )
    }

    #[test]
    fn an_address_has_one_pod() {
        let cases = [
            (pod("a", "Running", "") + &pod("b", "Running", ""), 1),
            // A pod that has ended keeps its address in the object only.
            (pod("a", "Running", "") + &pod("b", "Succeeded", ""), 0),
            (
                pod("a", "Running", "") + &pod("b", "Running", "hostNetwork: true"),
                0,
            ),
        ];
        for (text, faults) in cases {
            assert_eq!(read(&text).1.len(), faults, "{text}");
        }
    }
}
