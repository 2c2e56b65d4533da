//! Who may open connections to whom.
//!
//! An *opening* from one party to another is a protocol and port that both the sender's egress and the receiver's
//! ingress let pass. Parties are endpoints and what owns addresses outside the cluster.
//!
//! Cost: nothing is a product over pods. Parties that no rule tells apart are one *class*; each distinct policy of a
//! direction is judged once for each kind of peer it knows and each interval of ports it tells apart; and the openings
//! of a pair of classes are those of two sets of ports, of which there are few. What is left for each pair of classes
//! is one look-up and one bit.

use rayon::prelude::*;

use crate::model::Model;
use crate::rule::Direction;

/// Parties that no rule tells apart.
mod class;
/// Strongly connected things, and all that can be reached.
mod closure;
/// One bit for each pair.
mod matrix;
/// Sets of protocols and ports.
mod ports;
/// What one distinct policy of a direction lets pass.
mod table;

pub use class::{Class, Party, private};
pub use closure::Closure;
pub use matrix::{Matrix, members};
pub use ports::{Ports, Span};

use ports::Pool;
use table::{Table, Tables};

/// Classes at most: a matrix of their pairs then takes 128 MiB.
const CLASSES_MAX: usize = 32_768;
/// Cells of all tables at most.
const CELLS_MAX: usize = 1 << 27;
/// Pairs of sets of ports at most.
const MEETS_MAX: usize = 1 << 24;

/// A cluster whose openings cannot be found in bounded memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// What there is too much of.
    pub what: &'static str,
    /// How many there are.
    pub found: usize,
    /// How many there may be.
    pub limit: usize,
}

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, found, limit } = self;
        write!(f, "the cluster has {found} {what}, of at most {limit}")
    }
}

impl std::error::Error for TooLarge {}

fn bounded(what: &'static str, found: usize, limit: usize) -> Result<(), TooLarge> {
    if found > limit {
        return Err(TooLarge { what, found, limit });
    }
    Ok(())
}

/// The openings of a cluster.
#[derive(Debug)]
pub struct Reach {
    classes: Vec<Class>,
    egress: Vec<Table>,
    ingress: Vec<Table>,
    /// Every distinct set of ports; the first is empty.
    sets: Vec<Ports>,
    /// What two sets of tables have in common, by row of the sender's.
    meets: Vec<u32>,
    /// The length of a row of `meets`.
    row: usize,
}

impl Reach {
    /// Finds the openings between all parties of a model.
    ///
    /// # Errors
    /// A cluster beyond the limits of this module.
    pub fn new(model: &Model<'_>) -> Result<Self, TooLarge> {
        let tables = Tables::new(model);
        let classes = class::classes(model, &tables);
        bounded("kinds of workloads", classes.len(), CLASSES_MAX)?;
        let cells = tables.len().saturating_mul(classes.len());
        bounded("pairs of policies and workloads", cells, CELLS_MAX)?;
        let mut pool = Pool::default();
        let egress = tables.judge(model, Direction::Egress, &classes, &mut pool);
        let ingress = tables.judge(model, Direction::Ingress, &classes, &mut pool);
        let row = pool.len();
        bounded("pairs of sets of ports", row.saturating_mul(row), MEETS_MAX)?;
        let meets = pool.meets();
        Ok(Self {
            classes,
            egress,
            ingress,
            sets: pool.finish(),
            meets,
            row,
        })
    }

    /// Parties that no rule tells apart, as one.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Every set of ports that some pair has; the first is empty.
    pub fn sets(&self) -> &[Ports] {
        &self.sets
    }

    /// The ports that a member of one class may open to another member of the other.
    pub fn opening(&self, from: usize, to: usize) -> &Ports {
        let set = || {
            let (sender, receiver) = (self.classes.get(from)?, self.classes.get(to)?);
            let let_in = cell(&self.ingress, receiver.ingress, from);
            self.sets.get(self.meet(sender, to, receiver, let_in))
        };
        set().unwrap_or(&ports::NONE)
    }

    /// For each class, the position among [`Self::sets`] of the ports that `from` may open to its members.
    pub fn openings(&self, from: usize) -> Vec<usize> {
        let Some(sender) = self.classes.get(from) else {
            return Vec::new();
        };
        let tables = 0..self.ingress.len();
        let column: Vec<u32> = tables
            .map(|table| cell(&self.ingress, Some(table), from))
            .collect();
        let each = self.classes.iter().enumerate().map(|(to, receiver)| {
            let known = receiver.ingress.and_then(|at| column.get(at).copied());
            self.meet(sender, to, receiver, known.unwrap_or(ports::ALL_ID))
        });
        each.collect()
    }

    /// Which classes have any opening to which. A class of one party has none to itself.
    pub fn matrix(&self) -> Matrix {
        let rows = self.classes.par_iter().enumerate().map(|(from, class)| {
            let alone = class.parties.len() < 2;
            let openings = self.openings(from);
            let open = openings.iter().enumerate();
            matrix::row(open.map(|(to, set)| *set != 0 && !(alone && to == from)))
        });
        Matrix::of(rows.collect())
    }

    fn meet(&self, sender: &Class, to: usize, receiver: &Class, let_in: u32) -> usize {
        // What happens between two parties outside is not the cluster's.
        if sender.egress.is_none() && receiver.ingress.is_none() {
            return 0;
        }
        let let_out = cell(&self.egress, sender.egress, to);
        let at = let_out as usize * self.row + let_in as usize;
        self.meets.get(at).map_or(0, |set| *set as usize)
    }
}

/// What a table says of a class; without a table everything passes.
fn cell(tables: &[Table], table: Option<usize>, class: usize) -> u32 {
    let Some(table) = table else {
        return ports::ALL_ID;
    };
    let cell = tables.get(table).and_then(|table| table.get(class));
    cell.copied().unwrap_or(ports::NONE_ID)
}
