//! A plain SAT solver for most answers, and Z3's word for what is concluded from them.

use std::collections::BTreeMap;

use super::sat::Sat;
use super::z3::Z3;
use super::{Answer, Limits, Literal, Solver};
use crate::term::{Assignment, Script, Term};

/// Answers at once, and looks for a second opinion where something follows from "none fits".
#[derive(Debug)]
pub(crate) struct Both {
    quick: Sat,
    limits: Limits,
    /// Made when it is first needed, and what it calls the literals that it was asked about.
    second: Option<Z3>,
    known: BTreeMap<Literal, Literal>,
}

impl Both {
    /// Loads a script.
    pub(crate) fn new(script: Script, limits: Limits) -> Self {
        Self {
            quick: Sat::new(script, limits),
            limits,
            second: None,
            known: BTreeMap::new(),
        }
    }

    /// [`Solver::check`] where something is concluded from "none fits": Z3 has to say so too.
    pub(crate) fn surely(&mut self, assumed: &[Literal]) -> Answer {
        match self.quick.check(assumed) {
            Answer::Unsat => self.confirm(assumed),
            answer => answer,
        }
    }

    fn confirm(&mut self, assumed: &[Literal]) -> Answer {
        let (quick, limits) = (&self.quick, self.limits);
        let second = self
            .second
            .get_or_insert_with(|| Z3::new(quick.script().clone(), limits));
        let mut literals = Vec::new();
        for literal in assumed {
            let own = self.known.entry(*literal).or_insert_with(|| {
                let term = quick.term(*literal);
                second.literal(term.unwrap_or(&Term::Const(false)))
            });
            literals.push(*own);
        }
        match second.check(&literals) {
            Answer::Sat => Answer::Unknown("two solvers do not agree".to_owned()),
            answer => answer,
        }
    }
}

impl Solver for Both {
    fn script(&self) -> &Script {
        self.quick.script()
    }

    fn literal(&mut self, term: &Term) -> Literal {
        self.quick.literal(term)
    }

    fn holds(&self, literal: Literal, values: &Assignment) -> bool {
        self.quick.holds(literal, values)
    }

    fn check(&mut self, assumed: &[Literal]) -> Answer {
        self.quick.check(assumed)
    }

    fn model(&self) -> Option<Assignment> {
        self.quick.model()
    }
}
