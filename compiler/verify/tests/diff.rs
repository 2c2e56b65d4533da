//! Policies that are written differently, and whether they decide differently.

#[expect(dead_code, reason = "the tests of findings read more")]
mod support;

use policyc_verify::Options;
use policyc_verify::diff::{Difference, What, compare};
use support::World;

fn difference(old: &str, new: &str) -> Difference {
    let (old, new) = (World::new("old.yaml", old), World::new("new.yaml", new));
    let found = compare(&old.rules, &new.rules, &old.settings, &Options::default());
    assert!(
        found.is_decided(),
        "{:?} {:?}",
        found.undecided,
        found.faults
    );
    found
}

fn shown(found: &Difference) -> Vec<String> {
    let each = found.changes.iter().map(|one| {
        let all = |items: Vec<String>| items.join("; ");
        let subjects = all(one.subjects.iter().map(ToString::to_string).collect());
        let peers = all(one.peers.iter().map(ToString::to_string).collect());
        let services = all(one.services.iter().map(ToString::to_string).collect());
        let what = format!("{:?} {}", one.what, one.direction.name());
        if one.what.of_subjects() {
            format!("{what} {subjects}")
        } else {
            let except: Vec<_> = one
                .except
                .iter()
                .map(|each| each.show(one.direction))
                .collect();
            let except = if except.is_empty() {
                String::new()
            } else {
                format!(" | except {}", except.join("; "))
            };
            format!("{what} {subjects} | {peers} | {services}{except}")
        }
    });
    each.collect()
}

fn cnp(spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  {spec}\n"
    )
}

/// Specs of a CiliumNetworkPolicy that mean the same, written in two ways.
const EQUAL: &[(&str, &str, &str)] = &[
    (
        "one rule, or one for each peer",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}, {matchLabels: {app: b}}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: b}}]\n- fromEndpoints: [{matchLabels: {app: a}}]",
    ),
    (
        "values in one list, or one rule for each",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchExpressions: [{key: app, operator: In, values: [a, b]}]}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]\n- fromEndpoints: [{matchLabels: {app: b}}]",
    ),
    (
        "a prefix, or its halves",
        "endpointSelector: {matchLabels: {app: db}}\negress:\n- toCIDR: [10.0.0.0/8]",
        "endpointSelector: {matchLabels: {app: db}}\negress:\n- toCIDR: [10.0.0.0/9, 10.128.0.0/9]",
    ),
    (
        "an exception, or what it leaves",
        "endpointSelector: {matchLabels: {app: db}}\negress:\n- toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.64.0.0/10]}]",
        "endpointSelector: {matchLabels: {app: db}}\negress:\n- toCIDR: [10.0.0.0/10, 10.128.0.0/9]",
    ),
    (
        "a range of ports, or its parts",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- toPorts: [{ports: [{port: \"8000\", endPort: 8003, protocol: TCP}]}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- toPorts: [{ports: [{port: \"8000\", endPort: 8001, protocol: TCP}, {port: \"8002\", protocol: TCP}]}]\n- toPorts: [{ports: [{port: \"8003\", protocol: TCP}]}]",
    ),
    (
        "any protocol, or each",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- toPorts: [{ports: [{port: \"53\", protocol: ANY}]}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- toPorts: [{ports: [{port: \"53\", protocol: UDP}]}]\n- toPorts: [{ports: [{port: \"53\", protocol: TCP}, {port: \"53\", protocol: SCTP}]}]",
    ),
    (
        "a rule that another includes",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]\n- fromEndpoints: [{matchLabels: {app: a, tier: x}}]\n  toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]",
    ),
    (
        "what is left of an allow, or an allow and a deny",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [evil]}]}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{}]\ningressDeny:\n- fromEndpoints: [{matchLabels: {app: evil}}]",
    ),
    (
        "a deny, or a narrower and a wider one",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{}]\ningressDeny:\n- fromEndpoints: [{matchLabels: {app: evil}}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{}]\ningressDeny:\n- fromEndpoints: [{matchLabels: {app: evil}}]\n- fromEndpoints: [{matchLabels: {app: evil, tier: x}}]",
    ),
    (
        "the world, or all of its addresses",
        "endpointSelector: {matchLabels: {app: db}}\negress:\n- toEntities: [world]",
        "endpointSelector: {matchLabels: {app: db}}\negress:\n- toCIDR: [\"0.0.0.0/0\", \"::/0\"]",
    ),
    (
        "a requirement that all pods of the namespace meet",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]",
        "endpointSelector: {matchLabels: {app: db}, matchExpressions: [{key: \"k8s:io.kubernetes.pod.namespace\", operator: NotIn, values: [other]}]}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]",
    ),
    (
        "a label that exists, or has some value or another",
        "endpointSelector: {matchExpressions: [{key: app, operator: Exists}]}\ningress:\n- fromEndpoints: [{matchExpressions: [{key: app, operator: Exists}]}]",
        "endpointSelector: {matchExpressions: [{key: app, operator: Exists}]}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]\n- fromEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [a]}, {key: app, operator: Exists}]}]",
    ),
    (
        "requests in one list, or in two rules",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]\n  toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: GET}, {path: /x}]}}]",
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: a}}]\n  toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{path: /x}]}}]\n- fromEndpoints: [{matchLabels: {app: a}}]\n  toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: GET}, {method: GET, path: /y}]}}]",
    ),
];

#[test]
fn what_is_written_differently_is_proven_equal() {
    for (name, old, new) in EQUAL {
        for (old, new) in [(old, new), (new, old)] {
            let found = difference(&cnp(old), &cnp(new));
            assert!(found.is_equal(), "{name}: {:?}", shown(&found));
            assert!(
                found.stats.removed + found.stats.added > 0,
                "{name}: not asked"
            );
        }
    }
}

/// A theorem with a hole is none: each of the equal pairs, one detail changed.
#[test]
fn a_detail_more_or_less_is_found() {
    for (name, detail, other) in [
        ("one rule, or one for each peer", "app: b", "app: c"),
        (
            "values in one list, or one rule for each",
            "[a, b]",
            "[a, c]",
        ),
        ("a prefix, or its halves", "10.0.0.0/8", "10.0.0.0/7"),
        (
            "an exception, or what it leaves",
            "10.64.0.0/10",
            "10.64.0.0/11",
        ),
        ("a range of ports, or its parts", "8003", "8004"),
        ("any protocol, or each", "ANY", "TCP"),
        ("a rule that another includes", "app: a", "app: a, x: z"),
        (
            "what is left of an allow, or an allow and a deny",
            "[evil]",
            "[evil, worse]",
        ),
        (
            "a deny, or a narrower and a wider one",
            "app: evil",
            "app: evil, x: z",
        ),
        ("the world, or all of its addresses", "[world]", "[cluster]"),
        (
            "a requirement that all pods of the namespace meet",
            "{app: a}",
            "{app: a, tier: x}",
        ),
        (
            "a label that exists, or has some value or another",
            "Exists}]}]",
            "Exists}, {key: b, operator: Exists}]}]",
        ),
        (
            "requests in one list, or in two rules",
            "method: GET",
            "method: PUT",
        ),
    ] {
        let pair = EQUAL.iter().find(|(known, ..)| *known == name);
        let (_, old, new) = pair.unwrap();
        assert!(old.contains(detail), "{name}");
        let found = difference(&cnp(&old.replace(detail, other)), &cnp(new));
        assert!(
            !found.changes.is_empty(),
            "{name}: `{other}` for `{detail}` goes unnoticed"
        );
    }
}

const KNP: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: api}}
    ports: [{port: 5432}]
";

#[test]
fn kinds_of_policies_are_interchangeable() {
    let same = cnp(
        "endpointSelector: {matchLabels: {app: db}}\ningress:\n- fromEndpoints: [{matchLabels: {app: api}}]\n  toPorts: [{ports: [{port: \"5432\", protocol: TCP}]}]",
    );
    assert!(difference(KNP, &same).is_equal());
    let wide = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: db}\nspec:\n  endpointSelector: {matchLabels: {app: db, \"k8s:io.kubernetes.pod.namespace\": shop}}\n  ingress:\n  - fromEndpoints: [{matchLabels: {app: api, \"k8s:io.kubernetes.pod.namespace\": shop}}]\n    toPorts: [{ports: [{port: \"5432\", protocol: TCP}]}]\n";
    assert!(difference(KNP, wide).is_equal());
}

#[test]
fn names_and_order_make_no_difference_and_take_no_solver() {
    let other = KNP.replace("name: db", "name: database");
    let found = difference(KNP, &other);
    assert!(found.is_equal() && found.stats.questions == 0 && found.stats.shared == 1);
    let pair = |one: &str, another: &str| format!("{one}---{another}");
    let second = KNP.replace("db", "cache");
    let found = difference(&pair(KNP, &second), &pair(&second, KNP));
    assert!(found.is_equal() && found.stats.questions == 0 && found.stats.shared == 2);
}

#[test]
fn a_change_is_named_by_the_rule_that_makes_it() {
    let more = KNP.replace(
        "    ports:",
        "    - namespaceSelector: {matchLabels: {team: x}}\n    ports:",
    );
    let found = difference(KNP, &more);
    insta::assert_snapshot!(shown(&found).join("\n"));
    assert_eq!(found.changes.first().unwrap().what, What::Allowed);
}

#[test]
fn default_deny_is_named_for_all_it_does() {
    let open = KNP.replace("app: db", "app: other");
    insta::assert_snapshot!(shown(&difference(KNP, &open)).join("\n"));
}

#[test]
fn layer_7_and_authentication_count() {
    let with = |more: &str| {
        cnp(&format!(
            "endpointSelector: {{matchLabels: {{app: db}}}}\ningress:\n- fromEndpoints: [{{matchLabels: {{app: api}}}}]\n{more}"
        ))
    };
    let plain = with("  toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]");
    let http = with(
        "  toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: GET}]}}]",
    );
    let auth = with(
        "  authentication: {mode: required}\n  toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]",
    );
    let mut all = Vec::new();
    for (old, new) in [(&plain, &http), (&http, &plain), (&plain, &auth)] {
        let found = difference(old, new);
        let asks = found.changes.iter().map(|one| {
            format!(
                "{:?} → {:?}",
                one.example.before.asks, one.example.after.asks
            )
        });
        all.extend(
            shown(&found)
                .into_iter()
                .zip(asks)
                .map(|(text, asks)| format!("{text}\n  {asks}")),
        );
    }
    insta::assert_snapshot!(all.join("\n"));
}
