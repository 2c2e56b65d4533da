//! Proxies and authentication.

use super::{ccnp, cnp, pin, web};

const GET: &str = "rules: {http: [{method: GET}]}";
const PUT: &str = "rules: {http: [{method: PUT}]}";
const DNS: &str = "rules: {dns: [{matchName: example.com}]}";

/// An element of `egress` to everyone.
fn to(port: u16, extra: &str) -> String {
    format!("{{toPorts: [{{ports: [{{port: \"{port}\", protocol: TCP}}], {extra}}}]}}")
}

/// The same to all pods of the namespace.
fn shop(port: u16, extra: &str) -> String {
    format!(
        "{{toEndpoints: [{{}}], toPorts: [{{ports: [{{port: \"{port}\", protocol: TCP}}], {extra}}}]}}"
    )
}

fn egress(entries: &[&str]) -> String {
    web(&format!("egress: [{}]", entries.join(", ")))
}

const SHOP: &str = "{toEndpoints: [{}], toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}";

#[test]
fn rules_of_one_selector_are_united() {
    pin(
        &egress(&[&shop(80, GET), &shop(80, PUT), &shop(80, GET)]),
        &[
            (
                "web -> db TCP/80",
                r#"http {"method":"GET"} {"method":"PUT"}"#,
            ),
            ("web -> db TCP/81", "deny"),
            ("web -> bank/twin-1 TCP/80", "deny"),
        ],
    );
}

#[test]
fn a_plain_allow_of_the_selector_adds_a_rule_for_everything() {
    pin(
        &egress(&[&shop(80, GET), SHOP]),
        &[("web -> db TCP/80", r#"http {"method":"GET"} {}"#)],
    );
    pin(
        &egress(&[&shop(80, DNS), SHOP]),
        &[(
            "web -> db TCP/80",
            r#"dns {"matchName":"example.com"} {"matchPattern":"*"}"#,
        )],
    );
}

#[test]
fn empty_lists_ask_for_no_proxy() {
    pin(
        &egress(&[&shop(80, "rules: {http: []}")]),
        &[("web -> db TCP/80", "allow")],
    );
    pin(
        &egress(&[&shop(80, "rules: {http: [{}]}")]),
        &[("web -> db TCP/80", "http {}")],
    );
}

#[test]
fn another_plain_allow_is_told_beside() {
    let alone = r#"http {"method":"GET"}"#;
    let beside = r#"http {"method":"GET"} or plain"#;
    pin(&egress(&[&shop(80, GET)]), &[("web -> db TCP/80", alone)]);
    for plain in [
        "{toEntities: [all]}",
        "{toEndpoints: [{matchLabels: {app: db}}]}",
        "{toEndpoints: [{}], toPorts: [{ports: [{port: \"80\", endPort: 81, protocol: TCP}]}]}",
    ] {
        pin(
            &egress(&[&shop(80, GET), plain]),
            &[("web -> db TCP/80", beside)],
        );
    }
    let watched = web(&format!(
        "enableDefaultDeny: {{egress: false}}, egress: [{}]",
        shop(80, GET)
    ));
    pin(
        &watched,
        &[
            ("web -> db TCP/80", r#"http {"method":"GET"} {} or plain"#),
            ("web -> db TCP/81", "allow"),
        ],
    );
}

#[test]
fn a_redirect_beats_a_plain_allow_that_is_more_specific() {
    pin(
        &egress(&[&to(80, GET), SHOP]),
        &[
            ("web -> db TCP/80", r#"http {"method":"GET"} or plain"#),
            ("web -> ip:192.0.2.9 TCP/80", r#"http {"method":"GET"}"#),
        ],
    );
}

#[test]
fn all_selectors_of_a_port_that_select_the_peer_are_told() {
    let db = "{toEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: PUT}]}}]}";
    pin(
        &egress(&[&shop(80, GET), db]),
        &[
            (
                "web -> db TCP/80",
                r#"http {"method":"GET"} {"method":"PUT"}"#,
            ),
            ("web -> hosted TCP/80", r#"http {"method":"GET"}"#),
        ],
    );
    // What does the same as what anyone is given has no entry of its own, whatever its list.
    pin(
        &egress(&[&to(80, GET), db]),
        &[("web -> db TCP/80", r#"http {"method":"GET"}"#)],
    );
}

#[test]
fn the_closer_port_decides_between_equal_redirects() {
    let range = "{toEndpoints: [{}], toPorts: [{ports: [{port: \"80\", endPort: 95, protocol: TCP}], rules: {http: [{method: PUT}]}}]}";
    pin(
        &egress(&[&shop(80, GET), range]),
        &[
            ("web -> db TCP/80", r#"http {"method":"GET"}"#),
            ("web -> db TCP/81", r#"http {"method":"PUT"}"#),
        ],
    );
}

#[test]
fn the_better_listener_priority_decides_between_redirects() {
    let listener = |name: &str, priority: &str| {
        format!(
            "listener: {{envoyConfig: {{kind: CiliumClusterwideEnvoyConfig, name: e}}, name: {name}{priority}}}"
        )
    };
    let (first, second) = (
        listener("one", ", priority: 7"),
        listener("two", ", priority: 3"),
    );
    pin(
        &egress(&[&shop(80, &first), &shop(80, &second)]),
        &[("web -> db TCP/80", "crd /e/two")],
    );
    // HTTP stands at 101, a listener without priority at 126.
    pin(
        &egress(&[&to(80, GET), &shop(80, &listener("one", ""))]),
        &[("web -> db TCP/80", r#"http {"method":"GET"}"#)],
    );
    pin(
        &egress(&[&to(80, GET), &shop(80, &first)]),
        &[("web -> db TCP/80", "crd /e/one")],
    );
    pin(
        &egress(&[
            &shop(80, &listener("one", "")),
            &shop(80, &listener("two", "")),
        ]),
        &[("web -> db TCP/80", "error")],
    );
}

#[test]
fn names_of_servers_bind_every_allow_of_the_selector() {
    let names = |name: &str| format!("serverNames: [{name}]");
    pin(
        &egress(&[
            &shop(443, &names("b.example.com")),
            &shop(443, &names("a.example.com")),
        ]),
        &[("web -> db TCP/443", "tls a.example.com b.example.com")],
    );
    pin(
        &egress(&[&shop(80, &names("a.example.com")), SHOP]),
        &[("web -> db TCP/80", "tls a.example.com")],
    );
}

#[test]
fn parsers_that_exclude_each_other_leave_the_subject_without_policy() {
    let policies = egress(&[&shop(53, GET), &shop(53, DNS)]);
    let error = [
        ("web -> db TCP/53", "error"),
        ("web -> ip:192.0.2.9 TCP/1", "error"),
        ("web <- db TCP/80", "error"),
        ("db <- web TCP/53", "allow"),
    ];
    pin(&policies, &error);
    pin(
        &egress(&[&shop(53, GET), &to(53, DNS)]),
        &[
            ("web -> db TCP/53", r#"http {"method":"GET"}"#),
            (
                "web -> bank/twin-1 TCP/53",
                r#"dns {"matchName":"example.com"}"#,
            ),
        ],
    );
}

#[test]
fn requests_that_stay_encrypted_are_a_conflict_in_the_order_cilium_merges() {
    let sni = "serverNames: [a.example.com]";
    pin(
        &egress(&[&shop(80, GET), &shop(80, sni)]),
        &[("web -> db TCP/80", "error")],
    );
    pin(
        &egress(&[&shop(80, sni), &shop(80, GET)]),
        &[(
            "web -> db TCP/80",
            r#"http {"method":"GET"} {} a.example.com"#,
        )],
    );
    // Objects are merged in the order of their names, whatever the order of files.
    let policy = |name: &str, entry: &str| {
        cnp(
            name,
            &format!("endpointSelector: {{matchLabels: {{app: web}}}}, egress: [{entry}]"),
        )
    };
    let (http, tls) = (shop(80, GET), shop(80, sni));
    pin(
        &(policy("b", &http) + &policy("a", &tls)),
        &[(
            "web -> db TCP/80",
            r#"http {"method":"GET"} {} a.example.com"#,
        )],
    );
    pin(
        &(policy("b", &tls) + &policy("a", &http)),
        &[("web -> db TCP/80", "error")],
    );
    let ended =
        "terminatingTLS: {secret: {namespace: shop, name: t}}, rules: {http: [{method: GET}]}";
    pin(
        &egress(&[&shop(80, ended), &shop(80, sni)]),
        &[(
            "web -> db TCP/80",
            r#"http {"method":"GET"} {} a.example.com"#,
        )],
    );
}

#[test]
fn a_deny_leaves_nothing_to_a_proxy() {
    let policy = web(&format!(
        "egress: [{}], egressDeny: [{{toEndpoints: [{{matchLabels: {{app: db}}}}]}}]",
        to(80, GET)
    ));
    pin(
        &policy,
        &[
            ("web -> db TCP/80", "deny by rule"),
            ("web -> hosted TCP/80", r#"http {"method":"GET"}"#),
        ],
    );
}

#[test]
fn authentication_is_that_of_the_deciding_entry() {
    let required = "{toEndpoints: [{}], authentication: {mode: required}, toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}";
    pin(
        &egress(&[required, "{toEndpoints: [{}]}"]),
        &[
            ("web -> db TCP/80", "allow after spire"),
            ("web -> db TCP/81", "allow"),
        ],
    );
    pin(
        &egress(&[
            required,
            "{toEndpoints: [{}], authentication: {mode: test-always-fail}}",
        ]),
        &[
            ("web -> db TCP/80", "allow after spire"),
            ("web -> db TCP/81", "allow after test-always-fail"),
        ],
    );
}

#[test]
fn the_strongest_mode_of_selectors_that_share_an_entry_counts() {
    let required = "{toEndpoints: [{matchLabels: {app: db}}], authentication: {mode: required}}";
    pin(
        &egress(&[required, "{toEndpoints: [{}]}"]),
        &[
            ("web -> db TCP/80", "allow after spire"),
            ("web -> hosted TCP/80", "allow"),
        ],
    );
    pin(
        &egress(&[
            required,
            "{toEndpoints: [{}], authentication: {mode: disabled}}",
        ]),
        &[("web -> db TCP/80", "allow after spire")],
    );
}

#[test]
fn a_narrower_entry_has_the_mode_of_a_broader_one() {
    let required = "{toEndpoints: [{}], authentication: {mode: required}}";
    pin(
        &egress(&[required, SHOP]),
        &[
            ("web -> db TCP/80", "allow after spire (derived)"),
            ("web -> db TCP/81", "allow after spire"),
        ],
    );
    pin(
        &egress(&[required, &shop(80, GET)]),
        &[(
            "web -> db TCP/80",
            r#"http {"method":"GET"} or plain after spire (derived)"#,
        )],
    );
    let waived = "{toEndpoints: [{}], authentication: {mode: disabled}, toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}";
    pin(
        &egress(&[required, waived]),
        &[
            ("web -> db TCP/80", "allow"),
            ("web -> db TCP/81", "allow after spire"),
        ],
    );
}

#[test]
fn between_anyone_and_a_peer_only_equal_entries_share_a_mode() {
    let anyone = "{toEntities: [all], authentication: {mode: required}}";
    pin(
        &egress(&[anyone, SHOP]),
        &[
            ("web -> db TCP/80", "allow after spire (derived)"),
            ("web -> bank/twin-1 TCP/80", "allow after spire"),
        ],
    );
    pin(
        &egress(&[anyone, &shop(80, GET)]),
        &[("web -> db TCP/80", r#"http {"method":"GET"} or plain"#)],
    );
}

#[test]
fn a_port_that_peers_name_themselves_is_an_entry_of_each_peer() {
    let required =
        "{authentication: {mode: required}, toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}";
    let named = "{toPorts: [{ports: [{port: http, protocol: TCP}]}]}";
    pin(
        &egress(&[required, named]),
        &[
            ("web -> db TCP/80", "allow after spire (derived)"),
            ("web -> ip:192.0.2.9 TCP/80", "allow after spire"),
        ],
    );
}

/// Entries of a peer's own are compared with each other and not with those of anyone. The datapath takes the higher
/// precedence of the two, and carries a demand over only between equal ones.
#[test]
fn a_redirect_for_anyone_decides_without_the_mode_of_a_plain_peer() {
    let plain = |mode: &str| {
        format!(
            "{{toEndpoints: [{{}}], authentication: {{mode: {mode}}}, toPorts: [{{ports: [{{port: \"80\", protocol: TCP}}]}}]}}"
        )
    };
    let proxied = r#"http {"method":"GET"} or plain"#;
    pin(
        &egress(&[&to(80, GET), &plain("required")]),
        &[
            ("web -> db TCP/80", proxied),
            ("web -> bank/twin-1 TCP/80", r#"http {"method":"GET"}"#),
        ],
    );
    let asking = to(80, GET).replacen('{', "{authentication: {mode: required}, ", 1);
    pin(
        &egress(&[&asking, &plain("disabled")]),
        &[("web -> db TCP/80", &format!("{proxied} after spire"))],
    );
}

#[test]
fn a_mode_of_its_own_keeps_an_entry_that_a_redirect_of_its_peer_covers() {
    let required = "{toEndpoints: [{matchLabels: {app: db}}], authentication: {mode: required}, toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}";
    pin(
        &egress(&[&shop(80, GET), required]),
        &[(
            "web -> db TCP/80",
            r#"http {"method":"GET"} or plain after spire"#,
        )],
    );
}

#[test]
fn different_modes_of_one_selector_are_a_conflict() {
    let mode = |mode: &str| format!("{{toEndpoints: [{{}}], authentication: {{mode: {mode}}}}}");
    pin(
        &egress(&[&mode("required"), &mode("disabled")]),
        &[("web -> db TCP/80", "error"), ("web <- db TCP/80", "error")],
    );
}

#[test]
fn a_clusterwide_policy_cannot_use_a_listener_of_a_namespace() {
    let policy = ccnp(
        "a",
        "endpointSelector: {matchLabels: {app: web}}, egress: [{toPorts: [{ports: [{port: \"80\", protocol: TCP}], listener: {envoyConfig: {kind: CiliumEnvoyConfig, name: e}, name: one}}]}]",
    );
    pin(&policy, &[("web -> db TCP/80", "error")]);
}
