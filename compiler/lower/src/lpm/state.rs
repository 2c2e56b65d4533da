//! The entries of one identity beside those of anyone, while they are put in (Cilium's insertWithChanges).
//!
//! An entry is put in only where no covering one of higher precedence makes it useless, and removes the ones that it
//! makes useless in turn. So among the entries of one identity a longer prefix never has the lower precedence, and
//! the datapath's search for the longest prefix finds the highest precedence. Between an identity's own entries and
//! those of anyone the datapath compares precedences.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::RuleId;
use policyc_ir::l7::Auth;
use policyc_ir::model::Demand;

use super::levels::{Bounds, DENY};
use super::prefix::Prefix;

/// Entries that may ask for authentication.
mod auth;
/// Entries where some rules pass flows on to later tiers.
mod pass;

pub(super) use pass::Pass;

/// Whose entry it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// Any identity's (Cilium's identity 0).
    Anyone,
    /// That of the identity in question.
    Own,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) whose: Whose,
    pub(super) prefix: Prefix,
}

/// What the datapath reads of an entry, and the rules that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) precedence: u32,
    pub(super) auth: Option<Demand>,
    pub(super) rules: Arc<[RuleId]>,
}

/// What stands at a key. Passes are never in the datapath's map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) entry: Option<Entry>,
    /// At most one of each tier, the lowest precedence first.
    pub(super) passes: Vec<Pass>,
}

/// What is put in.
#[derive(Clone, Debug)]
pub(super) enum Claim {
    Entry(Entry),
    Pass(Pass),
}

/// What occurs in a policy's direction; decides how entries are put in, never what they mean.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a feature of its own, and any may occur with any"
)]
pub(super) struct Features {
    pub(super) deny: bool,
    pub(super) redirect: bool,
    /// Some level has another number than 0.
    pub(super) ordered: bool,
    pub(super) auth: bool,
    pub(super) pass: bool,
}

/// The entries so far.
#[derive(Debug)]
pub(super) struct State {
    features: Features,
    slots: BTreeMap<Key, Slot>,
}

impl Entry {
    pub(super) fn is_deny(&self) -> bool {
        self.precedence & 0xff == u32::from(DENY)
    }

    /// Its level, as far as two entries can be compared by it.
    fn level(&self) -> u32 {
        self.precedence >> 8
    }

    /// Takes in an entry of the same key and level (Cilium's MapStateEntry.Merge).
    fn merge(&mut self, other: &Self) {
        self.precedence = self.precedence.max(other.precedence);
        if rank(other.auth) > rank(self.auth) {
            self.auth = other.auth;
        }
        if self.is_deny() {
            self.auth = None;
        }
        let mut rules = [&self.rules[..], &other.rules[..]].concat();
        rules.sort_unstable();
        rules.dedup();
        self.rules = rules.into();
    }
}

/// Whether an entry asks itself, be it for no authentication at all.
fn is_explicit(demand: Option<Demand>) -> bool {
    demand.is_some_and(|demand| !demand.derived)
}

/// Which of two demands of one key stays: one that is asked for itself, then the stronger.
fn rank(demand: Option<Demand>) -> (bool, u8) {
    (is_explicit(demand), strength(demand))
}

/// Authentication types in Cilium's order.
pub(super) fn strength(demand: Option<Demand>) -> u8 {
    match demand.map(|demand| demand.mode) {
        None | Some(Auth::Disabled) => 0,
        Some(Auth::Required) => 1,
        Some(Auth::AlwaysFail) => 2,
    }
}

impl State {
    pub(super) fn new(features: Features) -> Self {
        Self {
            features,
            slots: BTreeMap::new(),
        }
    }

    /// Puts one in; `bounds` are those of its tier. Tiers have to come in order.
    pub(super) fn insert(&mut self, key: Key, claim: Claim, bounds: Bounds) {
        match claim {
            Claim::Pass(pass) => self.insert_pass(key, pass, bounds),
            Claim::Entry(entry) if self.features.pass => self.insert_passed(key, &entry, bounds),
            Claim::Entry(entry) if entry.is_deny() => self.insert_deny(key, entry),
            Claim::Entry(entry) if self.features.auth => self.insert_auth(key, entry),
            Claim::Entry(entry) => self.insert_allow(key, entry),
        }
    }

    /// What stands where, by key.
    pub(super) fn finish(self) -> BTreeMap<Key, Slot> {
        self.slots
    }

    fn insert_deny(&mut self, key: Key, entry: Entry) {
        let useless = |at: Key, other: &Entry| {
            other.precedence > entry.precedence || other.precedence == entry.precedence && at != key
        };
        if self.covering(key).any(|(at, other)| useless(at, other)) {
            return;
        }
        self.remove_covered(key, |at, other| {
            other.precedence < entry.precedence || other.precedence == entry.precedence && at != key
        });
        self.add(key, entry);
    }

    fn insert_allow(&mut self, key: Key, entry: Entry) {
        let Features {
            deny,
            redirect,
            ordered,
            ..
        } = self.features;
        // Plain allows of one level are never compared.
        if deny || redirect || ordered {
            let higher = |(_, other): (Key, &Entry)| other.precedence > entry.precedence;
            if self.covering(key).any(higher) {
                return;
            }
            self.remove_covered(key, |_, other| other.precedence < entry.precedence);
        }
        self.add(key, entry);
    }

    /// Puts an entry where it is wanted, joined with what is there (Cilium's addKeyWithChanges).
    fn add(&mut self, key: Key, entry: Entry) {
        let slot = self.slots.entry(key).or_default();
        match &mut slot.entry {
            Some(known) if known.level() == entry.level() => known.merge(&entry),
            Some(known) if known.precedence > entry.precedence => {}
            known => *known = Some(entry),
        }
    }

    /// Entries whose key covers this one, it included.
    fn covering(&self, key: Key) -> impl Iterator<Item = (Key, &Entry)> {
        let keys = covering_keys(key);
        keys.filter_map(|at| Some((at, self.slots.get(&at)?.entry.as_ref()?)))
    }

    /// Keys in use that this one covers, it included.
    fn covered_keys(&self, key: Key) -> Vec<Key> {
        let own = self.within(Whose::Own, key.prefix);
        match key.whose {
            Whose::Own => own.collect(),
            Whose::Anyone => self.within(Whose::Anyone, key.prefix).chain(own).collect(),
        }
    }

    /// Keys in use within a prefix, the shorter before the longer of the same ports.
    fn within(&self, whose: Whose, prefix: Prefix) -> impl Iterator<Item = Key> {
        let key = |prefix| Key { whose, prefix };
        let range = self.slots.range(key(prefix)..=key(prefix.last_covered()));
        range.map(|(key, _)| *key)
    }

    fn remove_covered(&mut self, key: Key, useless: impl Fn(Key, &Entry) -> bool) {
        for at in self.covered_keys(key) {
            let entry = self.slots.get(&at).and_then(|slot| slot.entry.as_ref());
            if entry.is_some_and(|entry| useless(at, entry)) {
                self.slots.remove(&at);
            }
        }
    }
}

/// Every key that covers this one: its own and anyone's, with its prefix or a shorter one.
fn covering_keys(key: Key) -> impl Iterator<Item = Key> {
    let anyone = std::iter::once(Whose::Anyone);
    let own = (key.whose == Whose::Own).then_some(Whose::Own);
    let whose = anyone.chain(own);
    whose.flat_map(move |whose| {
        let prefixes = key.prefix.covering();
        prefixes.map(move |prefix| Key { whose, prefix })
    })
}
