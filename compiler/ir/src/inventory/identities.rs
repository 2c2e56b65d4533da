//! The identities of pods: equal labels, one identity.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::ids::IdentityId;
use crate::label::{self, Key, Labels, Source};
use crate::settings::Settings;
use crate::universe::{Identity, Universe};

use super::{Inventory, Named, Pod};

/// A pod on the pod network.
pub(super) struct Identified<'a> {
    pub(super) key: &'a Named,
    pub(super) pod: &'a Pod,
    pub(super) labels: Labels,
    pub(super) identity: IdentityId,
}

type Pairs = Vec<(Key, Arc<str>)>;

/// The pods that policies for pods apply to, by namespace and name. Their identities are added to the universe in
/// the order of their labels.
pub(super) fn pods<'a>(
    inventory: &'a Inventory,
    settings: &Settings,
    universe: &mut Universe,
) -> Vec<Identified<'a>> {
    let service_account = Key::new(Source::K8s, label::SERVICE_ACCOUNT);
    let service_account = settings
        .labels
        .keeps(&service_account)
        .then_some(service_account);
    let homes = homes(inventory, settings);
    let pods: Vec<_> = inventory
        .pods
        .iter()
        .filter(|(_, pod)| !pod.host_network)
        .collect();
    let labelled = pods.into_par_iter().map(|(key, pod)| {
        let home = homes.get(&key.0).into_iter().flatten().cloned();
        let account = service_account.iter();
        let account = account.map(|key| (key.clone(), pod.service_account.clone()));
        Identified {
            key,
            pod,
            labels: Labels::new(own(pod, settings).chain(home).chain(account)),
            identity: IdentityId::UNKNOWN,
        }
    });
    let mut labelled: Vec<_> = labelled.collect();
    identify(&mut labelled, universe);
    labelled
}

/// A pod's own labels. Those that look like Cilium's are not taken from it.
fn own(pod: &Pod, settings: &Settings) -> impl Iterator<Item = (Key, Arc<str>)> {
    let own = pod.labels.iter();
    let own = own.filter(|(name, _)| !name.starts_with("io.cilium.k8s"));
    let own = own.map(|(name, value)| (Key::new(Source::K8s, name.clone()), value.clone()));
    own.filter(|(key, _)| settings.labels.keeps(key))
}

/// For each namespace with pods the labels that all of them have in common: the namespace's own, its name, and the
/// cluster's. They stand before a pod's own.
fn homes<'a>(inventory: &'a Inventory, settings: &Settings) -> BTreeMap<&'a Arc<str>, Pairs> {
    let mut homes: BTreeMap<&Arc<str>, Pairs> = BTreeMap::new();
    for (namespace, _) in inventory.pods.keys() {
        homes.entry(namespace).or_insert_with(|| {
            let written = inventory.namespaces.get(namespace).into_iter().flatten();
            let inherited = written.map(|(name, value)| {
                let name = format!("{}{name}", label::NAMESPACE_LABELS);
                (Key::new(Source::K8s, name), value.clone())
            });
            let added = [
                (Key::new(Source::K8s, label::NAMESPACE), namespace.clone()),
                (
                    Key::new(Source::K8s, label::CLUSTER),
                    settings.cluster.clone(),
                ),
            ];
            let all = inherited.chain(added);
            all.filter(|(key, _)| settings.labels.keeps(key)).collect()
        });
    }
    homes
}

/// Gives pods with equal labels one identity, and one copy of the labels.
fn identify(pods: &mut [Identified<'_>], universe: &mut Universe) {
    let mut order: Vec<_> = pods.iter_mut().collect();
    order.par_sort_by(|one, other| one.labels.cmp(&other.labels));
    let mut last: Option<(Labels, IdentityId)> = None;
    for pod in order {
        match &last {
            Some((labels, identity)) if *labels == pod.labels => {
                pod.labels = labels.clone();
                pod.identity = *identity;
            }
            _ => {
                pod.identity = universe.add_identity(Identity {
                    labels: pod.labels.clone(),
                    ..Identity::default()
                });
                last = Some((pod.labels.clone(), pod.identity));
            }
        }
    }
}
