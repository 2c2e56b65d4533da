//! The typed syntax tree: one structure per kind of object, fields as they are written.
//!
//! Every scalar and list carries its span. An absent field is `None`; a field that is present and empty is
//! `Some(vec![])`, since Cilium treats the two differently. Strings are not interpreted here: a port is text, a CIDR
//! is text, a label key is text.

/// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.
pub mod cilium;
/// Kubernetes objects that make up an inventory.
pub mod inventory;
/// Kubernetes ClusterNetworkPolicy.
pub mod kcnp;
/// Kubernetes NetworkPolicy.
pub mod netpol;
/// The tree as text.
mod print;

use policyc_diag::{Span, Spanned};

pub use print::print;

/// Text with its place.
pub type Text = Spanned<String>;

/// A list with its own place (the whole sequence), present even if empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// The whole sequence.
    pub span: Span,
    /// Its elements in order.
    pub items: Vec<T>,
}

impl<T> std::ops::Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

/// A YAML document that is an object this tool knows. `List` objects are flattened into their items.
#[derive(Clone, Debug)]
pub struct Document {
    /// The whole document (or list item).
    pub span: Span,
    /// Position among the documents of its file, from 0; items of a `List` share their document's.
    pub index: usize,
    /// Kind as written, at its place.
    pub kind: Text,
    /// Name and namespace.
    pub meta: Meta,
    /// The object.
    pub object: Object,
    /// Whether decoding it reported no error. What seems to be missing in an unsound document may just be misspelt.
    pub sound: bool,
    /// Whether its only faults are fields that it does not have: a cluster drops those without a word.
    pub prunable: bool,
}

/// What a document is.
#[derive(Clone, Debug)]
pub enum Object {
    /// `cilium.io/v2` CiliumNetworkPolicy.
    CiliumNetworkPolicy(cilium::Policy),
    /// `cilium.io/v2` CiliumClusterwideNetworkPolicy.
    CiliumClusterwideNetworkPolicy(cilium::Policy),
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy(netpol::Policy),
    /// `policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy.
    ClusterNetworkPolicy(kcnp::Policy),
    /// `cilium.io/v2` or `v2alpha1` CiliumCIDRGroup.
    CidrGroup(inventory::CidrGroup),
    /// An object that policies are matched against.
    Inventory(inventory::Object),
}

/// The part of `metadata` that matters.
#[derive(Clone, Debug)]
pub struct Meta {
    /// The mapping, or the document's start where there is none.
    pub span: Span,
    /// `name`.
    pub name: Option<Text>,
    /// `namespace`.
    pub namespace: Option<Text>,
    /// `labels`, in writing order.
    pub labels: Vec<(Text, Text)>,
}

/// A label selector: all requirements hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The mapping.
    pub span: Span,
    /// `matchLabels`, in writing order.
    pub match_labels: Vec<(Text, Text)>,
    /// `matchExpressions`.
    pub match_expressions: Vec<Requirement>,
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The mapping.
    pub span: Span,
    /// `key`.
    pub key: Text,
    /// `operator`, as written.
    pub operator: Text,
    /// `values`.
    pub values: Option<List<Text>>,
}
