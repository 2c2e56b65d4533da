//! Strongly connected things, and all that can be reached.

use petgraph::algo::TarjanScc;
use petgraph::visit::{GraphBase, IntoNeighbors, IntoNodeIdentifiers, NodeIndexable};

use super::matrix::{Matrix, add, has, members};

/// What leads to what in any number of steps.
#[derive(Clone, Debug)]
pub struct Closure {
    /// The component of each thing.
    component: Vec<usize>,
    /// For each component all that can be reached in one step or more.
    reached: Vec<Vec<u64>>,
}

impl Closure {
    /// Finds components, and what each reaches.
    pub fn new(matrix: &Matrix) -> Self {
        let mut found = Self {
            component: vec![0; matrix.len()],
            reached: Vec::new(),
        };
        TarjanScc::new().run(Rows(matrix), |things| found.add(matrix, things));
        found
    }

    /// Adds a component. All that it leads to came before it.
    fn add(&mut self, matrix: &Matrix, things: &[usize]) {
        let number = self.reached.len();
        let mut all = vec![0; matrix.len().div_ceil(64)];
        for thing in things {
            add(&mut all, matrix.row(*thing));
            if let Some(component) = self.component.get_mut(*thing) {
                *component = number;
            }
        }
        let next = members(&all).filter_map(|at| self.component.get(at).copied());
        let mut next: Vec<_> = next.filter(|component| *component != number).collect();
        next.sort_unstable();
        next.dedup();
        // Later components reach more, and what they cover need not be added again.
        for row in next.iter().rev().filter_map(|at| self.reached.get(*at)) {
            if !covers(&all, row) {
                add(&mut all, row);
            }
        }
        self.reached.push(all);
    }

    /// Whether the second can be reached from the first in one step or more.
    pub fn has(&self, from: usize, to: usize) -> bool {
        has(self.row(from), to)
    }

    /// All that can be reached in one step or more, a bit for each.
    pub fn row(&self, from: usize) -> &[u64] {
        let component = self.component.get(from);
        let row = component.and_then(|at| self.reached.get(*at));
        row.map_or(&[], Vec::as_slice)
    }

    /// The component of each thing; those of one component reach each other.
    pub fn components(&self) -> &[usize] {
        &self.component
    }
}

/// Whether a row has every bit of another.
fn covers(row: &[u64], other: &[u64]) -> bool {
    row.iter().zip(other).all(|(row, other)| other & !row == 0)
}

/// A matrix as a graph for `petgraph`, without a list of its edges.
#[derive(Clone, Copy)]
struct Rows<'a>(&'a Matrix);

impl GraphBase for Rows<'_> {
    type NodeId = usize;
    type EdgeId = (usize, usize);
}

impl<'a> IntoNeighbors for Rows<'a> {
    type Neighbors = Box<dyn Iterator<Item = usize> + 'a>;

    fn neighbors(self, from: usize) -> Self::Neighbors {
        Box::new(members(self.0.row(from)))
    }
}

impl IntoNodeIdentifiers for Rows<'_> {
    type NodeIdentifiers = std::ops::Range<usize>;

    fn node_identifiers(self) -> Self::NodeIdentifiers {
        0..self.0.len()
    }
}

impl NodeIndexable for Rows<'_> {
    fn node_bound(&self) -> usize {
        self.0.len()
    }

    fn to_index(&self, at: usize) -> usize {
        at
    }

    fn from_index(&self, at: usize) -> usize {
        at
    }
}
