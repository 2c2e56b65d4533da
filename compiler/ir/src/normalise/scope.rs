//! Which pods a selector can mean: namespace and cluster requirements that policies leave out.
//!
//! Source of every rule here: Cilium's ParseToCiliumRule and ParseNetworkPolicy.

use super::k8s_equals;
use crate::label::{CLUSTER, Key, NAMESPACE, NAMESPACE_LABELS, Source};
use crate::rule::{Kind, Policy};
use crate::selector::{Requirement, Selector};
use crate::settings::Settings;

/// A subject: within the policy's namespace.
pub(super) fn subject(written: &Selector, policy: &Policy) -> Selector {
    match &policy.namespace {
        Some(namespace) => written.clone().and(k8s_equals(NAMESPACE, namespace)),
        None => written.clone(),
    }
}

/// Whether a subject names the init identity; its rules' peers are then not bound to pods.
pub(super) fn speaks_of_init(subject: &Selector) -> bool {
    subject
        .requirements()
        .iter()
        .any(|requirement| requirement.key == Key::new(Source::Reserved, "init"))
}

/// A peer of Cilium's kinds. A `reserved:` key leaves the selector as it is.
pub(super) fn peer(
    written: &Selector,
    policy: &Policy,
    initial: bool,
    settings: &Settings,
) -> Selector {
    let requirements = written.requirements();
    if requirements
        .iter()
        .any(|requirement| requirement.key.source == Source::Reserved)
    {
        return written.clone();
    }
    let mentions = |name| {
        requirements
            .iter()
            .any(|requirement| requirement.key.is_k8s(name))
    };
    let by_namespace_label = requirements.iter().any(|requirement| {
        matches!(requirement.key.source, Source::Any | Source::K8s)
            && requirement.key.name.starts_with(NAMESPACE_LABELS)
    });
    let mut scoped = written.clone();
    if !mentions(NAMESPACE) {
        match (&policy.namespace, policy.kind) {
            (Some(namespace), Kind::Cnp) if !by_namespace_label => {
                scoped = scoped.and(k8s_equals(NAMESPACE, namespace));
            }
            (None, _) if !initial => {
                scoped = scoped.and(Requirement::exists(Key::new(Source::K8s, NAMESPACE)));
            }
            _ => {}
        }
    }
    if settings.default_local_cluster && !mentions(CLUSTER) {
        scoped = scoped.and(k8s_equals(CLUSTER, &settings.cluster));
    }
    scoped
}

/// Other nodes by their labels; the local one is never among them.
pub(super) fn node(written: &Selector, settings: &Settings) -> Selector {
    let remote = Requirement::exists(Key::new(Source::Reserved, "remote-node"));
    let mentions_cluster = written
        .requirements()
        .iter()
        .any(|requirement| requirement.key.is_k8s(CLUSTER));
    let scoped = written.clone().and(remote);
    if settings.default_local_cluster && !mentions_cluster {
        scoped.and(k8s_equals(CLUSTER, &settings.cluster))
    } else {
        scoped
    }
}

/// Pods in namespaces with such labels; an empty selector means any namespace.
pub(crate) fn in_namespaces(pods: Selector, namespaces: &Selector) -> Selector {
    if namespaces.is_wildcard() {
        return pods.and(Requirement::exists(Key::new(Source::K8s, NAMESPACE)));
    }
    let requirements = namespaces.requirements().iter();
    requirements.fold(pods, |scoped, requirement| {
        let name = format!("{NAMESPACE_LABELS}{}", requirement.key.name);
        scoped.and(Requirement {
            key: Key::new(Source::K8s, name),
            operator: requirement.operator.clone(),
        })
    })
}

/// A peer of a NetworkPolicy: namespace selectors speak of the labels that pods inherit from their namespace. Pods
/// are of the local cluster unless their own selector names the cluster.
pub(super) fn kubernetes(
    pods: &Selector,
    namespaces: Option<&Selector>,
    policy: &Policy,
    settings: &Settings,
) -> Selector {
    let mut scoped = pods.clone();
    let requirements = pods.requirements();
    let local = !requirements
        .iter()
        .any(|requirement| requirement.key.is_k8s(CLUSTER));
    match namespaces {
        None => {
            scoped = scoped.and(k8s_equals(
                NAMESPACE,
                policy.namespace.as_deref().unwrap_or("default"),
            ));
        }
        Some(selector) => scoped = in_namespaces(scoped, selector),
    }
    if settings.default_local_cluster && local {
        scoped = scoped.and(k8s_equals(CLUSTER, &settings.cluster));
    }
    scoped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_peers_are_local_unless_they_name_a_cluster() {
        let source = policyc_diag::SourceMap::new().add("case", "");
        let policy = Policy {
            kind: Kind::Knp,
            namespace: Some("shop".into()),
            name: "a".into(),
            span: policyc_diag::Span::new(source.id, 0, 0),
        };
        let scoped =
            |pods: &Selector| kubernetes(pods, None, &policy, &Settings::default()).to_string();
        assert_eq!(
            scoped(&Selector::EMPTY),
            "k8s:io.cilium.k8s.policy.cluster=default, k8s:io.kubernetes.pod.namespace=shop"
        );
        let other = Selector::new([k8s_equals(CLUSTER, "east")]);
        assert_eq!(
            scoped(&other),
            "k8s:io.cilium.k8s.policy.cluster=east, k8s:io.kubernetes.pod.namespace=shop"
        );
    }
}
