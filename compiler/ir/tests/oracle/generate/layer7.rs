//! Random layer 7, as members of an element of `toPorts` behind its ports.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::Language;
use super::policy::filled;

/// An entry whose peers are many and whose ports are those of proxies, with `@` where `from` or `to` belongs.
pub(super) fn entry(language: Language, egress: bool) -> impl Strategy<Value = String> {
    let mut peers = vec![
        "@Endpoints: [{}]",
        "@Endpoints: [{matchLabels: {app: a}}, {matchLabels: {tier: a}}]",
        "@Endpoints: [{matchExpressions: [{key: k8s:io.kubernetes.pod.namespace, operator: Exists}]}]",
        "@Entities: [cluster, world]",
        "@Entities: [world, host]",
        "@CIDR: [10.0.0.0/8]",
        "@CIDRSet: [{cidr: 0.0.0.0/0}, {cidrGroupRef: g0}]",
    ];
    peers.extend(
        (egress && language.names)
            .then_some("toFQDNs: [{matchPattern: \"**\"}, {matchName: example.com}]"),
    );
    let plain = select(vec![
        "{ports: [{port: \"80\", protocol: TCP}]}",
        "{ports: [{port: \"443\"}]}",
        "{ports: [{port: \"53\"}, {port: \"0\", protocol: TCP}]}",
        "{ports: [{port: \"8\", endPort: 8080}]}",
    ]);
    let rule = prop_oneof![4 => port_rule(egress), 1 => plain.prop_map(str::to_owned)];
    let auth = select(vec!["required", "required", "disabled", "test-always-fail"]);
    (
        option::weighted(0.7, select(peers)),
        option::weighted(0.9, filled(rule)),
        option::weighted(0.2, auth),
    )
        .prop_map(move |(peers, rules, auth)| {
            let auth = auth.filter(|_| language.authentication);
            let members = [
                peers.map(str::to_owned),
                rules.map(|rules| format!("toPorts: {rules}")),
                auth.map(|mode| format!("authentication: {{mode: {mode}}}")),
            ];
            format!(
                "{{{}}}",
                members.into_iter().flatten().collect::<Vec<_>>().join(", ")
            )
        })
}

/// Ports with what a proxy does there. Each kind has a port where it is mostly met, so that not every case is a
/// conflict, and meets the others now and then.
pub(super) fn port_rule(egress: bool) -> BoxedStrategy<String> {
    let http = (port(&["80", "80", "8080", "53"]), http()).prop_map(|(port, rules)| {
        format!("{{ports: [{{port: \"{port}\", protocol: TCP}}], {rules}}}")
    });
    let names = (port(&["443", "443", "443", "80"]), server_names()).prop_map(|(port, names)| {
        format!("{{ports: [{{port: \"{port}\", protocol: TCP}}], {names}}}")
    });
    if !egress {
        return prop_oneof![3 => http, 1 => names].boxed();
    }
    let protocol = select(vec!["UDP", "TCP", "ANY"]);
    let dns =
        (port(&["53", "53", "53", "80"]), protocol, dns()).prop_map(|(port, protocol, rules)| {
            format!("{{ports: [{{port: \"{port}\", protocol: {protocol}}}], {rules}}}")
        });
    let listener = (port(&["8080", "443", "80"]), listener()).prop_map(|(port, listener)| {
        format!("{{ports: [{{port: \"{port}\", protocol: TCP}}], {listener}}}")
    });
    prop_oneof![4 => http, 4 => dns, 3 => names, 3 => listener].boxed()
}

fn port(of: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    select(of.to_vec())
}

fn http() -> impl Strategy<Value = String> {
    let rule = (
        option::of(select(vec!["/", "/api/.*"])),
        option::of(select(vec!["GET", "GET|HEAD", "POST"])),
        option::weighted(0.2, Just("a[.]example[.]com")),
        option::weighted(0.2, Just("X-Key: 1")),
        option::weighted(
            0.2,
            select(vec![
                "{name: X-Team, value: red}",
                "{name: X-Team, mismatch: LOG, value: red}",
                "{name: X-Team, secret: {namespace: n1, name: team}}",
            ]),
        ),
    );
    let rule = rule.prop_map(|(path, method, host, header, matches)| {
        let text =
            |name: &str, value: Option<&str>| value.map(|value| format!("{name}: \"{value}\""));
        let members = [
            text("path", path),
            text("method", method),
            text("host", host),
        ];
        let lists = [
            header.map(|header| format!("headers: [\"{header}\"]")),
            matches.map(|matches| format!("headerMatches: [{matches}]")),
        ];
        let members: Vec<_> = members.into_iter().chain(lists).flatten().collect();
        format!("{{{}}}", members.join(", "))
    });
    prop_oneof![
        12 => filled(rule).prop_map(|rules| format!("rules: {{http: {rules}}}")),
        1 => Just("rules: {http: []}".to_owned()),
    ]
}

fn dns() -> impl Strategy<Value = String> {
    let rule = select(vec![
        "{matchName: example.com}",
        "{matchPattern: \"*.example.com\"}",
        "{matchPattern: \"*\"}",
        "{matchName: a.example.com}",
    ]);
    prop_oneof![
        12 => filled(rule.prop_map(str::to_owned)).prop_map(|rules| format!("rules: {{dns: {rules}}}")),
        1 => Just("rules: {dns: []}".to_owned()),
    ]
}

fn server_names() -> impl Strategy<Value = String> {
    select(vec![
        "serverNames: [a.example.com]",
        "serverNames: [\"*.example.com\", b.example.com]",
        "serverNames: [a.example.com], terminatingTLS: {secret: {namespace: n1, name: tls}}",
        "terminatingTLS: {secret: {namespace: n1, name: tls}}, rules: {http: [{method: GET}]}",
        "terminatingTLS: {secret: {namespace: n1, name: other}}, serverNames: [a.example.com], rules: {http: [{method: PUT}]}",
        "originatingTLS: {secret: {namespace: n1, name: tls}}, rules: {http: [{}]}",
    ])
    .prop_map(str::to_owned)
}

fn listener() -> impl Strategy<Value = String> {
    let priority = option::of(select(vec![1, 7, 100]));
    (select(vec!["one", "two"]), priority).prop_map(|(name, priority)| {
        let priority = priority.map_or(String::new(), |priority| format!(", priority: {priority}"));
        format!("listener: {{envoyConfig: {{kind: CiliumClusterwideEnvoyConfig, name: envoy}}, name: {name}{priority}}}")
    })
}
