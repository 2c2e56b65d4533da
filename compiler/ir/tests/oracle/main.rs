//! The model against a second, naive evaluator, and that one against Cilium.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// The model against the naive evaluator, on random clusters and policies.
mod agreement;
/// Verdicts as the naive evaluator has them.
mod answer;
/// The naive evaluator against Cilium's verdicts.
mod conformance;
/// Random clusters, settings and policies.
mod generate;
/// What must not matter.
mod invariance;
/// The second evaluator.
mod naive;
/// Single rules of meaning.
mod pinned;
/// Random cases and their flows.
mod random;
/// Openings against the model.
mod reach;
