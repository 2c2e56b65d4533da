//! The binary as a user meets it: every command, hostile input, the diagnostics' own examples, and conformance.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// Entries of Cilium's policy maps.
mod budget;
/// Bundles that were damaged on the way.
mod bundles;
/// Cluster settings as a user gives them.
mod cluster;
/// What each command prints, and how it ends.
mod commands;
/// Cilium's answers to every case of `testdata/conformance`.
mod conformance;
/// Differences of two sets of policies.
mod diff;
/// Who reaches whom.
mod graph;
/// Input that is broken, too large or made to hurt.
mod hostile;
/// Intents and guards.
mod intents;
/// The examples on the pages that explain diagnostics.
mod pages;
/// What reviewers of pull requests read.
mod reviews;
/// Runs the binary.
mod support;
/// A cluster of some size, whatever the number of threads.
mod threads;
/// Explanations of single flows.
mod trace;
