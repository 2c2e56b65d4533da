//! Namespaces, nodes, pods and services.

use serde_json::{Value, json};

use super::Shape;
use super::random::Random;
use super::selectors::{self, Labels};

/// DNS names that policies speak of.
pub(super) const NAMES: usize = 50;
/// CIDR groups, `group-0` and so on.
pub(super) const GROUPS: usize = 5;
/// Pods for each service.
const PODS_PER_SERVICE: usize = 5;

/// A cluster without its policies.
pub(super) struct World {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) pods: Vec<Pod>,
    pub(super) services: Vec<Service>,
    /// Prefixes outside the cluster that policies speak of.
    pub(super) cidrs: Vec<String>,
    /// Up to which layer rules speak.
    pub(super) layers: u8,
    nodes: usize,
}

pub(super) struct Namespace {
    pub(super) name: String,
    pub(super) labels: Labels,
    /// Positions of its pods.
    pub(super) pods: Vec<usize>,
}

pub(super) struct Pod {
    namespace: String,
    name: String,
    pub(super) labels: Labels,
    ports: Vec<Value>,
    service_account: &'static str,
    address: String,
    node: usize,
}

pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Its pods; `None` for one whose backends are outside the cluster.
    selector: Option<Value>,
    backend: String,
}

impl World {
    pub(super) fn new(shape: Shape, random: &mut Random) -> Self {
        let mut namespaces: Vec<_> = (0..shape.namespaces())
            .map(|at| Namespace::new(at, random))
            .collect();
        let mut pods: Vec<_> = Vec::with_capacity(shape.pods + 1);
        let count = namespaces.len();
        for at in 0..shape.pods {
            if let Some(namespace) = namespaces.get_mut(at % count) {
                namespace.pods.push(at);
                pods.push(Pod::new(at, &namespace.name, shape.nodes, random));
            }
        }
        pods.push(Pod::dns());
        let services = (0..shape.pods / PODS_PER_SERVICE).map(|at| Service::new(at, &pods, random));
        let services = services.collect();
        Self {
            cidrs: cidrs(shape, random),
            namespaces,
            pods,
            services,
            layers: shape.layers,
            nodes: shape.nodes,
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "namespaces hold positions of pods that were made with them"
    )]
    pub(super) fn pod(&self, at: usize) -> &Pod {
        &self.pods[at]
    }

    /// Everything as Kubernetes objects.
    pub(super) fn objects(&self) -> Vec<Value> {
        let namespaces = self.namespaces.iter().map(Namespace::object);
        let system =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}});
        let api = backends("default", "kubernetes", &node_address(0));
        let services = self.services.iter().flat_map(Service::objects);
        let pods = self.pods.iter().map(Pod::object);
        let groups = (0..GROUPS).map(group);
        let first = namespaces.chain([system]).chain((0..self.nodes).map(node));
        let second = groups.chain([names(), api]).chain(services);
        first.chain(second).chain(pods).collect()
    }
}

impl Namespace {
    fn new(at: usize, random: &mut Random) -> Self {
        let name = format!("ns-{at}");
        let mut labels = Labels::new();
        labels.insert(
            "kubernetes.io/metadata.name".to_owned(),
            name.clone().into(),
        );
        if random.chance(80) {
            let team = *random.pick(&["red", "blue", "green", "gold"]);
            labels.insert("team".to_owned(), team.into());
        }
        if random.chance(50) {
            let env = *random.pick(&["prod", "dev", "test"]);
            labels.insert("env".to_owned(), env.into());
        }
        Self {
            name,
            labels,
            pods: Vec::new(),
        }
    }

    fn object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.name, "labels": self.labels},
        })
    }
}

impl Pod {
    fn new(at: usize, namespace: &str, nodes: usize, random: &mut Random) -> Self {
        let count = *random.pick(&[0, 0, 1, 2]);
        let ports = [
            json!({"name": "http", "containerPort": random.pick(&[80, 8080])}),
            json!({"name": "metrics", "containerPort": 9090}),
            json!({"name": "grpc", "containerPort": random.pick(&[50051, 50052]), "protocol": "TCP"}),
            json!({"name": "dns", "containerPort": 53, "protocol": "UDP"}),
        ];
        Self {
            namespace: namespace.to_owned(),
            name: format!("pod-{at}"),
            labels: selectors::labels(at, random),
            ports: random.some(count, &ports).into_iter().cloned().collect(),
            service_account: *random.pick(&["default", "default", "builder", "web"]),
            address: format!(
                "10.{}.{}.{}",
                100 + at / 62_500,
                at / 250 % 250,
                at % 250 + 1
            ),
            node: random.below(nodes),
        }
    }

    fn dns() -> Self {
        let mut labels = Labels::new();
        labels.insert("k8s-app".to_owned(), "kube-dns".into());
        Self {
            namespace: "kube-system".to_owned(),
            name: "coredns".to_owned(),
            labels,
            ports: vec![json!({"name": "dns", "containerPort": 53, "protocol": "UDP"})],
            service_account: "coredns",
            address: "10.99.0.53".to_owned(),
            node: 0,
        }
    }

    fn object(&self) -> Value {
        let mut container = json!({"name": "main", "image": "registry.example.com/main:1"});
        if let (false, Some(fields)) = (self.ports.is_empty(), container.as_object_mut()) {
            fields.insert("ports".to_owned(), self.ports.clone().into());
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": self.namespace, "name": self.name, "labels": self.labels},
            "spec": {
                "serviceAccountName": self.service_account,
                "nodeName": format!("node-{}", self.node),
                "containers": [container],
            },
            "status": {
                "phase": "Running",
                "podIP": self.address,
                "podIPs": [{"ip": self.address}],
            },
        })
    }
}

impl Service {
    fn new(at: usize, pods: &[Pod], random: &mut Random) -> Self {
        let pod = random.pick(pods);
        let app = pod.labels.get("app");
        let selector = app
            .filter(|_| random.chance(65))
            .map(|app| json!({"app": app}));
        Self {
            namespace: pod.namespace.clone(),
            name: format!("service-{at}"),
            selector,
            backend: format!("70.0.{}.{}", random.below(4), random.below(256)),
        }
    }

    /// The service, and where its backends are if no selector says so.
    fn objects(&self) -> Vec<Value> {
        let mut spec = json!({"ports": [{"port": 80, "protocol": "TCP"}]});
        let mut objects = Vec::new();
        match (&self.selector, spec.as_object_mut()) {
            (Some(selector), Some(fields)) => {
                fields.insert("selector".to_owned(), selector.clone());
            }
            _ => objects.push(backends(&self.namespace, &self.name, &self.backend)),
        }
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": spec,
        }));
        objects
    }
}

fn backends(namespace: &str, service: &str, address: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": format!("{service}-1"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    })
}

fn node_address(at: usize) -> String {
    format!("172.18.0.{}", at + 2)
}

fn node(at: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": format!("node-{at}"), "labels": {"zone": format!("zone-{}", at % 3)}},
        "status": {"addresses": [{"type": "InternalIP", "address": node_address(at)}]},
    })
}

/// A group of prefixes under one name.
fn group(at: usize) -> Value {
    let cidrs = [format!("40.{at}.0.0/16"), format!("41.{at}.7.0/24")];
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": format!("group-{at}")},
        "spec": {"externalCIDRs": cidrs},
    })
}

/// What a DNS proxy has learned: addresses of a name and of one below a zone.
fn names() -> Value {
    let mut data = Labels::new();
    for at in 0..NAMES {
        let addresses = [
            format!("60.0.{at}.1"),
            format!("60.0.{at}.2\n60.1.0.{}", at % 7),
        ];
        let names = [
            format!("api-{at}.example.com"),
            format!("www.zone-{at}.example.com"),
        ];
        data.extend(names.into_iter().zip(addresses.map(Value::from)));
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "default", "name": "dns-cache"},
        "data": data,
    })
}

/// Prefixes that hold each other, and one of their own for every ten policies.
fn cidrs(shape: Shape, random: &mut Random) -> Vec<String> {
    let nested = [
        "20.0.0.0/8",
        "20.1.0.0/16",
        "20.1.2.0/24",
        "20.1.2.3/32",
        "30.0.0.0/8",
        "192.0.2.0/24",
        "2001:db8::/32",
        "2001:db8:1::/48",
    ];
    let nested = nested.map(str::to_owned).into_iter();
    let own = (0..shape.policies / 10).map(|_| {
        let (first, second, third) = (20 + random.below(40), random.below(256), random.below(256));
        format!("{first}.{second}.{third}.0/24")
    });
    nested.chain(own).collect()
}
