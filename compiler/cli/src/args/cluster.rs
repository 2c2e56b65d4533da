//! Options that say what the cluster is like.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use policyc_ir::settings::Version;

/// `allow-localhost`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Localhost {
    /// `always` on Kubernetes.
    Auto,
    /// The node may reach its pods unless denied.
    Always,
    /// Only what policies allow.
    Policy,
}

/// `enable-policy`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Enforce {
    /// Pods that some policy selects.
    Default,
    /// Every pod.
    Always,
    /// No pod.
    Never,
}

/// Cluster settings that change what policies mean; names and defaults are the agent's. An option beats the file.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster settings")]
pub struct Cluster {
    /// Where settings are read from: Helm values, or the `cilium-config` ConfigMap.
    #[arg(long, value_name = "FILE")]
    pub cluster_config: Option<PathBuf>,
    /// Release of Cilium whose behaviour counts, from 1.17 on [default: 1.20].
    #[arg(long, value_name = "VERSION")]
    pub cilium_version: Option<Version>,
    /// When policy is enforced [default: default].
    #[arg(long, value_name = "MODE")]
    pub enable_policy: Option<Enforce>,
    /// Whether a node may always reach its own pods [default: auto].
    #[arg(long, value_name = "MODE")]
    pub allow_localhost: Option<Localhost>,
    /// Whether node policies are enforced [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub host_firewall: Option<bool>,
    /// Whether `enableDefaultDeny` is honoured [default: true].
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub non_default_deny_policies: Option<bool>,
    /// Whether peers are of the local cluster unless they say otherwise [default: true since 1.19].
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub policy_default_local_cluster: Option<bool>,
    /// Name of the cluster [default: default].
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Whether `fromNodes` and `toNodes` are accepted [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub node_selector_labels: Option<bool>,
    /// Whether protocols beyond TCP, UDP, SCTP and ICMP are accepted and carried [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub extended_ip_protocols: Option<bool>,
    /// Whether layer 7 rules are accepted [default: true].
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub l7_proxy: Option<bool>,
    /// Whether `icmps` are accepted [default: true].
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub icmp_rules: Option<bool>,
    /// Which labels exist for policy: patterns in the form of the agent's `labels`, with blanks between.
    #[arg(long, value_name = "PATTERNS")]
    pub labels: Option<String>,
    /// Whether ClusterNetworkPolicy is enforced [default: true; with a file, what it says].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub cluster_network_policies: Option<bool>,
}
