//! Which pods and reserved identities a selector can match.

use std::sync::Arc;

use policyc_ir::label::filter::Filter;
use policyc_ir::label::{self, CLUSTER, Key, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source};
use policyc_ir::rule::RuleSet;
use policyc_ir::selector::{Requirement, Selector};

use super::kind::Kind;
use super::values::Values;

/// What a selector asks of a pod, by label name, and which other kinds it matches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// Sorted by name; `None` if no pod can match.
    pub(crate) pod: Option<Asked>,
    /// What it asks of the labels of other nodes, where it matches that kind at all.
    pub(crate) node: Asked,
    /// The other kinds, as bits.
    pub(crate) kinds: u16,
}

/// Accepted values by label name, sorted by name.
pub(crate) type Asked = Vec<(Arc<str>, Values)>;

/// Why no pod can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Requirements on one label leave no value.
    Contradiction(Vec<Requirement>),
    /// No pod ever has the label.
    NeverOnPods(Requirement),
    /// Every pod has the label.
    AlwaysOnPods(Requirement),
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Contradiction(requirements) => {
                let texts: Vec<_> = requirements
                    .iter()
                    .map(|requirement| format!("`{requirement}`"))
                    .collect();
                write!(f, "{} contradict each other", texts.join(" and "))
            }
            Self::NeverOnPods(requirement) => {
                write!(f, "no pod has a label that meets `{requirement}`")
            }
            Self::AlwaysOnPods(requirement) => {
                write!(f, "every pod has the label `{}`", requirement.key)
            }
        }
    }
}

/// The name under which a label is reasoned about: a namespace's name is also one of its labels.
pub(crate) fn canonical(name: &Arc<str>) -> Arc<str> {
    match name.strip_prefix(NAMESPACE_LABELS) {
        Some("kubernetes.io/metadata.name") => NAMESPACE.into(),
        _ => name.clone(),
    }
}

/// Whether every pod has the label.
pub(crate) fn always(name: &str) -> bool {
    matches!(name, NAMESPACE | CLUSTER | SERVICE_ACCOUNT)
}

/// Whether a pod can have a label that a selector's key names, given the labels that the cluster keeps.
pub(crate) fn on_pods(key: &Key, filter: &Filter) -> bool {
    let of_cilium = key.name.starts_with("io.cilium.k8s")
        && !always(&key.name)
        && !key.name.starts_with(NAMESPACE_LABELS);
    matches!(key.source, Source::Any | Source::K8s) && !of_cilium && keeps(filter, key)
}

/// Whether a key can name a label of another node: its own ones, and that of its cluster.
pub(crate) fn on_nodes(key: &Key) -> bool {
    match &*key.name {
        CLUSTER => matches!(key.source, Source::Any | Source::K8s),
        "remote-node" | "kube-apiserver" => false,
        _ => matches!(key.source, Source::Any | Source::Node),
    }
}

/// Whether the cluster keeps a label of Kubernetes; those that every pod has are no matter of choice.
fn keeps(filter: &Filter, key: &Key) -> bool {
    always(&key.name) || filter.keeps(&Key::new(Source::K8s, key.name.clone()))
}

/// Whether a key can name a label that the local node has as a subject of policies.
pub(crate) fn on_host(key: &Key, filter: &Filter) -> bool {
    !always(&key.name)
        && !key.name.starts_with("io.cilium.k8s")
        && &*key.name != "host"
        && matches!(key.source, Source::Any | Source::K8s)
        && keeps(filter, key)
}

/// What a selector asks of the labels of a kind, given which keys name some; `None` if it never matches the kind.
pub(crate) fn on_kind(
    selector: &Selector,
    fixed: &label::Labels,
    own: impl Fn(&Key) -> bool,
) -> Option<Asked> {
    let mut all = Asked::new();
    for requirement in selector.requirements() {
        let value = fixed.get(&requirement.key);
        if value.is_some() || !own(&requirement.key) {
            if requirement.accepts(value.map(|value| &**value)) {
                continue;
            }
            return None;
        }
        let name = &requirement.key.name;
        let values = accepted(requirement);
        match all.binary_search_by(|(known, _)| known.cmp(name)) {
            Ok(at) => {
                let (_, known) = all.get_mut(at)?;
                *known = known.meet(&values);
                if known.is_empty() {
                    return None;
                }
            }
            Err(at) => all.insert(at, (name.clone(), values)),
        }
    }
    Some(all)
}

/// The values that a requirement leaves to a label of a pod, before other requirements.
pub(crate) fn accepted(requirement: &Requirement) -> Values {
    Values::of(&requirement.operator)
}

impl Reach {
    /// Reads a selector.
    pub(crate) fn new(selector: &Selector, filter: &Filter) -> Self {
        let plain = |kind: &Kind| *kind != Kind::UNKNOWN && !Kind::NODES.contains(kind);
        let others = Kind::OTHERS.into_iter().filter(plain);
        let matched = others.filter(|kind| selector.matches(&kind.labels()));
        let mut kinds = matched.fold(0, |set, kind| set | kind.bit());
        let mut node = Asked::new();
        for kind in Kind::NODES {
            if let Some(asked) = on_kind(selector, &kind.labels(), on_nodes) {
                kinds |= kind.bit();
                node = asked;
            }
        }
        let pod = pods(selector, filter).ok();
        Self { pod, node, kinds }
    }

    /// Whether it matches anything.
    pub(crate) fn is_possible(&self) -> bool {
        self.pod.is_some() || self.kinds != 0
    }

    /// Whether one party may match both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        const NODES: u16 = Kind::NODE.bit() | Kind::NODE_API.bit();
        let kinds = self.kinds & other.kinds;
        let nodes = kinds & NODES != 0 && compatible(&self.node, &other.node);
        let pods = match (&self.pod, &other.pod) {
            (Some(left), Some(right)) => compatible(left, right),
            _ => false,
        };
        kinds & !NODES != 0 || nodes || pods
    }
}

/// Walks two sorted lists; labels that only one names are no obstacle.
pub(crate) fn compatible(left: &Asked, right: &Asked) -> bool {
    left.iter().all(|(name, values)| {
        let at = right.binary_search_by(|(other, _)| other.cmp(name));
        let other = at.ok().and_then(|at| right.get(at));
        other.is_none_or(|(_, other)| values.meets(other))
    })
}

/// What a selector asks of pods, by label name.
pub(crate) fn pods(selector: &Selector, filter: &Filter) -> Result<Asked, Conflict> {
    let mut all = Asked::new();
    for requirement in selector.requirements() {
        let values = accepted(requirement);
        if !on_pods(&requirement.key, filter) {
            if values.absent {
                continue;
            }
            return Err(Conflict::NeverOnPods(requirement.clone()));
        }
        let name = canonical(&requirement.key.name);
        if always(&name) && values.only_absent() {
            return Err(Conflict::AlwaysOnPods(requirement.clone()));
        }
        let at = match all.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(at) => at,
            Err(at) => {
                let absent = !always(&name);
                let any = Values {
                    absent,
                    complement: true,
                    list: Vec::new(),
                };
                all.insert(at, (name.clone(), any));
                at
            }
        };
        if let Some((_, known)) = all.get_mut(at) {
            *known = known.meet(&values);
            if known.is_empty() {
                return Err(Conflict::Contradiction(minimal(selector, &name, filter)));
            }
        }
    }
    Ok(all)
}

/// The fewest requirements on a label that leave it no value: a pair if there is one.
fn minimal(selector: &Selector, name: &Arc<str>, filter: &Filter) -> Vec<Requirement> {
    let mut on: Vec<Requirement> = selector
        .requirements()
        .iter()
        .filter(|requirement| {
            on_pods(&requirement.key, filter) && canonical(&requirement.key.name) == *name
        })
        .cloned()
        .collect();
    let mut at = 0;
    while at < on.len() {
        let rest = on.iter().enumerate().filter(|(other, _)| *other != at);
        let left = rest.fold(
            Values {
                absent: !always(name),
                complement: true,
                list: Vec::new(),
            },
            |values, (_, requirement)| values.meet(&accepted(requirement)),
        );
        if left.is_empty() {
            on.remove(at);
        } else {
            at += 1;
        }
    }
    on
}

/// The reach of every selector of a rule set, by id.
pub(crate) fn table(rules: &RuleSet, filter: &Filter) -> Vec<Reach> {
    let selectors = rules.selectors().iter();
    selectors.map(|one| Reach::new(one, filter)).collect()
}
