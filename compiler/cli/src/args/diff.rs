//! `policyc diff`.

use clap::{Args, ValueEnum};

use super::{Cluster, Inventory};

/// `policyc diff`.
#[derive(Args, Debug)]
pub struct Diff {
    /// The policies before: a file or folder, `-`, a git revision, or REVISION:PATH.
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// The policies after.
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// How to write the differences.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: DiffFormat,
    /// Print what a solver may be asked, as SMT-LIB, instead of the differences.
    #[arg(long, value_name = "STAGE")]
    pub(crate) emit: Option<DiffStage>,
    /// Seconds for all questions to the solver together.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) deadline: u64,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// What can be printed instead of the differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffStage {
    /// What a solver may be asked about changed rules, as SMT-LIB.
    #[value(alias = "smt2")]
    Verify,
}

/// A difference's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// Text.
    Human,
    /// One JSON document.
    Json,
    /// Markdown, for a comment on a pull request.
    Md,
}
