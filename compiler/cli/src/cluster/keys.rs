//! The settings that change what policies mean, with their names and effects.

use policyc_ir::label::filter::Filter;
use policyc_ir::rule::Kind;
use policyc_ir::settings::{Enforcement, Settings};

/// A setting of the cluster.
pub(super) struct Setting {
    /// Key of the agent, as in the ConfigMap.
    pub(super) agent: &'static str,
    /// Path in Helm values; settings without one stand below `extraConfig`, under the agent's key.
    pub(super) helm: Option<&'static str>,
    /// What a value does.
    pub(super) effect: Effect,
}

/// What a setting's value does.
pub(super) enum Effect {
    /// A boolean.
    Switch(fn(&mut Settings, bool)),
    /// One of these words, case apart; its position is handed on.
    Choice(&'static [&'static str], fn(&mut Settings, usize)),
    /// Text of its own form.
    Text(fn(&mut Settings, &str) -> Result<(), String>),
    /// A boolean that, switched on, decides about packets beside policies: a note says how.
    Beside(fn(&mut Settings, bool), &'static str),
    /// This value is what the tool models; any other is refused, for the reason given.
    Only(&'static str, &'static str),
}

const fn setting(agent: &'static str, helm: Option<&'static str>, effect: Effect) -> Setting {
    Setting {
        agent,
        helm,
        effect,
    }
}

use Effect::{Beside, Choice, Only, Switch, Text};

/// All of them. Whatever is not here changes no verdict.
pub(super) const ALL: &[Setting] = &[
    setting(
        "enable-policy",
        Some("policyEnforcementMode"),
        Choice(&["default", "always", "never"], enforcement),
    ),
    setting(
        "allow-localhost",
        None,
        Choice(&["auto", "always", "policy"], |to, at| {
            to.allow_localhost = at < 2;
        }),
    ),
    setting(
        "enable-host-firewall",
        Some("hostFirewall.enabled"),
        Switch(|to, on| to.host_firewall = on),
    ),
    setting(
        "enable-non-default-deny-policies",
        Some("enableNonDefaultDenyPolicies"),
        Switch(|to, on| to.non_default_deny = on),
    ),
    setting(
        "policy-default-local-cluster",
        Some("clustermesh.policyDefaultLocalCluster"),
        Switch(|to, on| to.default_local_cluster = on),
    ),
    setting("cluster-name", Some("cluster.name"), Text(cluster_name)),
    setting(
        "enable-node-selector-labels",
        Some("nodeSelectorLabels"),
        Switch(|to, on| to.node_selector_labels = on),
    ),
    setting(
        "enable-extended-ip-protocols",
        None,
        Switch(|to, on| to.extended_protocols = on),
    ),
    setting(
        "enable-l7-proxy",
        Some("l7Proxy"),
        Switch(|to, on| to.l7_proxy = on),
    ),
    setting(
        "enable-icmp-rules",
        None,
        Switch(|to, on| to.icmp_rules = on),
    ),
    setting(
        "enable-sctp",
        Some("sctp.enabled"),
        Switch(|to, on| to.sctp = on),
    ),
    setting(
        "policy-audit-mode",
        Some("policyAuditMode"),
        Beside(
            |to, on| to.audit = on,
            "Cilium reports what policies deny and lets it pass",
        ),
    ),
    setting(
        "enable-ipv4",
        Some("ipv4.enabled"),
        Switch(|to, on| to.ipv4 = on),
    ),
    setting(
        "enable-ipv6",
        Some("ipv6.enabled"),
        Switch(|to, on| to.ipv6 = on),
    ),
    setting("labels", Some("labels"), Text(labels)),
    setting(
        "bpf-policy-map-max",
        Some("bpf.policyMapMax"),
        Text(policy_map_max),
    ),
    setting(
        "enable-k8s-networkpolicy",
        Some("k8sNetworkPolicy.enabled"),
        Switch(|to, on| watch(to, Kind::Knp, on)),
    ),
    setting(
        "enable-k8s-cluster-network-policy",
        Some("k8sClusterNetworkPolicy.enabled"),
        Switch(|to, on| watch(to, Kind::Kcnp, on)),
    ),
    setting(
        "enable-cilium-network-policy",
        None,
        Switch(|to, on| watch(to, Kind::Cnp, on)),
    ),
    setting(
        "enable-cilium-clusterwide-network-policy",
        None,
        Switch(|to, on| watch(to, Kind::Ccnp, on)),
    ),
    setting(
        "policy-cidr-match-mode",
        Some("policyCIDRMatchMode"),
        Only("", "prefixes would match nodes or pods as well"),
    ),
    setting(
        "allow-icmp-frag-needed",
        None,
        Only("true", "path MTU discovery would depend on policies"),
    ),
    setting(
        "http-normalize-path",
        None,
        Only("true", "HTTP paths would be matched as they are sent"),
    ),
    setting(
        "label-prefix-file",
        None,
        Only(
            "",
            "other labels would exist for policy, and the file is not at hand",
        ),
    ),
    setting(
        "node-labels",
        Some("nodeLabels"),
        Only("", "other labels of nodes would exist for policy"),
    ),
    setting(
        "exclude-node-label-patterns",
        None,
        Only("", "other labels of nodes would exist for policy"),
    ),
];

/// What the agent takes where the ConfigMap says nothing, as far as it is not what this tool takes without a file.
pub(super) fn agent_defaults(settings: &mut Settings) {
    settings.sctp = false;
    settings.unwatched.insert(Kind::Kcnp);
}

/// What Helm's chart takes where the values say nothing, as far as it differs from the agent.
pub(super) fn helm_defaults(settings: &mut Settings) {
    agent_defaults(settings);
    settings.ipv6 = false;
}

fn enforcement(settings: &mut Settings, at: usize) {
    settings.enforcement = match at {
        0 => Enforcement::Default,
        1 => Enforcement::Always,
        _ => Enforcement::Never,
    };
}

fn watch(settings: &mut Settings, kind: Kind, on: bool) {
    if on {
        settings.unwatched.remove(&kind);
    } else {
        settings.unwatched.insert(kind);
    }
}

pub(super) fn cluster_name(settings: &mut Settings, text: &str) -> Result<(), String> {
    let legal = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if text.is_empty() || text.len() > 32 || !legal || text.starts_with('-') || text.ends_with('-')
    {
        return Err(
            "a name has at most 32 lower-case letters, digits and inner hyphens".to_owned(),
        );
    }
    settings.cluster = text.into();
    Ok(())
}

fn policy_map_max(settings: &mut Settings, text: &str) -> Result<(), String> {
    let fits = text.parse().ok().filter(|max| (256..=65_536).contains(max));
    settings.policy_map_max = fits.ok_or("a policy map has room for 256 to 65536 entries")?;
    Ok(())
}

fn labels(settings: &mut Settings, text: &str) -> Result<(), String> {
    settings.labels = Filter::parse(text).map_err(|error| error.to_string())?;
    Ok(())
}
