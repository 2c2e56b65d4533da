//! Patterns that Cilium always has, before those of the user (defaultLabelPrefixCfg).

use super::Covered;
use crate::label::{CLUSTER, Key, NAMESPACE, SERVICE_ACCOUNT, Source};

/// Starts of keys that keep a label in, though an exclusion matches.
const INCLUDED: &[&str] = &[
    NAMESPACE,
    "io.cilium.k8s.namespace.labels",
    CLUSTER,
    SERVICE_ACCOUNT,
    "app.kubernetes.io",
];

/// Starts of keys that leave a label out.
const EXCLUDED: &[&str] = &[
    "io.kubernetes",
    "kubernetes.io",
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
    "etcd_node",
];

/// Leaves a label out wherever it stands in the key; the match reaches back to the key's start.
const EXCLUDED_ANYWHERE: &str = "beta.kubernetes.io";
/// Leaves a label out; the match is the whole key.
const EXCLUDED_WHOLE: &str = "annotation";

/// What the patterns cover of a key.
pub(super) fn covered(key: &Key) -> Covered {
    let name = &*key.name;
    let mut covered = Covered::default();
    if key.source == Source::Reserved {
        covered.add(false, name.len());
    }
    for start in INCLUDED.iter().filter(|start| name.starts_with(**start)) {
        covered.add(false, start.len());
    }
    for start in EXCLUDED.iter().filter(|start| name.starts_with(**start)) {
        covered.add(true, start.len());
    }
    if let Some(at) = name.rfind(EXCLUDED_ANYWHERE) {
        covered.add(true, at + EXCLUDED_ANYWHERE.len());
    }
    if name.starts_with(EXCLUDED_WHOLE) {
        covered.add(true, name.len());
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::super::{Filter, keeps};
    use crate::label::{Key, Source};

    #[test]
    fn each_default_exclusion_excludes() {
        for key in [
            "io.kubernetes.x",
            "kubernetes.io/hostname",
            "k8s.io/x",
            "pod-template-generation",
            "pod-template-hash",
            "controller-revision-hash",
            "controller-uid",
            "batch.kubernetes.io/controller-uid",
            "batch.kubernetes.io/job-completion-index",
            "statefulset.kubernetes.io/pod-name",
            "apps.kubernetes.io/pod-index",
            "topology.kubernetes.io/zone",
            "annotation.x",
            "etcd_node",
            "beta.kubernetes.io/os",
            "node.beta.kubernetes.io/os",
            "x/beta.kubernetes.io",
            "io.cilium.k8s.namespace.labels.beta.kubernetes.io/os",
        ] {
            assert!(!keeps(key), "{key}");
        }
    }

    #[test]
    fn each_default_inclusion_includes() {
        for key in [
            "io.kubernetes.pod.namespace",
            "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
            "io.cilium.k8s.policy.cluster",
            "io.cilium.k8s.policy.serviceaccount",
            "app.kubernetes.io/name",
        ] {
            assert!(keeps(key), "{key}");
        }
        let reserved = Key::new(Source::Reserved, "etcd_node_");
        assert!(Filter::default().keeps(&reserved));
    }

    #[test]
    fn everything_else_stays() {
        for key in [
            "app",
            "role",
            "foo.bar/kubernetes.io",
            "my-annotation",
            "batch.kubernetes.io/job-name",
            "job-completion-index",
            "x.topology.kubernetes.io/zone",
            "node-role.kubernetes.io/worker",
        ] {
            assert!(keeps(key), "{key}");
        }
    }
}
