//! Who is meant.

use policyc_ir::settings::Settings;

use super::{ccnp, cnp, pin, pin_with, settings, web};

#[test]
fn keys_without_a_source_match_any_and_sources_match_exactly() {
    pin(
        &web("ingress: [{fromEndpoints: [{matchLabels: {\"k8s:app\": db}}]}]"),
        &[("web <- db TCP/80", "allow")],
    );
    pin(
        &web("ingress: [{fromEndpoints: [{matchLabels: {\"container:app\": db}}]}]"),
        &[("web <- db TCP/80", "deny")],
    );
    pin(
        &web("ingress: [{fromEndpoints: [{matchLabels: {app: \"\"}}]}]"),
        &[("web <- db TCP/80", "deny")],
    );
}

#[test]
fn labels_that_the_filter_drops_match_nothing() {
    let negative = "ingress: [{fromEndpoints: [{matchExpressions: [{key: pod-template-hash, operator: DoesNotExist}]}]}]";
    pin(
        &cnp(
            "a",
            &format!("endpointSelector: {{matchLabels: {{app: db}}}}, {negative}"),
        ),
        &[("db <- web TCP/80", "allow")],
    );
    pin(
        &cnp(
            "a",
            "endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{matchLabels: {pod-template-hash: \"1\"}}]}]",
        ),
        &[("db <- web TCP/80", "deny")],
    );
}

#[test]
fn a_policy_cannot_leave_its_namespace_as_a_subject() {
    let policy = cnp(
        "a",
        "endpointSelector: {matchLabels: {\"k8s:io.kubernetes.pod.namespace\": bank}}, ingress: [{}]",
    );
    pin(
        &policy,
        &[
            ("bank/twin-1 <- db TCP/80", "allow"),
            ("web <- db TCP/80", "deny"),
        ],
    );
    let policy = cnp(
        "a",
        "endpointSelector: {matchLabels: {io.kubernetes.pod.namespace: bank}}, ingress: [{}]",
    );
    pin(
        &policy,
        &[
            ("bank/twin-1 <- db TCP/80", "allow"),
            ("web <- db TCP/80", "allow"),
        ],
    );
}

#[test]
fn a_reserved_key_lifts_every_bound() {
    let lifted = web(
        "ingress: [{fromEndpoints: [{matchExpressions: [{key: \"reserved:init\", operator: DoesNotExist}]}]}]",
    );
    pin(
        &lifted,
        &[
            ("web <- bank/twin-1 TCP/80", "allow"),
            ("web <- ip:192.0.2.9 TCP/80", "allow"),
            ("web <- entity:init TCP/80", "deny"),
            ("web <- unknown TCP/80", "deny"),
        ],
    );
}

#[test]
fn clusterwide_peers_are_pods_unless_the_subject_names_init() {
    let negative =
        "fromEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}]";
    let settings = Settings {
        default_local_cluster: false,
        ..settings()
    };
    pin_with(
        &settings,
        &ccnp(
            "a",
            &format!("endpointSelector: {{}}, ingress: [{{{negative}}}]"),
        ),
        &[
            ("web <- hosted TCP/80", "allow"),
            ("web <- ip:192.0.2.9 TCP/80", "deny"),
            ("web <- db TCP/80", "deny"),
        ],
    );
}

#[test]
fn only_rules_for_anyone_match_unknown_addresses() {
    pin(
        &web("ingress: [{fromEntities: [all]}]"),
        &[("web <- unknown TCP/80", "allow")],
    );
    pin(
        &web("ingress: [{fromEntities: [world, cluster]}]"),
        &[
            ("web <- unknown TCP/80", "deny"),
            ("web <- ip:192.0.2.9 TCP/80", "allow"),
        ],
    );
}

#[test]
fn an_api_server_outside_is_world_and_cluster_at_once() {
    for entity in ["kube-apiserver", "world", "cluster"] {
        pin(
            &web(&format!("egress: [{{toEntities: [{entity}]}}]")),
            &[("web -> ip:192.0.2.66 TCP/6443", "allow")],
        );
    }
    pin(
        &web("egress: [{toCIDR: [192.0.2.0/24]}]"),
        &[("web -> ip:192.0.2.66 TCP/6443", "allow")],
    );
    pin(
        &web("egress: [{toEntities: [remote-node]}]"),
        &[("web -> ip:192.0.2.66 TCP/6443", "deny")],
    );
}

#[test]
fn other_nodes_are_chosen_by_all_their_labels_and_the_local_one_never() {
    let to = |labels: &str| {
        web(&format!(
            "egress: [{{toNodes: [{{matchLabels: {{{labels}}}}}]}}]"
        ))
    };
    pin(
        &to("role: control"),
        &[
            ("web -> node:b TCP/80", "allow"),
            ("web -> node:a TCP/80", "deny"),
        ],
    );
    pin(
        &to("kubernetes.io/hostname: b"),
        &[("web -> node:b TCP/80", "allow")],
    );
    pin(
        &to("role: worker"),
        &[
            ("web -> node:a TCP/80", "deny"),
            ("web -> host TCP/80", "deny"),
        ],
    );
}

#[test]
fn prefixes_never_match_pods_or_nodes() {
    let policy = web("egress: [{toCIDR: [10.0.0.0/8, 172.16.0.0/12]}]");
    pin(
        &policy,
        &[
            ("web -> db TCP/80", "deny"),
            ("web -> node:b TCP/80", "deny"),
            ("web -> ip:10.9.9.9 TCP/80", "allow"),
            ("web -> ip:10.244.0.77 TCP/80", "allow"),
        ],
    );
}

#[test]
fn an_exception_is_no_deny_and_is_of_its_element_alone() {
    let policy = web(
        "egress: [{toCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.0/25]}, {cidr: 192.0.2.0/28}]}]",
    );
    pin(
        &policy,
        &[
            ("web -> ip:192.0.2.200 TCP/80", "allow"),
            ("web -> ip:192.0.2.100 TCP/80", "deny"),
            ("web -> ip:192.0.2.1 TCP/80", "allow"),
        ],
    );
}

#[test]
fn all_addresses_of_a_family_are_world_of_that_family() {
    let policy = web("egress: [{toCIDR: [0.0.0.0/0]}]");
    pin(
        &policy,
        &[
            ("web -> ip:192.0.2.9 TCP/80", "allow"),
            ("web -> entity:world-ipv4 TCP/80", "allow"),
            ("web -> entity:world-ipv6 TCP/80", "deny"),
            ("web -> entity:world TCP/80", "deny"),
            ("web -> ip:2001:db8::1 TCP/80", "deny"),
        ],
    );
}

#[test]
fn groups_of_prefixes_are_chosen_by_name_or_label() {
    let to = |element: &str| web(&format!("egress: [{{toCIDRSet: [{{{element}}}]}}]"));
    pin(
        &to("cidrGroupRef: office"),
        &[
            ("web -> ip:198.51.100.1 TCP/80", "allow"),
            ("web -> ip:198.51.101.1 TCP/80", "deny"),
        ],
    );
    pin(
        &to("cidrGroupRef: office, except: [198.51.100.0/28]"),
        &[
            ("web -> ip:198.51.100.1 TCP/80", "deny"),
            ("web -> ip:198.51.100.99 TCP/80", "allow"),
        ],
    );
    pin(
        &to("cidrGroupRef: nowhere"),
        &[("web -> ip:198.51.100.1 TCP/80", "deny")],
    );
    pin(
        &to("cidrGroupSelector: {matchLabels: {kind: lab}}"),
        &[
            ("web -> ip:198.51.100.1 TCP/80", "deny"),
            ("web -> ip:198.51.100.200 TCP/80", "allow"),
        ],
    );
}

#[test]
fn an_address_in_several_groups_has_the_labels_of_all() {
    let to = |selector: &str| {
        web(&format!(
            "egress: [{{toCIDRSet: [{{cidrGroupSelector: {{{selector}}}}}]}}]"
        ))
    };
    let both = ("web -> ip:198.51.100.200 TCP/80", "allow");
    pin(&to("matchLabels: {kind: office}"), &[both]);
    pin(
        &to("matchLabels: {kind: office, site: east}"),
        &[both, ("web -> ip:198.51.100.1 TCP/80", "deny")],
    );
    pin(
        &to("matchExpressions: [{key: kind, operator: NotIn, values: [office]}]"),
        &[
            ("web -> ip:198.51.100.200 TCP/80", "deny"),
            ("web -> ip:192.0.2.9 TCP/80", "deny"),
        ],
    );
}

#[test]
fn groups_of_a_cloud_provider_match_nobody() {
    pin(
        &web(
            "egress: [{toGroups: [{aws: {securityGroupsIds: [sg-1]}}], toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}]",
        ),
        &[("web -> ip:192.0.2.9 TCP/80", "deny")],
    );
}

#[test]
fn names_stand_for_learned_addresses_outside_the_cluster() {
    let to = |fqdn: &str| web(&format!("egress: [{{toFQDNs: [{{{fqdn}}}]}}]"));
    pin(
        &to("matchName: API.example.com."),
        &[
            ("web -> ip:203.0.113.1 TCP/80", "allow"),
            ("web -> ip:203.0.113.2 TCP/80", "deny"),
            ("web -> db TCP/80", "deny"),
            ("web -> node:b TCP/80", "deny"),
        ],
    );
    pin(
        &to("matchPattern: \"*.example.com\""),
        &[
            ("web -> ip:203.0.113.1 TCP/80", "allow"),
            ("web -> ip:203.0.113.2 TCP/80", "deny"),
        ],
    );
    pin(
        &to("matchPattern: \"**.example.com\""),
        &[
            ("web -> ip:203.0.113.1 TCP/80", "allow"),
            ("web -> ip:203.0.113.2 TCP/80", "allow"),
        ],
    );
}

#[test]
fn services_stand_for_their_pods_or_addresses_on_any_port() {
    let to = |service: &str| web(&format!("egress: [{{toServices: [{service}]}}]"));
    pin(
        &to("{k8sService: {serviceName: twin, namespace: bank}}"),
        &[
            ("web -> bank/twin-1 TCP/9999", "allow"),
            ("web -> db TCP/443", "deny"),
        ],
    );
    pin(
        &to("{k8sService: {serviceName: outside, namespace: bank}}"),
        &[
            ("web -> ip:192.0.2.1 UDP/1", "allow"),
            ("web -> db TCP/443", "deny"),
        ],
    );
    pin(
        &to("{k8sServiceSelector: {selector: {matchLabels: {open: \"yes\"}}, namespace: bank}}"),
        &[
            ("web -> bank/twin-2 TCP/1", "allow"),
            ("web -> ip:192.0.2.1 TCP/1", "deny"),
        ],
    );
}

#[test]
fn services_that_do_not_exist_mean_anyone_once_ports_are_given() {
    let entry = "toServices: [{k8sService: {serviceName: missing, namespace: bank}}]";
    let ports = "toPorts: [{ports: [{port: \"443\", protocol: TCP}]}]";
    pin(
        &web(&format!("egress: [{{{entry}}}]")),
        &[("web -> db TCP/443", "deny")],
    );
    pin(
        &web(&format!("egress: [{{{entry}, {ports}}}]")),
        &[
            ("web -> db TCP/443", "allow"),
            ("web -> unknown TCP/443", "allow"),
            ("web -> db TCP/80", "deny"),
        ],
    );
}

#[test]
fn denied_services_are_never_looked_up() {
    let entry = "toServices: [{k8sService: {serviceName: twin, namespace: bank}}]";
    let ports = "toPorts: [{ports: [{port: \"443\", protocol: TCP}]}]";
    let deny = |entry: &str| {
        web(&format!(
            "enableDefaultDeny: {{egress: false}}, egressDeny: [{{{entry}}}]"
        ))
    };
    pin(&deny(entry), &[("web -> bank/twin-1 TCP/443", "allow")]);
    pin(
        &deny(&format!("{entry}, {ports}")),
        &[
            ("web -> bank/twin-1 TCP/443", "deny by rule"),
            ("web -> ip:192.0.2.9 TCP/443", "deny by rule"),
        ],
    );
}

#[test]
fn an_empty_list_selects_nobody_or_is_as_good_as_absent() {
    let ports = "toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]";
    for nobody in [
        "toEndpoints: []",
        "toEntities: []",
        "toCIDR: []",
        "toCIDRSet: []",
        "toNodes: []",
        "toEndpoints: [{}], toCIDR: []",
    ] {
        pin(
            &web(&format!("egress: [{{{nobody}, {ports}}}]")),
            &[("web -> db TCP/80", "deny")],
        );
    }
    for anyone in ["toFQDNs: []", "toServices: []", "toGroups: []"] {
        pin(
            &web(&format!("egress: [{{{anyone}, {ports}}}]")),
            &[("web -> db TCP/80", "allow"), ("web -> db TCP/81", "deny")],
        );
    }
    pin(
        &web("egress: [{toFQDNs: []}]"),
        &[("web -> db TCP/80", "deny")],
    );
}
