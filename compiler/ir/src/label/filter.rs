//! Which pod labels exist for policy.
//!
//! Cilium keeps a label out of identities if an exclude pattern matches the start of its key and no longer include
//! pattern does. These are the defaults; patterns are prefixes here, since every default one is.

/// Prefixes that keep a key in, though an exclude matches.
const INCLUDED: &[&str] = &[
    super::NAMESPACE,
    super::NAMESPACE_LABELS,
    super::CLUSTER,
    super::SERVICE_ACCOUNT,
    "app.kubernetes.io",
];

/// Prefixes that keep a key out.
const EXCLUDED: &[&str] = &[
    "io.kubernetes",
    "kubernetes.io",
    "k8s.io",
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "job-completion-index",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "topology.kubernetes.io",
    "annotation",
    "etcd_node",
];

/// Whether a pod label of this key is part of the pod's identity, under the default filter.
pub fn keeps(key: &str) -> bool {
    if INCLUDED.iter().any(|prefix| key.starts_with(prefix)) {
        return true;
    }
    let beta = key
        .split_once("beta.kubernetes.io")
        .is_some_and(|(before, _)| !before.contains('/'));
    !beta && !EXCLUDED.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::keeps;

    #[test]
    fn keeps_what_cilium_keeps_by_default() {
        for key in [
            "app",
            "app.kubernetes.io/name",
            "foo.bar/kubernetes.io",
            "io.kubernetes.pod.namespace",
            "role",
        ] {
            assert!(keeps(key), "{key}");
        }
        for key in [
            "pod-template-hash",
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
            "io.kubernetes.x",
        ] {
            assert!(!keeps(key), "{key}");
        }
    }
}
