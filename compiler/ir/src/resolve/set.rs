//! Sets of identities.

use crate::ids::IdentityId;

/// A set of identities, as small as its members or its room allow.
///
/// Sets with one room are equal exactly if they have the same members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentitySet(Form);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// Members in order.
    Few(Vec<u32>),
    /// How many members, and a bit for each identity.
    Many(usize, Vec<u64>),
}

/// The set of nobody.
pub(super) static EMPTY: IdentitySet = IdentitySet(Form::Few(Vec::new()));

impl Default for IdentitySet {
    fn default() -> Self {
        EMPTY.clone()
    }
}

impl IdentitySet {
    /// A set of members in order and without repeats, all below `room`.
    pub(super) fn of(members: Vec<u32>, room: usize) -> Self {
        if is_few(members.len(), room) {
            return Self(Form::Few(members));
        }
        let mut bits = Bits::none(room);
        for member in &members {
            bits.insert(*member);
        }
        Self(Form::Many(members.len(), bits.0))
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Few(members) => members.len(),
            Form::Many(count, _) => *count,
        }
    }

    /// Whether an identity is in it.
    pub fn contains(&self, id: IdentityId) -> bool {
        match &self.0 {
            Form::Few(members) => members.binary_search(&id.0).is_ok(),
            Form::Many(_, words) => words
                .get(id.index() / 64)
                .is_some_and(|word| word >> (id.index() % 64) & 1 == 1),
        }
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its members in order.
    pub fn iter(&self) -> impl Iterator<Item = IdentityId> {
        let (few, many) = match &self.0 {
            Form::Few(members) => (members.as_slice(), &[][..]),
            Form::Many(_, words) => (&[][..], words.as_slice()),
        };
        let few = few.iter().copied().map(IdentityId);
        few.chain(many.iter().enumerate().flat_map(members))
    }
}

/// Whether a list takes less memory than bits.
pub(super) const fn is_few(members: usize, room: usize) -> bool {
    members <= room / 32
}

/// Members that a word stands for.
fn members((at, word): (usize, &u64)) -> impl Iterator<Item = IdentityId> {
    let mut rest = *word;
    std::iter::from_fn(move || {
        let bit = rest.trailing_zeros() as usize;
        // Clears the lowest bit; nothing is left to clear at the end.
        rest &= rest.wrapping_sub(1);
        (bit < 64).then(|| IdentityId::at(at * 64 + bit))
    })
}

/// A set that is being computed: a bit for each identity.
#[derive(Clone, Debug)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Nobody.
    pub(super) fn none(room: usize) -> Self {
        Self(vec![0; room.div_ceil(64)])
    }

    /// Adds a member below the room.
    pub(super) fn insert(&mut self, member: u32) {
        if let Some(word) = self.0.get_mut(member as usize / 64) {
            *word |= 1 << (member % 64);
        }
    }

    /// Adds a set.
    pub(super) fn insert_all(&mut self, set: &IdentitySet) {
        match &set.0 {
            Form::Few(members) => {
                for member in members {
                    self.insert(*member);
                }
            }
            Form::Many(_, words) => self.zip(words, |word, other| word | other),
        }
    }

    /// Keeps those that are in the other set as well or, if `negated`, that are not.
    pub(super) fn keep(&mut self, other: &Self, negated: bool) {
        if negated {
            self.zip(&other.0, |word, other| word & !other);
        } else {
            self.zip(&other.0, |word, other| word & other);
        }
    }

    fn zip(&mut self, others: &[u64], merge: impl Fn(u64, u64) -> u64) {
        for (word, other) in self.0.iter_mut().zip(others) {
            *word = merge(*word, *other);
        }
    }

    /// The set, as a list if it has few members.
    pub(super) fn finish(self, room: usize) -> IdentitySet {
        let count = self.0.iter().map(|word| word.count_ones() as usize).sum();
        if is_few(count, room) {
            let all = self.0.iter().enumerate().flat_map(members);
            return IdentitySet(Form::Few(all.map(|id| id.0).collect()));
        }
        IdentitySet(Form::Many(count, self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_their_members_in_both_forms() {
        let room = 1000;
        for step in [1, 3, 31, 32, 33, 64, 500, 999] {
            let wanted: Vec<u32> = (0..room).step_by(step as usize).collect();
            let set = IdentitySet::of(wanted.clone(), room as usize);
            let found: Vec<_> = set.iter().map(|id| id.0).collect();
            assert_eq!(found, wanted);
            assert_eq!(set.len(), wanted.len());
            for id in 0..room + 100 {
                let inside = id < room && id % step == 0;
                assert_eq!(set.contains(IdentityId(id)), inside, "{id} of {step}");
            }
            let mut bits = Bits::none(room as usize);
            bits.insert_all(&set);
            assert_eq!(bits.finish(room as usize), set);
        }
    }
}
