//! `policyc graph`.

use clap::{Args, ValueEnum};

use super::{Cluster, Inventory, Policies};

/// `policyc graph`.
#[derive(Args, Debug)]
pub struct Graph {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// Only what can be reached from here: NAMESPACE/POD, node:NAME, ip:ADDRESS or an entity.
    #[arg(long, value_name = "PEER")]
    pub(crate) from: Option<String>,
    /// Only what leads here.
    #[arg(long, value_name = "PEER")]
    pub(crate) to: Option<String>,
    /// Only what can be reached from the internet.
    #[arg(long, conflicts_with = "from")]
    pub(crate) exposed: bool,
    /// Connections in a row, at most [default: as many as it takes].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) hops: Option<u32>,
    /// What is drawn as one.
    #[arg(long, value_name = "WHAT", default_value = "workload")]
    pub(crate) group: GroupBy,
    /// The local node; the inventory's first if absent.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// How to write the graph.
    #[arg(long, value_name = "FORMAT", default_value = "dot")]
    pub(crate) format: Drawing,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// What is drawn as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// Pods of one namespace with equal labels and, but for what a controller appended, equal names.
    Workload,
    /// All pods of a namespace.
    Namespace,
    /// Every pod by itself.
    Pod,
}

/// A graph's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// Graphviz.
    Dot,
    /// A Mermaid flowchart.
    Mermaid,
    /// One JSON document.
    Json,
    /// One page with search and filters, for any browser.
    Html,
}
