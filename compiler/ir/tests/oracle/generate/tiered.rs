//! Random ClusterNetworkPolicies, with `@NAME` for their name.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::Language;
use super::policy::filled;
use super::selector::{kubernetes_selector, node_selector};

pub(super) fn policy(language: Language) -> impl Strategy<Value = String> {
    let subject = prop_oneof![
        kubernetes_selector().prop_map(|spaces| format!("{{namespaces: {spaces}}}")),
        pods().prop_map(|pods| format!("{{pods: {pods}}}")),
    ];
    let section = |egress| option::weighted(0.7, filled(rule(egress, language)));
    (select(vec!["Admin", "Baseline"]), 0..3, subject, section(false), section(true)).prop_map(
        |(tier, priority, subject, ingress, egress)| {
            let mut spec = vec![format!("tier: {tier}, priority: {priority}, subject: {subject}")];
            spec.extend(ingress.map(|list| format!("ingress: {list}")));
            spec.extend(egress.map(|list| format!("egress: {list}")));
            let spec = spec.join(", ");
            format!("apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: @NAME}}\nspec: {{{spec}}}\n")
        },
    )
}

fn pods() -> impl Strategy<Value = String> {
    (kubernetes_selector(), kubernetes_selector())
        .prop_map(|(spaces, pods)| format!("{{namespaceSelector: {spaces}, podSelector: {pods}}}"))
}

fn rule(egress: bool, language: Language) -> BoxedStrategy<String> {
    let action = select(vec!["Accept", "Deny", "Pass"]);
    let insiders = prop_oneof![
        kubernetes_selector().prop_map(|spaces| format!("{{namespaces: {spaces}}}")),
        pods().prop_map(|pods| format!("{{pods: {pods}}}")),
    ];
    let outsiders = prop_oneof![
        select(vec![
            "[10.0.0.0/8]",
            "[0.0.0.0/0, \"2001:db8::/32\"]",
            "[10.1.2.3/32]"
        ])
        .prop_map(|list| format!("{{networks: {list}}}")),
        node_selector().prop_map(|nodes| format!("{{nodes: {nodes}}}")),
    ];
    let side = if egress { "to" } else { "from" };
    let named = option::weighted(0.4, filled(protocol(true)));
    let inside = (filled(insiders), named);
    let outside = (
        filled(outsiders),
        option::weighted(0.4, filled(protocol(false))),
    );
    let both = if egress {
        prop_oneof![2 => inside, 1 => outside].boxed()
    } else {
        inside.boxed()
    };
    let written = move |action: &str, peers: &str, protocols: Option<String>| {
        let protocols = protocols.map_or(String::new(), |list| format!(", protocols: {list}"));
        format!("{{action: {action}, {side}: {peers}{protocols}}}")
    };
    let any = (action, both)
        .prop_map(move |(action, (peers, protocols))| written(action, &peers, protocols));
    if !egress || !language.names {
        return any.boxed();
    }
    let names = select(vec![
        "[{domainNames: [\"*.example.com\"]}]",
        "[{domainNames: [a.example.com, other.example.org]}]",
        "[{domainNames: [example.com]}, {networks: [10.1.0.0/16]}]",
    ]);
    let protocols = option::weighted(0.4, filled(protocol(false)));
    let by_name =
        (names, protocols).prop_map(move |(names, protocols)| written("Accept", names, protocols));
    prop_oneof![5 => any, 1 => by_name].boxed()
}

fn protocol(named: bool) -> impl Strategy<Value = String> {
    let number = select(vec![
        "number: 80",
        "number: 53",
        "range: {start: 8, end: 90}",
        "range: {start: 1, end: 65535}",
    ]);
    let by_number = (select(vec!["tcp", "udp", "sctp"]), number)
        .prop_map(|(protocol, port)| format!("{{{protocol}: {{destinationPort: {{{port}}}}}}}"));
    let by_name =
        select(vec!["http", "dns"]).prop_map(|name| format!("{{destinationNamedPort: {name}}}"));
    if named {
        prop_oneof![3 => by_number, 1 => by_name].boxed()
    } else {
        by_number.boxed()
    }
}
