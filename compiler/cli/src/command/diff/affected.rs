//! Pods of the inventory that a change is about.

use policyc_ir::label::{Key, Labels, NAMESPACE, Source};
use policyc_verify::diff::{Change, Difference, Party};

use crate::pipeline::Front;

/// Names that are kept of each end.
const NAMES: usize = 5;

/// How many pods are at each end of a change.
pub(super) struct Affected {
    /// Whose policy it is.
    pub(super) subjects: Pods,
    /// The others, if pods are among them.
    pub(super) peers: Option<Pods>,
}

/// Some pods.
#[derive(Default)]
pub(super) struct Pods {
    pub(super) count: usize,
    /// The first, by name.
    pub(super) names: Vec<String>,
}

impl Affected {
    /// Whether the change is about no flow of the pods that there are.
    fn is_idle(&self, change: &Change) -> bool {
        let only_pods = change.peers.iter().all(Party::is_pods);
        let peers = self.peers.as_ref().filter(|_| only_pods);
        self.subjects.count == 0 || peers.is_some_and(|peers| peers.count == 0)
    }
}

/// Looks for the pods of each change, and puts changes last that are about no pod at present.
pub(super) fn find(front: &Front, difference: &mut Difference) -> Vec<Affected> {
    let universe = front.universe(&front.settings, None);
    let namespace = Key::new(Source::K8s, NAMESPACE);
    let pods = universe.endpoints().iter();
    let pods = pods.filter(|one| !one.host && one.labels.get(&namespace).is_some());
    let mut pods: Vec<_> = pods.map(|one| (&*one.name, &one.labels)).collect();
    pods.sort_by_key(|(name, _)| *name);
    let changes = std::mem::take(&mut difference.changes).into_iter();
    let pairs = changes.map(|change| (of(&change, &pods), change));
    let (idle, other): (Vec<_>, Vec<_>) =
        pairs.partition(|(affected, change)| affected.is_idle(change));
    let (affected, changes) = other.into_iter().chain(idle).unzip();
    difference.changes = changes;
    affected
}

fn of(change: &Change, pods: &[(&str, &Labels)]) -> Affected {
    let has_pods = change.peers.iter().any(Party::has_pods) && !change.what.of_subjects();
    Affected {
        subjects: among(&change.subjects, pods),
        peers: has_pods.then(|| among(&change.peers, pods)),
    }
}

fn among(parties: &[Party], pods: &[(&str, &Labels)]) -> Pods {
    let mut found = Pods::default();
    for (name, labels) in pods {
        if parties.iter().any(|party| party.has_pod(labels)) {
            found.count += 1;
            if found.names.len() < NAMES {
                found.names.push((*name).to_owned());
            }
        }
    }
    found
}

impl std::fmt::Display for Pods {
    /// `3 pods: shop/web-0, shop/web-1, shop/web-2`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pods = if self.count == 1 { "pod" } else { "pods" };
        match self.count {
            0 => return f.write_str("no pod at present"),
            count => write!(f, "{count} {pods}: {}", self.names.join(", "))?,
        }
        match self.count - self.names.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
