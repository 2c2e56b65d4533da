//! Strongly connected things, and all that can be reached.
//!
//! Both searches (Kosaraju's) look for the next thing among whole words of unseen ones. So the time grows with the
//! words of the matrix and not with its edges, and nothing recurses, however long a chain of things is.

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
        let reversed = matrix.reversed();
        let mut backward = Search::new(&reversed);
        let order: Vec<usize> = (0..matrix.len())
            .flat_map(|start| backward.finish(start))
            .collect();
        let mut forward = Search::new(matrix);
        for start in order.into_iter().rev() {
            let things = forward.finish(start);
            if !things.is_empty() {
                found.add(matrix, &things);
            }
        }
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
        // Later components reach more, and what is covered need not be added again.
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

/// A search in depth that remembers what it has seen.
struct Search<'a> {
    matrix: &'a Matrix,
    unseen: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(matrix: &'a Matrix) -> Self {
        Self {
            matrix,
            unseen: super::matrix::row((0..matrix.len()).map(|_| true)),
        }
    }

    /// All unseen things that can be reached, the start included, in the order in which they are left.
    fn finish(&mut self, start: usize) -> Vec<usize> {
        let mut left = Vec::new();
        let mut path: Vec<usize> = Vec::new();
        if self.see(start) {
            path.push(start);
        }
        while let Some(here) = path.last() {
            if let Some(next) = self.next(*here) {
                self.see(next);
                path.push(next);
            } else {
                left.extend(path.pop());
            }
        }
        left
    }

    /// The first unseen thing that one leads to.
    fn next(&self, from: usize) -> Option<usize> {
        let words = self.matrix.row(from).iter().zip(&self.unseen);
        let mut open = words.map(|(row, unseen)| row & unseen).enumerate();
        let (at, word) = open.find(|(_, word)| *word != 0)?;
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    /// Marks a thing; whether it was unseen.
    fn see(&mut self, thing: usize) -> bool {
        let new = has(&self.unseen, thing);
        if let Some(word) = self.unseen.get_mut(thing / 64) {
            *word &= !(1 << (thing % 64));
        }
        new
    }
}
