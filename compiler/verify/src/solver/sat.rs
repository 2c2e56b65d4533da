//! Answers to many small questions about one script: clauses, and a plain search over them.
//!
//! A question takes this solver a small part of the time that Z3 spends on getting ready for it. What it answers depends
//! on nothing but what it was asked before. Whoever concludes something from "none fits" has Z3 confirm it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use batsat::{Callbacks, Lit, Solver as Engine, SolverInterface, SolverOpts, lbool};

use super::{Answer, Limits, Literal, Solver};
use crate::term::{Assignment, Script, Term, Var};

/// What is left of the limits of a question.
#[derive(Debug)]
struct Budget {
    limits: Limits,
    steps: Cell<u32>,
    until: Option<Instant>,
}

/// Steps between two looks at the clock.
const STEPS: u32 = 1 << 10;

impl Callbacks for Budget {
    fn stop(&self) -> bool {
        let steps = self.steps.get().saturating_add(1);
        self.steps.set(steps);
        let late = || self.until.is_some_and(|until| Instant::now() >= until);
        steps > self.limits.steps || steps.is_multiple_of(STEPS) && late()
    }
}

/// A script as clauses.
pub(crate) struct Sat {
    script: Script,
    engine: Engine<Budget>,
    /// The bits of each variable, the highest first; one for a flag. Defined flags are what defines them.
    bits: Vec<Vec<Lit>>,
    /// Literals that stand for all of some others.
    gates: BTreeMap<Vec<Lit>, Lit>,
    /// Literals of lists of terms, by address.
    lists: BTreeMap<usize, (Arc<[Term]>, Lit)>,
    holds: Lit,
    terms: Vec<(Term, Lit)>,
    free: Vec<Var>,
    /// How often it was asked.
    pub(crate) asked: usize,
}

impl fmt::Debug for Sat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sat")
            .field("script", &self.script)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl Sat {
    /// Loads a script.
    pub(crate) fn new(script: Script, limits: Limits) -> Self {
        let budget = Budget {
            limits,
            steps: Cell::new(0),
            until: None,
        };
        let mut engine = Engine::new(SolverOpts::default(), budget);
        let holds = fresh(&mut engine);
        let mut sat = Self {
            free: script.free(),
            script: Script::default(),
            engine,
            bits: Vec::new(),
            gates: BTreeMap::new(),
            lists: BTreeMap::new(),
            holds,
            terms: Vec::new(),
            asked: 0,
        };
        sat.clause(vec![holds]);
        sat.load(&script);
        sat.script = script;
        sat
    }

    fn load(&mut self, script: &Script) {
        self.bits = script.variables.iter().map(|_| Vec::new()).collect();
        for var in &self.free {
            let width = script.variables.get(var.index()).map(|known| known.width);
            let engine = &mut self.engine;
            let bits = (0..width.unwrap_or(0).max(1)).map(|_| fresh(engine));
            if let Some(slot) = self.bits.get_mut(var.index()) {
                *slot = bits.collect();
            }
        }
        for (var, term) in &script.definitions {
            let lit = self.encode(term);
            if let Some(slot) = self.bits.get_mut(var.index()) {
                *slot = vec![lit];
            }
        }
        for term in &script.assertions {
            self.assert(term);
        }
    }

    fn assert(&mut self, term: &Term) {
        match term {
            Term::And(terms) => terms.iter().for_each(|term| self.assert(term)),
            Term::Or(terms) => {
                let clause = terms.iter().map(|term| self.encode(term)).collect();
                self.clause(clause);
            }
            term => {
                let lit = self.encode(term);
                self.clause(vec![lit]);
            }
        }
    }

    fn clause(&mut self, mut clause: Vec<Lit>) {
        self.engine.add_clause_reuse(&mut clause);
    }

    /// The literal of a term.
    fn encode(&mut self, term: &Term) -> Lit {
        match term {
            Term::Const(true) => self.holds,
            Term::Const(false) => !self.holds,
            Term::Flag(var) => self.bits(*var).first().copied().unwrap_or(!self.holds),
            Term::Not(inner) => !self.encode(inner),
            Term::And(terms) => self.shared(terms, Self::all),
            Term::Or(terms) => self.shared(terms, |sat, all| {
                !sat.all(all.into_iter().map(|lit| !lit).collect())
            }),
            Term::Is(var, value) => self.prefix(*var, u8::MAX, *value),
            Term::Prefix { var, bits, value } => self.prefix(*var, *bits, *value),
            Term::AtMost(var, value) => self.at_most(*var, *value),
            Term::Same(left, right) => self.same(*left, *right),
        }
    }

    /// The literal of a list of terms, of which clones need no second look. The list is kept, so its address stays its own.
    fn shared(
        &mut self,
        terms: &Arc<[Term]>,
        join: impl FnOnce(&mut Self, Vec<Lit>) -> Lit,
    ) -> Lit {
        let address = terms.as_ptr().addr();
        if let Some((_, lit)) = self.lists.get(&address) {
            return *lit;
        }
        let all = terms.iter().map(|term| self.encode(term)).collect();
        let lit = join(self, all);
        self.lists.insert(address, (terms.clone(), lit));
        lit
    }

    fn bits(&self, var: Var) -> &[Lit] {
        self.bits.get(var.index()).map_or(&[], Vec::as_slice)
    }

    /// "All of them hold."
    fn all(&mut self, mut lits: Vec<Lit>) -> Lit {
        lits.sort_unstable();
        lits.dedup();
        let holds = self.holds;
        lits.retain(|lit| *lit != holds);
        // A literal and its opposite are neighbours once sorted.
        let mut pairs = lits.iter().zip(lits.iter().skip(1));
        if lits.contains(&!holds) || pairs.any(|(one, next)| *one == !*next) {
            return !holds;
        }
        if let [only] = lits.as_slice() {
            return *only;
        }
        if lits.is_empty() {
            return holds;
        }
        if let Some(known) = self.gates.get(&lits) {
            return *known;
        }
        let gate = fresh(&mut self.engine);
        for lit in &lits {
            self.clause(vec![!gate, *lit]);
        }
        let none = lits.iter().map(|lit| !*lit);
        self.clause(none.chain([gate]).collect());
        self.gates.insert(lits, gate);
        gate
    }

    /// "The first bits of the variable are those of the value", all of them if it has no more.
    fn prefix(&mut self, var: Var, bits: u8, value: u128) -> Lit {
        let all = self.bits(var);
        let digits = digits(all.len(), value);
        let each = all.iter().zip(digits).take(usize::from(bits));
        let each = each.map(|(lit, digit)| lit.apply_sign(digit)).collect();
        self.all(each)
    }

    /// From the lowest bit up: where the bound's bit is set, a zero settles it; where it is not, only a zero goes on.
    fn at_most(&mut self, var: Var, value: u128) -> Lit {
        let all = self.bits(var);
        let digits = digits(all.len(), value);
        let each: Vec<_> = all.iter().copied().zip(digits).collect();
        let mut fits = self.holds;
        for (lit, digit) in each.into_iter().rev() {
            fits = if digit {
                !self.all(vec![lit, !fits])
            } else {
                self.all(vec![!lit, fits])
            };
        }
        fits
    }

    fn same(&mut self, left: Var, right: Var) -> Lit {
        let pairs = self.bits(left).iter().copied();
        let pairs: Vec<_> = pairs.zip(self.bits(right).iter().copied()).collect();
        let mut equal = Vec::new();
        for (one, other) in pairs {
            equal.push(!self.all(vec![one, !other]));
            equal.push(!self.all(vec![!one, other]));
        }
        self.all(equal)
    }

    /// A literal that stands for nothing until something is excluded under it.
    pub(crate) fn guard(&mut self) -> Literal {
        let lit = fresh(&mut self.engine);
        self.terms.push((Term::Const(true), lit));
        Literal(self.terms.len() - 1)
    }

    /// Where the guard is assumed, not all of these hold. The guard's term says so as well.
    pub(crate) fn exclude(&mut self, guard: Literal, all: &[Term]) {
        let mut clause: Vec<_> = all.iter().map(|term| !self.encode(term)).collect();
        let none = Term::all(all.iter().cloned()).negate();
        if let Some((term, lit)) = self.terms.get_mut(guard.0) {
            clause.push(!*lit);
            let known = std::mem::replace(term, Term::Const(true));
            *term = known.and(none);
        }
        self.clause(clause);
    }

    /// The term of a literal.
    pub(crate) fn term(&self, literal: Literal) -> Option<&Term> {
        self.terms.get(literal.0).map(|(term, _)| term)
    }
}

/// The bits of a value, the highest first.
fn digits(width: usize, value: u128) -> impl Iterator<Item = bool> {
    let shifts = (0..u32::try_from(width).unwrap_or(0)).rev();
    shifts.map(move |shift| value.checked_shr(shift).unwrap_or(0) & 1 == 1)
}

fn fresh(engine: &mut Engine<Budget>) -> Lit {
    Lit::new(engine.new_var_default(), true)
}

impl Solver for Sat {
    fn script(&self) -> &Script {
        &self.script
    }

    fn literal(&mut self, term: &Term) -> Literal {
        let lit = self.encode(term);
        self.terms.push((term.clone(), lit));
        Literal(self.terms.len() - 1)
    }

    fn holds(&self, literal: Literal, values: &Assignment) -> bool {
        self.term(literal).is_some_and(|term| term.eval(values))
    }

    fn check(&mut self, assumed: &[Literal]) -> Answer {
        self.asked += 1;
        let each = assumed
            .iter()
            .filter_map(|literal| self.terms.get(literal.0));
        let lits: Vec<_> = each.map(|(_, lit)| *lit).collect();
        let budget = self.engine.cb_mut();
        budget.steps.set(0);
        budget.until = Instant::now().checked_add(budget.limits.time);
        let answer = self.engine.solve_limited(&lits);
        if answer == lbool::TRUE {
            Answer::Sat
        } else if answer == lbool::FALSE {
            Answer::Unsat
        } else {
            Answer::Unknown("the limit of a question was reached".to_owned())
        }
    }

    fn model(&self) -> Option<Assignment> {
        let mut values = Assignment::zero(&self.script);
        for var in &self.free {
            let bits = self.bits(*var).iter();
            let value = bits.fold(0, |value, lit| {
                value << 1 | u128::from(self.engine.value_lit(*lit) == lbool::TRUE)
            });
            values.set(*var, value);
        }
        self.script.complete(&mut values);
        Some(values)
    }
}
