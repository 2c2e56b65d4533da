//! Labels, the filter that decides which exist for policy, and what selectors ask of them.

use std::collections::BTreeMap;

use policyc_syntax::ast::{Selector, Text};

/// Labels by name: source and value. Of two labels with one name only one stays, whatever their sources.
pub(crate) type Labels = BTreeMap<String, (&'static str, String)>;

/// Namespace of a pod.
pub(super) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Prefix of the labels that a pod has from its namespace.
pub(super) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// Cluster of a pod.
pub(super) const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// Service account of a pod.
pub(super) const ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

/// What one requirement asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// One of these values (sorted).
    In(Vec<String>),
    /// Absent, or none of these values (sorted).
    NotIn(Vec<String>),
    /// Present.
    Exists,
    /// Absent.
    Absent,
}

/// One requirement: source and name of a key, and what is asked.
pub(super) type Requirement = (String, String, Asked);

/// Source and name of a key as Cilium reads it.
pub(super) fn split(key: &str) -> (&str, &str) {
    match key.strip_prefix('$') {
        Some(name) => ("reserved", name),
        None => key.split_once(':').unwrap_or(("any", key)),
    }
}

/// Requirements in one order, without repeats, their keys read by `read`.
pub(super) fn requirements<'a>(
    selector: &'a Selector,
    read: impl Fn(&'a str) -> (&'a str, String),
) -> Vec<Requirement> {
    let mut all = Vec::new();
    for (key, value) in &selector.match_labels {
        let (source, name) = read(&key.value);
        all.push((
            source.to_owned(),
            name,
            Asked::In(vec![value.value.clone()]),
        ));
    }
    for one in &selector.match_expressions {
        let (source, name) = read(&one.key.value);
        let mut values: Vec<_> = texts(one.values.iter().flat_map(|list| list.iter())).collect();
        values.sort();
        values.dedup();
        let asked = match one.operator.value.as_str() {
            "In" => Asked::In(values),
            "NotIn" => Asked::NotIn(values),
            "Exists" => Asked::Exists,
            "DoesNotExist" => Asked::Absent,
            other => panic!("operator {other} was let through"),
        };
        all.push((source.to_owned(), name, asked));
    }
    all.sort();
    all.dedup();
    all
}

/// Requirements of a selector of Cilium's own kinds.
pub(super) fn cilium(selector: &Selector) -> Vec<Requirement> {
    requirements(selector, |key| {
        let (source, name) = split(key);
        (source, name.to_owned())
    })
}

/// Requirements of a selector of Kubernetes, behind a prefix.
pub(super) fn plain(selector: &Selector, prefix: &str) -> Vec<Requirement> {
    requirements(selector, |key| ("k8s", format!("{prefix}{key}")))
}

/// `source:name` has that value.
pub(super) fn equals(source: &str, name: &str, value: &str) -> Requirement {
    (
        source.to_owned(),
        name.to_owned(),
        Asked::In(vec![value.to_owned()]),
    )
}

/// `source:name` exists.
pub(super) fn exists(source: &str, name: &str) -> Requirement {
    (source.to_owned(), name.to_owned(), Asked::Exists)
}

/// Whether labels meet every requirement.
pub(super) fn meet(labels: &Labels, requirements: &[Requirement]) -> bool {
    requirements.iter().all(|(source, name, asked)| {
        let given = labels
            .get(name)
            .filter(|(own, _)| source == "any" || source == own);
        answers(asked, given.map(|(_, value)| value.as_str()))
    })
}

/// Whether a value, or none, is what is asked for.
pub(super) fn answers(asked: &Asked, given: Option<&str>) -> bool {
    let listed = |values: &[String]| values.iter().any(|value| Some(value.as_str()) == given);
    match asked {
        Asked::In(values) => listed(values),
        Asked::NotIn(values) => !listed(values),
        Asked::Exists => given.is_some(),
        Asked::Absent => given.is_none(),
    }
}

/// Whether a label of a pod or node exists for policy, with Cilium's default filter: the longest name to include
/// against the shortest to exclude, both as beginnings.
pub(super) fn kept(name: &str) -> bool {
    const WITH: [&str; 5] = [
        NAMESPACE,
        NAMESPACE_LABELS,
        CLUSTER,
        ACCOUNT,
        "app.kubernetes.io",
    ];
    const WITHOUT: [&str; 16] = [
        "io.kubernetes",
        "kubernetes.io",
        "beta.kubernetes.io",
        "k8s.io",
        "pod-template-generation",
        "pod-template-hash",
        "controller-revision-hash",
        "controller-uid",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "topology.kubernetes.io",
        "annotation",
        "etcd_node",
        "node.beta.kubernetes.io",
    ];
    let included = WITH
        .iter()
        .filter(|start| name.starts_with(**start))
        .map(|start| start.len());
    let excluded = WITHOUT.iter().filter(|start| name.starts_with(**start));
    match (included.max(), excluded.map(|start| start.len()).min()) {
        (_, None) => true,
        (with, Some(without)) => with.is_some_and(|with| with > without),
    }
}

/// The values of texts.
pub(super) fn texts<'a>(
    list: impl Iterator<Item = &'a Text> + 'a,
) -> impl Iterator<Item = String> + 'a {
    list.map(|text| text.value.clone())
}
