//! The entries of Cilium's own policy maps.
//!
//! Cilium gives every endpoint a map from direction, peer identity, protocol and leading bits of the port to a verdict
//! with a precedence. [`Maps::new`] makes the entries that its agent would put in, after pruning, so that the room
//! they take can be told before a policy is rolled out, and [`Table::lookup`] reads them as its datapath does.
//!
//! ```text
//! Model ─filters→ items ─by class of identities→ State (insertion, pruning) → Table
//! ```
//!
//! Cost: identities that the same peers match have the same entries, so a policy costs the number of such classes
//! times its filters; the entries of all identities are never held at once.

/// What identities Cilium tells apart.
pub mod identities;
/// Levels as numbers, and numbers as precedences.
mod levels;
/// What the datapath finds for a packet.
mod lookup;
/// The part of a key that names protocol and port.
mod prefix;
/// The entries of one identity beside those of anyone, while they are put in.
mod state;
/// From a policy's filters to its entries.
mod table;

use std::sync::Arc;

use policyc_ir::RuleId;
use policyc_ir::ids::{EndpointId, IdentityId};
use policyc_ir::model::{Conflict, Demand, Facts, Model};
use rayon::prelude::*;

pub use lookup::Answer;
pub use prefix::Prefix;

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Lets pass.
    Allow,
    /// Drops.
    Deny,
    /// Lets pass to a proxy.
    Redirect,
    /// Nothing: the agent keeps it beside the map, to place entries of later tiers.
    Pass,
}

impl Outcome {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Redirect => "redirect",
            Self::Pass => "pass",
        }
    }
}

/// An entry, apart from direction and peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Protocol and port.
    pub prefix: Prefix,
    /// What it does.
    pub outcome: Outcome,
    /// Of two entries that match, the higher decides; all ones for a pass, as the agent shows it.
    pub precedence: u32,
    /// The authentication it demands.
    pub auth: Option<Demand>,
    /// The rules it was made of; none where the agent adds it by itself.
    pub rules: Arc<[RuleId]>,
}

impl Row {
    /// Whether it takes room in the datapath's map.
    pub fn is_in_map(&self) -> bool {
        self.outcome != Outcome::Pass
    }
}

/// Identities with the same entries of their own.
#[derive(Clone, Debug)]
pub struct Class {
    /// The identities, in order.
    pub members: Vec<IdentityId>,
    /// The entries that each of them has.
    pub rows: Vec<Row>,
}

/// The entries of one endpoint in one direction.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Entries for any peer.
    pub anyone: Vec<Row>,
    /// Entries for certain peers.
    pub classes: Vec<Class>,
    /// The class of each identity, as a position; past the end for those without entries of their own.
    of_identity: Vec<usize>,
}

/// Why an endpoint has no entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its rules exclude each other.
    Conflict(Conflict),
    /// Its rules have more levels than precedences can tell apart.
    TooManyLevels,
}

/// The maps of all endpoints. Endpoints with the same entries share a table.
#[derive(Debug)]
pub struct Maps {
    /// The distinct tables.
    pub tables: Vec<Table>,
    /// Every endpoint, the host included, with the positions of its tables: to it and from it.
    pub endpoints: Vec<(EndpointId, Result<[usize; 2], Fault>)>,
}

impl Maps {
    /// Makes the maps of all endpoints of a model.
    pub fn new(model: &Model<'_>) -> Self {
        let endpoints = 0..model.universe().endpoints().len();
        let bound: Vec<_> = endpoints.map(EndpointId::at).collect();
        let distinct = crate::distinct(model, &bound);
        let facts = Facts::new(model.resolved.rules);
        let made = distinct.keys.par_iter();
        let made: Vec<_> = made.map(|key| table::table(model, &facts, key)).collect();
        let fault = |at: &usize| made.get(*at).and_then(|table| table.as_ref().err());
        let pairs = bound.into_iter().zip(distinct.by_endpoint);
        let endpoints = pairs.map(|(id, pair)| {
            let conflict = model.policy_of(id).and_then(|policy| policy.conflict);
            let fault = conflict
                .map(Fault::Conflict)
                .or_else(|| pair.iter().find_map(fault).copied());
            (id, fault.map_or(Ok(pair), Err))
        });
        Self {
            endpoints: endpoints.collect(),
            tables: made.into_iter().map(Result::unwrap_or_default).collect(),
        }
    }

    /// A table by its position.
    pub fn table(&self, at: usize) -> Option<&Table> {
        self.tables.get(at)
    }
}

impl Table {
    /// The entries that an identity has beside anyone's.
    pub fn own(&self, identity: IdentityId) -> &[Row] {
        let class = self.of_identity.get(identity.index());
        let class = class.and_then(|at| self.classes.get(*at));
        class.map_or(&[], |class| &class.rows)
    }
}
