//! Random clusters.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::NAMESPACES;

/// Keys with values.
type Labels = Vec<(&'static str, &'static str)>;

/// A pod of a random cluster.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Namespace.
    pub(crate) namespace: &'static str,
    /// Own labels.
    pub(crate) labels: Labels,
    /// Service account.
    pub(crate) account: &'static str,
    /// Named ports: name, protocol, number.
    pub(crate) ports: Vec<(&'static str, &'static str, u16)>,
}

/// A service of a random cluster.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Namespace.
    pub(crate) namespace: &'static str,
    /// Own labels.
    pub(crate) labels: Labels,
    /// Its pods, or the addresses behind it.
    pub(crate) behind: Behind,
}

/// What a service stands for.
#[derive(Clone, Debug)]
pub(crate) enum Behind {
    /// Pods with these labels.
    Pods(Labels),
    /// These addresses.
    Addresses(Vec<&'static str>),
}

/// A random cluster: two nodes, of which the first is the local one.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Labels of each of [`NAMESPACES`].
    pub(crate) namespaces: Vec<Labels>,
    /// The pods; pod `i` is called `p<i>` and has [`Cluster::address`].
    pub(crate) pods: Vec<Pod>,
    /// Labels of each node.
    pub(crate) nodes: [Labels; 2],
    /// Address of the API server: a node's, or one outside.
    pub(crate) api: Option<&'static str>,
    /// The services; service `i` is called `s<i>`.
    pub(crate) services: Vec<Service>,
    /// The groups of prefixes; group `i` is called `g<i>`.
    pub(crate) groups: Vec<(Labels, Vec<&'static str>)>,
    /// Addresses learned for DNS names.
    pub(crate) names: Vec<(&'static str, Vec<&'static str>)>,
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
            _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}"
            );
        }
        for (node, labels) in self.nodes.iter().enumerate() {
            let (labels, address) = (pairs(labels), Self::node_address(node));
            _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Node\nmetadata: {{name: node-{node}, labels: {labels}}}\nspec: {{podCIDRs: [10.77.{node}.0/24]}}\nstatus: {{addresses: [{{type: InternalIP, address: {address}}}]}}"
            );
        }
        if let Some(address) = self.api {
            _ = writeln!(
                out,
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: kubernetes, namespace: default, labels: {{kubernetes.io/service-name: kubernetes}}}}\naddressType: IPv4\nendpoints: [{{addresses: [{address}]}}]"
            );
        }
        self.pods_yaml(&mut out);
        self.services_yaml(&mut out);
        self.prefixes_yaml(&mut out);
        out
    }

    fn pods_yaml(&self, out: &mut String) {
        for (at, pod) in self.pods.iter().enumerate() {
            let (labels, address) = (pairs(&pod.labels), Self::address(at));
            let ports = pod.ports.iter().map(|(name, protocol, number)| {
                format!("{{name: {name}, protocol: {protocol}, containerPort: {number}}}")
            });
            let ports = ports.collect::<Vec<_>>().join(", ");
            let Pod {
                namespace, account, ..
            } = pod;
            let node = at % 2;
            _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{at}, namespace: {namespace}, labels: {labels}}}\nspec: {{serviceAccountName: {account}, nodeName: node-{node}, containers: [{{name: c, ports: [{ports}]}}]}}\nstatus: {{phase: Running, podIPs: [{{ip: {address}}}]}}"
            );
        }
    }

    fn services_yaml(&self, out: &mut String) {
        for (at, service) in self.services.iter().enumerate() {
            let (labels, namespace) = (pairs(&service.labels), service.namespace);
            let selector = match &service.behind {
                Behind::Pods(labels) => format!("selector: {}, ", pairs(labels)),
                Behind::Addresses(_) => String::new(),
            };
            _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{at}, namespace: {namespace}, labels: {labels}}}\nspec: {{{selector}clusterIP: 10.96.0.{at}, ports: [{{port: 80}}]}}"
            );
            let addresses = match &service.behind {
                Behind::Addresses(addresses) => addresses.join(", "),
                // Two pods each, whatever their labels are: these are not asked where there is a selector.
                Behind::Pods(_) => {
                    let pods = (at..self.pods.len().min(at + 2)).map(Self::address);
                    pods.collect::<Vec<_>>().join(", ")
                }
            };
            let port = [80, 8080, 443][at % 3];
            _ = writeln!(
                out,
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s{at}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: s{at}}}}}\naddressType: IPv4\nports: [{{port: {port}}}]\nendpoints: [{{addresses: [{addresses}]}}]"
            );
        }
    }

    fn prefixes_yaml(&self, out: &mut String) {
        for (at, (labels, cidrs)) in self.groups.iter().enumerate() {
            let cidrs: Vec<_> = cidrs.iter().map(|cidr| format!("\"{cidr}\"")).collect();
            let (labels, cidrs) = (pairs(labels), cidrs.join(", "));
            _ = writeln!(
                out,
                "---\napiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {{name: g{at}, labels: {labels}}}\nspec: {{externalCIDRs: [{cidrs}]}}"
            );
        }
        out.push_str("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: dns-cache, namespace: default}\ndata:\n");
        out.push_str("  nowhere.example.org: \"\"\n");
        for (name, addresses) in &self.names {
            _ = writeln!(out, "  {name}: \"{}\"", addresses.join("\\n"));
        }
    }
}

fn pairs(labels: &[(&str, &str)]) -> String {
    let labels = labels
        .iter()
        .map(|(key, value)| format!("{key}: \"{value}\""));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(", "))
}

pub(super) fn cluster() -> impl Strategy<Value = Cluster> {
    let api = option::weighted(0.3, select(vec!["172.18.0.2", "172.18.0.3", "192.0.2.200"]));
    let here = labels(vec!["role", "kubernetes.io/hostname"], vec!["a", "b"]);
    let there = labels(vec!["role", "kubernetes.io/hostname"], vec!["a", "b"]);
    let namespace = labels(vec!["team", "env"], vec!["red", "blue"]);
    let group = (
        labels(vec!["kind", "site"], vec!["a", "b"]),
        vec(prefix(), 1..3),
    );
    (
        (vec(namespace, 3), vec(pod(), 1..5), here, there, api),
        (vec(service(), 0..3), vec(group, 0..3), names()),
    )
        .prop_map(
            |((namespaces, pods, here, there, api), (services, groups, names))| Cluster {
                namespaces,
                pods,
                nodes: [here, there],
                api,
                services,
                groups,
                names,
            },
        )
}

fn labels(
    keys: Vec<&'static str>,
    values: Vec<&'static str>,
) -> impl Strategy<Value = Labels> + use<> {
    vec((select(keys), select(values)), 0..3).prop_map(unique)
}

fn unique(mut labels: Labels) -> Labels {
    labels.sort_unstable();
    labels.dedup_by_key(|(key, _)| *key);
    labels
}

fn prefix() -> impl Strategy<Value = &'static str> {
    select(vec![
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.3/32",
        "192.0.2.0/25",
        "2001:db8::/32",
        "10.77.1.1/32",
    ])
}

/// Addresses that stand behind services and names: outside, of a pod, of a node.
fn address() -> impl Strategy<Value = &'static str> {
    select(vec![
        "10.1.2.3",
        "10.1.9.1",
        "192.0.2.1",
        "192.0.2.200",
        "10.77.1.1",
        "172.18.0.3",
    ])
}

fn names() -> impl Strategy<Value = Vec<(&'static str, Vec<&'static str>)>> {
    let name = select(vec![
        "example.com",
        "a.example.com",
        "b.a.example.com",
        "other.example.org",
    ]);
    vec((name, vec(address(), 1..3)), 0..3).prop_map(|mut names| {
        names.sort();
        names.dedup_by_key(|(name, _)| *name);
        names
    })
}

fn service() -> impl Strategy<Value = Service> {
    let pods = labels(vec!["app", "tier"], vec!["a", "b"]).prop_filter("no pods", |labels| {
        // A service without a selector stands for its addresses.
        !labels.is_empty()
    });
    let behind = prop_oneof![
        pods.prop_map(Behind::Pods),
        vec(address(), 0..3).prop_map(Behind::Addresses),
    ];
    (
        select(NAMESPACES.to_vec()),
        labels(vec!["app", "expose"], vec!["a", "b"]),
        behind,
    )
        .prop_map(|(namespace, labels, behind)| Service {
            namespace,
            labels,
            behind,
        })
}

fn pod() -> impl Strategy<Value = Pod> {
    let usual = (select(vec!["app", "tier"]), select(vec!["a", "b", ""]));
    let special = select(vec![
        ("k8s-app", "kube-dns"),
        ("k8s-app", "kube-dns"),
        ("pod-template-hash", "a"),
        ("host", ""),
        ("init", "b"),
        ("io.cilium.k8s.policy.cluster", "a"),
    ]);
    let labels = vec(prop_oneof![8 => usual, 1 => special], 0..3);
    let port = (
        select(vec!["http", "dns", "dns-tcp"]),
        select(vec!["TCP", "UDP"]),
        select(vec![80, 8080, 53]),
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
