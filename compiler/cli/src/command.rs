//! One file per command.

/// `policyc budget`.
pub(crate) mod budget;
/// `policyc build`.
pub(crate) mod build;
/// `policyc check`.
pub(crate) mod check;
/// `policyc diff`.
pub(crate) mod diff;
/// Products of stages as text.
mod emit;
/// `policyc explain`.
pub(crate) mod explain;
/// `policyc graph`.
pub(crate) mod graph;
/// `policyc inspect`.
pub(crate) mod inspect;
/// `policyc keygen`.
pub(crate) mod keygen;
/// `policyc build --prove`.
mod prove;
/// `policyc trace`.
pub(crate) mod trace;
/// `policyc validate`.
pub(crate) mod validate;
/// `policyc verdicts`.
pub(crate) mod verdicts;
