//! Entries that may ask for authentication (Cilium's authPreferredInsert).
//!
//! An entry that does not ask itself has the demand of the most specific broader entry of its identity that does. One
//! that asks is kept where a broader one of higher precedence would make it useless, and then goes where that one goes.

use policyc_ir::model::Demand;

use super::{Entry, Key, State, is_explicit, rank, strength};
use crate::lpm::prefix::Prefix;

impl State {
    /// Puts in an allow where some rule of the direction speaks of authentication.
    ///
    /// What narrower entries have from it may depend on the order in which Cilium takes its filters. Here it does not:
    /// it is the strongest demand of the nearest key.
    pub(super) fn insert_auth(&mut self, key: Key, mut entry: Entry) {
        let known = self.slots.get(&key).and_then(|slot| slot.entry.as_ref());
        if let Some(known) = known.filter(|known| known.level() == entry.level())
            && rank(known.auth) > rank(entry.auth)
        {
            entry.auth = known.auth;
        }
        let explicit = is_explicit(entry.auth);
        let mut derived = false;
        for (at, other) in self.broader_of_same(key) {
            if other.precedence > entry.precedence {
                if other.is_deny() || !explicit {
                    return;
                }
                entry.precedence = other.precedence;
                break;
            }
            let gives = at != key && is_explicit(other.auth) && other.level() >= entry.level();
            if !derived && !explicit && gives {
                entry.auth = as_derived(other.auth);
                derived = true;
            }
        }
        self.spread(key, &entry, explicit);
        self.add(key, entry);
    }

    /// Removes narrower entries that are useless now, and gives the others the demand they lack.
    fn spread(&mut self, key: Key, entry: &Entry, explicit: bool) {
        let mut nearer: Vec<Prefix> = Vec::new();
        for at in self.narrower_of_same(key) {
            let Some(other) = self.slots.get_mut(&at).and_then(|slot| slot.entry.as_mut()) else {
                continue;
            };
            if other.precedence < entry.precedence {
                if !is_explicit(other.auth) {
                    self.slots.remove(&at);
                    continue;
                }
                other.precedence = entry.precedence;
            }
            if !explicit || at == key || nearer.iter().any(|one| one.covers(at.prefix)) {
                continue;
            }
            if other.is_deny() || is_explicit(other.auth) {
                nearer.push(at.prefix);
            } else if strength(other.auth) != strength(entry.auth) {
                other.auth = as_derived(entry.auth);
            }
        }
    }

    /// Entries of the same owner that cover the key, the longest prefix first.
    fn broader_of_same(&self, key: Key) -> impl Iterator<Item = (Key, &Entry)> {
        let keys = key
            .prefix
            .covering()
            .map(move |prefix| Key { prefix, ..key });
        keys.filter_map(|at| Some((at, self.slots.get(&at)?.entry.as_ref()?)))
    }

    /// Keys of the same owner that the key covers, the shortest prefix first.
    fn narrower_of_same(&self, key: Key) -> Vec<Key> {
        let mut keys: Vec<_> = self.within(key.whose, key.prefix).collect();
        keys.sort_by_key(|at| at.prefix.len());
        keys
    }
}

fn as_derived(demand: Option<Demand>) -> Option<Demand> {
    demand.map(|demand| Demand {
        derived: true,
        ..demand
    })
}
