//! From a solver's answer to one flow that people can read.
//!
//! Raw models differ with the solver's history. A canonical one fixes what an example should look like wish by wish,
//! so it depends only on the question.

use std::net::IpAddr;
use std::sync::Arc;

use policyc_ir::port::Protocol;

use crate::algebra::kind::Kind;
use crate::encode::dims::{Domain, Vars};
use crate::encode::{Dims, Frame, Side, Wish};
use crate::names::{self, Found};
use crate::solver::{Answer, Literal, Solver};
use crate::term::{Assignment, Term, Var};

/// Text forms.
mod show;

/// One label of an example pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: Arc<str>,
    pub(crate) value: Arc<str>,
    /// Whether any value that no rule names would do.
    pub(crate) invented: bool,
}

/// One side of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// A pod with these labels, namespace and cluster among them.
    Pod(Vec<Label>),
    /// An address outside the cluster.
    Address(Address),
    /// A node of this kind with labels of its own.
    Node(Kind, Vec<Label>),
    /// A party without labels of its own.
    Reserved(Kind),
}

/// An address outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    /// Whether the API server listens there.
    pub(crate) api: bool,
    /// DNS names whose answers gave it.
    pub(crate) names: Vec<Arc<str>>,
}

/// An example flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Witness {
    /// The two sides of the frame.
    pub(crate) sides: [Party; 2],
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// Names that the destination gives to ports of the flow's protocol.
    pub(crate) names: Vec<(Arc<str>, u16)>,
    /// The cluster whose name need not be shown.
    pub(crate) cluster: Arc<str>,
}

/// The most readable assignment under which the assumed literals hold. `Ok(None)` if there is none.
pub(crate) fn find(
    solver: &mut dyn Solver,
    wishes: &[Wish],
    assumed: &[Literal],
) -> Result<Option<Assignment>, String> {
    let mut search = Search {
        solver,
        kept: assumed.to_vec(),
        best: None,
    };
    if !search.improve(None)? {
        return Ok(None);
    }
    for wish in wishes {
        search.wish(wish)?;
    }
    Ok(search.best)
}

struct Search<'a> {
    solver: &'a mut dyn Solver,
    kept: Vec<Literal>,
    best: Option<Assignment>,
}

impl Search<'_> {
    /// Adds a literal if everything kept still fits with it.
    fn improve(&mut self, literal: Option<Literal>) -> Result<bool, String> {
        self.kept.extend(literal);
        match self.solver.check(&self.kept) {
            Answer::Sat => {
                self.best = self.solver.model();
                Ok(true)
            }
            Answer::Unsat => {
                if literal.is_some() {
                    self.kept.pop();
                }
                Ok(false)
            }
            Answer::Unknown(why) => Err(why),
        }
    }

    /// The example at hand, changed in one place so that the term holds, if all that is kept still does: far cheaper
    /// than asking, and what is possible does not depend on who finds it.
    fn adjusted(&self, term: &Term) -> Option<Assignment> {
        if let Term::Or(terms) = term {
            return terms.iter().find_map(|term| self.adjusted(term));
        }
        let script = self.solver.script();
        let mut values = self.best.clone()?;
        if !values.settle(term) {
            return None;
        }
        script.complete(&mut values);
        let kept = self.kept.iter();
        let fits = script.assertions.iter().all(|fact| fact.eval(&values))
            && kept
                .rev()
                .all(|literal| self.solver.holds(*literal, &values));
        fits.then_some(values)
    }

    /// Wants a term; asks the solver only if the example at hand breaks it and one close to it does as well.
    fn want(&mut self, term: &Term) -> Result<bool, String> {
        if *term == Term::Const(false) {
            return Ok(false);
        }
        let literal = self.solver.literal(term);
        if self.best.as_ref().is_some_and(|best| term.eval(best)) {
            self.kept.push(literal);
            return Ok(true);
        }
        if let Some(found) = self.adjusted(term) {
            self.kept.push(literal);
            self.best = Some(found);
            return Ok(true);
        }
        self.improve(Some(literal))
    }

    fn wish(&mut self, wish: &Wish) -> Result<(), String> {
        match wish {
            Wish::First(terms) => {
                for term in terms {
                    if self.want(term)? {
                        break;
                    }
                }
            }
            Wish::Least(premise, var, width) => {
                if self.best.as_ref().is_some_and(|best| premise.eval(best)) {
                    self.least(*var, *width)?;
                }
            }
        }
        Ok(())
    }

    /// Bit by bit from the top, zero where possible. A value that is zero already needs one literal.
    fn least(&mut self, var: Var, width: u8) -> Result<(), String> {
        if self.want(&Term::Is(var, 0))? {
            return Ok(());
        }
        let mut value = 0_u128;
        for bits in 1..=width {
            let prefix = Term::Prefix { var, bits, value };
            if !self.want(&prefix)? {
                value |= 1_u128.checked_shl(u32::from(width - bits)).unwrap_or(0);
                self.want(&Term::Prefix { var, bits, value })?;
            }
        }
        Ok(())
    }
}

/// Reads a flow from an assignment. An error says which part of it could not be made concrete.
pub(crate) fn decode(frame: &Frame, values: &Assignment) -> Result<Witness, String> {
    let [first, second] = &frame.sides;
    let party = |side| decode_side(frame, side, values);
    let small = |var| u16::try_from(values.get(var)).unwrap_or(u16::MAX);
    let port = small(frame.port);
    let is_set = |flag: Var| values.get(flag) != 0;
    let names = frame.named.iter().filter_map(|named| {
        let number = match named.below {
            _ if is_set(named.here) => port,
            Some(below) if is_set(below) => port.saturating_sub(1),
            _ => return None,
        };
        Some((named.name.clone(), number))
    });
    Ok(Witness {
        sides: [party(first)?, party(second)?],
        protocol: Protocol(u8::try_from(values.get(frame.protocol)).unwrap_or(u8::MAX)),
        port,
        names: names.collect(),
        cluster: frame.dims.cluster.clone(),
    })
}

fn decode_side(frame: &Frame, side: &Side, values: &Assignment) -> Result<Party, String> {
    let kind = Kind(u8::try_from(values.get(side.kind)).unwrap_or(u8::MAX));
    if Kind::V4.contains(&kind) || Kind::V6.contains(&kind) {
        let ip = if Kind::V4.contains(&kind) {
            let bits = u32::try_from(values.get(side.v4)).unwrap_or(0);
            std::net::Ipv4Addr::from_bits(bits).into()
        } else {
            std::net::Ipv6Addr::from_bits(values.get(side.v6)).into()
        };
        return Ok(Party::Address(Address {
            ip,
            api: matches!(kind, Kind::API_V4 | Kind::API_V6),
            names: learned(side, values)?,
        }));
    }
    let read = |labels: &Vars, domain: for<'a> fn(&'a Dims, &str) -> Domain<'a>| {
        let labels = labels.iter().filter_map(|(name, var)| {
            let (value, invented) = domain(&frame.dims, name).text(values.get(*var))?;
            Some(Label {
                name: name.clone(),
                value,
                invented,
            })
        });
        labels.collect::<Vec<_>>()
    };
    if kind == Kind::POD {
        return Ok(Party::Pod(read(&side.labels, Dims::of_pods)));
    }
    if Kind::HOSTS.contains(&kind) || Kind::NODES.contains(&kind) {
        return Ok(Party::Node(kind, read(&side.nodes, Dims::of_nodes)));
    }
    Ok(Party::Reserved(kind))
}

/// Names that together are selected as the flags of a side say.
fn learned(side: &Side, values: &Assignment) -> Result<Vec<Arc<str>>, String> {
    let (set, unset): (Vec<_>, Vec<_>) = side
        .names
        .iter()
        .partition(|(_, var)| values.get(**var) != 0);
    let avoided: Vec<_> = unset.into_iter().map(|(fqdn, _)| fqdn).collect();
    let mut names = Vec::new();
    for (fqdn, _) in set {
        match names::name_of(fqdn, &avoided) {
            Found::Name(name) => names.push(name),
            Found::None => return Err(format!("no DNS name is selected by `{fqdn}` alone")),
            Found::TooLarge => return Err(format!("the names of `{fqdn}` are too many")),
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}
