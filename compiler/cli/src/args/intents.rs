//! `policyc intents` and `policyc guard`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Cluster, FailOn, Format, Inventory, Policies};

/// `policyc intents`.
#[derive(Args, Debug)]
pub struct Intents {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// Files of intents and guards.
    #[arg(long = "intents", value_name = "FILE", num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// Intents that come with this tool; alone, without policies, they are printed.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<Preset>,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// `policyc guard`.
#[derive(Args, Debug)]
pub struct Guard {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// Files of guards; intents in them are passed over.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) guards: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// How findings are told and how long they are looked for.
#[derive(Args, Debug)]
pub struct Output {
    /// How to write findings.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
    /// Lowest severity that counts as a finding for the exit code.
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    pub(crate) fail_on: FailOn,
    /// Seconds for all questions to the solver together.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) deadline: u64,
}

/// Intents that come with this tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// What nodes need of each other: kubelet, API server, etcd, tunnels and health checks.
    Host,
}

/// Which of them `check` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Presets {
    /// `host`, as warnings, if there are policies for nodes.
    Auto,
    /// What nodes need of each other, as errors.
    Host,
    /// None.
    None,
}
