//! What selectors, prefixes and ports say, read from their text each time.

use std::net::IpAddr;

use policyc_syntax::ast::{Selector, cilium};

use super::{Labels, Question};

/// Source and name of a key.
pub(super) fn split(key: &str) -> (&str, &str) {
    match key.strip_prefix('$') {
        Some(name) => ("reserved", name),
        None => key.split_once(':').unwrap_or(("any", key)),
    }
}

pub(super) fn keys(selector: &Selector) -> Vec<(&str, &str)> {
    let labels = selector
        .match_labels
        .iter()
        .map(|(key, _)| split(&key.value));
    labels
        .chain(
            selector
                .match_expressions
                .iter()
                .map(|one| split(&one.key.value)),
        )
        .collect()
}

pub(super) fn selects(selector: &Selector, labels: &Labels) -> bool {
    all(selector, |key| {
        let (source, name) = split(key);
        labels
            .get(name)
            .filter(|(given, _)| source == "any" || source == *given)
            .map(|(_, value)| value.as_str())
    })
}

/// A selector of Kubernetes: keys are plain names of labels with source `k8s`, behind a prefix.
pub(super) fn selects_plain(selector: &Selector, labels: &Labels, prefix: &str) -> bool {
    all(selector, |key| {
        let label = labels
            .get(&format!("{prefix}{key}"))
            .filter(|(source, _)| *source == "k8s");
        label.map(|(_, value)| value.as_str())
    })
}

fn all<'a>(selector: &Selector, value: impl Fn(&str) -> Option<&'a str>) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .all(|(key, wanted)| value(&key.value) == Some(wanted.value.as_str()));
    equal
        && selector.match_expressions.iter().all(|one| {
            let given = value(&one.key.value);
            let listed = || {
                let mut values = one.values.iter().flat_map(|list| list.iter());
                values.any(|wanted| Some(wanted.value.as_str()) == given)
            };
            match one.operator.value.as_str() {
                "In" => given.is_some() && listed(),
                "NotIn" => given.is_none() || !listed(),
                "Exists" => given.is_some(),
                "DoesNotExist" => given.is_none(),
                other => panic!("operator {other} was let through"),
            }
        })
}

pub(super) fn holds(cidr: &str, address: IpAddr) -> bool {
    let (network, length) = cidr.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    match (network.parse().unwrap(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            length == 0 || (network.to_bits() ^ address.to_bits()) >> (32 - length) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            length == 0 || (network.to_bits() ^ address.to_bits()) >> (128 - length) == 0
        }
        _ => false,
    }
}

pub(super) fn range(first: i64, end: i64, port: u16) -> bool {
    let port = i64::from(port);
    port == first || (first..=end).contains(&port)
}

pub(super) fn number(protocol: &str) -> u8 {
    match protocol {
        "TCP" => 6,
        "UDP" => 17,
        "SCTP" => 132,
        other => panic!("no protocol: {other}"),
    }
}

/// Type 0 stands for every type, as port 0 does for every port.
pub(super) fn icmp_matches(field: &cilium::IcmpField, question: &Question) -> bool {
    let v6 = field
        .family
        .as_ref()
        .is_some_and(|family| family.value == "IPv6");
    let kind = match &field.kind.as_ref().unwrap().value {
        cilium::IcmpType::Number(number) => *number,
        cilium::IcmpType::Name(name) => match (name.as_str(), v6) {
            ("EchoRequest", false) => 8,
            ("EchoRequest", true) => 128,
            ("EchoReply", false) => 0,
            ("EchoReply", true) => 129,
            (other, _) => panic!("no type: {other}"),
        },
    };
    question.protocol == if v6 { 58 } else { 1 } && (kind == 0 || kind == i64::from(question.port))
}
