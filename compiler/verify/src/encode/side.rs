//! One side of a flow.

use std::collections::BTreeMap;

use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::{CLUSTER, Key};
use policyc_ir::selector::{Requirement, Selector};

use super::dims::{ABSENT, Dims, Domain, OTHER, Vars};
use crate::algebra::kind::Kind;
use crate::algebra::selector::{always, canonical, on_host, on_kind, on_nodes, on_pods};
use crate::algebra::values::Values;
use crate::term::{Script, Term, Var};

/// The variables of one side.
#[derive(Debug)]
pub(crate) struct Side {
    /// What it is.
    pub(crate) kind: Var,
    /// Its labels, if it is a pod.
    pub(crate) labels: Vars,
    /// Its labels, if it is a node.
    pub(crate) nodes: Vars,
    /// Which peers by DNS name it is, if it is an address outside the cluster.
    pub(crate) names: BTreeMap<Fqdn, Var>,
    /// Its address, if it is an IPv4 address outside the cluster.
    pub(crate) v4: Var,
    /// The same for IPv6.
    pub(crate) v6: Var,
}

impl Side {
    /// Declares a side: labels within their ranges, present where every pod has them, absent from what is no pod.
    pub(super) fn declare(script: &mut Script, name: &str, dims: &Dims) -> Self {
        let kind = script.declare(format!("{name}.kind"), 4);
        let labels: Vars = dims
            .labels()
            .map(|label| {
                let width = dims.of_pods(label).width();
                let var = script.declare(format!("{name}.label.{label}"), width);
                (label.clone(), var)
            })
            .collect();
        let nodes: Vars = dims
            .nodes()
            .map(|label| {
                let width = dims.of_nodes(label).width();
                let var = script.declare(format!("{name}.node-label.{label}"), width);
                (label.clone(), var)
            })
            .collect();
        let v4 = script.declare(format!("{name}.v4"), 32);
        let v6 = script.declare(format!("{name}.v6"), 128);
        let names = dims.names().iter().enumerate().map(|(at, fqdn)| {
            let var = script.declare(format!("{name}.dns-name.{at}.{fqdn}"), 0);
            (fqdn.clone(), var)
        });
        let names = names.collect();
        let side = Self {
            kind,
            labels,
            nodes,
            names,
            v4,
            v6,
        };
        side.well_formed(dims).for_each(|fact| script.assert(fact));
        side
    }

    /// Labels and names within their ranges, present where they always are, absent from what has none.
    fn well_formed(&self, dims: &Dims) -> impl Iterator<Item = Term> {
        let pods = self.labels.iter().flat_map(|(label, var)| {
            let absent = Term::Is(*var, ABSENT);
            let present = self.is_pod().implies(absent.clone().negate());
            [
                Term::AtMost(*var, dims.of_pods(label).size() - 1),
                if always(label) {
                    present
                } else {
                    Term::Const(true)
                },
                self.is_pod().or(absent),
            ]
        });
        let nodes = self.nodes.iter().flat_map(|(label, var)| {
            let labelled = if dims.node_labels {
                self.is_any(Kind::HOSTS.into_iter().chain(Kind::NODES))
            } else {
                self.is_host()
            };
            let absent = Term::Is(*var, ABSENT);
            [
                Term::AtMost(*var, dims.of_nodes(label).size() - 1),
                labelled.or(absent),
            ]
        });
        let world = self.is_v4().or(self.is_v6());
        let names = self
            .names
            .values()
            .map(move |var| Term::Flag(*var).implies(world.clone()));
        pods.chain(nodes).chain(names)
    }

    /// A label's variable.
    pub(crate) fn label(&self, name: &str) -> Option<Var> {
        self.labels.get(name).copied()
    }

    /// The flag of a DNS name or pattern.
    pub(crate) fn name(&self, fqdn: &Fqdn) -> Option<Var> {
        self.names.get(fqdn).copied()
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
        self.is_any(Kind::HOSTS)
    }

    /// It is an IPv4 address outside the cluster.
    pub(crate) fn is_v4(&self) -> Term {
        self.is_any(Kind::V4)
    }

    /// It is an IPv6 address outside the cluster.
    pub(crate) fn is_v6(&self) -> Term {
        self.is_any(Kind::V6)
    }

    /// If it is a pod, it is one of the local cluster.
    pub(crate) fn is_local(&self, dims: &Dims) -> Term {
        let local = self
            .label(CLUSTER)
            .zip(dims.code(CLUSTER, &dims.cluster))
            .map(|(var, code)| Term::Is(var, code));
        local.map_or(Term::Const(true), |local| self.is_pod().implies(local))
    }

    /// As a subject it carries a label of this name, whatever its source (the agent asks so for `host` and `init`).
    pub(crate) fn named(&self, name: &str) -> Term {
        let present =
            |var: Option<Var>| var.map_or(Term::Const(false), |var| Term::Is(var, ABSENT).negate());
        let labelled = present(self.label(name));
        let node = present(self.nodes.get(name).copied()).and(self.is_host());
        let kinds = Kind::SUBJECTS.into_iter().chain(Kind::HOSTS);
        let kinds = kinds.filter(|kind| kind.labels().has_name(name));
        Term::any([labelled, node, self.is_any(kinds)])
    }

    /// A selector matches it.
    pub(crate) fn matches(&self, dims: &Dims, selector: &Selector) -> Term {
        let requirements = selector
            .requirements()
            .iter()
            .map(|requirement| self.requirement(dims, requirement));
        let pod = Term::all(std::iter::once(self.is_pod()).chain(requirements));
        let plain = |kind: &Kind| *kind != Kind::UNKNOWN && !Kind::NODES.contains(kind);
        let kinds = Kind::OTHERS
            .into_iter()
            .filter(plain)
            .filter(|kind| selector.matches(&kind.labels()));
        let nodes = Kind::NODES.map(|kind| self.on_node(dims, selector, kind, on_nodes));
        Term::any([pod, self.is_any(kinds)].into_iter().chain(nodes))
    }

    /// A selector of nodes matches it, as a subject: it is the local node, with labels as its policies see them.
    pub(crate) fn matches_as_host(&self, dims: &Dims, selector: &Selector) -> Term {
        Term::any(Kind::HOSTS.map(|kind| {
            let own = |key: &Key| on_host(key, &dims.filter);
            self.on_node(dims, selector, kind, own)
        }))
    }

    /// It is a node of a kind that a selector matches, given which keys name labels of such nodes.
    fn on_node(
        &self,
        dims: &Dims,
        selector: &Selector,
        kind: Kind,
        own: impl Fn(&Key) -> bool,
    ) -> Term {
        // The local node's labels as a subject do not tell whether it runs the API server.
        let fixed = match kind {
            Kind::HOST_API => Kind::HOST.labels(),
            kind => kind.labels(),
        };
        let Some(asked) = on_kind(selector, &fixed, own) else {
            return Term::Const(false);
        };
        let labels = asked
            .iter()
            .map(|(name, values)| match self.nodes.get(name) {
                Some(var) => among(*var, dims.of_nodes(name), values),
                None => Term::Const(values.absent),
            });
        Term::all(std::iter::once(self.is(kind)).chain(labels))
    }

    /// A requirement holds of it, given that it is a pod.
    fn requirement(&self, dims: &Dims, requirement: &Requirement) -> Term {
        let values = Values::of(&requirement.operator);
        let name = canonical(&requirement.key.name);
        match self
            .label(&name)
            .filter(|_| on_pods(&requirement.key, &dims.filter))
        {
            Some(var) => among(var, dims.of_pods(&name), &values),
            None => Term::Const(values.absent),
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
        let pods = self.labels.iter();
        let pods = pods.map(|(name, var)| (*var, dims.of_pods(name).width()));
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|(name, var)| (*var, dims.of_nodes(name).width()));
        for (var, width) in pods.chain(nodes) {
            let named = Term::Is(var, OTHER).negate();
            wishes.push(Wish::First(vec![Term::Is(var, ABSENT), named]));
            wishes.push(Wish::Least(Term::Const(true), var, width));
        }
        let names = self.names.values();
        wishes.extend(names.map(|var| Wish::First(vec![Term::Flag(*var).negate()])));
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

/// A label's value is one of these.
pub(crate) fn among(var: Var, domain: Domain<'_>, values: &Values) -> Term {
    let listed = values
        .list
        .iter()
        .filter_map(|value| domain.code(value))
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

/// What is wanted of an example.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// The first of these that is possible.
    First(Vec<Term>),
    /// If the term holds, the least value of a variable of this width.
    Least(Term, Var, u8),
}
