//! What a ClusterNetworkPolicy becomes.

use policyc_diag::SourceMap;
use policyc_syntax::ast::Object;

use super::{Entry, KubernetesPeer, Peers, Policy, Traffic};
use crate::l7::Content;

/// The policy of a `spec` whose lists have been left open: `subject` and then the sections.
fn read(spec: &str) -> Policy {
    let mut sources = SourceMap::new();
    let text = format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
    );
    let parsed = policyc_syntax::parse(&sources.add("case", text));
    let document = &parsed.documents[0];
    let Object::ClusterNetworkPolicy(policy) = &document.object else {
        panic!("{spec}")
    };
    super::policy(document, policy).unwrap()
}

/// Action, level, peers and layer 4 of each entry.
fn entries(rest: &str) -> Vec<String> {
    let policy = read(&format!(
        "tier: Admin, priority: 7, subject: {{namespaces: {{}}}}, {rest}"
    ));
    let [rule] = policy.rules.as_slice() else {
        panic!("one rule for each policy")
    };
    assert_eq!(rule.default_deny, [false, false]);
    rule.entries.iter().map(show).collect()
}

fn show(entry: &Entry) -> String {
    let peers = match &entry.peers {
        Peers::Absent => "absent".to_owned(),
        Peers::Kubernetes(list) => list.iter().map(peer).collect::<Vec<_>>().join(" | "),
        other => format!("{other:?}"),
    };
    let traffic = match &entry.traffic {
        Traffic::Any => String::new(),
        Traffic::Of(elements) => {
            let [element] = elements.as_slice() else {
                panic!("one element")
            };
            let l4: Vec<_> = element.l4.iter().map(ToString::to_string).collect();
            let dns = match element.l7.as_ref().map(|rules| &rules.content) {
                Some(Content::Dns(names)) => {
                    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
                    format!(" asking {}", names.join(", "))
                }
                _ => String::new(),
            };
            format!(" on {}{dns}", l4.join(" "))
        }
    };
    let level = entry.level.priority;
    format!(
        "{:?} {} {level}: {peers}{traffic}",
        entry.action, entry.path
    )
}

fn peer(peer: &KubernetesPeer) -> String {
    match peer {
        KubernetesPeer::Pods { pods, namespaces } => {
            let namespaces = namespaces.as_ref().map(ToString::to_string);
            format!("pods {pods} in {}", namespaces.unwrap_or_default())
        }
        KubernetesPeer::Block(cidr, except) => format!("{cidr} less {}", except.len()),
        KubernetesPeer::Namespaces(labels) => format!("namespaces {labels}"),
        KubernetesPeer::Nodes(labels) => format!("nodes {labels}"),
        KubernetesPeer::Labels(labels) => format!("labels {labels}"),
        KubernetesPeer::Fqdn(fqdn) => fqdn.to_string(),
        KubernetesPeer::Everyone => "everyone".to_owned(),
    }
}

#[test]
fn subjects_are_pods_of_every_cluster() {
    for (subject, wanted) in [
        ("namespaces: {}", "k8s:io.kubernetes.pod.namespace"),
        (
            "namespaces: {matchLabels: {a: b}}",
            "k8s:io.cilium.k8s.namespace.labels.a=b",
        ),
        (
            "pods: {podSelector: {matchLabels: {c: d}}}",
            "k8s:c=d, k8s:io.kubernetes.pod.namespace",
        ),
        (
            "pods: {namespaceSelector: {matchLabels: {a: b}}, podSelector: {}}",
            "k8s:io.cilium.k8s.namespace.labels.a=b",
        ),
    ] {
        let policy = read(&format!(
            "tier: Baseline, priority: 0, subject: {{{subject}}}"
        ));
        assert_eq!(policy.info.namespace, None);
        assert!(policy.rules[0].entries.is_empty());
        assert_eq!(
            policy.rules[0].subject.value.to_string(),
            wanted,
            "{subject}"
        );
    }
}

#[test]
fn rules_stand_at_levels_of_their_own() {
    let rule = "{action: Deny, from: [{namespaces: {}}]}";
    let found = entries(&format!(
        "ingress: [{rule}, {rule}], egress: [{{action: Pass, to: [{{namespaces: {{}}}}]}}]"
    ));
    assert_eq!(
        found,
        [
            "Deny spec.ingress[0] 700: namespaces *",
            "Deny spec.ingress[1] 701: namespaces *",
            "Pass spec.egress[0] 700: namespaces *",
        ]
    );
    let many = vec![rule; 101].join(", ");
    let last = entries(&format!("ingress: [{many}]")).pop();
    assert_eq!(
        last.as_deref(),
        Some("Deny spec.ingress[100] 800: namespaces *"),
        "as in Cilium, the hundredth rule goes on where the next priority begins"
    );
}

#[test]
fn peers_that_no_one_knows_get_nothing() {
    for (action, peers, wanted) in [
        ("Accept", "[{}]", vec![]),
        (
            "Accept",
            "[{}, {namespaces: {}}]",
            vec!["Allow spec.ingress[0] 700: namespaces *"],
        ),
        ("Deny", "[{}]", vec!["Deny spec.ingress[0] 700: everyone"]),
        (
            "Pass",
            "[{namespaces: {}}, {}]",
            vec![
                "Pass spec.ingress[0] 700: namespaces *",
                "Deny spec.ingress[0] 700: everyone",
            ],
        ),
        ("Pass", "[]", vec!["Pass spec.ingress[0] 700: absent"]),
    ] {
        let found = entries(&format!("ingress: [{{action: {action}, from: {peers}}}]"));
        assert_eq!(found, wanted, "{action} {peers}");
    }
    let absent = entries("egress: [{action: Accept}]");
    assert_eq!(absent, ["Allow spec.egress[0] 700: absent"]);
}

#[test]
fn every_kind_of_peer_is_read() {
    let peers = "[{pods: {podSelector: {matchLabels: {a: b}}}}, {pods: {namespaceSelector: {matchLabels: {c: d}}, podSelector: {}}}, {nodes: {matchLabels: {e: f}}}, {networks: [10.0.0.1/8, '::/0']}]";
    let found = entries(&format!("egress: [{{action: Deny, to: {peers}}}]"));
    assert_eq!(
        found,
        [
            "Deny spec.egress[0] 700: pods k8s:a=b in * | pods * in k8s:c=d | nodes node:e=f | 10.0.0.0/8 less 0 | ::/0 less 0"
        ]
    );
}

#[test]
fn names_may_be_asked_for() {
    let found = entries(
        "egress: [{action: Accept, to: [{domainNames: ['*.a.b', c.d]}, {networks: ['::/0']}], protocols: [{tcp: {destinationPort: {number: 443}}}]}]",
    );
    assert_eq!(
        found,
        [
            "Allow spec.egress[0] 700: **.a.b | c.d | ::/0 less 0 on tcp/443",
            "Allow spec.egress[0] 700: labels k8s-app=kube-dns on tcp/dns udp/dns sctp/dns tcp/dns-tcp udp/dns-tcp sctp/dns-tcp asking **.a.b, c.d",
        ]
    );
}

#[test]
fn ports_are_numbers_ranges_and_names() {
    let found = entries(
        "ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: 53}}}, {sctp: {destinationPort: {range: {start: 1, end: 9}}}}, {destinationNamedPort: http}]}]",
    );
    assert_eq!(
        found,
        ["Allow spec.ingress[0] 700: namespaces * on udp/53 sctp/1-9 tcp/http udp/http sctp/http"]
    );
}
