//! Every assignment, for tiny scripts: the judge of the other solvers in tests.
//!
//! Wide variables take only the values at which some comparison changes; between two of those no term changes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Literal, Solver};
use crate::term::{Assignment, Script, Term, Var};

/// Tries assignments one by one.
#[derive(Debug)]
pub(crate) struct Brute {
    script: Script,
    literals: Vec<Term>,
    found: Option<Assignment>,
}

/// Beyond this many assignments the answer is "unknown".
const LIMIT: usize = 1 << 20;

impl Brute {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script,
            literals: Vec::new(),
            found: None,
        }
    }

    fn candidates(&self) -> Vec<(Var, Vec<u128>)> {
        let mut cuts: BTreeMap<Var, BTreeSet<u128>> = BTreeMap::new();
        let definitions = self.script.definitions.iter().map(|(_, term)| term);
        for term in definitions
            .chain(&self.script.assertions)
            .chain(&self.literals)
        {
            collect(&self.script, term, &mut cuts);
        }
        let free = self.script.free();
        let values = |var: &Var| {
            let width = self.script.variables[var.index()].width;
            let all = match width {
                0 => vec![0, 1],
                1..=4 => (0..1 << width).collect(),
                _ => {
                    let mut cuts = cuts.get(var).cloned().unwrap_or_default();
                    cuts.insert(0);
                    cuts.into_iter().filter(|cut| fits(*cut, width)).collect()
                }
            };
            (*var, all)
        };
        free.iter().map(values).collect()
    }
}

fn fits(value: u128, width: u8) -> bool {
    width == 128 || value < 1 << width
}

fn collect(script: &Script, term: &Term, cuts: &mut BTreeMap<Var, BTreeSet<u128>>) {
    let mut add = |var: &Var, first: u128, after: u128| {
        cuts.entry(*var).or_default().extend([first, after]);
    };
    match term {
        Term::Is(var, value) => add(var, *value, value.saturating_add(1)),
        Term::AtMost(var, value) => add(var, 0, value.saturating_add(1)),
        Term::Prefix { var, bits, value } => {
            let low = script.variables[var.index()].width - bits;
            let first = (value >> low) << low;
            add(var, first, first.saturating_add(1 << low));
        }
        Term::Not(inner) => collect(script, inner, cuts),
        Term::And(terms) | Term::Or(terms) => {
            terms.iter().for_each(|term| collect(script, term, cuts));
        }
        Term::Const(_) | Term::Flag(_) | Term::Same(..) => {}
    }
}

impl Solver for Brute {
    fn script(&self) -> &Script {
        &self.script
    }

    fn literal(&mut self, term: &Term) -> Literal {
        self.literals.push(term.clone());
        Literal(self.literals.len() - 1)
    }

    fn holds(&self, literal: Literal, values: &Assignment) -> bool {
        self.literals[literal.0].eval(values)
    }

    fn check(&mut self, assumed: &[Literal]) -> Answer {
        let choices = self.candidates();
        let count = choices.iter().try_fold(1_usize, |count, (_, values)| {
            count.checked_mul(values.len())
        });
        let Some(count) = count.filter(|count| *count <= LIMIT) else {
            return Answer::Unknown("too many assignments".to_owned());
        };
        for number in 0..count {
            let mut rest = number;
            let mut values = Assignment::zero(&self.script);
            for (var, options) in &choices {
                values.set(*var, options[rest % options.len()]);
                rest /= options.len();
            }
            self.script.complete(&mut values);
            let asserted = self.script.assertions.iter();
            let terms = asserted.chain(assumed.iter().map(|literal| &self.literals[literal.0]));
            if terms.into_iter().all(|term| term.eval(&values)) {
                self.found = Some(values);
                return Answer::Sat;
            }
        }
        Answer::Unsat
    }

    fn model(&self) -> Option<Assignment> {
        self.found.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::solver::Limits;
    use crate::solver::both::Both;
    use crate::solver::sat::Sat;
    use crate::solver::smtlib;
    use crate::solver::z3::{Z3, answer_to_text};

    /// Two flags, two small variables and a wide one.
    fn script() -> Script {
        let mut script = Script::default();
        for (name, width) in [("p", 0), ("q", 0), ("x", 2), ("y", 2), ("z", 128)] {
            script.declare(name, width);
        }
        script
    }

    fn term() -> impl Strategy<Value = Term> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Term::Const),
            (0_u32..2).prop_map(|at| Term::Flag(Var(at))),
            (2_u32..4, 0_u128..4).prop_map(|(at, value)| Term::Is(Var(at), value)),
            (2_u32..4, 0_u128..4).prop_map(|(at, value)| Term::AtMost(Var(at), value)),
            Just(Term::Same(Var(2), Var(3))),
            (1_u8..=128, any::<u128>()).prop_map(|(bits, value)| Term::Prefix {
                var: Var(4),
                bits,
                value
            }),
            (0_u32..6).prop_map(|bit| Term::AtMost(Var(4), 1 << (bit * 20))),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(Term::negate),
                prop::collection::vec(inner.clone(), 1..3).prop_map(Term::all),
                prop::collection::vec(inner.clone(), 1..3).prop_map(Term::any),
                (inner.clone(), inner).prop_map(|(left, right)| left.differs(right)),
            ]
        })
    }

    /// A script with some facts.
    fn with(facts: &[Term], goal: &Term) -> Script {
        let mut script = script();
        let named = script.define("d", facts[0].clone());
        script.assert(named.or(goal.clone().negate()));
        facts
            .iter()
            .skip(1)
            .for_each(|fact| script.assert(fact.clone()));
        script
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Question after question, since what was learned from one must not spoil the next.
        #[test]
        fn clauses_agree_with_trying_everything(
            facts in prop::collection::vec(term(), 1..4),
            goals in prop::collection::vec(term(), 1..6),
        ) {
            let script = with(&facts, &goals[0]);
            let (mut brute, mut sat) = (Brute::new(script.clone()), Sat::new(script.clone(), Limits::default()));
            let known: Vec<_> = goals.iter().map(|goal| (brute.literal(goal), sat.literal(goal))).collect();
            for count in (1..=goals.len()).chain((1..goals.len()).rev()) {
                let (left, right): (Vec<_>, Vec<_>) = known[..count].iter().copied().unzip();
                let answer = sat.check(&right);
                prop_assert_eq!(brute.check(&left), answer.clone());
                if answer == Answer::Sat {
                    let values = sat.model().unwrap();
                    let mut all = script.assertions.iter().chain(&goals[..count]);
                    prop_assert!(all.all(|term| term.eval(&values)), "the model is one");
                }
            }
        }

        /// Where Z3 is asked as well, the answer is the same.
        #[test]
        fn both_agree_with_trying_everything(
            facts in prop::collection::vec(term(), 1..4),
            goals in prop::collection::vec(term(), 1..6),
        ) {
            let script = with(&facts, &goals[0]);
            let (mut brute, mut both) = (Brute::new(script.clone()), Both::new(script, Limits::default()));
            let known: Vec<_> = goals.iter().map(|goal| (brute.literal(goal), both.literal(goal))).collect();
            for count in 1..=goals.len() {
                let (left, right): (Vec<_>, Vec<_>) = known[..count].iter().copied().unzip();
                prop_assert_eq!(brute.check(&left), both.surely(&right));
            }
        }

        #[test]
        fn z3_agrees_with_trying_everything(facts in prop::collection::vec(term(), 1..4), goal in term()) {
            let script = with(&facts, &goal);
            let mut brute = Brute::new(script.clone());
            let mut z3 = Z3::new(script.clone(), Limits::default());
            let (left, right) = (brute.literal(&goal), z3.literal(&goal));
            let answer = z3.check(&[right]);
            prop_assert_eq!(brute.check(&[left]), answer.clone());
            let text = smtlib::print(&script, std::slice::from_ref(&goal), &["why\n(assert false)".to_owned()]);
            prop_assert_eq!(answer_to_text(&text), answer.clone(), "{}", text);
            if answer == Answer::Sat {
                let values = z3.model().unwrap();
                let holds = script.assertions.iter().all(|term| term.eval(&values));
                prop_assert!(holds && goal.eval(&values), "the model is one");
            }
        }
    }
}
