//! One side of a flow.

use policyc_ir::label::CLUSTER;
use policyc_ir::selector::{Requirement, Selector};

use super::dims::{ABSENT, Dims, Labels, OTHER};
use crate::algebra::kind::Kind;
use crate::algebra::selector::{always, canonical, on_pods};
use crate::algebra::values::Values;
use crate::term::{Script, Term, Var};

/// The variables of one side.
#[derive(Debug)]
pub(crate) struct Side {
    /// What it is.
    pub(crate) kind: Var,
    /// Its labels, if it is a pod.
    pub(crate) labels: Labels,
    /// Its address, if it is an IPv4 address outside the cluster.
    pub(crate) v4: Var,
    /// The same for IPv6.
    pub(crate) v6: Var,
}

impl Side {
    /// Declares a side: labels within their ranges, present where every pod has them, absent from what is no pod.
    pub(super) fn declare(script: &mut Script, name: &str, dims: &Dims) -> Self {
        let kind = script.declare(format!("{name}.kind"), 4);
        let labels: Labels = dims
            .labels()
            .map(|(label, _)| {
                let var = script.declare(format!("{name}.label.{label}"), dims.width(label));
                (label.clone(), var)
            })
            .collect();
        let v4 = script.declare(format!("{name}.v4"), 32);
        let v6 = script.declare(format!("{name}.v6"), 128);
        let side = Self {
            kind,
            labels,
            v4,
            v6,
        };
        for (label, var) in &side.labels {
            script.assert(Term::AtMost(*var, dims.size(label) - 1));
            let absent = Term::Is(*var, ABSENT);
            if always(label) {
                script.assert(side.is_pod().implies(absent.clone().negate()));
            }
            script.assert(side.is_pod().or(absent));
        }
        side
    }

    /// A label's variable.
    pub(crate) fn label(&self, name: &str) -> Option<Var> {
        self.labels.get(name).copied()
    }

    /// It is of a kind.
    pub(crate) fn is(&self, kind: Kind) -> Term {
        Term::Is(self.kind, u128::from(kind.0))
    }

    /// It is of one of these kinds.
    pub(crate) fn is_any(&self, kinds: impl IntoIterator<Item = Kind>) -> Term {
        Term::any(kinds.into_iter().map(|kind| self.is(kind)))
    }

    /// It is a pod.
    pub(crate) fn is_pod(&self) -> Term {
        self.is(Kind::POD)
    }

    /// It is the local node.
    pub(crate) fn is_host(&self) -> Term {
        self.is_any([Kind::HOST, Kind::HOST_API])
    }

    /// It is an IPv4 address outside the cluster.
    pub(crate) fn is_v4(&self) -> Term {
        self.is(Kind::WORLD_V4)
    }

    /// It is an IPv6 address outside the cluster.
    pub(crate) fn is_v6(&self) -> Term {
        self.is(Kind::WORLD_V6)
    }

    /// If it is a pod, it is one of the local cluster.
    pub(crate) fn is_local(&self, dims: &Dims) -> Term {
        let local = self
            .label(CLUSTER)
            .zip(dims.code(CLUSTER, &dims.cluster))
            .map(|(var, code)| Term::Is(var, code));
        local.map_or(Term::Const(true), |local| self.is_pod().implies(local))
    }

    /// It carries a label of this name, whatever its source (the agent asks so for `host` and `init`).
    pub(crate) fn named(&self, name: &str) -> Term {
        let labelled = self
            .label(name)
            .map_or(Term::Const(false), |var| Term::Is(var, ABSENT).negate());
        let kinds = Kind::SUBJECTS
            .into_iter()
            .filter(|kind| kind.labels().has_name(name));
        labelled.or(self.is_any(kinds))
    }

    /// A selector matches it.
    pub(crate) fn matches(&self, dims: &Dims, selector: &Selector) -> Term {
        let requirements = selector
            .requirements()
            .iter()
            .map(|requirement| self.requirement(dims, requirement));
        let pod = Term::all(std::iter::once(self.is_pod()).chain(requirements));
        let kinds = Kind::OTHERS
            .into_iter()
            .filter(|kind| *kind != Kind::UNKNOWN && selector.matches(&kind.labels()));
        pod.or(self.is_any(kinds))
    }

    /// A requirement holds of it, given that it is a pod.
    fn requirement(&self, dims: &Dims, requirement: &Requirement) -> Term {
        let values = Values::of(&requirement.operator);
        let name = canonical(&requirement.key.name);
        let Some(var) = self.label(&name).filter(|_| on_pods(&requirement.key)) else {
            return Term::Const(values.absent);
        };
        let listed = values
            .list
            .iter()
            .filter_map(|value| dims.code(&name, value))
            .map(|code| Term::Is(var, code));
        let listed = Term::any(listed);
        let absent = Term::Is(var, ABSENT);
        #[cfg(test)]
        if super::mutant::is(super::mutant::Mutant::NotInNeedsLabel) && values.complement {
            return absent.or(listed).negate();
        }
        match (values.complement, values.absent) {
            (false, false) => listed,
            (false, true) => absent.or(listed),
            (true, true) => listed.negate(),
            (true, false) => absent.or(listed).negate(),
        }
    }

    /// What an example should look like, the most wanted first: pods, few labels, named values.
    pub(crate) fn wishes(&self, dims: &Dims) -> Vec<Wish> {
        let kinds = std::iter::once(Kind::POD).chain(Kind::OTHERS);
        let mut wishes = vec![Wish::First(kinds.map(|kind| self.is(kind)).collect())];
        wishes.extend(
            dims.code(CLUSTER, &dims.cluster)
                .zip(self.label(CLUSTER))
                .map(|(code, var)| Wish::First(vec![Term::Is(var, code)])),
        );
        for (name, var) in &self.labels {
            let named = Term::Is(*var, OTHER).negate();
            wishes.push(Wish::First(vec![Term::Is(*var, ABSENT), named]));
            wishes.push(Wish::Least(Term::Const(true), *var, dims.width(name)));
        }
        // Addresses that are set aside for examples, where rules leave the choice.
        let (v4, v6) = (self.is_v4(), self.is_v6());
        let example = [v4.clone().negate(), Term::Is(self.v4, 0xcb00_7107)];
        wishes.push(Wish::First(vec![Term::any(example)]));
        wishes.push(Wish::Least(v4, self.v4, 32));
        let example = [
            v6.clone().negate(),
            Term::Is(self.v6, 0x2001_0db8_0000_0000_0000_0000_0000_0007),
        ];
        wishes.push(Wish::First(vec![Term::any(example)]));
        wishes.push(Wish::Least(v6, self.v6, 128));
        wishes
    }
}

/// What is wanted of an example.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// The first of these that is possible.
    First(Vec<Term>),
    /// If the term holds, the least value of a variable of this width.
    Least(Term, Var, u8),
}
