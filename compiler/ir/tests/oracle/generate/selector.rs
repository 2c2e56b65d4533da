//! Random label selectors.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::policy::filled;

fn value() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "", "n1", "n2", "red", "default"])
        .prop_map(|value| format!("\"{value}\""))
}

fn expression(key: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (key, 0..4_usize, filled(value())).prop_map(|(key, operator, values)| {
        let name = ["In", "NotIn", "Exists", "DoesNotExist"][operator];
        let values = if operator < 2 {
            format!(", values: {values}")
        } else {
            String::new()
        };
        format!("{{key: \"{key}\", operator: {name}{values}}}")
    })
}

fn selector_of(key: fn() -> BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let labels = vec((key(), value()), 0..3).prop_map(|mut pairs| {
        pairs.sort();
        pairs.dedup_by(|a, b| a.0 == b.0);
        let pairs = pairs
            .iter()
            .map(|(key, value)| format!("\"{key}\": {value}"));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
    });
    prop_oneof![
        2 => Just("{}".to_owned()),
        3 => key().prop_map(|key| format!("{{matchLabels: {{\"{key}\": a}}}}")),
        2 => labels.prop_map(|labels| format!("{{matchLabels: {labels}}}")),
        3 => filled(expression(key())).prop_map(|list| format!("{{matchExpressions: {list}}}")),
    ]
}

/// Selectors of pods, with every kind of key that scoping looks at.
pub(super) fn selector() -> impl Strategy<Value = String> {
    selector_of(|| {
        Union::new_weighted(vec![
            (14, select(vec!["app", "tier", "any:app", "k8s:tier"])),
            (
                3,
                select(vec![
                    "io.kubernetes.pod.namespace",
                    "k8s:io.kubernetes.pod.namespace",
                ]),
            ),
            (
                2,
                select(vec![
                    "io.cilium.k8s.namespace.labels.team",
                    "k8s:io.cilium.k8s.namespace.labels.env",
                ]),
            ),
            (
                2,
                select(vec![
                    "io.cilium.k8s.policy.cluster",
                    "io.cilium.k8s.policy.serviceaccount",
                    "pod-template-hash",
                ]),
            ),
            (
                1,
                select(vec![
                    "reserved:host",
                    "reserved:init",
                    "reserved:world-ipv4",
                    "$remote-node",
                ]),
            ),
        ])
        .prop_map(str::to_owned)
        .boxed()
    })
}

pub(super) fn node_selector() -> impl Strategy<Value = String> {
    selector_of(|| {
        select(vec!["role", "kubernetes.io/hostname"])
            .prop_map(str::to_owned)
            .boxed()
    })
}

pub(super) fn kubernetes_selector() -> impl Strategy<Value = String> {
    selector_of(|| {
        select(vec!["app", "tier", "team", "env"])
            .prop_map(str::to_owned)
            .boxed()
    })
}
