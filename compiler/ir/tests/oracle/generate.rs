//! Random clusters, settings and policies, as YAML text.
//!
//! The tests of other crates use this file as well, which is why its parts are found by path.
//!
//! Every list that policies draw from is small, so that rules meet: in labels, in namespaces, in ports and in prefixes.

/// Authentication.
#[path = "generate/authentication.rs"]
mod authentication;
/// Clusters.
#[path = "generate/cluster.rs"]
mod cluster;
/// Layer 7.
#[path = "generate/layer7.rs"]
mod layer7;
/// Peers of Cilium's own kinds.
#[path = "generate/peer.rs"]
mod peer;
/// Policies.
#[path = "generate/policy.rs"]
mod policy;
/// Label selectors.
#[path = "generate/selector.rs"]
mod selector;
/// ClusterNetworkPolicy.
#[path = "generate/tiered.rs"]
mod tiered;

use policyc_ir::settings::{Enforcement, Settings};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

pub(crate) use cluster::Cluster;

/// Namespaces that pods and policies are in.
pub(crate) const NAMESPACES: [&str; 3] = ["n1", "n2", "default"];
/// Addresses outside the cluster, one inside and one outside of each prefix that policies draw from.
pub(crate) const ADDRESSES: [&str; 9] = [
    "10.1.2.3",
    "10.1.9.1",
    "10.77.0.1",
    "11.0.0.1",
    "192.0.2.1",
    "192.0.2.200",
    "2001:db8::1",
    "2001:db8:1::1",
    "3fff::1",
];

/// How much of the language policies are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Language {
    /// What no table holds: DNS names, and services, which may not exist.
    names: bool,
    /// Rules for proxies.
    layer7: bool,
    /// Rules that speak of authentication.
    authentication: bool,
}

impl Language {
    /// All of it.
    pub(crate) const WHOLE: Self = Self {
        names: true,
        layer7: true,
        authentication: true,
    };
    /// Layers 3 and 4, and authentication.
    pub(crate) const AUTHENTICATED: Self = Self {
        names: false,
        layer7: false,
        authentication: true,
    };
    /// Layers 3 and 4, and proxies.
    pub(crate) const PROXIED: Self = Self {
        names: false,
        layer7: true,
        authentication: false,
    };
}

/// One case: a cluster, its settings and policies.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// Its settings.
    pub(crate) settings: Settings,
    /// Its policies, one YAML document each.
    pub(crate) policies: Vec<String>,
}

/// A case of what can be lowered: tables do not hold rules for proxies beside rules that speak of authentication.
pub(crate) fn lowerable() -> impl Strategy<Value = Case> {
    prop_oneof![2 => case(Language::AUTHENTICATED), 1 => case(Language::PROXIED)]
}

/// A whole case.
pub(crate) fn case(language: Language) -> impl Strategy<Value = Case> {
    (
        cluster::cluster(),
        settings(),
        vec(policy::policy(language), 1..7),
        proptest::option::weighted(0.3, authentication::policy()),
    )
        .prop_map(move |(cluster, settings, policies, more)| {
            let more = more.filter(|_| language.authentication);
            (cluster, settings, policies, more)
        })
        .prop_map(|(cluster, settings, policies, more)| {
            let named = policies.into_iter().chain(more).enumerate();
            let policies = named.map(|(at, text)| text.replace("@NAME", &format!("r{at}")));
            Case {
                cluster,
                settings,
                policies: policies.collect(),
            }
        })
}

fn settings() -> impl Strategy<Value = Settings> {
    let enforcement = Union::new_weighted(vec![
        (8, Just(Enforcement::Default)),
        (1, Just(Enforcement::Always)),
        (1, Just(Enforcement::Never)),
    ]);
    let mostly = || proptest::bool::weighted(0.8);
    (
        enforcement,
        (mostly(), any::<bool>()),
        (mostly(), mostly(), proptest::bool::weighted(0.95)),
    )
        .prop_map(
            move |(enforcement, (allow_localhost, host_firewall), (optional, local, nodes))| {
                Settings {
                    enforcement,
                    allow_localhost,
                    host_firewall,
                    non_default_deny: optional,
                    default_local_cluster: local,
                    node_selector_labels: nodes,
                    ..Settings::default()
                }
            },
        )
}
