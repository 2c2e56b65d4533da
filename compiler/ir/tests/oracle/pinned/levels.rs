//! Tiers.

use super::{pin, web};

fn tiered(name: &str, tier: &str, priority: u32, rules: &str) -> String {
    format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{tier: {tier}, priority: {priority}, subject: {{namespaces: {{}}}}, {rules}}}\n"
    )
}

const DB: &str = "from: [{pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: db}}}}]";
const PODS: &str = "from: [{namespaces: {}}]";

#[test]
fn admin_is_asked_before_everything() {
    let accept = tiered(
        "a",
        "Admin",
        1,
        &format!("ingress: [{{action: Accept, {DB}}}]"),
    );
    let deny = tiered(
        "b",
        "Admin",
        2,
        &format!("ingress: [{{action: Deny, {PODS}}}]"),
    );
    let normal = web("ingressDeny: [{fromEndpoints: [{}]}], ingress: [{fromEntities: [all]}]");
    pin(
        &(accept + &deny + &normal),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- hosted TCP/80", "deny by rule"),
            ("web <- ip:192.0.2.9 TCP/80", "allow"),
        ],
    );
}

#[test]
fn rules_of_a_section_are_asked_in_order() {
    let rules = format!("ingress: [{{action: Accept, {DB}}}, {{action: Deny, {PODS}}}]");
    pin(
        &tiered("a", "Admin", 1, &rules),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- hosted TCP/80", "deny by rule"),
        ],
    );
    let rules = format!("ingress: [{{action: Deny, {PODS}}}, {{action: Accept, {DB}}}]");
    pin(
        &tiered("a", "Admin", 1, &rules),
        &[("web <- db TCP/80", "deny by rule")],
    );
}

#[test]
fn at_one_level_deny_beats_accept_and_accept_beats_pass() {
    let policy = |name: &str, action: &str| {
        tiered(
            name,
            "Admin",
            1,
            &format!("ingress: [{{action: {action}, {PODS}}}]"),
        )
    };
    let flow = |answer: &'static str| [("web <- db TCP/80", answer)];
    pin(
        &(policy("a", "Accept") + &policy("b", "Deny")),
        &flow("deny by rule"),
    );
    let normal = web("ingressDeny: [{fromEndpoints: [{}]}]");
    pin(
        &(policy("a", "Pass") + &policy("b", "Accept") + &normal),
        &flow("allow"),
    );
    pin(&(policy("a", "Pass") + &normal), &flow("deny by rule"));
}

#[test]
fn a_pass_leaves_the_rest_of_its_tier_out() {
    let rules = format!("ingress: [{{action: Pass, {DB}}}, {{action: Deny, {PODS}}}]");
    let normal = web("ingress: [{fromEndpoints: [{}]}]");
    pin(
        &(tiered("a", "Admin", 1, &rules) + &normal),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- hosted TCP/80", "deny by rule"),
            ("web <- ip:192.0.2.9 TCP/80", "deny"),
        ],
    );
}

#[test]
fn baseline_is_asked_where_nothing_else_matches() {
    let deny = tiered(
        "a",
        "Baseline",
        1,
        &format!("ingress: [{{action: Deny, {PODS}}}]"),
    );
    pin(
        &deny,
        &[
            ("web <- db TCP/80", "deny by rule"),
            ("web <- ip:192.0.2.9 TCP/80", "allow"),
        ],
    );
    let normal = web("ingress: [{fromEndpoints: [{matchLabels: {app: db}}]}]");
    pin(
        &(deny + &normal),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- hosted TCP/80", "deny by rule"),
            ("web <- ip:192.0.2.9 TCP/80", "deny"),
        ],
    );
}

#[test]
fn a_baseline_accept_opens_what_default_deny_would_drop() {
    let accept = tiered(
        "a",
        "Baseline",
        1,
        &format!("ingress: [{{action: Accept, {PODS}}}]"),
    );
    pin(
        &(accept + &web("ingress: [{}]")),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- ip:192.0.2.9 TCP/80", "deny"),
        ],
    );
}

#[test]
fn tiers_alone_put_nobody_into_default_deny() {
    let accept = tiered(
        "a",
        "Admin",
        1,
        &format!("ingress: [{{action: Accept, {DB}}}]"),
    );
    pin(
        &accept,
        &[
            ("web <- hosted TCP/80", "allow"),
            ("web -> hosted TCP/80", "allow"),
        ],
    );
}

#[test]
fn an_admin_accept_takes_requests_away_from_the_proxy() {
    let http = web(
        "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: GET}]}}]}]",
    );
    let accept = tiered(
        "a",
        "Admin",
        1,
        &format!("ingress: [{{action: Accept, {DB}}}]"),
    );
    pin(
        &(accept + &http),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- hosted TCP/80", r#"http {"method":"GET"}"#),
        ],
    );
}

#[test]
fn accepting_names_accepts_asking_for_them() {
    let names = tiered(
        "a",
        "Admin",
        1,
        "egress: [{action: Accept, to: [{domainNames: [\"*.example.com\"]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]",
    );
    let asked = r#"dns {"matchPattern":"*"} {"matchPattern":"**.example.com"} or plain"#;
    pin(
        &names,
        &[
            ("web -> ip:203.0.113.2 TCP/443", "allow"),
            ("web -> ip:192.0.2.9 TCP/443", "deny by rule"),
            ("web -> kube-system/dns UDP/53", asked),
            ("web -> kube-system/dns TCP/53", asked),
            ("web -> kube-system/dns TCP/80", "allow"),
        ],
    );
}

#[test]
fn priorities_count_hundreds_and_rules_ones() {
    // The second rule of priority 1 is asked before the first of priority 2.
    let first = tiered(
        "a",
        "Admin",
        1,
        &format!(
            "ingress: [{{action: Pass, from: [{{namespaces: {{matchLabels: {{team: blue}}}}}}]}}, {{action: Accept, {DB}}}]"
        ),
    );
    let second = tiered(
        "b",
        "Admin",
        2,
        &format!("ingress: [{{action: Deny, {PODS}}}]"),
    );
    pin(
        &(first + &second),
        &[
            ("web <- db TCP/80", "allow"),
            ("web <- bank/twin-1 TCP/80", "allow"),
            ("web <- hosted TCP/80", "deny by rule"),
        ],
    );
}

#[test]
fn an_accept_that_a_pass_skips_is_no_plain_allow() {
    let http = web(
        "ingress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: GET}]}}]}]",
    );
    let rules = format!("ingress: [{{action: Pass, {DB}}}, {{action: Accept, {PODS}}}]");
    pin(
        &(tiered("a", "Admin", 1, &rules) + &http),
        &[
            ("web <- db TCP/80", r#"http {"method":"GET"}"#),
            ("web <- hosted TCP/80", "allow"),
        ],
    );
}
