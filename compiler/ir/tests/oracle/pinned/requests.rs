//! What proxies say.

use policyc_ir::model::request::{Answer, Http, Request};

use super::{ccnp, pin_requests, web};

fn http(method: &str) -> Request {
    Request::Http(Http {
        method: method.to_owned(),
        path: "/".to_owned(),
        ..Http::default()
    })
}

fn tls(name: &str) -> Request {
    Request::Tls(Some(name.to_owned()))
}

fn query(name: &str) -> Request {
    Request::Dns(name.to_owned())
}

/// An element of `egress` to these peers.
fn to(peers: &str, rules: &str) -> String {
    format!("{{{peers}, toPorts: [{{ports: [{{port: \"53\", protocol: TCP}}], {rules}}}]}}")
}

const GET: &str = "rules: {http: [{method: GET}]}";
const NAME: &str = "rules: {dns: [{matchName: example.com}]}";
const SNI: &str = "serverNames: [a.example.com]";

#[test]
fn a_rule_of_a_proxy_that_did_not_win_has_no_say() {
    let entries = [to("toEndpoints: [{}]", GET), to("toEntities: [all]", NAME)].join(", ");
    pin_requests(
        &web(&format!("egress: [{entries}]")),
        "web -> db TCP/53",
        &[
            (http("GET"), Answer::Passed),
            (http("PUT"), Answer::Refused),
            (query("example.com"), Answer::Refused),
        ],
    );
}

#[test]
fn a_proxy_knows_selectors_that_the_map_does_without() {
    let db = to(
        "toEndpoints: [{matchLabels: {app: db}}]",
        "rules: {http: [{method: PUT}]}",
    );
    let entries = [to("toEntities: [all]", GET), db].join(", ");
    pin_requests(
        &web(&format!("egress: [{entries}]")),
        "web -> db TCP/53",
        &[
            (http("GET"), Answer::Passed),
            (http("PUT"), Answer::Passed),
            (http("POST"), Answer::Refused),
        ],
    );
    let named = to(
        "toEndpoints: [{matchLabels: {app: db}}]",
        "rules: {dns: [{matchName: b.org}]}",
    );
    let entries = [to("toEntities: [all]", NAME), named].join(", ");
    pin_requests(
        &web(&format!("egress: [{entries}]")),
        "web -> db TCP/53",
        &[
            (query("example.com"), Answer::Passed),
            (query("b.org"), Answer::Passed),
            (query("c.org"), Answer::Refused),
        ],
    );
}

#[test]
fn a_baseline_deny_stops_what_no_rule_before_it_lets_pass() {
    let watched = format!(
        "enableDefaultDeny: {{egress: false}}, egress: [{}]",
        to("toEndpoints: [{}]", SNI)
    );
    pin_requests(
        &web(&watched),
        "web -> db TCP/53",
        &[(tls("b.example.com"), Answer::Passed)],
    );
    let deny = "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: base}\nspec: {tier: Baseline, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{namespaces: {}}]}]}\n";
    pin_requests(
        &(web(&watched) + deny),
        "web -> db TCP/53",
        &[
            (tls("a.example.com"), Answer::Passed),
            (tls("b.example.com"), Answer::Refused),
        ],
    );
}

#[test]
fn server_names_and_requests_have_to_match_together() {
    let both = "terminatingTLS: {secret: {namespace: shop, name: t}}, serverNames: [\"*.example.com\"], rules: {http: [{method: GET}]}";
    let policy = ccnp(
        "a",
        &format!(
            "endpointSelector: {{matchLabels: {{app: web}}}}, egress: [{}]",
            to("toEndpoints: [{}]", both)
        ),
    );
    let over = |name: &str| match http("GET") {
        Request::Http(http) => Request::Http(Http {
            server_name: Some(name.to_owned()),
            ..http
        }),
        other => other,
    };
    pin_requests(
        &policy,
        "web -> db TCP/53",
        &[
            (over("a.example.com"), Answer::Passed),
            (over("a.b.example.com"), Answer::Refused),
            (http("GET"), Answer::Refused),
        ],
    );
}
