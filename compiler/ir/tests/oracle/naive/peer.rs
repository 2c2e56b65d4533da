//! The other side of a flow, and what selects it.

use std::net::IpAddr;

use super::World;
use super::cluster::{Cluster, Pod};
use super::labels::{self, ACCOUNT, CLUSTER, Labels, NAMESPACE, NAMESPACE_LABELS, Requirement};
use super::text::{Block, covers, dns, pattern_selects};

/// Who is at the other side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Other {
    /// Labels; none for an address that the datapath does not know.
    pub(super) labels: Option<Labels>,
    /// For addresses outside the cluster.
    pub(super) at: Option<Block>,
    /// The pod, by its position.
    pub(super) pod: Option<usize>,
}

/// One selector of the other side. Cilium keeps what equal selectors ask for together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Select {
    /// By label; without a requirement it is anyone, the unknown too.
    Labels(Vec<Requirement>),
    /// By prefix, with exceptions.
    Cidr(Block, Vec<Block>),
    /// By groups of prefixes, with exceptions.
    Group(Groups, Vec<Block>),
    /// By DNS name, whole or as a pattern.
    Fqdn(Option<String>, Option<String>),
}

/// Groups of prefixes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Groups {
    /// By name.
    Named(String),
    /// By label.
    Labelled(Vec<Requirement>),
    /// Of another system, of which nothing is known.
    Foreign,
}

/// Everyone.
pub(super) const ANYONE: Select = Select::Labels(Vec::new());

impl World<'_> {
    /// The other side by its name: `namespace/pod`, `ip:ADDRESS`, `node:NAME`, `entity:NAME`, `host` or `unknown`.
    pub(crate) fn other(&self, name: &str) -> Other {
        if let Some(address) = name.strip_prefix("ip:") {
            return self.at(address.parse().unwrap());
        }
        if let Some(node) = name.strip_prefix("node:") {
            let at = self.cluster.nodes.iter().position(|one| one.name == node);
            return self.node(at.unwrap());
        }
        if let Some(pod) = self.cluster.pod(name) {
            return self.pod(pod);
        }
        match name.strip_prefix("entity:").unwrap_or(name) {
            "unknown" => Other::default(),
            "host" => self.host(),
            "kube-apiserver" => reserved(&["kube-apiserver", "remote-node"], None),
            "world-ipv4" => reserved(&["world-ipv4"], Some(([0; 4].into(), 0))),
            "world-ipv6" => reserved(&["world-ipv6"], Some(([0_u8; 16].into(), 0))),
            entity => reserved(&[entity], None),
        }
    }

    fn at(&self, address: IpAddr) -> Other {
        let pods = &self.cluster.pods;
        let own = |pod: &Pod| !pod.host_network && pod.addresses.contains(&address);
        if let Some(pod) = pods.iter().position(own) {
            return self.pod(pod);
        }
        let nodes = &self.cluster.nodes;
        if let Some(node) = nodes
            .iter()
            .position(|node| node.addresses.contains(&address))
        {
            return self.node(node);
        }
        let world = if address.is_ipv4() {
            "world-ipv4"
        } else {
            "world-ipv6"
        };
        let block = (address, if address.is_ipv4() { 32 } else { 128 });
        if self.cluster.api().any(|api| api == address) {
            return reserved(&["kube-apiserver", world], Some(block));
        }
        reserved(&[world], Some(block))
    }

    fn pod(&self, at: usize) -> Other {
        let pod = &self.cluster.pods[at];
        if pod.host_network {
            let nodes = &self.cluster.nodes;
            return self.node(
                nodes
                    .iter()
                    .position(|node| Some(&node.name) == pod.node.as_ref())
                    .unwrap(),
            );
        }
        Other {
            labels: Some(self.pod_labels(at)),
            pod: Some(at),
            ..Other::default()
        }
    }

    fn serves_api(&self, node: usize) -> bool {
        let own = &self.cluster.nodes[node].addresses;
        self.cluster.api().any(|api| own.contains(&api))
    }

    fn host(&self) -> Other {
        let api = !self.cluster.nodes.is_empty() && self.serves_api(0);
        let names: &[_] = if api {
            &["host", "kube-apiserver"]
        } else {
            &["host"]
        };
        reserved(names, None)
    }

    fn node(&self, at: usize) -> Other {
        if at == 0 {
            return self.host();
        }
        let names: &[_] = if self.serves_api(at) {
            &["kube-apiserver", "remote-node"]
        } else {
            &["remote-node"]
        };
        let mut other = reserved(names, None);
        if let Some(labels) = other
            .labels
            .as_mut()
            .filter(|_| self.settings.node_selector_labels)
        {
            for (key, value) in &self.cluster.nodes[at].labels {
                labels.insert(key.clone(), ("node", value.clone()));
            }
            labels.insert(
                CLUSTER.to_owned(),
                ("k8s", self.settings.cluster.to_string()),
            );
        }
        other
    }

    /// Labels of a pod's identity.
    pub(super) fn pod_labels(&self, at: usize) -> Labels {
        let pod = &self.cluster.pods[at];
        let mut labels = Labels::new();
        for (key, value) in &pod.labels {
            if !key.starts_with("io.cilium.k8s") && labels::kept(key) {
                labels.insert(key.clone(), ("k8s", value.clone()));
            }
        }
        for (name, own) in self
            .cluster
            .namespaces
            .iter()
            .filter(|(name, _)| *name == pod.name.0)
        {
            let _ = name;
            for (key, value) in own {
                labels.insert(format!("{NAMESPACE_LABELS}{key}"), ("k8s", value.clone()));
            }
        }
        labels.insert(NAMESPACE.to_owned(), ("k8s", pod.name.0.clone()));
        labels.insert(
            CLUSTER.to_owned(),
            ("k8s", self.settings.cluster.to_string()),
        );
        labels.insert(ACCOUNT.to_owned(), ("k8s", pod.account.clone()));
        labels
    }

    /// Whether a selector selects the other side.
    pub(super) fn selects(&self, select: &Select, other: &Other) -> bool {
        let outside = |all: &dyn Fn(&Block) -> bool, except: &[Block]| {
            other
                .at
                .is_some_and(|at| all(&at) && !except.iter().any(|one| covers(one, &at)))
        };
        match select {
            Select::Labels(wanted) if wanted.is_empty() => true,
            Select::Labels(wanted) => other
                .labels
                .as_ref()
                .is_some_and(|labels| labels::meet(labels, wanted)),
            Select::Cidr(block, except) => outside(&|at| covers(block, at), except),
            Select::Group(groups, except) => {
                outside(&|at| in_groups(&self.cluster, groups, at), except)
            }
            Select::Fqdn(name, pattern) => other.at.is_some_and(|at| {
                self.learned(at.0).any(|known| {
                    name.as_deref() == Some(&*known)
                        || pattern
                            .as_deref()
                            .is_some_and(|pattern| pattern_selects(pattern, &known))
                })
            }),
        }
    }

    fn learned(&self, address: IpAddr) -> impl Iterator<Item = String> {
        let names = self
            .cluster
            .names
            .iter()
            .filter(move |(_, list)| list.contains(&address));
        names.map(|(name, _)| dns(name))
    }
}

fn reserved(names: &[&str], at: Option<Block>) -> Other {
    let labels = names
        .iter()
        .map(|name| ((*name).to_owned(), ("reserved", String::new())));
    Other {
        labels: Some(labels.collect()),
        at,
        ..Other::default()
    }
}

/// An address has the labels of all groups that hold it, each key with all values at once.
fn in_groups(cluster: &Cluster, wanted: &Groups, at: &Block) -> bool {
    let holding = cluster
        .groups
        .iter()
        .filter(|group| group.blocks.iter().any(|block| covers(block, at)));
    let holding: Vec<_> = holding.collect();
    let requirements = match wanted {
        Groups::Foreign => return false,
        Groups::Named(name) => return holding.iter().any(|group| group.name == *name),
        Groups::Labelled(requirements) => requirements,
    };
    !holding.is_empty()
        && requirements.iter().all(|(_, key, asked)| {
            let labels = holding
                .iter()
                .flat_map(|group| &group.labels)
                .filter(|(own, _)| own == key);
            let values: Vec<_> = labels.map(|(_, value)| value.as_str()).collect();
            match asked {
                labels::Asked::NotIn(_) => values
                    .iter()
                    .all(|value| labels::answers(asked, Some(value))),
                _ if values.is_empty() => labels::answers(asked, None),
                _ => values
                    .iter()
                    .any(|value| labels::answers(asked, Some(value))),
            }
        })
}
