//! Terms over Booleans and bit vectors: what is asked of a solver, without naming one.
//!
//! Terms are plain data, so they can be sent to worker threads, printed with stable bytes, and evaluated by us.

use std::sync::Arc;

/// A variable of a [`Script`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Var(pub u32);

impl Var {
    /// Its position in [`Script::variables`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A Boolean term. Bit vectors occur only in comparisons of a variable with a constant, and of two variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// A constant.
    Const(bool),
    /// A Boolean variable.
    Flag(Var),
    /// Negation.
    Not(Arc<Term>),
    /// All hold.
    And(Arc<[Term]>),
    /// Some holds.
    Or(Arc<[Term]>),
    /// The variable has this value.
    Is(Var, u128),
    /// The variable is at most this value, unsigned.
    AtMost(Var, u128),
    /// The first `bits` bits of the variable are those of the value (which has the variable's full width).
    Prefix {
        /// The variable.
        var: Var,
        /// How many bits are compared, at least one.
        bits: u8,
        /// What they are compared with.
        value: u128,
    },
    /// Two variables of one width are equal.
    Same(Var, Var),
}

impl Term {
    /// All of them, constants folded.
    pub fn all(terms: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for term in terms {
            match term {
                Self::Const(true) => {}
                Self::Const(false) => return Self::Const(false),
                other => kept.push(other),
            }
        }
        match (kept.pop(), kept.is_empty()) {
            (None, _) => Self::Const(true),
            (Some(one), true) => one,
            (Some(last), false) => {
                kept.push(last);
                Self::And(kept.into())
            }
        }
    }

    /// Some of them, constants folded.
    pub fn any(terms: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for term in terms {
            match term {
                Self::Const(false) => {}
                Self::Const(true) => return Self::Const(true),
                other => kept.push(other),
            }
        }
        match (kept.pop(), kept.is_empty()) {
            (None, _) => Self::Const(false),
            (Some(one), true) => one,
            (Some(last), false) => {
                kept.push(last);
                Self::Or(kept.into())
            }
        }
    }

    /// The opposite.
    pub fn negate(self) -> Self {
        match self {
            Self::Const(value) => Self::Const(!value),
            Self::Not(inner) => (*inner).clone(),
            other => Self::Not(Arc::new(other)),
        }
    }

    /// Both.
    pub fn and(self, other: Self) -> Self {
        Self::all([self, other])
    }

    /// Either.
    pub fn or(self, other: Self) -> Self {
        Self::any([self, other])
    }

    /// `other` holds wherever `self` does.
    pub fn implies(self, other: Self) -> Self {
        self.negate().or(other)
    }

    /// Exactly one of both holds.
    pub fn differs(self, other: Self) -> Self {
        let left = self.clone().and(other.clone().negate());
        left.or(self.negate().and(other))
    }

    /// Its value under an assignment; a variable without a value counts as zero.
    pub fn eval(&self, values: &Assignment) -> bool {
        match self {
            Self::Const(value) => *value,
            Self::Flag(var) => values.get(*var) != 0,
            Self::Not(inner) => !inner.eval(values),
            Self::And(terms) => terms.iter().all(|term| term.eval(values)),
            Self::Or(terms) => terms.iter().any(|term| term.eval(values)),
            Self::Is(var, value) => values.get(*var) == *value,
            Self::AtMost(var, value) => values.get(*var) <= *value,
            Self::Prefix { var, bits, value } => {
                let shift = values.width(*var).saturating_sub(*bits);
                let cut = |value: u128| value.checked_shr(u32::from(shift)).unwrap_or(0);
                cut(values.get(*var)) == cut(*value)
            }
            Self::Same(left, right) => values.get(*left) == values.get(*right),
        }
    }
}

/// A value for each variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// `(value, width)` by variable.
    slots: Vec<(u128, u8)>,
}

impl Assignment {
    /// All variables of a script at zero.
    pub fn zero(script: &Script) -> Self {
        let slots = script.variables.iter().map(|variable| (0, variable.width));
        Self {
            slots: slots.collect(),
        }
    }

    /// A variable's value; 1 is true.
    pub fn get(&self, var: Var) -> u128 {
        self.slots.get(var.index()).map_or(0, |slot| slot.0)
    }

    /// Sets a variable's value.
    pub fn set(&mut self, var: Var, value: u128) {
        if let Some(slot) = self.slots.get_mut(var.index()) {
            slot.0 = value;
        }
    }

    /// Changes one variable so that a term about it alone holds. `false` if there is not one value that suggests itself.
    pub fn settle(&mut self, term: &Term) -> bool {
        let (var, value) = match term {
            Term::Flag(var) => (*var, 1),
            Term::Is(var, value) | Term::Prefix { var, value, .. } => (*var, *value),
            Term::Not(inner) => match **inner {
                Term::Flag(var) => (var, 0),
                _ => return false,
            },
            _ => return false,
        };
        self.set(var, value);
        true
    }

    fn width(&self, var: Var) -> u8 {
        self.slots.get(var.index()).map_or(0, |slot| slot.1)
    }
}

/// A declared variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name, unique in its script.
    pub name: Arc<str>,
    /// Bits, 0 for a Boolean.
    pub width: u8,
}

/// Variables, what some of them stand for, and what always holds.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// All variables.
    pub variables: Vec<Variable>,
    /// Boolean variables that stand for terms. A definition speaks only of free variables and earlier definitions.
    pub definitions: Vec<(Var, Term)>,
    /// What always holds.
    pub assertions: Vec<Term>,
}

impl Script {
    /// Declares a variable of some bits, 0 for a Boolean.
    pub fn declare(&mut self, name: impl Into<Arc<str>>, width: u8) -> Var {
        let var = Var(u32::try_from(self.variables.len()).unwrap_or(u32::MAX));
        self.variables.push(Variable {
            name: name.into(),
            width,
        });
        var
    }

    /// A Boolean variable that stands for a term; constants need none.
    pub fn define(&mut self, name: impl Into<Arc<str>>, term: Term) -> Term {
        if matches!(term, Term::Const(_) | Term::Flag(_)) {
            return term;
        }
        let var = self.declare(name, 0);
        self.definitions.push((var, term));
        Term::Flag(var)
    }

    /// Says that a term always holds.
    pub fn assert(&mut self, term: Term) {
        if term != Term::Const(true) {
            self.assertions.push(term);
        }
    }

    /// Fills in the values of defined variables.
    pub fn complete(&self, values: &mut Assignment) {
        for (var, term) in &self.definitions {
            let value = u128::from(term.eval(values));
            values.set(*var, value);
        }
    }

    /// Variables that no definition gives a value.
    pub fn free(&self) -> Vec<Var> {
        let mut defined: Vec<_> = self.definitions.iter().map(|(var, _)| *var).collect();
        defined.sort_unstable();
        let all = (0..self.variables.len()).filter_map(|at| u32::try_from(at).ok().map(Var));
        all.filter(|var| defined.binary_search(var).is_err())
            .collect()
    }
}
