//! What other versions of Cilium take.

use super::{Settings, faults, object};
use crate::settings::Version;

fn at(minor: u8, spec: &str) -> Vec<(&'static str, String)> {
    let settings = Settings {
        version: Version::new(1, minor),
        ..Settings::default()
    };
    faults(&object("CiliumClusterwideNetworkPolicy", spec), settings)
}

/// Codes and places of a rule with one element of `toPorts`.
fn layer_seven(minor: u8, section: &str, rules: &str) -> Vec<(&'static str, String)> {
    let ports = "ports: [{port: '9092', protocol: TCP}]";
    at(
        minor,
        &format!(
            "{{endpointSelector: {{}}, {section}: [{{toPorts: [{{{ports}, rules: {rules}}}]}}]}}"
        ),
    )
}

#[test]
fn kafka_and_generic_rules_end_with_1_20() {
    for (rules, places) in [
        ("{kafka: [{topic: a}]}", vec!["[{topic: a}]"]),
        (
            "{l7proto: r2d2, l7: [{cmd: READ}]}",
            vec!["r2d2", "[{cmd: READ}]"],
        ),
    ] {
        for section in ["ingress", "egress"] {
            assert_eq!(layer_seven(19, section, rules), [], "{rules}");
            let wanted: Vec<_> = places
                .iter()
                .map(|place| ("E0222", (*place).to_owned()))
                .collect();
            assert_eq!(layer_seven(20, section, rules), wanted, "{rules}");
        }
    }
}

#[test]
fn kafka_rules_have_their_own_faults() {
    let long = "t".repeat(256);
    let topic = format!("{{topic: {long}}}");
    for (rule, wanted) in [
        ("{}", None),
        (
            "{role: consume, topic: a.b_c-d, clientID: 'any thing'}",
            None,
        ),
        ("{apiKey: OffsetFetch, apiVersion: '2'}", None),
        ("{apiKey: '', apiVersion: '', topic: ''}", None),
        ("{role: produce, apiKey: fetch}", Some("fetch")),
        ("{role: Produce}", Some("Produce")),
        ("{apiKey: fletch}", Some("fletch")),
        ("{apiVersion: '1.0'}", Some("'1.0'")),
        ("{apiVersion: '70000'}", Some("'70000'")),
        ("{topic: 'a*'}", Some("'a*'")),
        (&topic, Some(&long)),
    ] {
        let found = layer_seven(19, "egress", &format!("{{kafka: [{rule}]}}"));
        let wanted: Vec<_> = wanted
            .iter()
            .map(|place| ("E0220", (*place).to_owned()))
            .collect();
        assert_eq!(found, wanted, "{rule}");
    }
}

#[test]
fn old_protocols_stand_alone_and_on_tcp() {
    for (rules, wanted) in [
        ("{l7proto: r2d2}", None),
        ("{l7: [{cmd: READ}]}", Some(("E0219", "[{cmd: READ}]"))),
        ("{l7proto: '', l7: []}", Some(("E0219", "''"))),
        ("{l7proto: r2d2, l7: [{'': x}]}", Some(("E0220", "''"))),
        ("{kafka: [], http: []}", Some(("E0219", "[]"))),
        ("{kafka: [{}], l7proto: r2d2}", Some(("E0219", "r2d2"))),
        (
            "{dns: [{matchName: a}], l7proto: r2d2}",
            Some(("E0219", "r2d2")),
        ),
    ] {
        let found = layer_seven(19, "egress", rules);
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(code, place)| (*code, (*place).to_owned()))
            .collect();
        assert_eq!(found, wanted, "{rules}");
    }
    for rules in ["{kafka: [{}]}", "{l7proto: r2d2}"] {
        let entry =
            format!("{{toPorts: [{{ports: [{{port: '1', protocol: UDP}}], rules: {rules}}}]}}");
        let found = at(
            19,
            &format!("{{endpointSelector: {{}}, egress: [{entry}]}}"),
        );
        assert_eq!(found, [("E0219", "UDP".to_owned())], "{rules}");
    }
    let entry = "{toPorts: [{ports: [{port: '1', protocol: TCP}], rules: {kafka: [{}]}}]}";
    let node = at(19, &format!("{{nodeSelector: {{}}, ingress: [{entry}]}}"));
    assert_eq!(node, [("E0219", "[{}]".to_owned())]);
}

#[test]
fn requirements_end_with_1_19() {
    for (spec, place) in [
        (
            "ingress: [{fromRequires: [{matchLabels: {a: b}}]}]",
            "[{matchLabels: {a: b}}]",
        ),
        ("egressDeny: [{toRequires: [{}]}]", "[{}]"),
    ] {
        let spec = format!("{{endpointSelector: {{}}, {spec}}}");
        assert_eq!(at(18, &spec), []);
        assert_eq!(at(19, &spec), [("E0222", place.to_owned())]);
    }
}

#[test]
fn cluster_network_policies_begin_with_1_19() {
    let spec = "{tier: Admin, priority: 1, subject: {namespaces: {}}}";
    let text = object("ClusterNetworkPolicy", spec);
    for (minor, wanted) in [
        (18, vec![("E0223", "ClusterNetworkPolicy".to_owned())]),
        (19, vec![]),
    ] {
        let settings = Settings {
            version: Version::new(1, minor),
            ..Settings::default()
        };
        assert_eq!(faults(&text, settings), wanted, "1.{minor}");
    }
}

#[test]
fn services_with_ports_begin_with_1_18() {
    let entry =
        "{toServices: [{k8sService: {serviceName: a}}], toPorts: [{ports: [{port: '80'}]}]}";
    for section in ["egress", "egressDeny"] {
        let spec = format!("{{endpointSelector: {{}}, {section}: [{entry}]}}");
        assert_eq!(at(18, &spec), []);
        let found = at(17, &spec);
        assert_eq!(found, [("E0223", "[{ports: [{port: '80'}]}]".to_owned())]);
    }
}
