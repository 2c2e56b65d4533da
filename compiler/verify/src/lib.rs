//! Properties of policies, proven for every possible pod.
//!
//! ```text
//! RuleSet ─algebra→ what is plain ─encode→ terms ─solver→ answer ─witness→ flow ─replay (ir::model)→ finding
//! ```
//!
//! **Invariant.** No answer of the solver reaches a person unchecked: a counterexample is judged by the model before
//! it is reported, a proof is reported only if its premise is possible, and "unknown" is its own outcome.

/// Set algebra on selectors, prefixes and ports: what needs no solver.
mod algebra;
/// What two sets of policies decide differently.
pub mod diff;
/// From rules to terms.
mod encode;
/// Statements of what policies may not say, and their proof.
pub mod guard;
/// Statements of who must, may and must never reach whom, and their proof.
pub mod intent;
/// Rules that cannot do what they say.
mod lint;
/// Sets of DNS names that patterns select.
mod names;
/// A universe with just the parties of an example, in which the model judges it.
mod replay;
/// What a solver must do, and the limits it works within.
pub mod solver;
/// Terms over Booleans and bit vectors: what is asked of a solver, without naming one.
pub mod term;
/// Tiny universes, for tests that try every flow.
#[cfg(test)]
mod tiny;
/// From a solver's answer to one flow that people can read.
mod witness;

use std::time::{Duration, Instant};

use policyc_diag::Diagnostic;
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;

pub use guard::{Guard, check_guards, guard_questions};
pub use intent::{Ground, Intent, Prover, check_in_inventory, check_intents, intent_questions};
pub use lint::questions::{Question, questions};
pub use solver::Limits;

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Limits of one question.
    pub limits: Limits,
    /// Time for all questions together. What is left then is reported as undecided.
    pub total: Duration,
    /// Sets of flows that a comparison looks for, at most, among changed rules that may share subjects and for one kind of
    /// change: more than people read. Beyond them it says that there is more.
    pub sets: usize,
    /// Told now and then how many of how many rules have been asked about.
    pub progress: Option<fn(usize, usize)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            total: Duration::from_mins(2),
            sets: 24,
            progress: None,
        }
    }
}

/// What was asked and how it was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rules or intents that were asked about.
    pub subjects: usize,
    /// Those that set algebra alone decided.
    pub by_algebra: usize,
    /// Questions put to a solver.
    pub questions: usize,
    /// Rules or intents left without an answer.
    pub undecided: usize,
    /// Intents that hold, and guards that are kept.
    pub proven: usize,
    /// Intents that do not hold, as they are expected to.
    pub known: usize,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.subjects += other.subjects;
        self.by_algebra += other.by_algebra;
        self.questions += other.questions;
        self.undecided += other.undecided;
        self.proven += other.proven;
        self.known += other.known;
    }
}

/// Findings, sorted, and how they were reached.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Findings, sorted by place.
    pub findings: Vec<Diagnostic>,
    /// How they were reached.
    pub stats: Stats,
}

/// Looks for selectors that match nothing, rules that never matter, and allows that denies cut into.
pub fn check(rules: &RuleSet, settings: &Settings, options: &Options) -> Report {
    let deadline = deadline(options);
    let mut report = lint::run(rules, settings, options, deadline);
    policyc_diag::diagnostic::sort(&mut report.findings);
    report
}

fn deadline(options: &Options) -> Option<Instant> {
    Instant::now().checked_add(options.total)
}
