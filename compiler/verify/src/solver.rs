//! What a solver must do, and the limits it works within.

use std::time::Duration;

use crate::term::{Assignment, Script, Term};

/// A plain SAT solver for most answers, and Z3's word for what is concluded from them.
pub(crate) mod both;
/// Every assignment, for tiny scripts: the judge of the other solvers in tests.
#[cfg(test)]
pub(crate) mod brute;
/// Many small questions, answered fast.
pub(crate) mod sat;
/// SMT-LIB text with stable bytes.
pub mod smtlib;
/// Z3 through its library: the only module that names it.
pub(crate) mod z3;

/// A term that a solver knows and can assume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Literal(pub usize);

/// What a solver says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Some assignment fits.
    Sat,
    /// None does.
    Unsat,
    /// It gave up, and why.
    Unknown(String),
}

/// Limits of one question.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Steps, as the solver counts them: the same on every machine.
    pub steps: u32,
    /// Time, a backstop behind `steps`.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 50_000_000,
            time: Duration::from_secs(10),
        }
    }
}

/// Whether some assignment fits a script.
pub fn satisfiable(script: Script, limits: Limits) -> Answer {
    z3::Z3::new(script, limits).check(&[])
}

/// The solver's name and release.
pub fn name() -> String {
    z3::release()
}

/// Answers questions about one script.
pub trait Solver {
    /// The script.
    fn script(&self) -> &Script;

    /// Makes a term known.
    fn literal(&mut self, term: &Term) -> Literal;

    /// Whether a literal's term holds under an assignment.
    fn holds(&self, literal: Literal, values: &Assignment) -> bool;

    /// Whether the script's assertions and these literals fit together.
    fn check(&mut self, assumed: &[Literal]) -> Answer;

    /// After `Sat`: an assignment that fits, defined variables included.
    fn model(&self) -> Option<Assignment>;
}
