//! Fields and combinations one by one: what is taken, and what is not.

use policyc_diag::{SourceMap, codes};

use super::{Settings, check_all, faults, object};

/// Members of an egress entry that name peers, each with something in it.
const EGRESS: [(&str, &str); 7] = [
    ("toEndpoints", "[{}]"),
    ("toCIDR", "[10.0.0.0/8]"),
    ("toCIDRSet", "[{cidr: 10.0.0.0/8}]"),
    ("toEntities", "[world]"),
    ("toServices", "[{k8sService: {serviceName: a}}]"),
    ("toFQDNs", "[{matchName: a.b}]"),
    ("toGroups", "[{aws: {region: r}}]"),
];
const INGRESS: [(&str, &str); 5] = [
    ("fromEndpoints", "[{}]"),
    ("fromCIDR", "[10.0.0.0/8]"),
    ("fromCIDRSet", "[{cidr: 10.0.0.0/8}]"),
    ("fromEntities", "[world]"),
    ("fromGroups", "[{aws: {region: r}}]"),
];

fn entry(section: &str, entry: &str) -> String {
    let spec = format!("{{endpointSelector: {{}}, {section}: [{entry}]}}");
    object("CiliumNetworkPolicy", &spec)
}

#[test]
fn peers_of_two_kinds_never_stand_in_one_entry() {
    let settings = Settings::default();
    for (section, members) in [("ingress", &INGRESS[..]), ("egress", &EGRESS[..])] {
        for (at, (one, text)) in members.iter().enumerate() {
            for (other, second) in members.iter().skip(at + 1) {
                let both = format!("{{{one}: {text}, {other}: {second}}}");
                let found = faults(&entry(section, &both), settings);
                let codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
                assert_eq!(codes, ["E0205"], "{both}");
                for empty in [
                    format!("{{{one}: [], {other}: {second}}}"),
                    format!("{{{one}: {text}, {other}: []}}"),
                ] {
                    assert_eq!(faults(&entry(section, &empty), settings), [], "{empty}");
                }
            }
            let with_ports = format!("{{{one}: {text}, toPorts: [{{ports: [{{port: '1'}}]}}]}}");
            assert_eq!(faults(&entry(section, &with_ports), settings), []);
            let with_icmps = format!("{{{one}: {text}, icmps: [{{fields: [{{type: 8}}]}}]}}");
            assert_eq!(faults(&entry(section, &with_icmps), settings), []);
        }
    }
}

#[test]
fn denies_lack_what_only_allows_have() {
    for (section, rest, field) in [
        (
            "ingressDeny",
            "authentication: {mode: required}",
            "authentication",
        ),
        (
            "egressDeny",
            "authentication: {mode: required}",
            "authentication",
        ),
        ("egressDeny", "toFQDNs: [{matchName: a}]", "toFQDNs"),
        ("ingressDeny", "toPorts: [{rules: {http: [{}]}}]", "rules"),
        ("egressDeny", "toPorts: [{serverNames: [a]}]", "serverNames"),
        ("egressDeny", "toPorts: [{listener: {}}]", "listener"),
        (
            "egressDeny",
            "toPorts: [{terminatingTLS: {}}]",
            "terminatingTLS",
        ),
        (
            "egressDeny",
            "toPorts: [{originatingTLS: {}}]",
            "originatingTLS",
        ),
    ] {
        let mut sources = SourceMap::new();
        let source = sources.add("case", entry(section, &format!("{{{rest}}}")));
        let parsed = policyc_syntax::parse(&source);
        let [fault] = parsed.diagnostics.as_slice() else {
            panic!("{rest}: {:?}", parsed.diagnostics)
        };
        assert_eq!(fault.code, codes::UNKNOWN_FIELD);
        assert_eq!(sources.text(fault.span().unwrap()), field);
        assert!(!parsed.documents[0].sound);
    }
}

#[test]
fn rules_of_a_list_are_checked_like_a_single_one() {
    let head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n";
    for (rest, wanted) in [
        ("specs: []", vec![]),
        (
            "spec: {endpointSelector: {}, ingress: []}\nspecs: [{ingress: [{}]}, {endpointSelector: {}, egress: [{toEntities: [x]}]}]",
            vec![
                ("E0204", "[]"),
                ("E0202", "{ingress: [{}]}"),
                ("E0216", "x"),
            ],
        ),
    ] {
        let found = faults(&format!("{head}{rest}\n"), Settings::default());
        let found: Vec<_> = found
            .iter()
            .map(|(code, place)| (*code, place.as_str()))
            .collect();
        assert_eq!(found, wanted, "{rest}");
    }
}

#[test]
fn labels_of_objects_are_kubernetes_labels() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: a, labels: {'a:b': c, d: -e, f/g: h}}\nspec: {externalCIDRs: [10.0.0.0/8]}\n";
    let found = faults(text, Settings::default());
    assert_eq!(
        found,
        [("E0207", "'a:b'".to_owned()), ("E0207", "-e".to_owned())]
    );
}

#[test]
fn logs_are_short_and_printable() {
    check_all(
        "CiliumNetworkPolicy",
        &[
            ("abcdefghijklmnopqrstuvwxyz 12345", &[]),
            (
                "abcdefghijklmnopqrstuvwxyz 123456",
                &[("E0220", "abcdefghijklmnopqrstuvwxyz 123456")],
            ),
            ("\"a\\tb\"", &[("E0220", "\"a\\tb\"")]),
        ],
        |value| format!("{{endpointSelector: {{}}, log: {{value: {value}}}, ingress: [{{}}]}}"),
    );
}

#[test]
fn entries_may_be_empty_in_every_way() {
    let wrap = |entry: &str| format!("{{endpointSelector: {{}}, egress: [{entry}]}}");
    check_all(
        "CiliumNetworkPolicy",
        &[
            (
                "{toEndpoints: [], toCIDR: [], toCIDRSet: [], toEntities: []}",
                &[],
            ),
            (
                "{toNodes: [], toServices: [], toFQDNs: [], toGroups: []}",
                &[],
            ),
            ("{toRequires: []}", &[]),
            ("{toPorts: [], icmps: []}", &[]),
            ("{toPorts: [{}], icmps: []}", &[]),
            ("{toPorts: [{ports: []}]}", &[]),
            ("{icmps: [{}]}", &[]),
            ("{icmps: [{fields: []}]}", &[]),
        ],
        wrap,
    );
}

#[test]
fn peers_outside_the_cluster() {
    let long = "a.".repeat(128);
    let name = format!("{{toFQDNs: [{{matchName: {long}}}]}}");
    let pattern = format!("{{toFQDNs: [{{matchPattern: '{long}'}}]}}");
    let quoted = format!("'{long}'");
    check_all(
        "CiliumNetworkPolicy",
        &[
            ("{toEntities: [world-ipv4]}", &[("E0216", "world-ipv4")]),
            ("{toFQDNs: [{matchPattern: 'a b'}]}", &[("E0220", "'a b'")]),
            (&name, &[("E0220", &long)]),
            (&pattern, &[("E0220", &quoted)]),
            // Whether an exception lies within a group is not asked.
            (
                "{toCIDRSet: [{cidrGroupRef: a, except: [10.0.0.0/8]}]}",
                &[],
            ),
            (
                "{toCIDRSet: [{cidrGroupRef: a, except: [10.0.0.1]}]}",
                &[("E0213", "10.0.0.1")],
            ),
            (
                "{toCIDRSet: [{cidrGroupSelector: {matchLabels: {a: -b}}}]}",
                &[("E0207", "-b")],
            ),
            (
                "{toServices: [{k8sServiceSelector: {selector: {matchLabels: {a/b/c: d}}}}]}",
                &[("E0207", "a/b/c")],
            ),
            (
                "{toPorts: [{ports: [{port: '1', endPort: -1}]}]}",
                &[("E0208", "-1")],
            ),
        ],
        |entry| format!("{{endpointSelector: {{}}, egress: [{entry}]}}"),
    );
}

#[test]
fn layer_seven_of_pods() {
    check_all(
        "CiliumNetworkPolicy",
        &[
            (
                "{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}, serverNames: [a]}",
                &[("E0219", "[a]")],
            ),
            // The agent leaves these to Envoy.
            (
                "{ports: [{port: '80', protocol: TCP}], rules: {http: [{host: '(', headers: ['']}]}}",
                &[],
            ),
            (
                "{ports: [{port: '53'}], rules: {dns: [{matchName: a}]}}",
                &[("E0219", "[{matchName: a}]")],
            ),
            (
                "{ports: [{port: '80', protocol: UDP}], rules: {http: [{}]}}",
                &[("E0219", "UDP")],
            ),
            (
                "{ports: [{port: '80', protocol: ANY}], rules: {http: [{}]}}",
                &[("E0219", "ANY")],
            ),
            ("{serverNames: ['']}", &[("E0220", "''")]),
            (
                "{rules: {http: [{headerMatches: [{name: '', secret: {name: ''}}]}]}}",
                &[("E0220", "''"), ("E0220", "''")],
            ),
            (
                "{listener: {envoyConfig: {name: a}, name: b, priority: 0}}",
                &[
                    ("E0219", "{envoyConfig: {name: a}, name: b, priority: 0}"),
                    ("E0220", "0"),
                ],
            ),
        ],
        |rule| format!("{{endpointSelector: {{}}, ingress: [{{toPorts: [{rule}]}}]}}"),
    );
}
