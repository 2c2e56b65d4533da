//! Z3 through its library: the only module that names it.
//!
//! Objects live in a context of their thread; one solver is made per group of questions and kept. Raw models
//! depend on what was asked before, so callers canonicalise them ([`crate::witness`]).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use z3::ast::{BV, Bool};
use z3::{Params, SatResult, Solver as Engine};

use super::{Answer, Limits, Literal, Solver};
use crate::term::{Assignment, Script, Term, Var};

/// The library's name and release, such as `Z3 4.8.12.0`.
pub(super) fn release() -> String {
    // A build's digest may follow the number.
    let full = z3::full_version();
    let number = full.split(' ').find(|word| word.contains('.'));
    format!("Z3 {}", number.unwrap_or(full))
}

#[derive(Debug)]
enum Symbol {
    Flag(Bool),
    Bits(BV, u8),
}

/// Lists of terms and what they were translated to, by address.
type Lists = BTreeMap<usize, (Arc<[Term]>, Bool)>;

/// A Z3 solver loaded with a script.
#[derive(Debug)]
pub(crate) struct Z3 {
    script: Script,
    engine: Engine,
    symbols: BTreeMap<Var, Symbol>,
    literals: Vec<(Bool, Term)>,
    free: Vec<Var>,
    /// What lists of terms were translated to, by address.
    lists: Option<RefCell<Lists>>,
    /// How often it was asked.
    pub(crate) asked: usize,
}

impl Z3 {
    /// Loads a script.
    pub(crate) fn new(script: Script, limits: Limits) -> Self {
        // The finite-domain engine is several times faster here; the general one is the fallback.
        let engine = Engine::new_for_logic("QF_FD").unwrap_or_default();
        let mut params = Params::new();
        params.set_u32("rlimit", limits.steps);
        let millis = u32::try_from(limits.time.as_millis()).unwrap_or(u32::MAX);
        params.set_u32("timeout", millis);
        engine.set_params(&params);
        let free = script.free();
        let mut z3 = Self {
            script: Script::default(),
            engine,
            symbols: BTreeMap::new(),
            literals: Vec::new(),
            free,
            lists: None,
            asked: 0,
        };
        z3.load(&script);
        z3.script = script;
        z3
    }

    fn load(&mut self, script: &Script) {
        for (at, variable) in script.variables.iter().enumerate() {
            let symbol = match variable.width {
                0 => Symbol::Flag(Bool::new_const(&*variable.name)),
                width => Symbol::Bits(BV::new_const(&*variable.name, u32::from(width)), width),
            };
            self.symbols
                .insert(Var(u32::try_from(at).unwrap_or(u32::MAX)), symbol);
        }
        for (var, term) in &script.definitions {
            let meaning = self.term(term);
            self.engine.assert(self.flag(*var).iff(meaning));
        }
        for term in &script.assertions {
            let term = self.term(term);
            self.engine.assert(term);
        }
    }

    /// Keeps what lists of terms were translated to, for questions that share many of them.
    pub(crate) fn keeping(mut self) -> Self {
        self.lists = Some(RefCell::default());
        self
    }

    /// A list of terms, of which clones need no second look. The list is kept, so its address stays its own.
    fn shared(&self, terms: &Arc<[Term]>, join: impl FnOnce(&[Term]) -> Bool) -> Bool {
        let Some(lists) = &self.lists else {
            return join(terms);
        };
        let address = terms.as_ptr().addr();
        let known = lists.borrow().get(&address).map(|(_, known)| known.clone());
        known.unwrap_or_else(|| {
            let made = join(terms);
            let kept = (terms.clone(), made.clone());
            lists.borrow_mut().insert(address, kept);
            made
        })
    }

    fn flag(&self, var: Var) -> Bool {
        match self.symbols.get(&var) {
            Some(Symbol::Flag(flag)) => flag.clone(),
            _ => Bool::from_bool(false),
        }
    }

    fn bits(&self, var: Var, compare: impl FnOnce(&BV, u8) -> Bool) -> Bool {
        match self.symbols.get(&var) {
            Some(Symbol::Bits(bits, width)) => compare(bits, *width),
            _ => Bool::from_bool(false),
        }
    }

    fn term(&self, term: &Term) -> Bool {
        let list = |terms: &[Term]| terms.iter().map(|term| self.term(term)).collect::<Vec<_>>();
        match term {
            Term::Const(value) => Bool::from_bool(*value),
            Term::Flag(var) => self.flag(*var),
            Term::Not(inner) => self.term(inner).not(),
            Term::And(terms) => self.shared(terms, |terms| Bool::and(&list(terms))),
            Term::Or(terms) => self.shared(terms, |terms| Bool::or(&list(terms))),
            Term::Is(var, value) => self.bits(*var, |bits, width| bits.eq(constant(*value, width))),
            Term::AtMost(var, value) => {
                self.bits(*var, |bits, width| bits.bvule(constant(*value, width)))
            }
            Term::Prefix { var, bits, value } => self.bits(*var, |all, width| {
                let low = width.saturating_sub(*bits);
                let wanted = value.checked_shr(u32::from(low)).unwrap_or(0);
                all.extract(u32::from(width) - 1, u32::from(low))
                    .eq(constant(wanted, width - low))
            }),
            Term::Same(left, right) => match self.symbols.get(right) {
                Some(Symbol::Bits(other, _)) => self.bits(*left, |bits, _| bits.eq(other)),
                Some(Symbol::Flag(other)) => self.flag(*left).iff(other),
                None => Bool::from_bool(false),
            },
        }
    }
}

/// A constant of up to 128 bits.
fn constant(value: u128, width: u8) -> BV {
    let word = |value: u128| u64::try_from(value & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    if width <= 64 {
        return BV::from_u64(word(value), u32::from(width));
    }
    let high = BV::from_u64(word(value >> 64), u32::from(width) - 64);
    high.concat(BV::from_u64(word(value), 64))
}

impl Solver for Z3 {
    fn script(&self) -> &Script {
        &self.script
    }

    fn literal(&mut self, term: &Term) -> Literal {
        let meaning = self.term(term);
        let simple = match term {
            Term::Flag(_) => true,
            Term::Not(inner) => matches!(**inner, Term::Flag(_)),
            _ => false,
        };
        let literal = if simple {
            meaning
        } else {
            let name = format!("q.{}", self.literals.len());
            let fresh = Bool::new_const(name);
            self.engine.assert(fresh.iff(meaning));
            fresh
        };
        self.literals.push((literal, term.clone()));
        Literal(self.literals.len() - 1)
    }

    fn holds(&self, literal: Literal, values: &Assignment) -> bool {
        let known = self.literals.get(literal.0);
        known.is_some_and(|(_, term)| term.eval(values))
    }

    fn check(&mut self, assumed: &[Literal]) -> Answer {
        self.asked += 1;
        let literals: Vec<_> = assumed
            .iter()
            .filter_map(|literal| Some(self.literals.get(literal.0)?.0.clone()))
            .collect();
        match self.engine.check_assumptions(&literals) {
            SatResult::Sat => Answer::Sat,
            SatResult::Unsat => Answer::Unsat,
            SatResult::Unknown => {
                let reason = self.engine.get_reason_unknown();
                Answer::Unknown(reason.unwrap_or_else(|| "no reason given".to_owned()))
            }
        }
    }

    fn model(&self) -> Option<Assignment> {
        let model = self.engine.get_model()?;
        let mut values = Assignment::zero(&self.script);
        for var in &self.free {
            let value = match self.symbols.get(var)? {
                Symbol::Flag(flag) => u128::from(model.eval(flag, true)?.as_bool()?),
                Symbol::Bits(bits, width) if *width <= 64 => {
                    u128::from(model.eval(bits, true)?.as_u64()?)
                }
                Symbol::Bits(bits, width) => {
                    let part = |high: u32, low: u32| {
                        let value = model.eval(&bits.extract(high, low), true)?.as_u64()?;
                        Some(u128::from(value))
                    };
                    part(u32::from(*width) - 1, 64)? << 64 | part(63, 0)?
                }
            };
            values.set(*var, value);
        }
        self.script.complete(&mut values);
        Some(values)
    }
}

/// What the engine says to SMT-LIB text.
#[cfg(test)]
pub(crate) fn answer_to_text(text: &str) -> Answer {
    let engine = Engine::new();
    engine.from_string(text);
    match engine.check() {
        SatResult::Sat => Answer::Sat,
        SatResult::Unsat => Answer::Unsat,
        SatResult::Unknown => Answer::Unknown(String::new()),
    }
}
