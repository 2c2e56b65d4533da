//! Step one: would Cilium accept the object?

use policyc_diag::Diagnostic;
use policyc_syntax::ast::Document;

/// Agent settings that validation depends on.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the agent, under its own name"
)]
pub struct Settings {
    /// `enable-node-selector-labels`.
    pub node_selector_labels: bool,
    /// `enable-extended-ip-protocols`.
    pub extended_protocols: bool,
    /// `enable-l7-proxy`.
    pub l7_proxy: bool,
    /// `enable-icmp-rules`.
    pub icmp_rules: bool,
}

/// Every reason for which the document would be rejected.
pub fn check(_document: &Document, _settings: &Settings) -> Vec<Diagnostic> {
    Vec::new()
}
