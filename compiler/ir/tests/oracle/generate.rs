//! Random clusters, settings and policies, as YAML text.
//!
//! The tests of other crates use this file as well, which is why its parts are found by path.
//!
//! Every list that policies draw from is small, so that rules meet: in labels, in namespaces, in ports and in prefixes.

/// Policies.
#[path = "generate/policy.rs"]
mod policy;
/// Label selectors.
#[path = "generate/selector.rs"]
mod selector;

use std::fmt::Write as _;

use policyc_ir::settings::{Enforcement, Settings};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// Namespaces that pods and policies are in.
pub(crate) const NAMESPACES: [&str; 3] = ["n1", "n2", "default"];
/// Addresses outside the cluster, one inside and one outside of each prefix that policies draw from.
pub(crate) const ADDRESSES: [&str; 9] = [
    "10.1.2.3",
    "10.1.9.1",
    "10.77.0.1",
    "11.0.0.1",
    "192.0.2.1",
    "192.0.2.200",
    "2001:db8::1",
    "2001:db8:1::1",
    "3fff::1",
];

/// A pod of a random cluster.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Namespace.
    pub(crate) namespace: &'static str,
    /// Own labels.
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    /// Service account.
    pub(crate) account: &'static str,
    /// Named ports: name, protocol, number.
    pub(crate) ports: Vec<(&'static str, &'static str, u16)>,
}

/// A random cluster: two nodes, of which the first is the local one.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Labels of each of [`NAMESPACES`].
    pub(crate) namespaces: Vec<Vec<(&'static str, &'static str)>>,
    /// The pods; pod `i` is called `p<i>` and has [`Cluster::address`].
    pub(crate) pods: Vec<Pod>,
    /// Labels of the local node.
    pub(crate) node: Vec<(&'static str, &'static str)>,
    /// Node that runs the API server.
    pub(crate) api: Option<usize>,
}

/// One case: a cluster, its settings and policies.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// Its settings.
    pub(crate) settings: Settings,
    /// Its policies, one YAML document each.
    pub(crate) policies: Vec<String>,
}

impl Cluster {
    /// The address of a pod.
    pub(crate) fn address(pod: usize) -> String {
        format!("10.77.1.{}", pod + 1)
    }

    /// The address of a node.
    pub(crate) fn node_address(node: usize) -> String {
        format!("172.18.0.{}", node + 2)
    }

    /// The cluster as Kubernetes objects.
    pub(crate) fn yaml(&self) -> String {
        let mut out = String::new();
        for (name, labels) in NAMESPACES.iter().zip(&self.namespaces) {
            let labels = pairs(labels);
            let _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}"
            );
        }
        for node in 0..2 {
            let labels = if node == 0 {
                pairs(&self.node)
            } else {
                "{}".to_owned()
            };
            let address = Self::node_address(node);
            let _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Node\nmetadata: {{name: node-{node}, labels: {labels}}}\nspec: {{podCIDRs: [10.77.{node}.0/24]}}\nstatus: {{addresses: [{{type: InternalIP, address: {address}}}]}}"
            );
        }
        if let Some(node) = self.api {
            let address = Self::node_address(node);
            let _ = writeln!(
                out,
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: kubernetes, namespace: default, labels: {{kubernetes.io/service-name: kubernetes}}}}\naddressType: IPv4\nendpoints: [{{addresses: [{address}]}}]"
            );
        }
        for (at, pod) in self.pods.iter().enumerate() {
            let (labels, address) = (pairs(&pod.labels), Self::address(at));
            let ports = pod.ports.iter().map(|(name, protocol, number)| {
                format!("{{name: {name}, protocol: {protocol}, containerPort: {number}}}")
            });
            let ports = ports.collect::<Vec<_>>().join(", ");
            let Pod {
                namespace, account, ..
            } = pod;
            let _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{at}, namespace: {namespace}, labels: {labels}}}\nspec: {{serviceAccountName: {account}, nodeName: node-0, containers: [{{name: c, ports: [{ports}]}}]}}\nstatus: {{phase: Running, podIPs: [{{ip: {address}}}]}}"
            );
        }
        out
    }
}

fn pairs(labels: &[(&str, &str)]) -> String {
    let labels = labels
        .iter()
        .map(|(key, value)| format!("{key}: \"{value}\""));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(", "))
}

/// A whole case.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    (cluster(), settings(), vec(policy::policy(), 1..7)).prop_map(
        |(cluster, settings, policies)| {
            let named = policies.into_iter().enumerate();
            let policies = named.map(|(at, text)| text.replace("@NAME", &format!("r{at}")));
            Case {
                cluster,
                settings,
                policies: policies.collect(),
            }
        },
    )
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let namespace = vec(
        (select(vec!["team", "env"]), select(vec!["red", "blue"])),
        0..3,
    );
    let node = vec(
        (
            select(vec!["role", "kubernetes.io/hostname"]),
            select(vec!["a", "b"]),
        ),
        0..2,
    );
    (
        vec(namespace, 3),
        vec(pod(), 1..5),
        node,
        option::weighted(0.3, 0..2_usize),
    )
        .prop_map(|(namespaces, pods, node, api)| Cluster {
            namespaces: namespaces.into_iter().map(unique).collect(),
            pods,
            node: unique(node),
            api,
        })
}

fn unique(mut labels: Vec<(&'static str, &'static str)>) -> Vec<(&'static str, &'static str)> {
    labels.sort_unstable();
    labels.dedup_by_key(|(key, _)| *key);
    labels
}

fn pod() -> impl Strategy<Value = Pod> {
    let key = Union::new_weighted(vec![
        (12, select(vec!["app", "tier"]).boxed()),
        (
            1,
            select(vec![
                "pod-template-hash",
                "host",
                "init",
                "io.cilium.k8s.policy.cluster",
            ])
            .boxed(),
        ),
    ]);
    let labels = vec((key, select(vec!["a", "b", ""])), 0..3);
    let port = (
        select(vec!["http", "dns"]),
        select(vec!["TCP", "UDP"]),
        select(vec![80, 8080]),
    );
    (
        select(NAMESPACES.to_vec()),
        labels,
        select(vec!["default", "sa"]),
        vec(port, 0..3),
    )
        .prop_map(|(namespace, labels, account, ports)| Pod {
            namespace,
            labels: unique(labels),
            account,
            ports,
        })
}

fn settings() -> impl Strategy<Value = Settings> {
    let enforcement = Union::new_weighted(vec![
        (8, Just(Enforcement::Default)),
        (1, Just(Enforcement::Always)),
        (1, Just(Enforcement::Never)),
    ]);
    let mostly = || proptest::bool::weighted(0.8);
    (enforcement, mostly(), any::<bool>(), mostly(), mostly()).prop_map(
        |(enforcement, allow_localhost, host_firewall, non_default_deny, default_local_cluster)| {
            Settings {
                enforcement,
                allow_localhost,
                host_firewall,
                non_default_deny,
                default_local_cluster,
                ..Settings::default()
            }
        },
    )
}
