//! What the datapath finds for a packet (`__policy_can_access` in Cilium's bpf/lib/policy.h).

use policyc_ir::ids::IdentityId;
use policyc_ir::model::Demand;
use policyc_ir::port::Protocol;

use super::state::strength;
use super::{Outcome, Prefix, Row, Table};

/// What the datapath finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the entry that decides does; without one the packet is dropped.
    pub outcome: Option<Outcome>,
    /// The authentication demanded.
    pub auth: Option<Demand>,
}

impl Table {
    /// Looks up a packet: the longest prefix among the peer's own entries and among anyone's, and of the two the higher
    /// precedence, then the longer prefix, then the peer's own.
    pub fn lookup(&self, peer: IdentityId, protocol: Protocol, port: u16) -> Answer {
        let wanted = Prefix::exact(protocol, port);
        let own = longest(self.own(peer), wanted);
        let anyone = longest(&self.anyone, wanted);
        let rank = |row: &Row| (row.precedence, row.prefix.len());
        let (chosen, other) = match (own, anyone) {
            (Some(own), Some(anyone)) if rank(anyone) > rank(own) => (anyone, Some(own)),
            (Some(own), other) => (own, other),
            (None, Some(anyone)) => (anyone, None),
            (None, None) => {
                return Answer {
                    outcome: None,
                    auth: None,
                };
            }
        };
        Answer {
            outcome: Some(chosen.outcome),
            auth: demand(chosen, other),
        }
    }
}

fn longest(rows: &[Row], wanted: Prefix) -> Option<&Row> {
    let matching = rows
        .iter()
        .filter(|row| row.is_in_map() && row.prefix.covers(wanted));
    matching.max_by_key(|row| row.prefix.len())
}

/// An entry that does not ask itself takes the stronger demand of the other one, if that is of the same precedence.
fn demand(chosen: &Row, other: Option<&Row>) -> Option<Demand> {
    if chosen.outcome == Outcome::Deny {
        return None;
    }
    let explicit = chosen.auth.is_some_and(|demand| !demand.derived);
    let other = other.filter(|other| !explicit && other.precedence == chosen.precedence);
    let stronger = other.and_then(|other| other.auth);
    let stronger = stronger.filter(|other| strength(Some(*other)) > strength(chosen.auth));
    stronger
        .map(|demand| Demand {
            derived: true,
            ..demand
        })
        .or(chosen.auth)
}
