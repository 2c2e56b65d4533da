//! What is proven of rules, and what is not: each statement beside its nearest neighbour that does not hold.

use std::fmt::Write as _;

use policyc_verify::{Options, check};

use crate::support::World;

/// A rule of a policy: its section and its fields.
type Entry = (&'static str, &'static str);

/// The codes that are reported for a policy of `app=api` in `shop` with these rules, sorted.
fn codes(entries: &[Entry]) -> Vec<&'static str> {
    let mut text = String::from(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: api, namespace: shop}\nspec:\n  endpointSelector: {matchLabels: {app: api}}\n",
    );
    for section in ["ingress", "ingressDeny", "egress", "egressDeny"] {
        let of: Vec<_> = entries.iter().filter(|(own, _)| *own == section).collect();
        if !of.is_empty() {
            _ = writeln!(text, "  {section}:");
            for (_, entry) in of {
                _ = writeln!(text, "  - {{{entry}}}");
            }
        }
    }
    of(&text)
}

/// The codes that are reported for policies, sorted.
fn of(text: &str) -> Vec<&'static str> {
    let world = World::new("policies.yaml", text);
    let report = check(&world.rules, &world.settings, &Options::default());
    let shown = world.show(&report.findings);
    assert_eq!(report.stats.undecided, 0, "{shown}");
    let entries = report.findings.iter().map(|finding| finding.code.entry());
    let mut codes: Vec<_> = entries.map(|entry| entry.number).collect();
    codes.sort_unstable();
    codes
}

const WEB: Entry = ("ingress", "fromEndpoints: [{matchLabels: {app: web}}]");
const WEB_8080: Entry = (
    "ingress",
    "fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]",
);
const WEB_GET: Entry = (
    "ingress",
    "fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '8080', protocol: TCP}], rules: {http: [{method: GET}]}}]",
);

#[test]
fn proves_that_a_selector_selects_nothing() {
    let peer = "fromEndpoints: [{matchLabels: {app: web}, matchExpressions: [{key: app, operator: NotIn, values: [web]}]}]";
    assert_eq!(codes(&[("ingress", peer)]), ["W1001"]);
}

#[test]
fn refutes_that_a_selector_selects_nothing() {
    let peer = "fromEndpoints: [{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: NotIn, values: [web]}]}]";
    assert!(codes(&[("ingress", peer)]).is_empty());
}

#[test]
fn proves_that_a_narrow_rule_never_matters() {
    assert_eq!(codes(&[WEB, WEB_8080]), ["W1002"]);
}

#[test]
fn refutes_that_a_rule_of_other_peers_never_matters() {
    let other = "fromEndpoints: [{matchLabels: {tier: edge}}], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]";
    assert!(codes(&[WEB, ("ingress", other)]).is_empty());
}

#[test]
fn proves_that_several_rules_cover_one() {
    let low = "fromCIDR: [10.0.0.0/9]";
    let high = "fromCIDR: [10.128.0.0/9]";
    let all = "fromCIDR: [10.0.0.0/8]";
    let rules = [("ingress", low), ("ingress", high), ("ingress", all)];
    // Either the whole or its two halves can go.
    assert_eq!(codes(&rules), ["W1002"]);
}

#[test]
fn refutes_that_halves_with_a_gap_cover_the_whole() {
    let low = "fromCIDRSet: [{cidr: 10.0.0.0/9, except: [10.1.0.0/16]}]";
    let high = "fromCIDR: [10.128.0.0/9]";
    let all = "fromCIDR: [10.0.0.0/8]";
    let rules = [("ingress", all), ("ingress", low), ("ingress", high)];
    // The halves add nothing to the whole, which is needed for what they leave out.
    assert_eq!(codes(&rules), ["W1002", "W1002"]);
}

#[test]
fn proves_that_two_texts_say_the_same() {
    let other = "fromEndpoints: [{matchExpressions: [{key: app, operator: In, values: [web]}]}]";
    assert_eq!(codes(&[WEB, ("ingress", other)]), ["W1008"]);
}

#[test]
fn refutes_that_two_texts_say_the_same() {
    let other =
        "fromEndpoints: [{matchExpressions: [{key: app, operator: In, values: [web, batch]}]}]";
    assert_eq!(codes(&[WEB, ("ingress", other)]), ["W1002"]);
}

#[test]
fn proves_that_a_deny_defeats_an_allow() {
    let deny = (
        "ingressDeny",
        "fromEndpoints: [{matchExpressions: [{key: app, operator: Exists}]}]",
    );
    assert_eq!(codes(&[WEB, deny]), ["W1003"]);
}

#[test]
fn refutes_that_a_deny_defeats_an_allow() {
    let deny = (
        "ingressDeny",
        "fromEndpoints: [{matchExpressions: [{key: env, operator: Exists}]}]",
    );
    assert_eq!(codes(&[WEB, deny]), ["W1004"], "it takes a part");
    let deny = (
        "ingressDeny",
        "fromEndpoints: [{matchLabels: {app: batch}}]",
    );
    assert_eq!(
        codes(&[WEB, deny]),
        ["W1002"],
        "it takes nothing, not even from the default"
    );
}

#[test]
fn proves_that_a_plain_allow_opens_http_rules() {
    assert_eq!(codes(&[WEB_GET, WEB]), ["W1007"]);
    let anyone = (
        "ingress",
        "toPorts: [{ports: [{port: '8080', protocol: TCP}]}]",
    );
    assert_eq!(codes(&[WEB_GET, anyone]), ["W1007"]);
}

#[test]
fn refutes_that_an_allow_of_other_ports_opens_http_rules() {
    let other = "fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '9090', protocol: TCP}]}]";
    assert!(codes(&[WEB_GET, ("ingress", other)]).is_empty());
}

#[test]
fn refutes_that_http_rules_of_any_request_restrict_anything() {
    let watch = "fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '8080', protocol: TCP}], rules: {http: [{}]}}]";
    assert!(
        codes(&[("ingress", watch), WEB]).is_empty(),
        "there is nothing to get around"
    );
}

#[test]
fn proves_that_a_plain_allow_of_the_port_opens_dns_rules() {
    let names = "toEndpoints: [{matchLabels: {k8s-app: dns}}], toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchName: api.example.com}]}}]";
    let plain = "toEntities: [cluster], toPorts: [{ports: [{port: '53', protocol: UDP}]}]";
    assert_eq!(codes(&[("egress", names), ("egress", plain)]), ["W1007"]);
}

#[test]
fn refutes_that_a_plain_allow_of_all_ports_opens_dns_rules() {
    let names = "toEndpoints: [{matchLabels: {k8s-app: dns}}], toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchName: api.example.com}]}}]";
    assert!(codes(&[("egress", names), ("egress", "toEntities: [cluster]")]).is_empty());
}

const DEMANDS: Entry = (
    "ingress",
    "fromEndpoints: [{matchLabels: {app: web}}], authentication: {mode: required}, toPorts: [{ports: [{port: '8080', protocol: TCP}]}]",
);

#[test]
fn proves_that_two_rules_exclude_each_other() {
    let waives = "fromEndpoints: [{matchLabels: {app: web}}], authentication: {mode: disabled}, toPorts: [{ports: [{port: '8080', protocol: TCP}]}]";
    assert_eq!(codes(&[DEMANDS, ("ingress", waives)]), ["E0305"]);
}

#[test]
fn refutes_that_rules_of_other_ports_exclude_each_other() {
    let waives = "fromEndpoints: [{matchLabels: {app: web}}], authentication: {mode: disabled}, toPorts: [{ports: [{port: '8080', endPort: 8081, protocol: TCP}]}]";
    assert!(!codes(&[DEMANDS, ("ingress", waives)]).contains(&"E0305"));
}

#[test]
fn refutes_that_rules_without_a_common_pod_exclude_each_other() {
    let policy = |version: &str, mode: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {version}, namespace: shop}}\nspec: {{endpointSelector: {{matchLabels: {{version: {version}}}}}, ingress: [{{fromEndpoints: [{{}}], authentication: {{mode: {mode}}}}}]}}\n---\n"
        )
    };
    assert!(of(&(policy("v1", "required") + &policy("v2", "disabled"))).is_empty());
}
