//! Default deny and the knobs around it.

use policyc_ir::settings::{Enforcement, Settings};

use super::{ccnp, cnp, pin, pin_with, settings, web};

#[test]
fn a_label_called_host_exempts_a_pod_from_all_policy_without_the_host_firewall() {
    let policy = cnp(
        "all",
        "endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]",
    );
    let off = Settings {
        host_firewall: false,
        ..settings()
    };
    pin_with(
        &off,
        &policy,
        &[
            ("hosted <- db TCP/80", "allow"),
            ("web <- db TCP/80", "deny by rule"),
        ],
    );
    pin(&policy, &[("hosted <- db TCP/80", "deny by rule")]);
}

#[test]
fn a_label_called_init_puts_a_pod_into_default_deny() {
    let policy = web("ingress: [{}]");
    pin(
        &policy,
        &[
            ("starting <- db TCP/80", "deny"),
            ("starting -> db TCP/80", "deny"),
            ("db <- web TCP/80", "allow"),
        ],
    );
}

#[test]
fn the_local_node_is_let_in_unless_a_rule_denies_it() {
    let open = Settings {
        allow_localhost: true,
        ..settings()
    };
    pin_with(
        &open,
        &web("ingress: [{}]"),
        &[
            ("web <- host TCP/80", "allow"),
            ("web <- node:b TCP/80", "deny"),
            ("web -> host TCP/80", "allow"),
        ],
    );
    pin_with(
        &open,
        &web("ingressDeny: [{fromEntities: [host]}]"),
        &[("web <- host TCP/80", "deny by rule")],
    );
    pin_with(
        &open,
        &ccnp("node", "nodeSelector: {}, ingress: [{}]"),
        &[("host <- host TCP/80", "deny")],
    );
}

#[test]
fn always_denies_pods_without_rules_to_the_local_node_too() {
    let always = Settings {
        enforcement: Enforcement::Always,
        allow_localhost: true,
        ..settings()
    };
    pin_with(
        &always,
        &web("ingress: [{}]"),
        &[
            ("web <- host TCP/80", "allow"),
            ("db <- host TCP/80", "deny"),
            ("web -> db TCP/80", "deny"),
        ],
    );
    let never = Settings {
        enforcement: Enforcement::Never,
        ..settings()
    };
    pin_with(
        &never,
        &web("ingressDeny: [{fromEntities: [all]}]"),
        &[("web <- db TCP/80", "allow")],
    );
}

#[test]
fn one_rule_with_default_deny_decides_for_all() {
    let optional = cnp(
        "optional",
        "endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: db}}]}]",
    );
    pin(
        &optional,
        &[
            ("web <- db TCP/80", "deny by rule"),
            ("web <- hosted TCP/80", "allow"),
        ],
    );
    let both =
        optional.clone() + &web("ingress: [{fromEndpoints: [{matchLabels: {app: starting}}]}]");
    pin(
        &both,
        &[
            ("web <- starting TCP/80", "allow"),
            ("web <- hosted TCP/80", "deny"),
            ("db <- hosted TCP/80", "allow"),
        ],
    );
    let forced = Settings {
        non_default_deny: false,
        ..settings()
    };
    pin_with(&forced, &optional, &[("web <- hosted TCP/80", "deny")]);
}

#[test]
fn default_deny_of_a_direction_without_rules_does_nothing() {
    pin(
        &web("enableDefaultDeny: {ingress: true, egress: true}, ingress: [{}]"),
        &[("web <- db TCP/80", "deny"), ("web -> db TCP/80", "allow")],
    );
}

#[test]
fn node_rules_are_for_the_node_and_pod_rules_for_pods() {
    let policies = ccnp(
        "node",
        "nodeSelector: {matchLabels: {role: worker}}, ingressDeny: [{fromEntities: [all]}]",
    ) + &ccnp(
        "filtered",
        "nodeSelector: {matchLabels: {kubernetes.io/hostname: a}}, egressDeny: [{toEntities: [all]}]",
    ) + &ccnp(
        "pods",
        "endpointSelector: {}, egressDeny: [{toEntities: [all]}]",
    );
    pin(
        &policies,
        &[
            ("host <- db TCP/22", "deny by rule"),
            ("host -> db TCP/22", "allow"),
            ("web <- db TCP/22", "allow"),
            ("web -> db TCP/22", "deny by rule"),
        ],
    );
}

#[test]
fn a_section_of_a_network_policy_is_in_force_whatever_its_types_say() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np, namespace: shop}\nspec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], ingress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]}\n";
    pin(
        policy,
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- hosted TCP/80", "deny"),
            ("web -> db TCP/80", "deny"),
        ],
    );
}
