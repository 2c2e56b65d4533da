//! The objects of an inventory. Fields that are not read are passed over, whatever they hold.

use policyc_diag::Spanned;

use super::meta::Pairs;
use super::{Context, Decode, Field, Table};
use crate::ast::inventory::{
    Backends, CidrGroup, ContainerPort, Node as NodeObject, Pod, Service, ServicePort, Workload,
};
use crate::ast::{List, Meta, Text};
use crate::tree::Node;

/// Label of an EndpointSlice that names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A mapping of which one field is read.
fn inner<T: Decode>(
    node: Option<&Node<'_>>,
    parent: &'static str,
    name: &'static str,
    cx: &mut Context<'_>,
) -> Option<T> {
    let mut table = Table::open(node.filter(|node| !node.is_null())?, Field::new(parent), cx)?;
    table.optional(name, cx)
}

/// `spec.externalCIDRs` of a CiliumCIDRGroup.
pub(super) fn cidr_group(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> CidrGroup {
    table
        .required::<CidrGroup>("spec", cx)
        .unwrap_or(CidrGroup { cidrs: None })
}

impl Decode for CidrGroup {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let cidrs = table.optional("externalCIDRs", cx);
        table.finish(cx);
        Some(Self { cidrs })
    }
}

/// Node.
pub(super) fn node(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> NodeObject {
    let status = table.raw("status");
    let addresses = inner::<List<Address>>(status, "status", "addresses", cx);
    let used =
        |address: &Address| matches!(address.kind.value.as_str(), "InternalIP" | "ExternalIP");
    let spec = table.raw("spec");
    let pod_cidrs = inner::<List<Text>>(spec, "spec", "podCIDRs", cx).map(|list| list.items);
    let single = inner::<Text>(spec, "spec", "podCIDR", cx);
    NodeObject {
        addresses: items(addresses)
            .into_iter()
            .filter(used)
            .map(|address| address.address)
            .collect(),
        pod_cidrs: pod_cidrs
            .filter(|cidrs| !cidrs.is_empty())
            .unwrap_or_else(|| single.into_iter().collect()),
    }
}

struct Address {
    kind: Text,
    address: Text,
}

impl Decode for Address {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let kind = table.required("type", cx);
        Some(Self {
            address: table.required("address", cx)?,
            kind: kind?,
        })
    }
}

/// Pod, with its status.
pub(super) fn pod(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Pod {
    let mut pod = table.optional::<Pod>("spec", cx).unwrap_or_else(empty_pod);
    let status = table.raw("status");
    let all = inner::<List<Ip>>(status, "status", "podIPs", cx).map(|list| list.items);
    let single = inner::<Text>(status, "status", "podIP", cx);
    pod.addresses = match all {
        Some(ips) if !ips.is_empty() => ips.into_iter().map(|ip| ip.0).collect(),
        _ => single.into_iter().collect(),
    };
    pod.phase = inner(status, "status", "phase", cx);
    pod
}

fn empty_pod() -> Pod {
    Pod {
        node: None,
        host_network: false,
        service_account: None,
        addresses: Vec::new(),
        phase: None,
        ports: Vec::new(),
    }
}

impl Decode for Pod {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let containers = table.optional::<List<Container>>("containers", cx);
        let account = table.optional("serviceAccountName", cx);
        Some(Self {
            node: table.optional("nodeName", cx),
            host_network: table
                .optional::<Spanned<bool>>("hostNetwork", cx)
                .is_some_and(|value| value.value),
            service_account: account.or_else(|| table.optional("serviceAccount", cx)),
            ports: items(containers)
                .into_iter()
                .flat_map(|container| container.0)
                .collect(),
            ..empty_pod()
        })
    }
}

struct Container(Vec<ContainerPort>);

impl Decode for Container {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        Some(Self(items(table.optional("ports", cx))))
    }
}

impl Decode for ContainerPort {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let name = table.optional("name", cx);
        let number = table.required("containerPort", cx);
        Some(Self {
            name,
            number: number?,
            protocol: table.optional("protocol", cx),
        })
    }
}

/// An element of `podIPs`, of `addresses` in an EndpointSlice's endpoint, or of an Endpoints' subset.
struct Ip(Text);

impl Decode for Ip {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        table.required("ip", cx).map(Self)
    }
}

/// Deployment and the like: the pods of `spec.template`.
pub(super) fn workload(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Workload {
    let spec = table.raw("spec");
    inner(spec, "spec", "template", cx).unwrap_or_else(empty_workload)
}

/// CronJob: the pods of `spec.jobTemplate.spec.template`.
pub(super) fn cron_job(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Workload {
    let spec = table.raw("spec");
    inner::<JobTemplate>(spec, "spec", "jobTemplate", cx)
        .and_then(|job| job.0)
        .unwrap_or_else(empty_workload)
}

struct JobTemplate(Option<Workload>);

impl Decode for JobTemplate {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let spec = table.raw("spec");
        Some(Self(inner(spec, "spec", "template", cx)))
    }
}

fn empty_workload() -> Workload {
    Workload {
        labels: Vec::new(),
        pod: empty_pod(),
    }
}

impl Decode for Workload {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let metadata = table.raw("metadata");
        let labels = inner::<Pairs>(metadata, "metadata", "labels", cx);
        let pod = table.optional("spec", cx).unwrap_or_else(empty_pod);
        Some(Self {
            labels: labels.unwrap_or_default().0,
            pod,
        })
    }
}

/// Service, with its status.
pub(super) fn service(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Service {
    let mut service = table.optional("spec", cx).unwrap_or(Service {
        selector: None,
        addresses: Vec::new(),
        ports: Vec::new(),
    });
    let balancer = inner::<Balancer>(table.raw("status"), "status", "loadBalancer", cx);
    let entries = balancer.map_or_else(Vec::new, |balancer| balancer.0);
    let entries = entries.into_iter().filter(|entry| !entry.proxy);
    service
        .addresses
        .extend(entries.filter_map(|entry| entry.address));
    service
}

/// `status.loadBalancer`.
struct Balancer(Vec<BalancerEntry>);

impl Decode for Balancer {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        Some(Self(items(table.optional("ingress", cx))))
    }
}

/// A load balancer: an address, or a host name instead.
struct BalancerEntry {
    address: Option<Text>,
    /// Whether packets go to the balancer itself, and not from the node to a backend.
    proxy: bool,
}

impl Decode for BalancerEntry {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let mode = table.optional::<Text>("ipMode", cx);
        Some(Self {
            address: table.optional("ip", cx),
            proxy: mode.is_some_and(|mode| mode.value == "Proxy"),
        })
    }
}

impl Decode for Service {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let selector = table.optional::<Pairs>("selector", cx).map(|pairs| pairs.0);
        let all = table
            .optional::<List<Text>>("clusterIPs", cx)
            .map(|list| list.items);
        let single = table.optional::<Text>("clusterIP", cx);
        let addresses = all
            .filter(|all| !all.is_empty())
            .unwrap_or_else(|| single.into_iter().collect());
        let external = items(table.optional::<List<Text>>("externalIPs", cx));
        Some(Self {
            selector: selector.filter(|pairs| !pairs.is_empty()),
            // A headless service says `None`; an empty address is one not yet given.
            addresses: addresses
                .into_iter()
                .filter(|text| text.value != "None" && !text.value.is_empty())
                .chain(external)
                .collect(),
            ports: items(table.optional("ports", cx)),
        })
    }
}

impl Decode for ServicePort {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let name = table.optional("name", cx);
        let port = table.required("port", cx);
        Some(Self {
            name,
            port: port?,
            protocol: table.optional("protocol", cx),
        })
    }
}

/// EndpointSlice.
pub(super) fn slice(table: &mut Table<'_, '_>, meta: &Meta, cx: &mut Context<'_>) -> Backends {
    let service = meta
        .labels
        .iter()
        .find(|(key, _)| key.value == SERVICE_NAME);
    let endpoints = items(table.optional::<List<Endpoint>>("endpoints", cx));
    Backends {
        service: service.map(|(_, name)| name.clone()),
        addresses: endpoints
            .into_iter()
            .flat_map(|endpoint| endpoint.0)
            .collect(),
        ports: items(table.optional("ports", cx)),
    }
}

struct Endpoint(Vec<Text>);

impl Decode for Endpoint {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        Some(Self(items(table.optional("addresses", cx))))
    }
}

/// Endpoints.
pub(super) fn endpoints(table: &mut Table<'_, '_>, meta: &Meta, cx: &mut Context<'_>) -> Backends {
    let mut backends = Backends {
        service: meta.name.clone(),
        addresses: Vec::new(),
        ports: Vec::new(),
    };
    for subset in items(table.optional::<List<Subset>>("subsets", cx)) {
        backends
            .addresses
            .extend(subset.addresses.into_iter().map(|ip| ip.0));
        backends.ports.extend(subset.ports);
    }
    backends
}

struct Subset {
    addresses: Vec<Ip>,
    ports: Vec<ServicePort>,
}

impl Decode for Subset {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let addresses = items(table.optional("addresses", cx));
        Some(Self {
            addresses,
            ports: items(table.optional("ports", cx)),
        })
    }
}

fn items<T>(list: Option<List<T>>) -> Vec<T> {
    list.map_or_else(Vec::new, |list| list.items)
}

/// ConfigMap: its data.
pub(super) fn config_map(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Vec<(Text, Text)> {
    table.optional::<Pairs>("data", cx).unwrap_or_default().0
}
