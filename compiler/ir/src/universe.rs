//! Identities, endpoints and addresses that flows can have.
//!
//! A universe is either built from an inventory ([`crate::inventory`]) or put together by hand, as the verifier
//! does to replay a counterexample. Identity 0 is the unknown one; reserved identities follow in a fixed order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cidr::Cidr;
use crate::ids::{EndpointId, IdentityId, NodeId};
use crate::label::Labels;
use crate::port::Protocol;
use crate::settings::Settings;

/// Reserved identities, in the order of their ids from 1; each is `(entity, labels)`.
pub const RESERVED: &[(&str, &[&str])] = &[
    ("host", &["host"]),
    ("world", &["world"]),
    ("unmanaged", &["unmanaged"]),
    ("health", &["health"]),
    ("init", &["init"]),
    ("remote-node", &["remote-node"]),
    ("kube-apiserver", &["kube-apiserver", "remote-node"]),
    ("ingress", &["ingress"]),
    ("world-ipv4", &["world-ipv4"]),
    ("world-ipv6", &["world-ipv6"]),
];

impl IdentityId {
    /// An address that the datapath does not know: only rules for anyone match it.
    pub const UNKNOWN: Self = Self(0);
    /// The local node.
    pub const HOST: Self = Self(1);
    /// Addresses outside the cluster, in a cluster of one family.
    pub const WORLD: Self = Self(2);
    /// Other nodes.
    pub const REMOTE_NODE: Self = Self(6);
    /// Nodes that run the API server.
    pub const KUBE_APISERVER: Self = Self(7);
    /// IPv4 addresses outside the cluster that no rule tells apart.
    pub const WORLD_V4: Self = Self(9);
    /// The same for IPv6.
    pub const WORLD_V6: Self = Self(10);

    /// The reserved identity of an entity.
    pub fn reserved(entity: &str) -> Option<Self> {
        RESERVED
            .iter()
            .position(|(name, _)| *name == entity)
            .map(|at| Self::at(at + 1))
    }
}

/// A set of labels that the datapath tells apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its labels; `cidr:` labels are kept as `cidr` instead.
    pub labels: Labels,
    /// For addresses outside the cluster: the longest prefix that some rule mentions and they lie in.
    pub cidr: Option<Cidr>,
    /// DNS names whose answers gave its addresses, in lower case and sorted.
    pub names: Vec<Arc<str>>,
}

/// Declared container ports of a pod: (name, protocol) to number. A name given twice means the last.
pub type NamedPorts = BTreeMap<(Arc<str>, Protocol), u16>;

/// A pod, or the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `namespace/name`, or `host`.
    pub name: Arc<str>,
    /// Its identity.
    pub identity: IdentityId,
    /// The labels that select it as a subject: its identity's, or for the host also the node's.
    pub labels: Labels,
    /// Whether it is the host.
    pub host: bool,
    /// Its node, if known.
    pub node: Option<NodeId>,
    /// Its addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// Its declared ports.
    pub ports: NamedPorts,
}

/// What a prefix of addresses stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The identity; for a node as other nodes see it.
    pub identity: IdentityId,
    /// The node whose address it is: there, the identity is [`Universe::host_on`].
    pub node: Option<NodeId>,
}

/// Identities, endpoints and addresses.
#[derive(Clone, Debug)]
pub struct Universe {
    identities: Vec<Identity>,
    endpoints: Vec<Endpoint>,
    /// The first endpoint of each name.
    by_name: BTreeMap<Arc<str>, EndpointId>,
    nodes: Vec<Arc<str>>,
    addresses: BTreeMap<Cidr, Owner>,
    /// The identity of a host that runs the API server, where other hosts do not, and the nodes with such a host.
    api_hosts: Option<(IdentityId, BTreeSet<NodeId>)>,
    named_ports: BTreeMap<(IdentityId, Arc<str>, Protocol), Option<u16>>,
}

impl Default for Universe {
    fn default() -> Self {
        Self::new()
    }
}

impl Universe {
    /// A universe of the reserved identities alone; every address is in the world.
    pub fn new() -> Self {
        let reserved = RESERVED.iter().map(|(_, labels)| Identity {
            labels: Labels::reserved(labels),
            ..Identity::default()
        });
        let mut identities: Vec<_> = std::iter::once(Identity::default())
            .chain(reserved)
            .collect();
        let mut addresses = BTreeMap::new();
        for (id, all) in [
            (IdentityId::WORLD_V4, Cidr::ALL_V4),
            (IdentityId::WORLD_V6, Cidr::ALL_V6),
        ] {
            if let Some(identity) = identities.get_mut(id.index()) {
                identity.cidr = Some(all);
            }
            addresses.insert(
                all,
                Owner {
                    identity: id,
                    node: None,
                },
            );
        }
        Self {
            identities,
            endpoints: Vec::new(),
            by_name: BTreeMap::new(),
            nodes: Vec::new(),
            addresses,
            api_hosts: None,
            named_ports: BTreeMap::new(),
        }
    }

    /// The same for the families of a cluster: in one with a single family, all that is outside is one world, and
    /// nothing has addresses of the other family.
    pub fn of(settings: &Settings) -> Self {
        let mut universe = Self::new();
        let all = match (settings.ipv4, settings.ipv6) {
            (true, false) => Cidr::ALL_V4,
            (false, true) => Cidr::ALL_V6,
            _ => return universe,
        };
        universe.addresses.clear();
        for identity in &mut universe.identities {
            identity.cidr = None;
        }
        if let Some(world) = universe.identities.get_mut(IdentityId::WORLD.index()) {
            world.cidr = Some(all);
        }
        let owner = Owner {
            identity: IdentityId::WORLD,
            node: None,
        };
        universe.own(all, owner);
        universe
    }

    /// Adds an identity, which the caller knows to be new.
    pub fn add_identity(&mut self, identity: Identity) -> IdentityId {
        self.identities.push(identity);
        IdentityId::at(self.identities.len() - 1)
    }

    /// Adds an identity with a prefix and gives it the prefix' addresses.
    pub fn add_outside(&mut self, identity: Identity) -> IdentityId {
        let cidr = identity.cidr;
        let identity = self.add_identity(identity);
        if let Some(cidr) = cidr {
            self.own(
                cidr,
                Owner {
                    identity,
                    node: None,
                },
            );
        }
        identity
    }

    /// Adds an identity for a prefix outside the cluster and gives it the prefix' addresses.
    pub fn add_cidr(&mut self, cidr: Cidr) -> IdentityId {
        let family = if cidr.is_ipv4() {
            "world-ipv4"
        } else {
            "world-ipv6"
        };
        self.add_outside(Identity {
            labels: Labels::reserved(&[family]),
            cidr: Some(cidr),
            names: Vec::new(),
        })
    }

    /// Adds a node.
    pub fn add_node(&mut self, name: Arc<str>) -> NodeId {
        self.nodes.push(name);
        NodeId::at(self.nodes.len() - 1)
    }

    /// Adds an endpoint and, for egress rules, its named ports to its identity's. Its addresses are owned by
    /// its identity.
    pub fn add_endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        if !endpoint.host {
            for address in &endpoint.addresses {
                self.own(
                    Cidr::host(*address),
                    Owner {
                        identity: endpoint.identity,
                        node: None,
                    },
                );
            }
            self.learn_ports(endpoint.identity, &endpoint.ports);
        }
        let id = EndpointId::at(self.endpoints.len());
        self.by_name.entry(endpoint.name.clone()).or_insert(id);
        self.endpoints.push(endpoint);
        id
    }

    /// Notes that the local node runs the API server: its identity carries that label too.
    pub fn host_serves_api(&mut self) {
        if let Some(host) = self.identities.get_mut(IdentityId::HOST.index()) {
            host.labels = Labels::reserved(&["host", "kube-apiserver"]);
        }
    }

    /// Notes that of several nodes, none of which is the local one, these run the API server: on them, the host has an
    /// identity of its own, which carries that label too.
    pub fn hosts_serve_api(&mut self, nodes: BTreeSet<NodeId>) {
        if !nodes.is_empty() {
            let identity = self.add_identity(Identity {
                labels: Labels::reserved(&["host", "kube-apiserver"]),
                ..Identity::default()
            });
            self.api_hosts = Some((identity, nodes));
        }
    }

    /// The identity of a node's own addresses on that node.
    pub fn host_on(&self, node: NodeId) -> IdentityId {
        match &self.api_hosts {
            Some((identity, nodes)) if nodes.contains(&node) => *identity,
            _ => IdentityId::HOST,
        }
    }

    /// Whether an identity is that of an endpoint's own node.
    pub fn is_host(&self, identity: IdentityId) -> bool {
        self.hosts().any(|host| host == identity)
    }

    /// The identities that are those of an endpoint's own node: one, or two where some nodes run the API server.
    pub fn hosts(&self) -> impl Iterator<Item = IdentityId> + use<> {
        let more = self.api_hosts.as_ref().map(|(identity, _)| *identity);
        std::iter::once(IdentityId::HOST).chain(more)
    }

    /// The local node: the one of the host endpoint. None if every node has one.
    pub fn local_node(&self) -> Option<NodeId> {
        let mut hosts = self.endpoints.iter().filter(|endpoint| endpoint.host);
        let host = hosts.next()?;
        host.node.filter(|_| hosts.next().is_none())
    }

    /// The identity of an address as the local node sees it.
    pub fn identity_of(&self, address: IpAddr) -> IdentityId {
        let owner = self.owner(address);
        if owner.node.is_some() && owner.node == self.local_node() {
            owner
                .node
                .map_or(IdentityId::HOST, |node| self.host_on(node))
        } else {
            owner.identity
        }
    }

    /// Gives a prefix to an identity. A later owner replaces an earlier one.
    pub fn own(&mut self, cidr: Cidr, owner: Owner) {
        self.addresses.insert(cidr, owner);
    }

    fn learn_ports(&mut self, identity: IdentityId, ports: &NamedPorts) {
        for ((name, protocol), number) in ports {
            let known = self
                .named_ports
                .entry((identity, name.clone(), *protocol))
                .or_insert(Some(*number));
            // Pods of one identity that disagree on a name make it useless: Cilium skips it.
            if *known != Some(*number) {
                *known = None;
            }
        }
    }

    /// All identities; the position is the id.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// An identity.
    pub fn identity(&self, id: IdentityId) -> Option<&Identity> {
        self.identities.get(id.index())
    }

    /// All endpoints; the position is the id.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// An endpoint.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(id.index())
    }

    /// The endpoint of a name.
    pub fn find(&self, name: &str) -> Option<EndpointId> {
        self.by_name.get(name).copied()
    }

    /// All nodes; the position is the id.
    pub fn nodes(&self) -> &[Arc<str>] {
        &self.nodes
    }

    /// Every prefix with an owner, by prefix.
    pub fn addresses(&self) -> impl Iterator<Item = (&Cidr, &Owner)> {
        self.addresses.iter()
    }

    /// What an address is: the owner of the longest prefix that holds it.
    pub fn owner(&self, address: IpAddr) -> Owner {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefixes = (0..=longest)
            .rev()
            .filter_map(|len| Cidr::new(address, len));
        let unknown = Owner {
            identity: IdentityId::UNKNOWN,
            node: None,
        };
        prefixes
            .into_iter()
            .find_map(|cidr| self.addresses.get(&cidr).copied())
            .unwrap_or(unknown)
    }

    /// The number that pods of an identity give a named port, if they agree.
    pub fn named_port(
        &self,
        identity: IdentityId,
        name: &Arc<str>,
        protocol: Protocol,
    ) -> Option<u16> {
        self.named_ports
            .get(&(identity, name.clone(), protocol))
            .copied()
            .flatten()
    }
}
