//! The model against a second, naive evaluator, on random clusters and policies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// The naive evaluator against Cilium's verdicts.
mod conformance;
/// The second evaluator.
mod naive;
