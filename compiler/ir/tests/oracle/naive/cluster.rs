//! The cluster, as its Kubernetes objects tell.

use std::net::IpAddr;

use policyc_syntax::ast::{Document, Object, Text, inventory};

use super::text::{self, Block};

/// Label or other pairs, in writing order.
pub(crate) type Pairs = Vec<(String, String)>;

/// A namespaced or cluster-wide name.
pub(crate) type Name = (String, String);

/// A pod that runs.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Namespace and name.
    pub(crate) name: Name,
    /// Own labels.
    pub(crate) labels: Pairs,
    /// Service account.
    pub(crate) account: String,
    /// Its node's name.
    pub(crate) node: Option<String>,
    /// Whether it shares its node's network.
    pub(crate) host_network: bool,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Declared ports: name, protocol, number.
    pub(crate) ports: Vec<(String, u8, u16)>,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its labels.
    pub(crate) labels: Pairs,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

/// A service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Namespace and name.
    pub(crate) name: Name,
    /// Its labels.
    pub(crate) labels: Pairs,
    /// The pods behind it, if it says so.
    pub(crate) selector: Option<Pairs>,
}

/// A CiliumCIDRGroup.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    /// Its labels.
    pub(crate) labels: Pairs,
    /// Its prefixes.
    pub(crate) blocks: Vec<Block>,
}

/// All objects that policies look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    /// Labels by namespace.
    pub(crate) namespaces: Vec<(String, Pairs)>,
    /// The nodes; the first is the local one.
    pub(crate) nodes: Vec<Node>,
    /// The pods.
    pub(crate) pods: Vec<Pod>,
    /// The services.
    pub(crate) services: Vec<Service>,
    /// Addresses behind a service, by its name.
    pub(crate) backends: Vec<(Name, Vec<IpAddr>)>,
    /// The groups of prefixes.
    pub(crate) groups: Vec<Group>,
    /// Addresses learned for DNS names.
    pub(crate) names: Vec<(String, Vec<IpAddr>)>,
}

impl Cluster {
    /// Reads documents of all kinds.
    pub(crate) fn read(documents: &[Document]) -> Self {
        let mut cluster = Self::default();
        for document in documents {
            cluster.add(document);
        }
        cluster
    }

    fn add(&mut self, document: &Document) {
        use inventory::Object as Kept;
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.value.clone());
        let short = text(&document.meta.name).unwrap_or_default();
        let namespace = text(&document.meta.namespace).unwrap_or_else(|| "default".to_owned());
        let labels = pairs(&document.meta.labels);
        let name = (namespace, short.clone());
        match &document.object {
            Object::Inventory(Kept::Namespace) => self.namespaces.push((short, labels)),
            Object::Inventory(Kept::Node(node)) => self.nodes.push(Node {
                name: short,
                labels,
                addresses: addresses(&node.addresses),
            }),
            Object::Inventory(Kept::Pod(pod)) => self.pods.extend(running(name, labels, pod)),
            Object::Inventory(Kept::Service(service)) => self.services.push(Service {
                name,
                labels,
                selector: service.selector.as_deref().map(pairs),
            }),
            Object::Inventory(Kept::Backends(backends)) => {
                let service = text(&backends.service).unwrap_or_default();
                self.backends
                    .push(((name.0, service), addresses(&backends.addresses)));
            }
            Object::Inventory(Kept::ConfigMap(data)) if short == "dns-cache" => {
                self.names.extend(data.iter().map(|(name, list)| {
                    let list = list
                        .value
                        .split_whitespace()
                        .map(|one| one.parse().unwrap());
                    (name.value.clone(), list.collect())
                }));
            }
            Object::CidrGroup(group) => {
                let blocks = group.cidrs.iter().flat_map(|list| list.iter());
                let blocks = blocks.map(|cidr| text::block(&cidr.value)).collect();
                self.groups.push(Group {
                    name: short,
                    labels,
                    blocks,
                });
            }
            _ => {}
        }
    }

    /// Addresses of the API server.
    pub(crate) fn api(&self) -> impl Iterator<Item = IpAddr> {
        let backends = self
            .backends
            .iter()
            .filter(|(name, _)| name.0 == "default" && name.1 == "kubernetes");
        backends.flat_map(|(_, addresses)| addresses.iter().copied())
    }

    /// The pod of a name, as `namespace/name`.
    pub(crate) fn pod(&self, name: &str) -> Option<usize> {
        let (namespace, short) = name.split_once('/')?;
        self.pods
            .iter()
            .position(|pod| pod.name.0 == namespace && pod.name.1 == short)
    }
}

fn running(name: Name, labels: Pairs, pod: &inventory::Pod) -> Option<Pod> {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.value.clone());
    if matches!(text(&pod.phase).as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let ports = pod.ports.iter().filter_map(|port| {
        let protocol = text(&port.protocol).map_or(6, |name| text::protocol(&name));
        Some((
            text(&port.name)?,
            protocol,
            u16::try_from(port.number.value).unwrap(),
        ))
    });
    Some(Pod {
        name,
        labels,
        account: text(&pod.service_account).unwrap_or_else(|| "default".to_owned()),
        node: text(&pod.node),
        host_network: pod.host_network,
        addresses: addresses(&pod.addresses),
        ports: ports.collect(),
    })
}

fn pairs(labels: &[(Text, Text)]) -> Pairs {
    labels
        .iter()
        .map(|(key, value)| (key.value.clone(), value.value.clone()))
        .collect()
}

fn addresses(list: &[Text]) -> Vec<IpAddr> {
    list.iter()
        .map(|text| text.value.parse().unwrap())
        .collect()
}
