//! Services as pods address them.
//!
//! Where kube-proxy puts a backend in a service's place, a packet that leaves a pod still has the service's own address.
//! Cilium judges such a packet by the backend that was chosen. Who cannot know the choice can judge it only where all
//! backends are decided alike.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use policyc_diag::Span;

use crate::cidr::Cidr;
use crate::ids::{IdentityId, NodeId};
use crate::inventory::{Inventory, Service};
use crate::port::Protocol;
use crate::universe::Universe;

/// Where a connection to a service can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Its identity; for a node as other nodes see it.
    pub identity: IdentityId,
    /// Its port.
    pub port: u16,
    /// The node that it is, if it is one, and its identity to the pods there: the host's.
    pub node: Option<(NodeId, IdentityId)>,
}

/// What stands behind a port of a service.
pub type Backends = BTreeSet<Backend>;

/// Nodes that pods are on, `None` for one that is not known.
pub type Nodes = BTreeSet<Option<NodeId>>;

impl Backend {
    /// What it is to pods on these nodes, by identity and port.
    pub fn seen_from(&self, nodes: &Nodes) -> impl Iterator<Item = (IdentityId, u16)> + use<> {
        let of_node = self.node.map(|(node, host)| (Some(node), host));
        let own = of_node.filter(|(node, _)| nodes.contains(&None) || nodes.contains(node));
        let host = own.map(|(_, host)| host);
        let is_other = of_node.is_none_or(|(own, _)| nodes.iter().any(|node| *node != own));
        let other = is_other.then_some(self.identity);
        let port = self.port;
        host.into_iter()
            .chain(other)
            .map(move |identity| (identity, port))
    }
}

/// Protocol and port of a service, and its backends there; those without any are not listed.
pub type Ports = BTreeMap<(Protocol, u16), Backends>;

/// One address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// The service: `namespace/name`.
    pub service: Arc<str>,
    /// The address.
    pub address: IpAddr,
    /// What stands behind it.
    pub ports: Ports,
    /// Where the service was written.
    pub span: Option<Span>,
}

/// All addresses of services, in order. Headless services have none.
///
/// A backend's address in `pod_ranges` that is no known pod's is unknown, as in the tables.
pub fn frontends(inventory: &Inventory, universe: &Universe, pod_ranges: &[Cidr]) -> Vec<Frontend> {
    let view = View {
        universe,
        pod_ranges,
    };
    let mut found: BTreeMap<IpAddr, Frontend> = BTreeMap::new();
    for ((namespace, name), service) in inventory.services.iter().filter(|(_, one)| one.exists) {
        for address in &service.addresses {
            // The inventory contradicts itself here; a pod or node is surely there.
            if view.is_inside(*address) {
                continue;
            }
            let entry = found.entry(*address).or_insert_with(|| Frontend {
                service: format!("{namespace}/{name}").into(),
                address: *address,
                ports: Ports::new(),
                span: service.span,
            });
            for (port, backends) in view.ports(service, address.is_ipv4()) {
                entry.ports.entry(port).or_default().extend(backends);
            }
        }
    }
    found.into_values().collect()
}

struct View<'a> {
    universe: &'a Universe,
    pod_ranges: &'a [Cidr],
}

impl View<'_> {
    fn is_inside(&self, address: IpAddr) -> bool {
        let owner = self.universe.owner(address).identity;
        owner != IdentityId::UNKNOWN && !self.is_outside(owner)
    }

    fn is_outside(&self, identity: IdentityId) -> bool {
        let identity = self.universe.identity(identity);
        identity.is_some_and(|identity| identity.cidr.is_some())
    }

    /// The ports of a service that have backends of a family. A service's port and a backend's belong together by name.
    fn ports(&self, service: &Service, v4: bool) -> Ports {
        let mut found = Ports::new();
        for port in service
            .ports
            .iter()
            .filter(|port| port.protocol.has_ports())
        {
            for slice in &service.slices {
                let targets = slice.ports.iter();
                let targets = targets
                    .filter(|one| one.name == port.name && one.protocol == port.protocol)
                    .map(|one| one.number);
                let targets: Vec<u16> = targets.collect();
                let of_family = slice.addresses.iter().filter(|one| one.is_ipv4() == v4);
                let owners = of_family.map(|address| self.owner(*address));
                let backends: Backends = owners
                    .flat_map(|(identity, node)| {
                        let targets = targets.iter();
                        targets.map(move |port| Backend {
                            identity,
                            port: *port,
                            node,
                        })
                    })
                    .collect();
                if !backends.is_empty() {
                    let key = (port.protocol, port.number);
                    found.entry(key).or_default().extend(backends);
                }
            }
        }
        found
    }

    /// Whose address a backend's is: an identity, and the node if it is one's.
    fn owner(&self, address: IpAddr) -> (IdentityId, Option<(NodeId, IdentityId)>) {
        let owner = self.universe.owner(address);
        let among_pods = self.pod_ranges.iter().any(|range| range.contains(address));
        if among_pods && owner.node.is_none() && self.is_outside(owner.identity) {
            (IdentityId::UNKNOWN, None)
        } else {
            let node = owner.node;
            let node = node.map(|node| (node, self.universe.host_on(node)));
            (owner.identity, node)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise;
    use crate::policy::PolicySet;
    use crate::settings::Settings;

    /// Three services in front of two kinds of pods, and one of a node.
    const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDRs: [10.77.0.0/16]}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: a}}
spec: {nodeName: node-a}
status: {phase: Running, podIPs: [{ip: 10.77.0.1}, {ip: 'fd77::1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: shop, labels: {app: b}}
spec: {nodeName: node-a}
status: {phase: Running, podIPs: [{ip: 10.77.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIPs: [10.96.0.1, 'fd96::1']
  ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}, {name: none, port: 9}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
ports: [{name: http, port: 8080}, {name: dns, port: 5353, protocol: UDP}, {name: dns, port: 5354}]
endpoints: [{addresses: [10.77.0.1]}, {addresses: [10.77.0.2]}, {addresses: [10.77.0.9]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, namespace: shop, labels: {kubernetes.io/service-name: web}}
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ['fd77::1']}]
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: node, namespace: shop}
spec: {clusterIP: 10.96.0.2, externalIPs: [192.0.2.7], ports: [{port: 443}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.8}, {hostname: lb.example}, {ip: 192.0.2.9, ipMode: Proxy}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {name: node, namespace: shop}
subsets: [{addresses: [{ip: 192.168.0.1}], ports: [{port: 6443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: broken, namespace: shop}
spec: {clusterIP: 10.77.0.1, ports: [{port: 443}]}
";

    /// What pods on a node, or on any, see.
    fn found(nodes: &Nodes) -> Vec<String> {
        let source = policyc_diag::SourceMap::new().add("inventory.yaml", CLUSTER);
        let parsed = policyc_syntax::parse(&source);
        let (inventory, faults) = Inventory::read(&parsed.documents);
        assert!(faults.is_empty(), "{faults:?}");
        let settings = Settings::default();
        let (policies, _) = PolicySet::admit(&[], &settings);
        let rules = normalise::normalise(&policies, &inventory, &settings);
        let universe = crate::inventory::universe(&inventory, &rules, &settings, None);
        let name =
            |id: &IdentityId| match universe.endpoints().iter().find(|one| one.identity == *id) {
                Some(endpoint) => endpoint.name.to_string(),
                None => format!("#{}", id.0),
            };
        let all = frontends(&inventory, &universe, &inventory.pod_ranges());
        let lines = all.iter().flat_map(|one| {
            one.ports.iter().map(|((protocol, port), backends)| {
                let backends: Vec<_> = backends
                    .iter()
                    .flat_map(|backend| backend.seen_from(nodes))
                    .map(|(id, port)| format!("{}:{port}", name(&id)))
                    .collect();
                let (service, address) = (&one.service, one.address);
                format!(
                    "{service} {address} {port}/{protocol} {}",
                    backends.join(" ")
                )
            })
        });
        lines.collect()
    }

    #[test]
    fn ports_belong_to_backends_by_name_and_family() {
        // `#0` is the address that no pod has; identities of pods come behind the reserved ones.
        assert_eq!(
            found(&Nodes::from([Some(NodeId(0))])),
            [
                "shop/web 10.96.0.1 80/tcp #0:8080 shop/a:8080 shop/b:8080",
                "shop/web 10.96.0.1 53/udp #0:5353 shop/a:5353 shop/b:5353",
                "shop/node 10.96.0.2 443/tcp host:6443",
                "shop/node 192.0.2.7 443/tcp host:6443",
                "shop/node 192.0.2.8 443/tcp host:6443",
                "shop/web fd96::1 80/tcp shop/a:8080",
            ]
        );
    }

    #[test]
    fn a_node_is_the_host_to_its_own_pods_only() {
        let line = |nodes: &[Option<u32>]| {
            let nodes = nodes.iter().map(|node| node.map(NodeId)).collect();
            found(&nodes).swap_remove(2)
        };
        let (own, other) = ("host:6443", "#6:6443");
        let says = |seen: &str| format!("shop/node 10.96.0.2 443/tcp {seen}");
        assert_eq!(line(&[Some(0)]), says(own));
        assert_eq!(line(&[Some(1)]), says(other));
        assert_eq!(line(&[Some(0), Some(1)]), says(&format!("{own} {other}")));
        assert_eq!(line(&[None]), says(&format!("{own} {other}")));
    }
}
