//! Kubernetes objects that make up an inventory. Only what policies depend on is read; other fields are other
//! tools' business and are passed over.

use policyc_diag::Spanned;

use super::{List, Text};

/// An inventory object. Its name, namespace and labels are in the document's metadata.
#[derive(Clone, Debug)]
pub enum Object {
    /// Namespace.
    Namespace,
    /// Node.
    Node(Node),
    /// Pod.
    Pod(Pod),
    /// Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob: the pods it would make.
    Workload(Workload),
    /// Service.
    Service(Service),
    /// EndpointSlice or Endpoints.
    Backends(Backends),
    /// ConfigMap: its data.
    ConfigMap(Vec<(Text, Text)>),
    /// Any other kind: passed over.
    Other,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// `status.addresses` of type InternalIP or ExternalIP.
    pub addresses: Vec<Text>,
    /// `spec.podCIDRs`, or `spec.podCIDR`.
    pub pod_cidrs: Vec<Text>,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// `spec.nodeName`.
    pub node: Option<Text>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.serviceAccountName` (or the older `serviceAccount`).
    pub service_account: Option<Text>,
    /// `status.podIPs`, or `status.podIP`.
    pub addresses: Vec<Text>,
    /// `status.phase`.
    pub phase: Option<Text>,
    /// Ports of `spec.containers`.
    pub ports: Vec<ContainerPort>,
}

/// A declared container port.
#[derive(Clone, Debug)]
pub struct ContainerPort {
    /// `name`.
    pub name: Option<Text>,
    /// `containerPort`.
    pub number: Spanned<i64>,
    /// `protocol`, TCP if absent.
    pub protocol: Option<Text>,
}

/// The pods a workload would make.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Labels of the pod template.
    pub labels: Vec<(Text, Text)>,
    /// Everything else of the template.
    pub pod: Pod,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// `spec.selector`, `None` if absent or empty.
    pub selector: Option<Vec<(Text, Text)>>,
    /// `spec.clusterIPs`, or `spec.clusterIP`, without `None`; `spec.externalIPs`; and the addresses of
    /// `status.loadBalancer.ingress` that nodes translate themselves.
    pub addresses: Vec<Text>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
}

/// A service's port.
#[derive(Clone, Debug)]
pub struct ServicePort {
    /// `name`.
    pub name: Option<Text>,
    /// `port`.
    pub port: Spanned<i64>,
    /// `protocol`, TCP if absent.
    pub protocol: Option<Text>,
}

/// Backends of a service: an EndpointSlice, or one Endpoints object.
#[derive(Clone, Debug)]
pub struct Backends {
    /// The service, from label `kubernetes.io/service-name`, or the Endpoints' own name.
    pub service: Option<Text>,
    /// All addresses.
    pub addresses: Vec<Text>,
    /// All ports.
    pub ports: Vec<ServicePort>,
}

/// A CiliumCIDRGroup.
#[derive(Clone, Debug)]
pub struct CidrGroup {
    /// `spec.externalCIDRs`.
    pub cidrs: Option<List<Text>>,
}
