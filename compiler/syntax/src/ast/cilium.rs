//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

use policyc_diag::{Span, Spanned};

use super::{List, Selector, Text};

/// A policy of either kind.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `spec`.
    pub spec: Option<Rule>,
    /// `specs`.
    pub specs: Option<List<Rule>>,
}

/// One rule (`spec`, or an element of `specs`).
#[derive(Clone, Debug)]
pub struct Rule {
    /// The mapping.
    pub span: Span,
    /// `endpointSelector`.
    pub endpoint_selector: Option<Selector>,
    /// `nodeSelector`.
    pub node_selector: Option<Selector>,
    /// `ingress`.
    pub ingress: Option<List<Ingress>>,
    /// `ingressDeny`.
    pub ingress_deny: Option<List<Ingress>>,
    /// `egress`.
    pub egress: Option<List<Egress>>,
    /// `egressDeny`.
    pub egress_deny: Option<List<Egress>>,
    /// `enableDefaultDeny`.
    pub enable_default_deny: Option<DefaultDeny>,
    /// `description`.
    pub description: Option<Text>,
    /// `labels`: free-form, only their place is kept.
    pub labels: Option<Span>,
    /// `log.value`.
    pub log: Option<Text>,
}

/// `enableDefaultDeny`.
#[derive(Clone, Debug)]
pub struct DefaultDeny {
    /// The mapping.
    pub span: Span,
    /// `ingress`.
    pub ingress: Option<Spanned<bool>>,
    /// `egress`.
    pub egress: Option<Spanned<bool>>,
}

/// An element of `ingress` or `ingressDeny`. Fields that a deny section does not have are `None` there.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// The mapping.
    pub span: Span,
    /// `fromEndpoints`.
    pub from_endpoints: Option<List<Selector>>,
    /// `fromNodes`.
    pub from_nodes: Option<List<Selector>>,
    /// `fromEntities`.
    pub from_entities: Option<List<Text>>,
    /// `fromCIDR`.
    pub from_cidr: Option<List<Text>>,
    /// `fromCIDRSet`.
    pub from_cidr_set: Option<List<CidrRule>>,
    /// `fromGroups`.
    pub from_groups: Option<List<Group>>,
    /// `fromRequires`, removed from Cilium: only the places of its elements are kept.
    pub from_requires: Option<List<Span>>,
    /// `toPorts`.
    pub to_ports: Option<List<PortRule>>,
    /// `icmps`.
    pub icmps: Option<List<IcmpRule>>,
    /// `authentication`.
    pub authentication: Option<Authentication>,
}

/// An element of `egress` or `egressDeny`. Fields that a deny section does not have are `None` there.
#[derive(Clone, Debug)]
pub struct Egress {
    /// The mapping.
    pub span: Span,
    /// `toEndpoints`.
    pub to_endpoints: Option<List<Selector>>,
    /// `toNodes`.
    pub to_nodes: Option<List<Selector>>,
    /// `toEntities`.
    pub to_entities: Option<List<Text>>,
    /// `toCIDR`.
    pub to_cidr: Option<List<Text>>,
    /// `toCIDRSet`.
    pub to_cidr_set: Option<List<CidrRule>>,
    /// `toServices`.
    pub to_services: Option<List<Service>>,
    /// `toGroups`.
    pub to_groups: Option<List<Group>>,
    /// `toRequires`, removed from Cilium: only the places of its elements are kept.
    pub to_requires: Option<List<Span>>,
    /// `toFQDNs`.
    pub to_fqdns: Option<List<Fqdn>>,
    /// `toPorts`.
    pub to_ports: Option<List<PortRule>>,
    /// `icmps`.
    pub icmps: Option<List<IcmpRule>>,
    /// `authentication`.
    pub authentication: Option<Authentication>,
}

/// An element of `fromCIDRSet` or `toCIDRSet`.
#[derive(Clone, Debug)]
pub struct CidrRule {
    /// The mapping.
    pub span: Span,
    /// `cidr`.
    pub cidr: Option<Text>,
    /// `cidrGroupRef`.
    pub group_ref: Option<Text>,
    /// `cidrGroupSelector`.
    pub group_selector: Option<Selector>,
    /// `except`.
    pub except: Option<List<Text>>,
}

/// An element of `fromGroups` or `toGroups`.
#[derive(Clone, Debug)]
pub struct Group {
    /// The mapping.
    pub span: Span,
    /// `aws`.
    pub aws: Option<Aws>,
}

/// `aws`: instances by what they are tagged with and which security groups they are in.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The mapping.
    pub span: Span,
    /// `labels`, in writing order.
    pub labels: Vec<(Text, Text)>,
    /// `region`.
    pub region: Option<Text>,
    /// `securityGroupsIds`.
    pub ids: Option<List<Text>>,
    /// `securityGroupsNames`.
    pub names: Option<List<Text>>,
}

/// An element of `toServices`.
#[derive(Clone, Debug)]
pub struct Service {
    /// The mapping.
    pub span: Span,
    /// `k8sService.serviceName` and `.namespace`.
    pub by_name: Option<ServiceName>,
    /// `k8sServiceSelector.selector` and `.namespace`.
    pub by_selector: Option<ServiceSelector>,
}

/// `k8sService`.
#[derive(Clone, Debug)]
pub struct ServiceName {
    /// The mapping.
    pub span: Span,
    /// `serviceName`.
    pub name: Option<Text>,
    /// `namespace`.
    pub namespace: Option<Text>,
}

/// `k8sServiceSelector`.
#[derive(Clone, Debug)]
pub struct ServiceSelector {
    /// The mapping.
    pub span: Span,
    /// `selector`.
    pub selector: Option<Selector>,
    /// `namespace`.
    pub namespace: Option<Text>,
}

/// An element of `toFQDNs`, or of `rules.dns`.
#[derive(Clone, Debug)]
pub struct Fqdn {
    /// The mapping.
    pub span: Span,
    /// `matchName`.
    pub match_name: Option<Text>,
    /// `matchPattern`.
    pub match_pattern: Option<Text>,
}

/// An element of `toPorts`.
#[derive(Clone, Debug)]
pub struct PortRule {
    /// The mapping.
    pub span: Span,
    /// `ports`.
    pub ports: Option<List<Port>>,
    /// `rules`.
    pub rules: Option<L7>,
    /// `serverNames`.
    pub server_names: Option<List<Text>>,
    /// `listener`.
    pub listener: Option<Listener>,
    /// `terminatingTLS`.
    pub terminating_tls: Option<Tls>,
    /// `originatingTLS`.
    pub originating_tls: Option<Tls>,
}

/// An element of `ports`.
#[derive(Clone, Debug)]
pub struct Port {
    /// The mapping.
    pub span: Span,
    /// `port`, a string for Cilium.
    pub port: Option<Text>,
    /// `endPort`.
    pub end_port: Option<Spanned<i64>>,
    /// `protocol`, as written.
    pub protocol: Option<Text>,
}

/// `rules`.
#[derive(Clone, Debug)]
pub struct L7 {
    /// The mapping.
    pub span: Span,
    /// `http`.
    pub http: Option<List<Http>>,
    /// `dns`.
    pub dns: Option<List<Fqdn>>,
    /// `kafka`, removed in Cilium 1.20.
    pub kafka: Option<List<Kafka>>,
    /// `l7proto`, removed in Cilium 1.20.
    pub l7proto: Option<Text>,
    /// `l7`, removed in Cilium 1.20.
    pub l7: Option<List<Generic>>,
}

/// An element of `rules.kafka`.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// The mapping.
    pub span: Span,
    /// `role`.
    pub role: Option<Text>,
    /// `apiKey`.
    pub api_key: Option<Text>,
    /// `apiVersion`, a string for Cilium.
    pub api_version: Option<Text>,
    /// `clientID`.
    pub client_id: Option<Text>,
    /// `topic`.
    pub topic: Option<Text>,
}

/// An element of `rules.l7`: pairs that only the parser of `l7proto` understands.
#[derive(Clone, Debug)]
pub struct Generic {
    /// The mapping.
    pub span: Span,
    /// Its pairs, in writing order.
    pub pairs: Vec<(Text, Text)>,
}

/// An element of `rules.http`.
#[derive(Clone, Debug)]
pub struct Http {
    /// The mapping.
    pub span: Span,
    /// `path`.
    pub path: Option<Text>,
    /// `method`.
    pub method: Option<Text>,
    /// `host`.
    pub host: Option<Text>,
    /// `headers`.
    pub headers: Option<List<Text>>,
    /// `headerMatches`.
    pub header_matches: Option<List<HeaderMatch>>,
}

/// An element of `headerMatches`.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    /// The mapping.
    pub span: Span,
    /// `mismatch`.
    pub mismatch: Option<Text>,
    /// `name`.
    pub name: Option<Text>,
    /// `value`.
    pub value: Option<Text>,
    /// `secret`.
    pub secret: Option<Secret>,
}

/// A reference to a secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The mapping.
    pub span: Span,
    /// `namespace`.
    pub namespace: Option<Text>,
    /// `name`.
    pub name: Option<Text>,
}

/// `listener`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The mapping.
    pub span: Span,
    /// `envoyConfig.kind`.
    pub config_kind: Option<Text>,
    /// `envoyConfig.name`.
    pub config_name: Option<Text>,
    /// `name`.
    pub name: Option<Text>,
    /// `priority`.
    pub priority: Option<Spanned<i64>>,
}

/// `terminatingTLS` or `originatingTLS`.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The mapping.
    pub span: Span,
    /// `secret`.
    pub secret: Option<Secret>,
    /// `trustedCA`.
    pub trusted_ca: Option<Text>,
    /// `certificate`.
    pub certificate: Option<Text>,
    /// `privateKey`.
    pub private_key: Option<Text>,
}

/// An element of `icmps`.
#[derive(Clone, Debug)]
pub struct IcmpRule {
    /// The mapping.
    pub span: Span,
    /// `fields`.
    pub fields: Option<List<IcmpField>>,
}

/// An element of `fields`.
#[derive(Clone, Debug)]
pub struct IcmpField {
    /// The mapping.
    pub span: Span,
    /// `family`.
    pub family: Option<Text>,
    /// `type`, a number or a name.
    pub kind: Option<Spanned<IcmpType>>,
}

/// An ICMP type as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IcmpType {
    /// By number.
    Number(i64),
    /// By name.
    Name(String),
}

/// `authentication`.
#[derive(Clone, Debug)]
pub struct Authentication {
    /// The mapping.
    pub span: Span,
    /// `mode`.
    pub mode: Option<Text>,
}
