//! Labels, their sources and the filter that decides which exist for policy.

use std::fmt;
use std::sync::Arc;

/// Which pod labels exist for policy.
pub mod filter;

/// Label of every pod: its namespace.
pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Prefix of the labels a pod inherits from its namespace.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// Label of every pod: its cluster.
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// Label of every pod: its service account.
pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

/// Where a label comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// In selectors: whatever the source.
    Any,
    /// Kubernetes.
    K8s,
    /// Reserved identities.
    Reserved,
    /// Node labels on node identities.
    Node,
    /// Any other.
    Other(Arc<str>),
}

impl Source {
    fn parse(text: &str) -> Self {
        match text {
            "any" => Self::Any,
            "k8s" => Self::K8s,
            "reserved" => Self::Reserved,
            "node" => Self::Node,
            other => Self::Other(other.into()),
        }
    }

    /// The source as written before the colon.
    pub fn name(&self) -> &str {
        match self {
            Self::Any => "any",
            Self::K8s => "k8s",
            Self::Reserved => "reserved",
            Self::Node => "node",
            Self::Other(name) => name,
        }
    }
}

/// A label key with its source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The name.
    pub name: Arc<str>,
    /// The source.
    pub source: Source,
}

impl Key {
    /// A key of a source.
    pub fn new(source: Source, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            source,
        }
    }

    /// Reads `[source:]name`, or `$name` for a reserved one; no source means any.
    pub fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix('$') {
            return Self::new(Source::Reserved, name);
        }
        match text.split_once(':') {
            Some((source, name)) => Self::new(Source::parse(source), name),
            None => Self::new(Source::Any, text),
        }
    }

    /// Whether a selector's key names a label's key.
    pub fn selects(&self, label: &Self) -> bool {
        self.name == label.name && (self.source == Source::Any || self.source == label.source)
    }

    /// Whether this is Kubernetes' key of that name, or one of any source.
    pub fn is_k8s(&self, name: &str) -> bool {
        matches!(self.source, Source::Any | Source::K8s) && &*self.name == name
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Any => f.write_str(&self.name),
            source => write!(f, "{}:{}", source.name(), self.name),
        }
    }
}

/// The labels of an identity: one per name, sorted by name. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Key, Arc<str>)]>);

impl Labels {
    /// Labels from pairs; of two with one name the last wins, whatever their sources (semantics of Cilium's label
    /// map, which has one entry per name).
    pub fn new(pairs: impl IntoIterator<Item = (Key, Arc<str>)>) -> Self {
        let mut all: Vec<(Key, Arc<str>)> = pairs.into_iter().collect();
        // Of equal names the last comes first, and the others go.
        all.reverse();
        all.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        all.dedup_by(|(later, _), (first, _)| later.name == first.name);
        Self(all.into())
    }

    /// A single reserved label.
    pub fn reserved(names: &[&str]) -> Self {
        Self::new(
            names
                .iter()
                .map(|name| (Key::new(Source::Reserved, *name), Arc::from(""))),
        )
    }

    /// The value under a selector's key.
    pub fn get(&self, key: &Key) -> Option<&Arc<str>> {
        let at = self
            .0
            .binary_search_by(|(label, _)| label.name.cmp(&key.name))
            .ok()?;
        let (label, value) = self.0.get(at)?;
        key.selects(label).then_some(value)
    }

    /// Whether a label of this name exists, whatever its source.
    pub fn has_name(&self, name: &str) -> bool {
        self.0
            .binary_search_by(|(label, _)| (*label.name).cmp(name))
            .is_ok()
    }

    /// All labels, by name.
    pub fn iter(&self) -> impl Iterator<Item = &(Key, Arc<str>)> {
        self.0.iter()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let equals = if value.is_empty() { "" } else { "=" };
            write!(f, "{comma}{key}{equals}{value}")?;
        }
        Ok(())
    }
}
