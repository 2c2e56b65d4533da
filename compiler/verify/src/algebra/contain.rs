//! Which rules match all that another matches, without a solver.
//!
//! "Contains" answers err on the side of no.

use std::sync::Arc;

use policyc_ir::PeerId;
use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Peer, Peers, Rule, Services};

use super::kind::Kind;
use super::overlap::Algebra;
use super::selector::{Asked, Reach};
use super::values::Values;

impl Algebra<'_> {
    /// Whether every flow that `inner` matches is one that `outer` matches.
    pub(crate) fn contains(&self, outer: &Rule, inner: &Rule) -> bool {
        outer.direction == inner.direction
            && services_contain(&outer.services, &inner.services)
            && self.subject_contains(outer, inner)
            && self.peers_contain(&outer.peers, &inner.peers)
    }

    /// Whether every subject of `inner` is one of `outer`.
    pub(crate) fn subject_contains(&self, outer: &Rule, inner: &Rule) -> bool {
        let (mine, other) = (&inner.subject, &outer.subject);
        if mine.node != other.node {
            return false;
        }
        if mine.selector == other.selector && mine.namespace == other.namespace {
            return true;
        }
        if mine.node {
            let asked = self.host(outer).zip(self.host(inner));
            return asked.is_some_and(|(outer, inner)| asked_contains(outer, inner));
        }
        let namespace = other.namespace.is_none() || other.namespace == mine.namespace;
        let reach = self.subject(outer).zip(self.subject(inner));
        namespace && reach.is_some_and(|(outer, inner)| outer.contains(inner))
    }

    fn peers_contain(&self, outer: &Peers, inner: &Peers) -> bool {
        match (outer, inner) {
            (Peers::Any, _) => true,
            (Peers::Of(_), Peers::Any) => false,
            (Peers::Of(outer), Peers::Of(inner)) => inner.iter().all(|inner| {
                outer.contains(inner)
                    || outer.iter().any(|outer| self.peer_contains(*outer, *inner))
            }),
        }
    }

    fn peer_contains(&self, outer: PeerId, inner: PeerId) -> bool {
        let (Some(outer), Some(inner)) = (self.rules.peer(outer), self.rules.peer(inner)) else {
            return false;
        };
        match (outer, inner) {
            (Peer::Labels(outer), Peer::Labels(inner)) => {
                let pair = self.reach(*outer).zip(self.reach(*inner));
                pair.is_some_and(|(outer, inner)| outer.contains(inner))
            }
            (Peer::Labels(outer), inner) => {
                let kinds = super::overlap::families(inner);
                self.reach(*outer)
                    .is_some_and(|outer| kinds & !outer.kinds == 0)
            }
            (Peer::Fqdn(_), _) | (_, Peer::Labels(_) | Peer::Fqdn(_)) => false,
            (outer, inner) => inner.blocks().all(|inner| {
                let mut blocks = outer.blocks();
                blocks.any(|outer| block_contains(outer, inner))
            }),
        }
    }
}

type Block<'a> = (&'a policyc_ir::cidr::Cidr, &'a [policyc_ir::cidr::Cidr]);

fn block_contains(outer: Block<'_>, inner: Block<'_>) -> bool {
    let (prefix, except) = outer;
    let (own, left_out) = inner;
    prefix.covers(own)
        && except.iter().all(|hole| {
            let apart = !hole.covers(own) && !own.covers(hole);
            apart || left_out.iter().any(|other| other.covers(hole))
        })
}

fn services_contain(outer: &Services, inner: &Services) -> bool {
    match (outer, inner) {
        (Services::All, _) => true,
        (Services::Of(_), Services::All) => false,
        (Services::Of(outer), Services::Of(inner)) => inner
            .iter()
            .all(|inner| outer.iter().any(|outer| l4_contains(outer, inner))),
    }
}

fn l4_contains(outer: &L4, inner: &L4) -> bool {
    outer.protocol == inner.protocol
        && match (&outer.ports, &inner.ports) {
            (Ports::All, _) => true,
            (Ports::Range(first, last), Ports::Range(low, high)) => first <= low && high <= last,
            (outer, inner) => outer == inner,
        }
}

impl Reach {
    /// Whether it matches every party that the other matches.
    fn contains(&self, inner: &Self) -> bool {
        const NODES: u16 = Kind::NODE.bit() | Kind::NODE_API.bit();
        let pods = match (&self.pod, &inner.pod) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(outer), Some(inner)) => asked_contains(outer, inner),
        };
        let nodes = inner.kinds & NODES == 0 || asked_contains(&self.node, &inner.node);
        pods && nodes && inner.kinds & !self.kinds == 0
    }
}

/// Whether all labels that meet `inner` meet `outer`.
fn asked_contains(outer: &Asked, inner: &Asked) -> bool {
    outer.iter().all(|(name, values)| {
        let at = inner.binary_search_by(|(other, _)| other.cmp(name));
        let own = at.ok().and_then(|at| inner.get(at));
        own.is_some_and(|(_, own)| own.is_within(values))
    })
}

impl Values {
    /// Whether every member is one of the other.
    fn is_within(&self, other: &Self) -> bool {
        let has = |set: &Self, value: &Arc<str>| set.list.binary_search(value).is_ok();
        let listed = match (self.complement, other.complement) {
            (false, false) => self.list.iter().all(|value| has(other, value)),
            (false, true) => !self.list.iter().any(|value| has(other, value)),
            (true, true) => other.list.iter().all(|value| has(self, value)),
            (true, false) => false,
        };
        listed && (other.absent || !self.absent)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use policyc_ir::rule::Direction;
    use proptest::prelude::*;

    use super::*;
    use crate::encode::{Dims, Seat};
    use crate::solver::z3::Z3;
    use crate::solver::{Answer, Limits, Solver as _};
    use crate::tiny::{build, draft, settings};

    proptest! {
        /// What is said to be contained leaves no flow outside, by the solver's word.
        #[test]
        fn contained_rules_match_nothing_more(drafts in prop::collection::vec(draft(), 2..5)) {
            let rules = build(&drafts, Direction::Ingress, &BTreeSet::new());
            let settings = settings();
            let algebra = Algebra::new(&rules, &settings);
            for (outer_id, outer) in rules.iter() {
                for (inner_id, inner) in rules.iter() {
                    if !algebra.contains(outer, inner) {
                        continue;
                    }
                    let dims = Dims::new(&rules, [outer, inner], &settings);
                    let mut frame = dims.frame();
                    frame.subject_and_peer(Direction::Ingress, false);
                    let outer = frame.encode(&rules, outer_id, outer, Seat::First);
                    let inner = frame.encode(&rules, inner_id, inner, Seat::First);
                    let outside = inner.matches.and(outer.matches.negate());
                    let mut z3 = Z3::new(frame.script.clone(), Limits::default());
                    let literal = z3.literal(&outside);
                    prop_assert_eq!(z3.check(&[literal]), Answer::Unsat);
                }
            }
        }
    }
}
