//! Cluster settings that change what policies mean. Names and defaults are those of Cilium's agent.

use std::sync::Arc;

/// `enable-policy`: when policy is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// For subjects that some rule selects.
    Default,
    /// For all; without rules everything is denied.
    Always,
    /// For none.
    Never,
}

/// Cluster settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the agent, under its own name"
)]
pub struct Settings {
    /// `enable-policy`.
    pub enforcement: Enforcement,
    /// `allow-localhost` is `always` (or `auto` on Kubernetes): the host may reach its pods unless denied.
    pub allow_localhost: bool,
    /// `enable-host-firewall`: node policies are enforced.
    pub host_firewall: bool,
    /// `enable-non-default-deny-policies`: `enableDefaultDeny` is honoured.
    pub non_default_deny: bool,
    /// `policy-default-local-cluster`: peers are of the local cluster unless they say otherwise.
    pub default_local_cluster: bool,
    /// `cluster-name`.
    pub cluster: Arc<str>,
    /// `enable-node-selector-labels`.
    pub node_selector_labels: bool,
    /// `enable-extended-ip-protocols`.
    pub extended_protocols: bool,
    /// `enable-l7-proxy`.
    pub l7_proxy: bool,
    /// `enable-icmp-rules`.
    pub icmp_rules: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enforcement: Enforcement::Default,
            allow_localhost: true,
            host_firewall: false,
            non_default_deny: true,
            default_local_cluster: true,
            cluster: "default".into(),
            node_selector_labels: false,
            extended_protocols: false,
            l7_proxy: true,
            icmp_rules: true,
        }
    }
}
