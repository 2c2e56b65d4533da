//! Clusters of any size, made up from a seed: what the benchmarks measure.
//!
//! Shape of a large cluster as people report theirs: namespaced policies that select by the `app` label, peers in the
//! same namespace or in another, a few prefixes, entities, services and names, one cluster-wide policy in a hundred.
//! Every pod has labels of its own, so there are as many identities as pods: the worst case.

/// Namespaces, nodes, pods and services.
mod inventory;
/// The other side of a rule.
mod peers;
/// Policies of all kinds.
mod policies;
/// Reproducible chance.
mod random;
/// Labels and selectors over them.
mod selectors;
/// Block style, as people write it.
mod yaml;

use std::fs;
use std::path::Path;

use crate::TaskError;

/// How large a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pods, each an identity of its own.
    pub pods: usize,
    /// Policies.
    pub policies: usize,
    /// Equal seeds make equal clusters.
    pub seed: u64,
    /// Nodes that the pods are spread over.
    pub nodes: usize,
    /// Up to which layer rules speak: 7, or 4 for what tables can hold, which leaves out DNS names and services too.
    pub layers: u8,
}

/// A cluster as YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Namespaces, nodes, services and pods.
    pub inventory: String,
    /// Policies.
    pub policies: String,
}

/// Of anything, at most: the pods' addresses end before long.
const MAX: usize = 1_000_000;
/// Nodes at most: their addresses end in one number.
const NODES_MAX: usize = 250;
/// Pods per namespace.
const PODS_PER_NAMESPACE: usize = 100;

impl Shape {
    /// A shape with the seed that the benchmarks use.
    pub const fn new(pods: usize, policies: usize) -> Self {
        Self {
            pods,
            policies,
            seed: 1,
            nodes: 20,
            layers: 7,
        }
    }

    /// Reads `[--pods N] [--policies N] [--nodes N] [--seed N] [--layers 4]`; what is not given is 1000, 1000, 20, the
    /// benchmarks' seed, and 7.
    pub fn from_arguments(mut arguments: &[&str]) -> Result<Self, TaskError> {
        let mut shape = Self::new(1000, 1000);
        while let [name, rest @ ..] = arguments {
            let [value, rest @ ..] = rest else {
                return Err(TaskError(format!("`{name}` lacks a number")));
            };
            let number = value.parse().ok().filter(|number| *number <= MAX);
            let number = number
                .ok_or_else(|| TaskError(format!("`{value}` is no number from 0 to {MAX}")))?;
            match *name {
                "--pods" => shape.pods = number,
                "--policies" => shape.policies = number,
                "--nodes" => shape.nodes = number.clamp(1, NODES_MAX),
                "--seed" => shape.seed = number as u64,
                "--layers" => shape.layers = if number < 7 { 4 } else { 7 },
                _ => return Err(TaskError(format!("`{name}` is no option of `cluster`"))),
            }
            arguments = rest;
        }
        Ok(shape)
    }

    const fn namespaces(self) -> usize {
        // Policies need a namespace even if there are no pods.
        if self.pods == 0 {
            1
        } else {
            self.pods.div_ceil(PODS_PER_NAMESPACE)
        }
    }
}

impl Cluster {
    /// Makes a cluster up.
    pub fn new(shape: Shape) -> Self {
        let mut random = random::Random::new(shape.seed);
        let world = inventory::World::new(shape, &mut random);
        Self {
            inventory: yaml::documents(&world.objects()),
            policies: yaml::documents(&policies::objects(shape, &world, &mut random)),
        }
    }

    /// Writes `inventory.yaml` and `policies.yaml` into a folder.
    pub fn write(&self, folder: &Path) -> Result<(), TaskError> {
        let failed = |path: &Path, error: &std::io::Error| {
            TaskError(format!("cannot write `{}`: {error}", path.display()))
        };
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        let files = [
            ("inventory.yaml", &self.inventory),
            ("policies.yaml", &self.policies),
        ];
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use policyc_diag::SourceMap;
    use policyc_ir::policy::PolicySet;
    use policyc_ir::settings::Settings;

    use super::*;

    #[test]
    fn equal_seeds_make_equal_clusters_and_others_do_not() {
        let shape = Shape::new(150, 80);
        let other = Shape { seed: 2, ..shape };
        assert_eq!(Cluster::new(shape), Cluster::new(shape));
        assert_ne!(Cluster::new(shape), Cluster::new(other));
    }

    #[test]
    fn arguments_give_the_shape() {
        let shape = Shape::from_arguments(&["--pods", "5", "--seed", "7"]);
        let wanted = Shape {
            pods: 5,
            policies: 1000,
            seed: 7,
            nodes: 20,
            layers: 7,
        };
        assert_eq!(shape, Ok(wanted));
        for wrong in [
            &["--pods"][..],
            &["--pods", "-1"],
            &["--pods", "99999999"],
            &["--roads", "1"],
        ] {
            assert!(Shape::from_arguments(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn empty_clusters_can_be_made() {
        let cluster = Cluster::new(Shape::new(0, 3));
        assert_eq!(cluster.policies.matches("---").count(), 3);
    }

    #[test]
    fn four_layers_have_neither_requests_nor_names() {
        let policies = |layers| {
            let shape = Shape::new(150, 3000);
            Cluster::new(Shape { layers, ..shape }).policies
        };
        for word in ["http:", "toFQDNs:", "dns:", "toServices:"] {
            assert!(policies(7).contains(word), "{word}");
            assert!(!policies(4).contains(word), "{word}");
        }
    }

    #[test]
    fn documents_are_as_many_as_asked_for_and_can_be_read() {
        let shape = Shape::new(150, 80);
        let cluster = Cluster::new(shape);
        let mut sources = SourceMap::new();
        let mut parse = |text: &str| {
            let parsed = policyc_syntax::parse(&sources.add("cluster.yaml", text));
            assert_eq!(parsed.diagnostics, [], "{text}");
            parsed.documents
        };
        let of_kind = |documents: &[policyc_syntax::ast::Document], kind: &str| {
            let found = documents.iter().filter(|one| one.kind.value == kind);
            found.count()
        };
        // One more is the DNS server.
        assert_eq!(of_kind(&parse(&cluster.inventory), "Pod"), shape.pods + 1);
        let documents = parse(&cluster.policies);
        assert_eq!(documents.len(), shape.policies);
        assert!(of_kind(&documents, "NetworkPolicy") > shape.policies / 5);
        let (policies, faults) = PolicySet::admit(&documents, &Settings::default());
        let found = (policies.policies().len(), faults.first());
        assert_eq!(found, (shape.policies, None));
    }
}
