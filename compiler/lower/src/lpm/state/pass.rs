//! Entries where some rules pass flows on to later tiers (Cilium's insertWithPasses).
//!
//! A pass is kept beside the entries. An entry of a later tier within it is put in with the precedence right behind the
//! pass, where it comes before all that the pass skips; where only part of the entry lies within the pass, for that part.

use std::collections::BTreeSet;

use super::{Entry, Key, Slot, State, Whose, covering_keys};
use crate::lpm::levels::Bounds;

/// A rule that passes flows on to the next tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lpm) struct Pass {
    pub(in crate::lpm) precedence: u32,
    pub(in crate::lpm) bounds: Bounds,
}

impl Pass {
    /// Whether an entry of this precedence leaves the pass in force.
    fn outlives(&self, precedence: u32) -> bool {
        let same_tier = (self.bounds.min..=self.bounds.max).contains(&precedence);
        !same_tier || self.precedence > precedence
    }
}

/// What the keys around a new entry say of it.
#[derive(Debug, Default)]
struct Around {
    /// The passes it lies in, one of each tier.
    passes: Vec<Pass>,
    /// The highest precedence of what makes it useless unless it is passed; 0 for nothing.
    useless_below: u32,
    /// Parts of it that a pass reaches and that need an entry of their own.
    parts: BTreeSet<Key>,
    /// Parts of it that an entry of its tier makes useless.
    decided: BTreeSet<Key>,
    /// Whether something of its own tier makes it useless, passed or not.
    done: bool,
}

impl State {
    /// Puts in a pass, unless one of its tier decides before it.
    pub(super) fn insert_pass(&mut self, key: Key, pass: Pass, bounds: Bounds) {
        let decides = |slot: &Slot| {
            let entry = slot.entry.as_ref().map(|entry| entry.precedence);
            let entry = entry.is_some_and(|at| at <= bounds.max && at > pass.precedence);
            let mut passes = slot.passes.iter();
            entry
                || passes.any(|other| {
                    other.bounds.min == pass.bounds.min && other.precedence >= pass.precedence
                })
        };
        let mut covering = covering_keys(key).filter_map(|at| self.slots.get(&at));
        if covering.any(decides) {
            return;
        }
        self.prune(key, pass.precedence);
        let slot = self.slots.entry(key).or_default();
        collect(&mut slot.passes, pass);
    }

    /// Puts in an entry where there are passes.
    pub(super) fn insert_passed(&mut self, key: Key, entry: &Entry, bounds: Bounds) {
        let around = self.around(key, key, entry, bounds);
        if around.done {
            return;
        }
        let mut done = around.decided;
        let mut parts: Vec<Key> = around.parts.difference(&done).copied().collect();
        done.extend(&parts);
        if around.useless_below == 0 {
            self.prune(key, entry.precedence);
        }
        for part in self.narrower_passes(key, bounds) {
            if done.insert(part) {
                parts.push(part);
            }
        }
        let passed = self.add_passed(key, entry, &around.passes, around.useless_below);
        if !passed && around.useless_below == 0 {
            self.add(key, entry.clone());
        }
        let mut next = 0;
        while let Some(part) = parts.get(next).copied() {
            next += 1;
            let around = self.around(part, key, entry, bounds);
            done.extend(&around.decided);
            for more in around.parts {
                if done.insert(more) {
                    parts.push(more);
                }
            }
            self.add_passed(part, entry, &around.passes, around.useless_below);
        }
    }

    /// Looks at all keys with this one's prefix or a shorter one. `whole` is the key that the entry was written for:
    /// a part of it is not given up for an entry of its own tier, since the whole has been put in already.
    fn around(&self, key: Key, whole: Key, entry: &Entry, bounds: Bounds) -> Around {
        let mut around = Around::default();
        let all = Key {
            whose: Whose::Own,
            ..key
        };
        for at in covering_keys(all) {
            let Some(slot) = self.slots.get(&at) else {
                continue;
            };
            let covers = key.whose == Whose::Own || at.whose == Whose::Anyone;
            let own_part = Key {
                whose: at.whose,
                ..key
            };
            for pass in &slot.passes {
                if pass.bounds.min > entry.precedence {
                    if !covers {
                        around.parts.insert(own_part);
                        break;
                    }
                    collect(&mut around.passes, *pass);
                } else if covers && pass.precedence > entry.precedence && key == whole {
                    around.done = true;
                }
            }
            let Some(other) = slot.entry.as_ref().map(|other| other.precedence) else {
                continue;
            };
            let same = entry.is_deny() && other == entry.precedence && at != key;
            if !(other > entry.precedence || same) {
                continue;
            }
            match (covers, other > bounds.max) {
                (true, true) => around.useless_below = around.useless_below.max(other),
                (true, false) => around.done |= key == whole,
                (false, false) => {
                    around.decided.insert(own_part);
                }
                (false, true) => {}
            }
        }
        around
    }

    /// Narrower keys with a pass of an earlier tier, as far as they are part of this one.
    fn narrower_passes(&self, key: Key, bounds: Bounds) -> Vec<Key> {
        let anyone = self.within(Whose::Anyone, key.prefix);
        let own = self.within(Whose::Own, key.prefix);
        let within = anyone.chain(own).filter(|at| {
            let mut passes = self.slots.get(at).into_iter().flat_map(|slot| &slot.passes);
            passes.any(|pass| pass.precedence > bounds.max)
        });
        let parts = within.map(|at| Key {
            whose: at.whose.max(key.whose),
            ..at
        });
        parts.filter(|part| *part != key).collect()
    }

    /// Puts in an entry right behind the passes it lies in, if that comes before what makes it useless.
    fn add_passed(&mut self, key: Key, entry: &Entry, passes: &[Pass], useless_below: u32) -> bool {
        if passes.is_empty() {
            return false;
        }
        // The entry is of a later tier than each pass, so below its bounds: nothing is taken from less.
        let behind = passes.iter().fold(entry.precedence, |at, pass| {
            pass.precedence
                .saturating_sub(pass.bounds.min.saturating_sub(at))
        });
        if behind <= useless_below {
            return false;
        }
        self.prune(key, behind);
        let passed = Entry {
            precedence: behind,
            ..entry.clone()
        };
        self.add(key, passed);
        true
    }

    /// Removes entries and passes that something of this precedence makes useless (Cilium's pruneCoveredNarrowerKey).
    fn prune(&mut self, key: Key, precedence: u32) {
        for at in self.covered_keys(key) {
            let Some(slot) = self.slots.get_mut(&at) else {
                continue;
            };
            slot.passes.retain(|pass| pass.outlives(precedence));
            let useless = |entry: &Entry| {
                entry.precedence < precedence
                    || entry.is_deny() && entry.precedence == precedence && at != key
            };
            if slot.entry.as_ref().is_some_and(useless) {
                slot.entry = None;
            }
            if slot.entry.is_none() && slot.passes.is_empty() {
                self.slots.remove(&at);
            }
        }
    }
}

/// Adds a pass to those of other tiers; of two of one tier the higher precedence stays.
fn collect(passes: &mut Vec<Pass>, pass: Pass) {
    let at = passes.partition_point(|other| other.bounds.min < pass.bounds.min);
    match passes.get_mut(at) {
        Some(same) if same.bounds.min == pass.bounds.min => {
            if pass.precedence > same.precedence {
                *same = pass;
            }
        }
        _ => passes.insert(at, pass),
    }
}
