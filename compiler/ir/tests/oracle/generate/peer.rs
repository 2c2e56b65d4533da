//! Random peers of Cilium's own kinds, with `@` where `from` or `to` belongs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::Language;
use super::policy::list;
use super::selector::{node_selector, selector};

/// The peer members of an entry.
pub(super) fn peers(language: Language, egress: bool, deny: bool) -> BoxedStrategy<String> {
    let cidr_rule = prop_oneof![
        select(vec!["g0", "g1", "missing"]).prop_map(|name| format!("{{cidrGroupRef: {name}}}")),
        Just("{cidrGroupRef: g0, except: [10.1.2.0/24]}".to_owned()),
        select(vec![
            "{matchLabels: {kind: a}}",
            "{matchLabels: {kind: a, site: b}}",
            "{matchExpressions: [{key: kind, operator: In, values: [a, b]}]}",
            "{matchExpressions: [{key: site, operator: NotIn, values: [a]}]}",
            "{matchExpressions: [{key: site, operator: Exists}]}",
        ])
        .prop_map(|selector| format!("{{cidrGroupSelector: {selector}}}")),
        cidr().prop_map(|cidr| format!("{{cidr: \"{cidr}\"}}")),
    ];
    let groups = list(cidr_rule).prop_map(|list| format!("@CIDRSet: {list}"));
    let nodes = list(node_selector()).prop_map(|list| format!("@Nodes: {list}"));
    let services = list(service()).prop_map(|list| format!("toServices: {list}"));
    let names = list(fqdn().prop_map(str::to_owned)).prop_map(|list| format!("toFQDNs: {list}"));
    let inside = prop_oneof![12 => basic(), 3 => groups, 1 => nodes];
    if !egress || !language.names {
        return inside.boxed();
    }
    if deny {
        return prop_oneof![16 => inside, 3 => services].boxed();
    }
    prop_oneof![16 => inside, 3 => services, 4 => names].boxed()
}

fn basic() -> impl Strategy<Value = String> {
    let entity = select(vec![
        "all",
        "world",
        "cluster",
        "host",
        "remote-node",
        "kube-apiserver",
        "health",
        "init",
        "ingress",
        "unmanaged",
        "none",
    ]);
    let cidr_rule = prop_oneof![
        cidr().prop_map(|cidr| format!("{{cidr: \"{cidr}\"}}")),
        select(vec![
            "{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}",
            "{cidr: 10.1.0.0/16, except: [10.1.2.3/32, 10.1.9.0/24]}",
            "{cidr: 0.0.0.0/0, except: [192.0.2.0/25]}",
            "{cidr: 192.0.2.0/24, except: [192.0.2.0/24]}",
            "{cidr: \"2001:db8::/32\", except: [\"2001:db8:1::/48\"]}",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        6 => list(selector()).prop_map(|list| format!("@Endpoints: {list}")),
        3 => list(entity.prop_map(str::to_owned)).prop_map(|list| format!("@Entities: {list}")),
        2 => list(cidr().prop_map(|cidr| format!("\"{cidr}\""))).prop_map(|list| format!("@CIDR: {list}")),
        2 => list(cidr_rule).prop_map(|list| format!("@CIDRSet: {list}")),
        1 => selector().prop_map(|one| format!("@Endpoints: [{one}], @Entities: []")),
        1 => Just("@CIDR: [], @Entities: [world]".to_owned()),
        1 => Just("@Groups: []".to_owned()),
    ]
}

fn cidr() -> impl Strategy<Value = &'static str> {
    select(vec![
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.7.7/16",
        "10.1.2.3/32",
        "10.77.1.1/32",
        "172.18.0.0/16",
        "172.18.0.2/32",
        "192.0.2.0/24",
        "192.0.2.0/25",
        "0.0.0.0/0",
        "::/0",
        "2001:db8::/32",
        "2001:db8:1::/48",
    ])
}

fn fqdn() -> impl Strategy<Value = &'static str> {
    select(vec![
        "{matchName: example.com}",
        "{matchName: a.example.com}",
        "{matchPattern: \"*.example.com\"}",
        "{matchPattern: \"**.example.com\"}",
        "{matchPattern: \"*example*\"}",
        "{matchPattern: \"*\"}",
    ])
}

fn service() -> impl Strategy<Value = String> {
    let namespace = select(super::NAMESPACES.to_vec());
    let by_name = (select(vec!["s0", "s1", "missing"]), namespace).prop_map(|(name, namespace)| {
        format!("{{k8sService: {{serviceName: {name}, namespace: {namespace}}}}}")
    });
    let labels = vec(
        (select(vec!["app", "expose"]), select(vec!["a", "b"])),
        1..2,
    );
    let by_label = labels.prop_map(|labels| {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        format!(
            "{{k8sServiceSelector: {{selector: {{matchLabels: {{{}}}}}}}}}",
            labels.join(", ")
        )
    });
    prop_oneof![3 => by_name, 2 => by_label]
}
