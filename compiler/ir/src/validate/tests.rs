//! One row per reason to reject: the text, and each fault's code and place.

use policyc_diag::{SourceMap, codes};

use super::{Settings, check};
use crate::settings::Version;

/// Fields and combinations one by one.
mod fields;
/// Kubernetes' own kinds.
mod kubernetes;
/// What other versions of Cilium take.
mod versions;

/// Codes and the text they point at, for the first object of a document.
fn faults(text: &str, settings: Settings) -> Vec<(&'static str, String)> {
    let mut sources = SourceMap::new();
    let source = sources.add("case", text);
    let parsed = policyc_syntax::parse(&source);
    assert_eq!(parsed.diagnostics, [], "{text}");
    let found = check(&parsed.documents[0], &settings);
    assert!(
        found
            .iter()
            .all(|fault| fault.is_error() && !fault.message.ends_with('.'))
    );
    let place = |fault: &policyc_diag::Diagnostic| sources.text(fault.span().unwrap()).to_owned();
    found
        .iter()
        .map(|fault| (fault.code.entry().number, place(fault)))
        .collect()
}

fn object(kind: &str, spec: &str) -> String {
    let version = match kind {
        "NetworkPolicy" => "networking.k8s.io/v1",
        "ClusterNetworkPolicy" => "policy.networking.k8s.io/v1alpha2",
        _ => "cilium.io/v2",
    };
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n")
}

fn check_all(kind: &str, cases: &[(&str, &[(&str, &str)])], wrap: impl Fn(&str) -> String) {
    for (case, wanted) in cases {
        let found = faults(&object(kind, &wrap(case)), Settings::default());
        let found: Vec<_> = found
            .iter()
            .map(|(code, place)| (*code, place.as_str()))
            .collect();
        assert_eq!(found, *wanted, "{case}");
    }
}

#[test]
fn subjects_and_sections() {
    check_all(
        "CiliumNetworkPolicy",
        &[
            ("{endpointSelector: {}, ingress: [{}]}", &[]),
            ("{endpointSelector: {}, egressDeny: [{}], ingress: []}", &[]),
            ("{ingress: [{}]}", &[("E0202", "{ingress: [{}]}")]),
            (
                "{endpointSelector: {}}",
                &[("E0204", "{endpointSelector: {}}")],
            ),
            ("{endpointSelector: {}, ingress: []}", &[("E0204", "[]")]),
        ],
        str::to_owned,
    );
    let both = "{endpointSelector: {}, nodeSelector: {matchLabels: {}}, ingress: [{}]}";
    let settings = Settings::default();
    let cluster = faults(&object("CiliumClusterwideNetworkPolicy", both), settings);
    assert_eq!(cluster, [("E0202", "{matchLabels: {}}".to_owned())]);
    let nodes = "{nodeSelector: {}, ingress: [{}]}";
    assert_eq!(
        faults(&object("CiliumClusterwideNetworkPolicy", nodes), settings),
        []
    );
    assert_eq!(
        faults(&object("CiliumNetworkPolicy", nodes), settings),
        [("E0203", "{}".to_owned())]
    );
}

#[test]
fn objects_need_a_name_and_a_rule() {
    for (text, wanted) in [
        (
            "kind: CiliumNetworkPolicy\nmetadata: {name: a}",
            ("E0201", "CiliumNetworkPolicy"),
        ),
        (
            "kind: CiliumCIDRGroup\nmetadata: {name: a}\nspec: {}",
            ("E0105", "CiliumCIDRGroup"),
        ),
        (
            "kind: CiliumCIDRGroup\nmetadata: {name: a}\nspec: {externalCIDRs: [10.0.0.1]}",
            ("E0213", "10.0.0.1"),
        ),
        (
            "kind: CiliumCIDRGroup\nmetadata: {name: a_b}\nspec: {externalCIDRs: []}",
            ("E0217", "a_b"),
        ),
        (
            "kind: CiliumCIDRGroup\nmetadata: {}\nspec: {externalCIDRs: []}",
            ("E0217", "{}"),
        ),
        (
            "kind: CiliumCIDRGroup\nmetadata: {name: a, namespace: B}\nspec: {externalCIDRs: []}",
            ("E0217", "B"),
        ),
    ] {
        let found = faults(
            &format!("apiVersion: cilium.io/v2\n{text}\n"),
            Settings::default(),
        );
        assert_eq!(found, [(wanted.0, wanted.1.to_owned())], "{text}");
    }
}

#[test]
fn nothing_is_missing_from_a_document_with_faults() {
    let mut sources = SourceMap::new();
    let text = object(
        "CiliumNetworkPolicy",
        "{endpointselector: {}, ingres: [{}]}",
    );
    let parsed = policyc_syntax::parse(&sources.add("case", text));
    assert!(
        parsed
            .diagnostics
            .iter()
            .all(|fault| fault.code == codes::UNKNOWN_FIELD)
    );
    assert_eq!(check(&parsed.documents[0], &Settings::default()), []);
}

#[test]
fn peers_of_ingress() {
    let long = "x".repeat(64);
    let invalid = format!("{{fromEndpoints: [{{matchLabels: {{a: {long}}}}}]}}");
    check_all(
        "CiliumNetworkPolicy",
        &[
            (
                "{fromEndpoints: [{matchLabels: {'k8s:a.b/c': d, $host: ''}}]}",
                &[],
            ),
            (
                "{fromEndpoints: [{matchLabels: {'a:b:c': d}}]}",
                &[("E0207", "'a:b:c'")],
            ),
            (
                "{fromEndpoints: [{matchLabels: {a/b/c: d}}]}",
                &[("E0207", "a/b/c")],
            ),
            (
                "{fromEndpoints: [{matchLabels: {a: -b}}]}",
                &[("E0207", "-b")],
            ),
            (&invalid, &[("E0207", &long)]),
            (
                "{fromEndpoints: [{matchExpressions: [{key: a, operator: in, values: [b]}]}]}",
                &[("E0206", "in")],
            ),
            (
                "{fromEndpoints: [{matchExpressions: [{key: a, operator: In, values: []}]}]}",
                &[("E0206", "[]")],
            ),
            (
                "{fromEndpoints: [{matchExpressions: [{key: a, operator: Exists, values: [b]}]}]}",
                &[("E0206", "[b]")],
            ),
            (
                "{fromEndpoints: [{}], fromEntities: [world]}",
                &[("E0205", "[world]")],
            ),
            ("{fromEndpoints: [], fromEntities: [world]}", &[]),
            (
                "{fromEntities: [world, World, moon]}",
                &[("E0216", "World"), ("E0216", "moon")],
            ),
            ("{fromNodes: [{}]}", &[("E0221", "[{}]")]),
            ("{fromRequires: [{}]}", &[("E0222", "[{}]")]),
            (
                "{fromCIDR: [10.0.0.0/8, 10.0.0.0/33, 10.0.0.1, 010.0.0.0/8]}",
                &[
                    ("E0213", "10.0.0.0/33"),
                    ("E0213", "10.0.0.1"),
                    ("E0213", "010.0.0.0/8"),
                ],
            ),
            (
                "{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.0.0.0/7]}]}",
                &[],
            ),
            (
                "{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [11.0.0.0/7]}]}",
                &[("E0214", "11.0.0.0/7")],
            ),
            (
                "{fromCIDRSet: [{cidr: 10.0.0.0/8, except: ['::/0']}]}",
                &[("E0214", "'::/0'")],
            ),
            (
                "{fromCIDRSet: [{except: []}]}",
                &[("E0215", "{except: []}")],
            ),
            (
                "{fromCIDRSet: [{cidr: 10.0.0.0/8, cidrGroupRef: a}]}",
                &[("E0215", "a")],
            ),
            ("{fromCIDRSet: [{cidrGroupRef: A}]}", &[("E0217", "A")]),
            ("{toPorts: [{}], icmps: [{}]}", &[("E0211", "[{}]")]),
            ("{authentication: {mode: maybe}}", &[("E0220", "maybe")]),
        ],
        |entry| format!("{{endpointSelector: {{}}, ingress: [{entry}]}}"),
    );
}

#[test]
fn peers_of_egress() {
    check_all(
        "CiliumNetworkPolicy",
        &[
            (
                "{toServices: [{k8sService: {serviceName: a}}], toPorts: [{ports: [{port: '80'}]}]}",
                &[],
            ),
            (
                "{toFQDNs: [{matchName: a.b.}, {matchPattern: '**.b'}]}",
                &[],
            ),
            (
                "{toFQDNs: [{matchName: a..b}, {matchName: '*.b'}]}",
                &[("E0220", "a..b"), ("E0220", "'*.b'")],
            ),
            (
                "{toFQDNs: [{}, {matchName: a, matchPattern: b}]}",
                &[("E0220", "{}"), ("E0220", "b")],
            ),
            (
                "{toCIDR: ['::/0'], toCIDRSet: [{cidr: '::/0'}], toEntities: [all]}",
                &[("E0205", "[{cidr: '::/0'}]")],
            ),
            (
                "{icmps: [{fields: [{type: 300}, {type: Echo}, {family: IPv6, type: EchoReply}]}]}",
                &[],
            ),
            (
                "{icmps: [{fields: [{family: IPv5, type: 1}]}]}",
                &[("E0212", "IPv5")],
            ),
            (
                "{icmps: [{fields: [{type: Ping}, {type: '8'}, {type: -1}]}]}",
                &[("E0212", "Ping"), ("E0212", "'8'"), ("E0212", "-1")],
            ),
            (
                "{icmps: [{fields: [{family: IPv6, type: Echo}]}]}",
                &[("E0212", "Echo")],
            ),
        ],
        |entry| format!("{{endpointSelector: {{}}, egress: [{entry}]}}"),
    );
}

#[test]
fn ports_and_layer_seven() {
    check_all(
        "CiliumNetworkPolicy",
        &[
            (
                "{ports: [{port: '80', endPort: 79}, {port: HTTP-2}, {port: '010'}, {port: '1_0', protocol: ANY}]}",
                &[],
            ),
            ("{ports: [{port: '65536'}]}", &[("E0208", "'65536'")]),
            ("{ports: [{port: '080'}]}", &[("E0208", "'080'")]),
            ("{ports: [{port: 80-90}]}", &[("E0208", "80-90")]),
            (
                "{ports: [{port: ''}, {protocol: TCP}]}",
                &[("E0208", "''"), ("E0208", "{protocol: TCP}")],
            ),
            (
                "{ports: [{port: '1', endPort: 65536}]}",
                &[("E0208", "65536")],
            ),
            ("{ports: [{port: '1', protocol: tcp}]}", &[("E0209", "tcp")]),
            (
                "{ports: [{port: '1', protocol: ICMP}]}",
                &[("E0209", "ICMP")],
            ),
            ("{ports: [{port: '0', protocol: GRE}]}", &[("E0221", "GRE")]),
            ("{rules: {}}", &[("E0219", "{}")]),
            ("{rules: {kafka: []}}", &[("E0222", "[]")]),
            ("{rules: {http: [], dns: []}}", &[("E0219", "[]")]),
            (
                "{ports: [{port: '80', protocol: TCP}], rules: {http: [{path: /a.*}]}}",
                &[],
            ),
            (
                "{ports: [{port: '80'}], rules: {http: [{}]}}",
                &[("E0219", "{port: '80'}")],
            ),
            ("{ports: [{port: '80'}], rules: {http: []}}", &[]),
            (
                "{ports: [{port: '0', protocol: TCP}], rules: {http: [{}]}}",
                &[("E0219", "'0'")],
            ),
            (
                "{rules: {http: [{path: '(', method: '['}]}}",
                &[("E0220", "'('"), ("E0220", "'['")],
            ),
            (
                "{rules: {http: [{headerMatches: [{name: a, mismatch: X}]}]}}",
                &[("E0220", "X")],
            ),
            (
                "{ports: [{port: '53', endPort: 53}], rules: {dns: [{matchName: a}]}}",
                &[],
            ),
            (
                "{ports: [{port: '53', endPort: 54}], rules: {dns: [{matchName: a}]}}",
                &[("E0219", "54")],
            ),
            (
                "{rules: {dns: [{matchName: a}]}}",
                &[("E0219", "{dns: [{matchName: a}]}")],
            ),
            ("{serverNames: []}", &[("E0220", "[]")]),
            (
                "{serverNames: [a, b c, a]}",
                &[("E0220", "b c"), ("E0220", "a")],
            ),
            (
                "{serverNames: [a], rules: {http: [{}]}}",
                &[("E0219", "[a]")],
            ),
            (
                "{serverNames: [a], rules: {http: [{}]}, terminatingTLS: {secret: {name: s}}}",
                &[],
            ),
            (
                "{listener: {envoyConfig: {name: a, kind: X}, name: '', priority: 101}}",
                &[("E0220", "X"), ("E0220", "''"), ("E0220", "101")],
            ),
            (
                "{listener: {envoyConfig: {name: a}, name: b}, rules: {http: [{}]}}",
                &[("E0219", "{envoyConfig: {name: a}, name: b}")],
            ),
        ],
        |rule| format!("{{endpointSelector: {{}}, egress: [{{toPorts: [{rule}]}}]}}"),
    );
}

#[test]
fn layer_seven_on_nodes_and_ingress() {
    check_all(
        "CiliumClusterwideNetworkPolicy",
        &[
            (
                "{ports: [{port: '53'}], rules: {dns: [{matchName: a}]}}",
                &[("E0219", "[{matchName: a}]")],
            ),
            (
                "{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}}",
                &[("E0219", "[{}]")],
            ),
            (
                "{listener: {envoyConfig: {name: a}, name: b}}",
                &[("E0219", "{envoyConfig: {name: a}, name: b}")],
            ),
        ],
        |rule| format!("{{nodeSelector: {{}}, ingress: [{{toPorts: [{rule}]}}]}}"),
    );
}

#[test]
fn lists_have_limits() {
    let rule = |count: usize, one: &str, list: &str| {
        let many = vec![one; count].join(", ");
        let entry = list.replace('…', &many);
        faults(
            &object(
                "CiliumNetworkPolicy",
                &format!("{{endpointSelector: {{}}, egress: [{entry}]}}"),
            ),
            Settings::default(),
        )
    };
    for (one, list) in [
        ("{port: '1'}", "{toPorts: [{ports: […]}]}"),
        ("{type: 1}", "{icmps: [{fields: […]}]}"),
    ] {
        assert_eq!(rule(40, one, list), []);
        let found = rule(41, one, list);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "E0210");
    }
}

#[test]
fn settings_switch_features() {
    let rule = "{nodeSelector: {}, egress: [{toNodes: [{}], toPorts: [{ports: [{protocol: GRE}, {port: '1', protocol: AH}]}]},
        {icmps: [{fields: [{type: 8}]}]}, {toPorts: [{ports: [{port: '53'}], rules: {dns: [{matchName: a}]}}]}]}";
    let text = object("CiliumClusterwideNetworkPolicy", rule);
    let all = Settings {
        version: Version::DEFAULT,
        node_selector_labels: true,
        extended_protocols: true,
        l7_proxy: true,
        icmp_rules: true,
        lenient: false,
    };
    assert_eq!(faults(&text, all), [("E0208", "'1'".to_owned())]);
    let none = Settings {
        version: Version::DEFAULT,
        node_selector_labels: false,
        extended_protocols: false,
        l7_proxy: false,
        icmp_rules: false,
        lenient: false,
    };
    let codes: Vec<_> = faults(&text, none)
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(
        codes,
        [
            "E0221", "E0208", "E0221", "E0221", "E0208", "E0221", "E0221"
        ]
    );
}

#[test]
fn many_faults_are_not_all_reported() {
    let names = "Moon, ".repeat(5000);
    let entities = faults(
        &object(
            "CiliumNetworkPolicy",
            &format!("{{endpointSelector: {{}}, egress: [{{toEntities: [{names}]}}]}}"),
        ),
        Settings::default(),
    );
    assert_eq!(entities.len(), super::MOST_FAULTS);
    let names = (0..50_000).fold(String::new(), |names, at| names + &format!("a{at}.b, "));
    let rule = format!(
        "{{endpointSelector: {{}}, egress: [{{toPorts: [{{serverNames: [{names} a1.b]}}]}}]}}"
    );
    let found = faults(&object("CiliumNetworkPolicy", &rule), Settings::default());
    assert_eq!(found, [("E0220", "a1.b".to_owned())]);
}
