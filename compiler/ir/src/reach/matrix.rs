//! One bit for each pair.

/// Which of some things lead to which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix(Vec<Vec<u64>>);

/// A row of bits.
pub(super) fn row(bits: impl Iterator<Item = bool>) -> Vec<u64> {
    let mut words = Vec::new();
    for (at, bit) in bits.enumerate() {
        if at % 64 == 0 {
            words.push(0);
        }
        if let (true, Some(word)) = (bit, words.last_mut()) {
            *word |= 1 << (at % 64);
        }
    }
    words
}

/// The positions of a row's bits that are set.
pub fn members(row: &[u64]) -> impl Iterator<Item = usize> {
    row.iter().enumerate().flat_map(|(at, word)| {
        let mut rest = *word;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            (bit < 64).then_some(at * 64 + bit)
        })
    })
}

/// Whether a row has a bit.
pub(super) fn has(row: &[u64], at: usize) -> bool {
    row.get(at / 64)
        .is_some_and(|word| word >> (at % 64) & 1 == 1)
}

/// Adds the bits of another row.
pub(super) fn add(row: &mut [u64], other: &[u64]) {
    for (word, other) in row.iter_mut().zip(other) {
        *word |= other;
    }
}

impl Matrix {
    /// A matrix of rows of equal length.
    pub(super) const fn of(rows: Vec<Vec<u64>>) -> Self {
        Self(rows)
    }

    /// How many things there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What one thing leads to, a bit for each.
    pub fn row(&self, from: usize) -> &[u64] {
        self.0.get(from).map_or(&[], Vec::as_slice)
    }

    /// Whether one leads to the other.
    pub fn has(&self, from: usize, to: usize) -> bool {
        has(self.row(from), to)
    }

    /// The same without the arrows that leave a thing which nothing passes through.
    pub fn passing(&self, through: impl Fn(usize) -> bool) -> Self {
        let rows = self.0.iter().enumerate();
        let kept = rows.map(|(at, row)| {
            if through(at) {
                row.clone()
            } else {
                vec![0; row.len()]
            }
        });
        Self(kept.collect())
    }

    /// The same with every arrow turned round.
    pub fn reversed(&self) -> Self {
        let mut rows = vec![vec![0; self.len().div_ceil(64)]; self.len()];
        for (from, row) in self.0.iter().enumerate() {
            for to in members(row) {
                if let Some(word) = rows.get_mut(to).and_then(|row| row.get_mut(from / 64)) {
                    *word |= 1 << (from % 64);
                }
            }
        }
        Self(rows)
    }

    /// Steps from any of some things to each, no more than `hops`; the things themselves are at 0.
    pub fn distances(&self, from: impl IntoIterator<Item = usize>, hops: u32) -> Vec<Option<u32>> {
        let mut found = vec![None; self.len()];
        let mut here: Vec<usize> = Vec::new();
        for start in from {
            if let Some(distance @ None) = found.get_mut(start) {
                *distance = Some(0);
                here.push(start);
            }
        }
        let mut steps = 0;
        while steps < hops && !here.is_empty() {
            steps += 1;
            let mut next = vec![0; self.len().div_ceil(64)];
            for at in &here {
                add(&mut next, self.row(*at));
            }
            here.clear();
            for at in members(&next) {
                if let Some(distance @ None) = found.get_mut(at) {
                    *distance = Some(steps);
                    here.push(at);
                }
            }
        }
        found
    }
}
