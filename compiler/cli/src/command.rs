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
/// `policyc guard`.
pub(crate) mod guard;
/// `policyc inspect`.
pub(crate) mod inspect;
/// `policyc intents`.
pub(crate) mod intents;
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
