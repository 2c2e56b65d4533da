//! Kubernetes ClusterNetworkPolicy.

use policyc_diag::{Span, Spanned};

use super::{List, Selector, Text};

/// `spec` of a ClusterNetworkPolicy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The mapping, `None` if the object has no `spec`.
    pub span: Option<Span>,
    /// `tier`, as written.
    pub tier: Option<Text>,
    /// `priority`.
    pub priority: Option<Spanned<i64>>,
    /// `subject`.
    pub subject: Option<Subject>,
    /// `ingress`.
    pub ingress: Option<List<Rule>>,
    /// `egress`.
    pub egress: Option<List<Rule>>,
}

/// `subject`.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The mapping.
    pub span: Span,
    /// `namespaces`.
    pub namespaces: Option<Selector>,
    /// `pods`.
    pub pods: Option<Pods>,
}

/// Pods by their labels and their namespace's.
#[derive(Clone, Debug)]
pub struct Pods {
    /// The mapping.
    pub span: Span,
    /// `namespaceSelector`.
    pub namespace_selector: Option<Selector>,
    /// `podSelector`.
    pub pod_selector: Option<Selector>,
}

/// An element of `ingress` or `egress`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The mapping.
    pub span: Span,
    /// `name`.
    pub name: Option<Text>,
    /// `action`, as written.
    pub action: Option<Text>,
    /// `from` or `to`.
    pub peers: Option<List<Peer>>,
    /// `protocols`.
    pub protocols: Option<List<Protocol>>,
}

/// An element of `from` or `to`. Only the latter may have more than the first two members.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The mapping.
    pub span: Span,
    /// `namespaces`.
    pub namespaces: Option<Selector>,
    /// `pods`.
    pub pods: Option<Pods>,
    /// `nodes`.
    pub nodes: Option<Selector>,
    /// `networks`.
    pub networks: Option<List<Text>>,
    /// `domainNames`.
    pub domain_names: Option<List<Text>>,
}

/// An element of `protocols`.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The mapping.
    pub span: Span,
    /// `tcp`.
    pub tcp: Option<Transport>,
    /// `udp`.
    pub udp: Option<Transport>,
    /// `sctp`.
    pub sctp: Option<Transport>,
    /// `destinationNamedPort`.
    pub named_port: Option<Text>,
}

/// `tcp`, `udp` or `sctp`.
#[derive(Clone, Debug)]
pub struct Transport {
    /// The mapping.
    pub span: Span,
    /// `destinationPort`.
    pub port: Option<Port>,
}

/// `destinationPort`.
#[derive(Clone, Debug)]
pub struct Port {
    /// The mapping.
    pub span: Span,
    /// `number`.
    pub number: Option<Spanned<i64>>,
    /// `range`.
    pub range: Option<Range>,
}

/// `range`.
#[derive(Clone, Debug)]
pub struct Range {
    /// The mapping.
    pub span: Span,
    /// `start`.
    pub start: Option<Spanned<i64>>,
    /// `end`.
    pub end: Option<Spanned<i64>>,
}
