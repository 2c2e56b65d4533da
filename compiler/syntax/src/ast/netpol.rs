//! Kubernetes NetworkPolicy.

use policyc_diag::{Span, Spanned};

use super::{List, Selector, Text};

/// `spec` of a NetworkPolicy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The mapping, `None` if the object has no `spec`.
    pub span: Option<Span>,
    /// `podSelector`.
    pub pod_selector: Option<Selector>,
    /// `policyTypes`.
    pub policy_types: Option<List<Text>>,
    /// `ingress`.
    pub ingress: Option<List<Rule>>,
    /// `egress`.
    pub egress: Option<List<Rule>>,
}

/// An element of `ingress` or `egress`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The mapping.
    pub span: Span,
    /// `from` or `to`.
    pub peers: Option<List<Peer>>,
    /// `ports`.
    pub ports: Option<List<Port>>,
}

/// An element of `from` or `to`.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The mapping.
    pub span: Span,
    /// `podSelector`.
    pub pod_selector: Option<Selector>,
    /// `namespaceSelector`.
    pub namespace_selector: Option<Selector>,
    /// `ipBlock`.
    pub ip_block: Option<IpBlock>,
}

/// `ipBlock`.
#[derive(Clone, Debug)]
pub struct IpBlock {
    /// The mapping.
    pub span: Span,
    /// `cidr`.
    pub cidr: Option<Text>,
    /// `except`.
    pub except: Option<List<Text>>,
}

/// An element of `ports`.
#[derive(Clone, Debug)]
pub struct Port {
    /// The mapping.
    pub span: Span,
    /// `port`: a number or a name.
    pub port: Option<Spanned<PortValue>>,
    /// `endPort`.
    pub end_port: Option<Spanned<i64>>,
    /// `protocol`, as written.
    pub protocol: Option<Text>,
}

/// A port as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortValue {
    /// By number.
    Number(i64),
    /// By name.
    Name(String),
}
