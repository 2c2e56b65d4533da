//! What files and options make of the settings.

use std::collections::BTreeSet;

use clap::Parser as _;
use policyc_diag::SourceMap;
use policyc_ir::label::{Key, Source};
use policyc_ir::rule::Kind;
use policyc_ir::settings::{Enforcement, Settings, Version};

use super::file;
use crate::args::{Cli, Cluster, Command};

/// The settings of a file, and of each fault its code, the text it marks, and its message.
fn read(text: &str) -> (Settings, Vec<String>) {
    let mut sources = SourceMap::new();
    let source = sources.add("cluster.yaml", text);
    let mut settings = Settings::default();
    let faults = file::apply(&source, &mut settings);
    let told = faults.iter().map(|fault| {
        let marked = fault.span().map_or("", |span| sources.text(span));
        let number = fault.code.entry().number;
        format!(
            "{number} [{marked}] {} {}",
            fault.message,
            fault.help.join(" ")
        )
    });
    (settings, told.collect())
}

fn config_map(data: &str) -> (Settings, Vec<String>) {
    read(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cilium-config}}\ndata:\n{data}"
    ))
}

#[test]
fn every_setting_can_be_read_from_a_config_map() {
    let (settings, faults) = config_map(
        r#"
  enable-policy: "always"
  allow-localhost: "policy"
  enable-host-firewall: "true"
  enable-non-default-deny-policies: "false"
  policy-default-local-cluster: "false"
  cluster-name: "east-1"
  enable-node-selector-labels: "true"
  enable-extended-ip-protocols: "true"
  enable-l7-proxy: "false"
  enable-icmp-rules: "false"
  enable-sctp: "true"
  enable-ipv6: "false"
  labels: "k8s:!commit"
  enable-k8s-networkpolicy: "false"
  enable-k8s-cluster-network-policy: "true"
  enable-cilium-clusterwide-network-policy: "false"
  policy-cidr-match-mode: ""
  allow-icmp-frag-needed: "true"
  monitor-aggregation: medium
"#,
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!(settings.enforcement, Enforcement::Always);
    assert_eq!(&*settings.cluster, "east-1");
    assert!(!settings.labels.keeps(&Key::new(Source::K8s, "commit")));
    assert_eq!(settings.unwatched, BTreeSet::from([Kind::Ccnp, Kind::Knp]));
    let on = [
        settings.host_firewall,
        settings.node_selector_labels,
        settings.extended_protocols,
        settings.sctp,
        settings.ipv4,
    ];
    let off = [
        settings.allow_localhost,
        settings.non_default_deny,
        settings.default_local_cluster,
        settings.l7_proxy,
        settings.icmp_rules,
        settings.ipv6,
        settings.audit,
    ];
    assert_eq!((on, off), ([true; 5], [false; 7]));
}

#[test]
fn helm_values_say_the_same_by_other_names() {
    let (settings, faults) = read(
        r"
policyEnforcementMode: Never
hostFirewall: {enabled: true}
enableNonDefaultDenyPolicies: false
clustermesh: {policyDefaultLocalCluster: false, useAPIServer: true}
cluster: {name: west, id: 3}
nodeSelectorLabels: true
l7Proxy: false
sctp: {enabled: true}
ipv6: {enabled: true}
labels: k8s:app k8s:role
k8sNetworkPolicy: {enabled: false}
policyCIDRMatchMode: []
hubble: {enabled: true, relay: {enabled: true}}
extraConfig:
  enable-icmp-rules: false
  allow-localhost: policy
  bpf-policy-map-max: 65536
",
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!(settings.enforcement, Enforcement::Never);
    assert_eq!(&*settings.cluster, "west");
    assert_eq!(settings.policy_map_max, 65_536);
    assert!(!settings.labels.keeps(&Key::new(Source::K8s, "team")));
    assert_eq!(settings.unwatched, BTreeSet::from([Kind::Knp, Kind::Kcnp]));
    let on = [
        settings.host_firewall,
        settings.node_selector_labels,
        settings.sctp,
        settings.ipv6,
    ];
    let off = [
        settings.allow_localhost,
        settings.non_default_deny,
        settings.default_local_cluster,
        settings.l7_proxy,
        settings.icmp_rules,
    ];
    assert_eq!((on, off), ([true; 4], [false; 5]));
}

#[test]
fn what_a_file_leaves_out_has_the_default_of_its_form() {
    let families = |settings: &Settings| (settings.ipv4, settings.ipv6);
    let (helm, faults) = read("hubble: {enabled: true}\nl7Proxy: null\n");
    assert_eq!((families(&helm), faults.len()), ((true, false), 0));
    assert!(helm.l7_proxy && !helm.sctp && helm.unwatched.contains(&Kind::Kcnp));
    let (agent, faults) = config_map("  debug: \"false\"\n");
    assert_eq!((families(&agent), faults.len()), ((true, true), 0));
    assert!(!agent.sctp && agent.unwatched.contains(&Kind::Kcnp));
    assert_eq!(config_map("").0, agent);
}

#[test]
fn the_config_map_is_found_among_other_objects() {
    let others = "kind: Service\nmetadata: {name: x}\n---\nkind: ConfigMap\nmetadata: {name: other}\ndata: {enable-policy: never}\n---\n";
    let map = "kind: ConfigMap\nmetadata: {name: cilium-config}\ndata: {enable-policy: always}\n";
    let (settings, faults) = read(&format!("{others}{map}"));
    assert_eq!(
        (settings.enforcement, faults.len()),
        (Enforcement::Always, 0)
    );
    let (settings, _) = read(others);
    assert_eq!(settings.enforcement, Enforcement::Never);
}

#[test]
fn faults_mark_their_place_and_say_what_may_be_meant() {
    let one = |text: &str| {
        let (_, faults) = read(text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        faults.concat()
    };
    for (text, wanted) in [
        (
            "policyEnforcementMode: allways",
            "E0310 [allways] `allways` is no value of `policyEnforcementMode` did you mean `always`?",
        ),
        (
            "hostFirewall: {enabled: maybe}",
            "E0310 [maybe] `maybe` is no value of `hostFirewall.enabled` ",
        ),
        (
            "hostFirewall: true",
            "E0310 [true] `hostFirewall.enabled` cannot be read: a boolean stands above it ",
        ),
        (
            "hostFirewal: {enabled: true}",
            "E0310 [enabled] no setting is called `hostFirewal.enabled` did you mean `hostFirewall.enabled`?",
        ),
        (
            "hostFirewall: {enable: true}",
            "E0310 [enable] no setting is called `hostFirewall.enable` did you mean `hostFirewall.enabled`?",
        ),
        (
            "enable-host-firewall: true",
            "E0310 [enable-host-firewall] `enable-host-firewall` is no setting of Helm's chart put it below `extraConfig`",
        ),
        (
            "extraConfig: {enable-polcy: never}",
            "E0310 [enable-polcy] no setting is called `enable-polcy` did you mean `enable-policy`?",
        ),
        (
            "labels: k8s:( a",
            "E0310 [k8s:( a] `k8s:( a` is no value of `labels` ",
        ),
        (
            "labels: {a: b}",
            "E0310 [{a: b}] `labels` cannot be a mapping ",
        ),
        (
            "cluster: {name: Großstadt}",
            "E0310 [Großstadt] `Großstadt` is no value of `cluster.name` ",
        ),
        (
            "ipv4: {enabled: false}",
            "E0310 [false] a cluster needs IPv4 or IPv6 ",
        ),
        (
            "policyCIDRMatchMode: [nodes]",
            "E0311 [[nodes]] this tool does not model `policyCIDRMatchMode: nodes` answers would be those of another cluster; leave the setting out if they will do",
        ),
        (
            "policyAuditMode: true",
            "W1030 [true] `policyAuditMode` decides beside policies ",
        ),
        (
            "- a list",
            "E0310 [- a list] `cluster.yaml` holds no settings of a cluster ",
        ),
        (
            "kind: Secret\ndata: {}",
            "E0310 [kind: Secret\ndata: {}] `cluster.yaml` holds no settings of a cluster ",
        ),
        (
            "",
            "E0310 [] `cluster.yaml` holds no settings of a cluster ",
        ),
    ] {
        assert_eq!(one(text), wanted);
    }
    let (_, faults) = config_map("  enable-host-firewall: true\n");
    assert_eq!(
        faults,
        ["E0310 [true] `enable-host-firewall` is a boolean put the value in quotes"]
    );
    let (_, faults) = read("labels: [unclosed");
    assert!(faults.concat().starts_with("E0103"), "{faults:?}");
}

#[test]
fn settings_that_are_not_modelled_are_refused_each_by_itself() {
    for (key, value) in [
        ("http-normalize-path", "false"),
        ("allow-icmp-frag-needed", "0"),
        ("label-prefix-file", "/etc/labels"),
        ("node-labels", "node-role"),
        ("exclude-node-label-patterns", "x"),
        ("policy-cidr-match-mode", "nodes"),
    ] {
        let (_, faults) = config_map(&format!("  {key}: \"{value}\"\n"));
        assert_eq!(faults.len(), 1, "{key}");
        assert!(faults.concat().starts_with("E0311"), "{faults:?}");
    }
}

fn options(args: &[&str]) -> Cluster {
    let given = ["policyc", "check", "x"].iter().chain(args);
    match Cli::parse_from(given).command {
        Command::Check(check) => check.cluster,
        other => panic!("{other:?}"),
    }
}

fn settings_of(args: &[&str]) -> Settings {
    let (settings, faults) = super::settings(&options(args), &mut SourceMap::new()).unwrap();
    assert!(faults.is_empty());
    settings
}

#[test]
fn options_keep_their_forms() {
    let defaults = settings_of(&[]);
    assert_eq!(defaults, Settings::default());
    let settings = settings_of(&[
        "--host-firewall",
        "--node-selector-labels=true",
        "--allow-localhost=policy",
        "--enable-policy",
        "always",
        "--non-default-deny-policies",
        "false",
        "--cluster-name=east",
        "--labels",
        "!commit",
        "--cluster-network-policies=false",
        "--cilium-version=1.18.4",
    ]);
    assert!(settings.host_firewall && settings.node_selector_labels);
    assert!(!settings.allow_localhost && !settings.non_default_deny);
    assert_eq!(settings.enforcement, Enforcement::Always);
    assert_eq!(settings.version, Version::new(1, 18));
    assert!(!settings.default_local_cluster);
    assert_eq!(settings.unwatched, BTreeSet::from([Kind::Kcnp]));
    assert!(!settings.labels.keeps(&Key::new(Source::K8s, "commit")));
    let new = settings_of(&[
        "--cilium-version=1.18",
        "--policy-default-local-cluster=true",
    ]);
    assert!(new.default_local_cluster);
    for wrong in [
        "--labels=k8s:a,k8s:b",
        "--cilium-version=1.16",
        "--cilium-version=1.21",
        "--cluster-name=East_1",
    ] {
        let wrong = options(&[wrong]);
        assert!(super::settings(&wrong, &mut SourceMap::new()).is_err());
    }
}

#[test]
fn the_page_lists_every_setting() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cluster.md");
    let page = std::fs::read_to_string(path).unwrap();
    for setting in super::keys::ALL {
        let row = page
            .lines()
            .find(|line| line.contains(&format!("`{}`", setting.agent)));
        let row = row.unwrap_or_else(|| panic!("{} is missing", setting.agent));
        let helm = setting.helm.map(|helm| format!("`{helm}`"));
        assert!(row.contains(&helm.unwrap_or_default()), "{row}");
    }
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let key = line.split('`').nth(1).unwrap();
        let known = super::keys::ALL.iter().any(|setting| setting.agent == key);
        assert!(known, "{key} is no setting");
    }
}

#[test]
fn hostile_files_are_findings() {
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for at in 1..=30 {
        let before = at - 1;
        let line = format!("a{at}: &a{at} [*a{before}, *a{before}]\n");
        bomb.push_str(&line);
    }
    for text in [
        format!("{bomb}labels: *a30\n"),
        "[".repeat(100_000),
        format!("labels: '{}'", "!a ".repeat(5_000)),
        "labels: (((((a{1000}){1000}){1000})))".to_owned(),
        format!("hostFirewall: {}", "{enabled: ".repeat(500)),
    ] {
        let (_, faults) = read(&text);
        let found = faults.iter().any(|fault| fault.starts_with('E'));
        assert!(found, "{text:.40}");
    }
}
