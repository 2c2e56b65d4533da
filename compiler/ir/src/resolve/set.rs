//! Sets of identities.

use crate::ids::IdentityId;

/// A set of identities as a bit vector.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentitySet(Vec<u64>);

/// The set of nobody.
pub(super) static EMPTY: IdentitySet = IdentitySet(Vec::new());

impl IdentitySet {
    /// An empty set with room for `identities`.
    pub fn new(identities: usize) -> Self {
        Self(vec![0; identities.div_ceil(64)])
    }

    /// Adds an identity below the room given.
    pub fn insert(&mut self, id: IdentityId) {
        if let Some(word) = self.0.get_mut(id.index() / 64) {
            *word |= 1 << (id.index() % 64);
        }
    }

    /// Whether an identity is in it.
    pub fn contains(&self, id: IdentityId) -> bool {
        self.0
            .get(id.index() / 64)
            .is_some_and(|word| word >> (id.index() % 64) & 1 == 1)
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Its members in order.
    pub fn iter(&self) -> impl Iterator<Item = IdentityId> {
        let bits = |(at, word): (usize, &u64)| {
            let word = *word;
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| IdentityId::at(at * 64 + bit))
        };
        self.0
            .iter()
            .enumerate()
            .filter(|(_, word)| **word != 0)
            .flat_map(bits)
    }
}
