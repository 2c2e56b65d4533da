//! Kubernetes' own kinds.

use super::{Settings, check_all, faults, object};

#[test]
fn network_policies() {
    check_all(
        "NetworkPolicy",
        &[
            (
                "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80, endPort: 80}, {port: http}]}]}",
                &[],
            ),
            (
                "{podSelector: {matchLabels: {'k8s:a': b}}}",
                &[("E0207", "'k8s:a'")],
            ),
            (
                "{policyTypes: [ingress, Egress, Egress]}",
                &[("E0210", "[ingress, Egress, Egress]"), ("E0220", "ingress")],
            ),
            ("{ingress: [{from: [{}]}]}", &[("E0218", "{}")]),
            (
                "{egress: [{to: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}",
                &[("E0218", "{cidr: 10.0.0.0/8}")],
            ),
            ("{egress: [{to: [{ipBlock: {}}]}]}", &[("E0105", "{}")]),
            (
                "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8, 10.1.0.0/16]}}]}]}",
                &[("E0214", "10.0.0.0/8")],
            ),
            (
                "{ingress: [{ports: [{port: '80'}, {port: HTTP}, {port: 0}]}]}",
                &[("E0208", "'80'"), ("E0208", "HTTP"), ("E0208", "0")],
            ),
            (
                "{ingress: [{ports: [{port: 80, endPort: 79}, {port: a, endPort: 9}, {endPort: 8}]}]}",
                &[("E0208", "79"), ("E0208", "9"), ("E0208", "8")],
            ),
            (
                "{ingress: [{ports: [{protocol: ANY}]}]}",
                &[("E0209", "ANY")],
            ),
        ],
        str::to_owned,
    );
}

fn cluster(cases: &[(&str, &[(&str, &str)])], wrap: impl Fn(&str) -> String) {
    check_all("ClusterNetworkPolicy", cases, wrap);
}

fn spec(tier: &str, priority: &str, rest: &str) -> String {
    format!("{{tier: {tier}, priority: {priority}, {rest}}}")
}

#[test]
fn cluster_policies() {
    cluster(
        &[
            ("subject: {namespaces: {}}", &[]),
            (
                "subject: {pods: {podSelector: {matchLabels: {a: b}}}}, ingress: [], egress: []",
                &[],
            ),
            ("subject: {}", &[("E0202", "{}")]),
            (
                "subject: {namespaces: {}, pods: {podSelector: {matchLabels: {a: b}}}}",
                &[("E0202", "{podSelector: {matchLabels: {a: b}}}")],
            ),
            (
                "subject: {pods: {namespaceSelector: {matchLabels: {'k8s:a': b}}, podSelector: {}}}",
                &[("E0207", "'k8s:a'")],
            ),
            (
                "subject: {namespaces: {matchExpressions: [{key: a, operator: In}]}}",
                &[("E0206", "{key: a, operator: In}")],
            ),
        ],
        |rest| spec("Admin", "0", rest),
    );
    cluster(
        &[
            ("tier: Baseline, priority: 1000", &[]),
            (
                "tier: Normal, priority: 1001",
                &[("E0220", "Normal"), ("E0220", "1001")],
            ),
            (
                "tier: admin, priority: -1",
                &[("E0220", "admin"), ("E0220", "-1")],
            ),
        ],
        |head| format!("{{{head}, subject: {{namespaces: {{}}}}}}"),
    );
}

#[test]
fn rules_of_cluster_policies() {
    let long = "n".repeat(101);
    let named = format!("name: {long}, action: Deny, from: [{{namespaces: {{}}}}]");
    cluster(
        &[
            (
                "action: Accept, from: [{namespaces: {}}, {pods: {podSelector: {}}}]",
                &[],
            ),
            (&named, &[("E0220", &long)]),
            (
                "action: Allow, from: [{namespaces: {}}]",
                &[("E0220", "Allow")],
            ),
            ("action: Pass, from: []", &[("E0218", "[]")]),
            ("action: Pass, from: [{}]", &[("E0218", "{}")]),
            (
                "action: Deny, from: [{namespaces: {}, pods: {podSelector: {}}}]",
                &[("E0218", "{podSelector: {}}")],
            ),
            (
                "action: Deny, from: [{networks: [10.0.0.0/8]}]",
                &[("E0218", "[10.0.0.0/8]")],
            ),
            (
                "action: Deny, from: [{nodes: {matchLabels: {}}}]",
                &[("E0218", "{matchLabels: {}}")],
            ),
            (
                "action: Accept, from: [{domainNames: [a.b]}]",
                &[("E0218", "[a.b]")],
            ),
        ],
        |rule| {
            spec(
                "Admin",
                "1",
                &format!("subject: {{namespaces: {{}}}}, ingress: [{{{rule}}}]"),
            )
        },
    );
}

#[test]
fn egress_of_cluster_policies() {
    let label = "a".repeat(64);
    let long = format!("{}.com", [label.as_str(); 4].join("."));
    let domains = format!(
        "action: Accept, to: [{{domainNames: ['*.b.c.', B_1.c, {long}, b, '*.c', '**.b.c', a.*.c, -a.b]}}]"
    );
    cluster(
        &[
            (
                "action: Deny, to: [{networks: [10.0.0.1/8, '::/0']}], protocols: [{tcp: {destinationPort: {number: 1}}}]",
                &[],
            ),
            (
                "action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.1, 10.0.0.0/8]}]",
                &[("E0220", "10.0.0.0/8"), ("E0213", "10.0.0.1")],
            ),
            ("action: Deny, to: [{networks: []}]", &[("E0218", "[]")]),
            (
                "action: Deny, to: [{networks: [00000000000000000000000000000000000000000000000/0]}]",
                &[("E0213", "00000000000000000000000000000000000000000000000/0")],
            ),
            (
                "action: Pass, to: [{nodes: {matchLabels: {}}}]",
                &[("E0221", "{matchLabels: {}}")],
            ),
            (
                &domains,
                &[
                    ("E0220", &long),
                    ("E0220", "b"),
                    ("E0220", "'*.c'"),
                    ("E0220", "'**.b.c'"),
                    ("E0220", "a.*.c"),
                    ("E0220", "-a.b"),
                ],
            ),
            (
                "action: Pass, to: [{domainNames: [a.b]}]",
                &[("E0218", "[a.b]")],
            ),
            (
                "action: Deny, to: [{domainNames: [a.b]}]",
                &[("E0218", "[a.b]")],
            ),
        ],
        |rule| {
            spec(
                "Admin",
                "1",
                &format!("subject: {{namespaces: {{}}}}, egress: [{{{rule}}}]"),
            )
        },
    );
}

#[test]
fn protocols_of_cluster_policies() {
    cluster(
        &[
            (
                "{tcp: {destinationPort: {range: {start: 1, end: 65535}}}}, {sctp: {destinationPort: {number: 9}}}, {destinationNamedPort: http}",
                &[],
            ),
            ("{}", &[("E0220", "{}")]),
            (
                "{tcp: {destinationPort: {number: 1}}, udp: {destinationPort: {number: 2}}}",
                &[("E0220", "{destinationPort: {number: 2}}")],
            ),
            ("{tcp: {}}", &[("E0105", "{}")]),
            ("{udp: {destinationPort: {}}}", &[("E0208", "{}")]),
            (
                "{udp: {destinationPort: {number: 0, range: {start: 1, end: 70000}}}}",
                &[
                    ("E0208", "{start: 1, end: 70000}"),
                    ("E0208", "0"),
                    ("E0208", "70000"),
                ],
            ),
            (
                "{sctp: {destinationPort: {range: {start: 80, end: 80}}}}",
                &[("E0208", "80")],
            ),
            ("{destinationNamedPort: HTTP}", &[("E0208", "HTTP")]),
            ("{destinationNamedPort: ''}", &[("E0208", "''")]),
        ],
        |protocol| {
            let rule =
                format!("{{action: Deny, to: [{{namespaces: {{}}}}], protocols: [{protocol}]}}");
            spec(
                "Baseline",
                "1",
                &format!("subject: {{namespaces: {{}}}}, egress: [{rule}]"),
            )
        },
    );
    cluster(
        &[
            ("", &[("E0220", "[]")]),
            ("{destinationNamedPort: dns}", &[("E0208", "dns")]),
        ],
        |protocol| {
            let rule = format!(
                "{{action: Deny, to: [{{namespaces: {{}}}}, {{networks: ['::/0']}}], protocols: [{protocol}]}}"
            );
            spec(
                "Baseline",
                "1",
                &format!("subject: {{namespaces: {{}}}}, egress: [{rule}]"),
            )
        },
    );
}

#[test]
fn lists_of_cluster_policies_have_limits() {
    let of = |count: usize| {
        let rule = "{action: Deny, from: [{namespaces: {}}]}";
        let rules = vec![rule; count].join(", ");
        let peers = vec!["{namespaces: {}}"; count].join(", ");
        let ports = vec!["{tcp: {destinationPort: {number: 1}}}"; count].join(", ");
        let list =
            |one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
        let names = list(&|at| format!("n{at}.b"));
        let nets = list(&|at| format!("10.{at}.0.0/16"));
        let egress = format!(
            "{{action: Accept, to: [{{networks: [{nets}]}}, {{domainNames: [{names}]}}]}}, {{action: Pass, to: [{peers}], protocols: [{ports}]}}"
        );
        let rest = format!("subject: {{namespaces: {{}}}}, ingress: [{rules}], egress: [{egress}]");
        let text = object("ClusterNetworkPolicy", &spec("Admin", "1", &rest));
        faults(&text, Settings::default())
    };
    assert_eq!(of(25), []);
    let codes: Vec<_> = of(26).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["E0210"; 5]);
}

#[test]
fn settings_switch_features_of_cluster_policies() {
    let rest = "subject: {namespaces: {}}, egress: [{action: Accept, to: [{nodes: {}}, {domainNames: [a.b]}]}]";
    let text = object("ClusterNetworkPolicy", &spec("Admin", "1", rest));
    let settings = |node_selector_labels, l7_proxy| Settings {
        node_selector_labels,
        l7_proxy,
        ..Settings::default()
    };
    assert_eq!(faults(&text, settings(true, true)), []);
    let found = faults(&text, settings(false, false));
    assert_eq!(
        found,
        [("E0221", "{}".to_owned()), ("E0221", "[a.b]".to_owned())]
    );
}
