//! A second evaluator, straight from the syntax tree: no normal form, no interning, no levels in one walk.
//!
//! It shares no code with the crate under test, so that a mistake would have to be made twice. It does what Cilium's
//! datapath does: every selector of every entry becomes a key of a policy map, and the map is looked up.

/// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.
mod cilium;
/// The cluster.
pub(crate) mod cluster;
/// Keys, and how the datapath looks them up.
mod decide;
/// Entries of all kinds of policy.
mod entry;
/// What Cilium merges.
mod filter;
/// ClusterNetworkPolicy.
mod kcnp;
/// NetworkPolicy.
mod kubernetes;
/// Proxies.
mod l7;
/// Labels and selectors.
mod labels;
/// The other side.
mod peer;
/// What proxies say.
mod request;
/// Prefixes, ports and patterns.
mod text;

use policyc_ir::rule::Direction;
use policyc_ir::settings::Settings;
use policyc_syntax::ast::{Document, Object, Text};

use cluster::Cluster;
use labels::Labels;

pub(crate) use decide::{Answer, Facing, Shown};
pub(crate) use filter::Side;

/// A cluster, its settings and the policies in force.
#[derive(Debug)]
pub(crate) struct World<'a> {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// Its settings.
    pub(crate) settings: &'a Settings,
    /// The policies.
    pub(crate) documents: Vec<&'a Document>,
}

/// Whose policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A pod, by its position.
    Pod(usize),
    /// The local node.
    Host,
}

impl World<'_> {
    /// A subject by its name; a pod on the host's network is the host.
    pub(crate) fn subject(&self, name: &str) -> Subject {
        let pod = self
            .cluster
            .pod(name)
            .filter(|pod| !self.cluster.pods[*pod].host_network);
        pod.map_or(Subject::Host, Subject::Pod)
    }

    /// What is in force at a subject, ingress and egress.
    pub(crate) fn sides(&self, subject: Subject) -> [Side; 2] {
        let labels = self.subject_labels(subject);
        let exempt = !self.settings.host_firewall && labels.contains_key("host");
        let entries: Vec<_> = if exempt {
            Vec::new()
        } else {
            self.entries(subject, &labels)
        };
        let mut sides = Direction::BOTH.map(|direction| {
            let own = entries.iter().filter(|entry| entry.direction == direction);
            self.side(
                subject,
                direction,
                exempt,
                &labels,
                &own.collect::<Vec<_>>(),
            )
        });
        // One impossible merge, and the subject has no policy at all.
        let conflict = sides.iter().any(|side| side.conflict);
        for side in &mut sides {
            side.conflict = conflict;
        }
        sides
    }

    fn entries(&self, subject: Subject, labels: &Labels) -> Vec<entry::Entry> {
        let mut entries = Vec::new();
        let mut documents = self.documents.clone();
        documents.sort_by_cached_key(|document| resource(document));
        for document in documents {
            let home = document
                .meta
                .namespace
                .as_ref()
                .map_or("default", |text| text.value.as_str());
            entries.extend(match &document.object {
                Object::CiliumNetworkPolicy(policy) => {
                    self.cilium(policy, Some(home), labels, subject == Subject::Host)
                }
                Object::CiliumClusterwideNetworkPolicy(policy) => {
                    self.cilium(policy, None, labels, subject == Subject::Host)
                }
                Object::NetworkPolicy(policy) => self.kubernetes(policy, home, labels),
                Object::ClusterNetworkPolicy(policy) => self.tiered(policy, labels),
                _ => Vec::new(),
            });
        }
        entries
    }

    fn subject_labels(&self, subject: Subject) -> Labels {
        if let Subject::Pod(pod) = subject {
            return self.pod_labels(pod);
        }
        let mut labels = Labels::from([("host".to_owned(), ("reserved", String::new()))]);
        let node = self.cluster.nodes.first();
        for (key, value) in node
            .iter()
            .flat_map(|node| &node.labels)
            .filter(|(key, _)| labels::kept(key))
        {
            labels.insert(key.clone(), ("k8s", value.clone()));
        }
        labels
    }
}

/// What Cilium calls an object; objects are merged in the order of these.
fn resource(document: &Document) -> String {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.value.clone());
    let name = text(&document.meta.name).unwrap_or_default();
    let namespace = text(&document.meta.namespace).unwrap_or_else(|| "default".to_owned());
    match &document.object {
        Object::CiliumNetworkPolicy(_) => format!("cnp/{namespace}/{name}"),
        Object::CiliumClusterwideNetworkPolicy(_) => format!("ccnp//{name}"),
        Object::NetworkPolicy(_) => format!("netpol/{namespace}/{name}"),
        _ => format!("kcnp//{name}"),
    }
}
