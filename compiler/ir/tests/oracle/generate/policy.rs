//! Random policies, as YAML text with `@NAME` for their name.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::selector::{kubernetes_selector, node_selector, selector};
use super::{Language, NAMESPACES, layer7, peer, tiered};

/// A policy of any kind.
pub(super) fn policy(language: Language) -> BoxedStrategy<String> {
    let cnp = (select(NAMESPACES.to_vec()), spec(false, language)).prop_map(|(namespace, spec)| {
        format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: @NAME, namespace: {namespace}}}\n{spec}\n")
    });
    let ccnp = spec(true, language).prop_map(|spec| {
        format!("apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: @NAME}}\n{spec}\n")
    });
    prop_oneof![5 => cnp, 5 => ccnp, 2 => network_policy(), 3 => tiered::policy(language)].boxed()
}

fn spec(cluster_wide: bool, language: Language) -> impl Strategy<Value = String> {
    let one = || rule(cluster_wide, language);
    prop_oneof![
        4 => one().prop_map(|rule| format!("spec: {rule}")),
        1 => vec(one(), 1..3).prop_map(|rules| format!("specs: [{}]", rules.join(", "))),
        1 => (one(), one()).prop_map(|(spec, specs)| format!("spec: {spec}\nspecs: [{specs}]")),
    ]
}

fn rule(cluster_wide: bool, language: Language) -> impl Strategy<Value = String> {
    let pods = selector().prop_map(|text| format!("endpointSelector: {text}"));
    let all = Just("endpointSelector: {}".to_owned());
    let mut subjects = vec![(6, pods.boxed()), (4, all.boxed())];
    if cluster_wide {
        let nodes = node_selector().prop_map(|text| format!("nodeSelector: {text}"));
        subjects.push((1, nodes.boxed()));
    }
    let subject = Union::new_weighted(subjects);
    let default_deny =
        option::weighted(0.3, (option::of(any::<bool>()), option::of(any::<bool>())));
    let one = prop_oneof![
        section(language, false, false),
        section(language, false, true),
        section(language, true, false),
        section(language, true, true),
    ];
    let sections = vec(one, 1..4);
    let log = option::weighted(0.2, select(vec!["seen", "audit", "why"]));
    (subject, default_deny, sections, log).prop_map(|(subject, default_deny, sections, log)| {
        let mut members = vec![subject];
        members.extend(log.map(|text| format!("log: {{value: {text}}}")));
        if let Some((ingress, egress)) = default_deny {
            let part = |name, value: Option<bool>| value.map(|value| format!("{name}: {value}"));
            let parts: Vec<_> = [part("ingress", ingress), part("egress", egress)]
                .into_iter()
                .flatten()
                .collect();
            members.push(format!("enableDefaultDeny: {{{}}}", parts.join(", ")));
        }
        let mut written = BTreeSet::new();
        let fresh = sections
            .into_iter()
            .filter(|(name, _)| written.insert(*name));
        members.extend(fresh.map(|(name, entries)| format!("{name}: {entries}")));
        format!("{{{}}}", members.join(", "))
    })
}

/// A section with its name.
fn section(
    language: Language,
    egress: bool,
    deny: bool,
) -> impl Strategy<Value = (&'static str, String)> {
    let name = match (egress, deny) {
        (false, false) => "ingress",
        (false, true) => "ingressDeny",
        (true, false) => "egress",
        (true, true) => "egressDeny",
    };
    let side = if egress { "to" } else { "from" };
    filled(entry(language, egress, deny)).prop_map(move |text| (name, text.replace('@', side)))
}

/// An entry with `@` where `from` or `to` belongs.
fn entry(language: Language, egress: bool, deny: bool) -> BoxedStrategy<String> {
    if language.layer7 && !deny {
        prop_oneof![1 => mixed(language, egress, deny), 1 => layer7::entry(language, egress)]
            .boxed()
    } else {
        mixed(language, egress, deny).boxed()
    }
}

fn mixed(language: Language, egress: bool, deny: bool) -> impl Strategy<Value = String> {
    let auth = select(vec!["required", "required", "disabled", "test-always-fail"]);
    (
        option::weighted(0.85, peer::peers(language, egress, deny)),
        option::weighted(0.6, services((language.layer7 && !deny).then_some(egress))),
        option::weighted(0.15, auth)
            .prop_map(move |auth| auth.filter(|_| language.authentication && !deny)),
    )
        .prop_map(|(peers, services, auth)| {
            let auth = auth.map(|mode| format!("authentication: {{mode: {mode}}}"));
            let members: Vec<_> = peers.into_iter().chain(services).chain(auth).collect();
            format!("{{{}}}", members.join(", "))
        })
}

/// A list, perhaps an empty one.
pub(super) fn list(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec(element, 0..3).prop_map(|items| format!("[{}]", items.join(", ")))
}

/// A list with something in it.
pub(super) fn filled(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec(element, 1..3).prop_map(|items| format!("[{}]", items.join(", ")))
}

/// Layer 4, with layer 7 for an egress or ingress section that may have it.
fn services(layer7: Option<bool>) -> impl Strategy<Value = String> {
    let port_rule = prop_oneof![
        6 => filled(port()).prop_map(|ports| format!("{{ports: {ports}}}")),
        1 => Just("{}".to_owned()),
        1 => Just("{ports: []}".to_owned()),
    ];
    let field = (
        option::of(any::<bool>()),
        select(vec!["0", "3", "8", "128", "EchoRequest", "EchoReply"]),
    );
    let field = field.prop_map(|(v6, kind)| match v6 {
        None => format!("{{type: {kind}}}"),
        Some(v6) => format!(
            "{{type: {kind}, family: {}}}",
            if v6 { "IPv6" } else { "IPv4" }
        ),
    });
    let icmp_rule = filled(field).prop_map(|fields| format!("{{fields: {fields}}}"));
    let port_rule = match layer7 {
        Some(egress) => prop_oneof![3 => port_rule, 2 => layer7::port_rule(egress)].boxed(),
        None => port_rule.boxed(),
    };
    prop_oneof![
        5 => list(port_rule).prop_map(|list| format!("toPorts: {list}")),
        1 => list(icmp_rule).prop_map(|list| format!("icmps: {list}")),
    ]
}

fn port() -> impl Strategy<Value = String> {
    let numbers = select(vec![
        "0", "8", "010", "53", "79", "80", "443", "8080", "65535",
    ]);
    let names = select(vec!["http", "HTTP", "dns", "0x50"]);
    let end = || option::weighted(0.3, select(vec![0, 8, 80, 90, 444, 65535]));
    let by_name = (names, end());
    let protocol = option::weighted(0.8, select(vec!["TCP", "UDP", "SCTP", "ANY"]));
    let number = prop_oneof![9 => (numbers, end()), 4 => by_name];
    (number, protocol).prop_map(|((text, end), protocol)| {
        let mut members = vec![format!("port: \"{text}\"")];
        members.extend(end.map(|end| format!("endPort: {end}")));
        members.extend(protocol.map(|protocol| format!("protocol: {protocol}")));
        format!("{{{}}}", members.join(", "))
    })
}

fn network_policy() -> impl Strategy<Value = String> {
    let peer = prop_oneof![
        kubernetes_selector().prop_map(|pods| format!("{{podSelector: {pods}}}")),
        kubernetes_selector().prop_map(|spaces| format!("{{namespaceSelector: {spaces}}}")),
        (kubernetes_selector(), kubernetes_selector()).prop_map(|(pods, spaces)| format!(
            "{{podSelector: {pods}, namespaceSelector: {spaces}}}"
        )),
        Just("{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}".to_owned()),
        Just("{ipBlock: {cidr: \"2001:db8::/32\"}}".to_owned()),
    ];
    let port = select(vec![
        "{port: 80}",
        "{port: http, protocol: TCP}",
        "{port: dns, protocol: UDP}",
        "{protocol: SCTP}",
        "{port: 80, endPort: 443}",
        "{port: 8080, protocol: UDP}",
        "{}",
    ]);
    let ports = option::of(list(port.prop_map(str::to_owned)));
    let entry = (option::of(list(peer)), ports).prop_map(|(peers, ports)| {
        let members = peers.map(|peers| format!("@: {peers}")).into_iter();
        let members: Vec<_> = members
            .chain(ports.map(|ports| format!("ports: {ports}")))
            .collect();
        format!("{{{}}}", members.join(", "))
    });
    let entry = entry.boxed();
    let types = option::of(select(vec!["[Ingress]", "[Egress]", "[Ingress, Egress]"]));
    let section = || option::of(list(entry.clone()));
    (select(NAMESPACES.to_vec()), kubernetes_selector(), types, section(), section()).prop_map(
        |(namespace, pods, types, ingress, egress)| {
            let mut spec = vec![format!("podSelector: {pods}")];
            spec.extend(types.map(|types| format!("policyTypes: {types}")));
            spec.extend(ingress.map(|list| format!("ingress: {}", list.replace('@', "from"))));
            spec.extend(egress.map(|list| format!("egress: {}", list.replace('@', "to"))));
            let spec = spec.join(", ");
            format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: @NAME, namespace: {namespace}}}\nspec: {{{spec}}}\n")
        },
    )
}
