//! Senders, receivers, and who a rule is about, in words.

use policyc_ir::IdentityId;
use policyc_ir::label::{CLUSTER, Key, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source};
use policyc_ir::rule::Direction;
use policyc_ir::selector::{Operator, Requirement, Selector};

use super::Told;

/// The end whose policy is not asked, by its part in the flow.
pub(super) const fn peer(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "sender",
        Direction::Egress => "receiver",
    }
}

/// What a selector selects. That pods are of this cluster goes without saying, and so does the source of their labels.
pub(super) fn pods(told: &Told<'_>, selector: &Selector, noun: &str) -> String {
    let cluster = |one: &&Requirement| {
        let here = Operator::In(vec![told.front.settings.cluster.clone()]);
        one.key.is_k8s(CLUSTER) && one.operator == here
    };
    let all = selector.requirements().iter();
    let reserved = all.clone().any(|one| one.key.source == Source::Reserved);
    let all: Vec<_> = all.filter(|one| !cluster(one)).collect();
    let (namespace, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|one| one.key.is_k8s(NAMESPACE));
    let (of_namespace, others): (Vec<_>, Vec<_>) =
        others.into_iter().map(bare).partition(|one| one.1);
    let text = |list: Vec<(String, bool)>| list.into_iter().map(|one| one.0).collect::<Vec<_>>();
    let (of_namespace, others) = (text(of_namespace), text(others));
    let within: Vec<_> = namespace
        .into_iter()
        .map(|one| match &one.operator {
            Operator::In(names) => format!(" in namespace {}", names.join(" or ")),
            Operator::NotIn(names) => format!(" outside namespace {}", names.join(" and ")),
            Operator::Exists => " in any namespace".to_owned(),
            Operator::DoesNotExist => " in no namespace".to_owned(),
        })
        .collect();
    let what = match (others.is_empty(), reserved) {
        (true, _) => noun.to_owned(),
        (false, true) => others.join(", "),
        (false, false) => format!("{noun} with {}", others.join(", ")),
    };
    let labelled = match of_namespace.join(", ") {
        labels if labels.is_empty() => labels,
        labels => format!(" in namespaces with {labels}"),
    };
    format!("{what}{}{labelled}", within.concat())
}

/// A requirement without its source, and whether it is about a label of the namespace: pods have labels of Kubernetes,
/// and reserved labels are known by their names.
fn bare(requirement: &Requirement) -> (String, bool) {
    let key = bare_key(&requirement.key);
    let of_namespace = key.name.strip_prefix(NAMESPACE_LABELS);
    let key = of_namespace.map_or_else(|| key.clone(), |name| Key::new(key.source.clone(), name));
    let valueless = requirement.key.source == Source::Reserved
        && requirement.operator == Operator::In(vec!["".into()]);
    let text = if valueless {
        key.to_string()
    } else {
        Requirement::new(key, requirement.operator.clone()).to_string()
    };
    (text, of_namespace.is_some())
}

/// A key without a source that goes without saying.
pub(super) fn bare_key(key: &Key) -> Key {
    match key.source {
        Source::K8s | Source::Reserved => Key::new(Source::Any, key.name.clone()),
        _ => key.clone(),
    }
}

/// What an identity is.
pub(super) fn identity(told: &Told<'_>, id: IdentityId) -> String {
    let Some(identity) = told.model.universe().identity(id) else {
        return "unknown".to_owned();
    };
    let value = |name: &str| identity.labels.get(&Key::new(Source::K8s, name));
    let hidden = |key: &Key| {
        [NAMESPACE, CLUSTER, SERVICE_ACCOUNT].contains(&&*key.name)
            || key.name.starts_with(NAMESPACE_LABELS)
    };
    let shown = identity.labels.iter().filter(|(key, _)| !hidden(key));
    let shown: Vec<_> = shown
        .map(|(key, value)| match (&key.source, value.is_empty()) {
            (Source::K8s, _) => format!("{}={value}", key.name),
            (_, true) => key.name.to_string(),
            (_, false) => format!("{key}={value}"),
        })
        .collect();
    let mut text = shown.join(", ");
    if let Some(namespace) = value(NAMESPACE) {
        let labels = if text.is_empty() {
            "a pod without labels".to_owned()
        } else {
            format!("a pod with {text}")
        };
        text = format!("{labels} in namespace {namespace}");
    }
    if let Some(cidr) = identity.cidr {
        text = format!("{text}, in {cidr}");
    }
    if !identity.names.is_empty() {
        text = format!("{text}, known as {}", identity.names.join(", "));
    }
    text
}
