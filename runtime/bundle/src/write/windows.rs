//! Classes of identities, packed: what differs from the usual class of its group, in windows that overlap.
//!
//! Rules name few of the identities that there are, and those lie far apart. A page of its own for each group of
//! identities would be nearly empty, and what is read of it would fill the processor's first cache. So only the
//! exceptions of a group are stored; a group's window begins where they fall on free places between those of others.

use std::collections::BTreeMap;

use policy_abi::arena::{self, PEER_PAGE};

/// How far from the end free places are still looked for, in entries. Groups whose windows overlap are therefore
/// placed soon after each other, long before their tags repeat.
const REACH: usize = 256;
/// Entries of a window.
const WINDOW: usize = PEER_PAGE as usize;

/// What differs in a group: position and class, in order.
type Exceptions = Vec<(u8, u16)>;

/// Where a group has been placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// First entry, counted from the start of all windows.
    pub first: u32,
    /// Tag of the group's own entries, and its usual class.
    pub key: u32,
}

/// All windows of an arena. Equal groups get the same one.
#[derive(Clone, Debug)]
pub struct Windows {
    entries: Vec<u32>,
    /// No entry before this one is free.
    free: usize,
    placed: BTreeMap<Exceptions, (u32, u16)>,
    /// Groups that have entries.
    count: u16,
}

impl Windows {
    /// One window without entries, for all groups that have no exceptions.
    pub fn new() -> Self {
        Self {
            entries: vec![0; WINDOW],
            free: WINDOW,
            placed: BTreeMap::from([(Vec::new(), (0, 1))]),
            count: 0,
        }
    }

    /// The windows of the groups of all identities, whose classes these are.
    pub fn place_all(&mut self, classes: &[u16]) -> Vec<Window> {
        let groups = classes.chunks(WINDOW);
        groups.map(|group| self.place(group)).collect()
    }

    /// The entries as the datapath reads them.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// The same in bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let entries = self.entries.iter();
        entries.flat_map(|entry| entry.to_le_bytes()).collect()
    }

    fn place(&mut self, group: &[u16]) -> Window {
        let usual = most_common(group);
        let exceptions: Exceptions = (0..)
            .zip(group)
            .filter(|(_, class)| **class != usual)
            .map(|(at, class)| (at, *class))
            .collect();
        let (first, tag) = match self.placed.get(&exceptions) {
            Some(known) => *known,
            None => self.insert(exceptions),
        };
        let key = arena::peer_entry(tag, usual);
        Window { first, key }
    }

    fn insert(&mut self, exceptions: Exceptions) -> (u32, u16) {
        let first = self.fitting(&exceptions);
        self.entries
            .resize(self.entries.len().max(first + WINDOW), 0);
        // Tag 0 is that of free entries.
        self.count = self.count % u16::MAX + 1;
        for (at, class) in &exceptions {
            if let Some(entry) = self.entries.get_mut(first + usize::from(*at)) {
                *entry = arena::peer_entry(self.count, *class);
            }
        }
        while self.entries.get(self.free).is_some_and(|entry| *entry != 0) {
            self.free += 1;
        }
        let placed = (u32::try_from(first).unwrap_or(u32::MAX), self.count);
        self.placed.insert(exceptions, placed);
        placed
    }

    /// Where the first window begins whose exceptions all fall on free places; behind the end everything is free.
    fn fitting(&self, exceptions: &Exceptions) -> usize {
        let is_free = |at: usize| self.entries.get(at).is_none_or(|entry| *entry == 0);
        let start = self.free.max(self.entries.len().saturating_sub(REACH));
        let mut places = start..=self.entries.len();
        places
            .find(|first| {
                let mut taken = exceptions.iter().map(|(at, _)| first + usize::from(*at));
                taken.all(is_free)
            })
            .unwrap_or(self.entries.len())
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self::new()
    }
}

/// The class that most of a group have; of equals the lowest.
fn most_common(group: &[u16]) -> u16 {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for class in group {
        *counts.entry(*class).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|(class, count)| (*count, std::cmp::Reverse(*class)));
    most.map_or(0, |(class, _)| class)
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "halves of words, and numbers below limits of so many bits"
)]
mod tests {
    use super::*;

    /// The class that the datapath would read.
    fn read(windows: &Windows, window: Window, at: usize) -> u16 {
        let entry = windows.entries[window.first as usize + at];
        let of = if (entry ^ window.key) >> 16 == 0 {
            entry
        } else {
            window.key
        };
        of as u16
    }

    /// Random groups, dense and sparse, more of them than there are tags.
    #[test]
    fn every_class_is_read_back() {
        let mut state = 1_u64;
        let mut below = |limit: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let mut windows = Windows::new();
        let groups: Vec<Vec<u16>> = (0..80_000_u32)
            .map(|number| {
                let rare = if number % 50 == 0 { 2 } else { 16 };
                (0..WINDOW)
                    .map(|_| match below(rare) {
                        0 => below(60_000) as u16,
                        _ => (number % 3) as u16,
                    })
                    .collect()
            })
            .collect();
        let placed: Vec<_> = groups.iter().map(|group| windows.place(group)).collect();
        assert!(usize::from(u16::MAX) < windows.placed.len());
        for (group, window) in groups.iter().zip(&placed) {
            for (at, class) in group.iter().enumerate() {
                assert_eq!(read(&windows, *window, at), *class, "{window:?}");
            }
        }
    }

    #[test]
    fn few_exceptions_take_few_entries() {
        let mut windows = Windows::new();
        let mut classes = vec![0; 60_000];
        for class in 0..511_u16 {
            classes[1 + usize::from(class) * 117] = class + 1;
        }
        let placed = windows.place_all(&classes);
        assert_eq!(placed.len(), 60_000_usize.div_ceil(WINDOW));
        assert!(
            windows.entries.len() < 511 + 3 * WINDOW,
            "{}",
            windows.entries.len()
        );
        // Equal groups are stored once, whatever their usual class.
        let before = windows.entries.len();
        assert_eq!(windows.place_all(&classes), placed);
        let shifted: Vec<u16> = classes
            .iter()
            .map(|class| if *class == 0 { 700 } else { *class })
            .collect();
        let shifted = windows.place_all(&shifted);
        assert!(shifted.iter().zip(&placed).all(|(a, b)| a.first == b.first));
        assert_eq!(windows.entries.len(), before);
    }
}
