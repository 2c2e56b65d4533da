//! What policies mean: validation, normal form, resolution against an inventory, and the model.
//!
//! ```text
//! ast::Document ─validate→ PolicySet ─normalise→ RuleSet ─resolve(Universe)→ Resolved ─build→ Model ─eval→ Verdict
//! ```
//!
//! **Invariant.** [`model::Model::eval`] is the one definition of a verdict. The tables, the solver's answers and
//! the packets on the wire are all compared with it.

/// Address prefixes.
pub mod cidr;
/// Why a flow has its verdict.
pub mod explain;
/// DNS names and patterns.
pub mod fqdn;
/// Services as pods address them.
pub mod frontend;
/// ICMP message types by name.
pub mod icmp;
/// Typed indexes into the tables of this crate.
pub mod ids;
/// What is in the cluster: namespaces, nodes, pods.
pub mod inventory;
/// What proxies look at.
pub mod l7;
/// Labels, their sources and the filter that decides which exist for policy.
pub mod label;
/// Likely mistakes that Cilium accepts.
pub mod lint;
/// Step four: the total function from flow to verdict.
pub mod model;
/// Step two: from policies to flat rules with explicit defaults.
pub mod normalise;
/// Step one's product: policies in which every name, prefix and port is legal.
pub mod policy;
/// Protocols and ports.
pub mod port;
/// Text forms of every stage, for `--emit` and snapshots.
pub mod print;
/// Who may open connections to whom.
pub mod reach;
/// Step three: rules against a universe, selectors as sets of identities.
pub mod resolve;
/// The flat rules that every later stage works on.
pub mod rule;
/// Label selectors in canonical form.
pub mod selector;
/// Cluster settings that change what policies mean.
pub mod settings;
/// Identities, endpoints and addresses that flows can have.
pub mod universe;
/// Step one: would Cilium accept the object?
pub mod validate;

pub use ids::{EndpointId, IdentityId, NodeId, PeerId, PolicyId, RuleId, SelectorId};
