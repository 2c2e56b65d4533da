//! The authentication an allow demands (Cilium's authPreferredInsert and the datapath's look-up).
//!
//! Map entries are of one identity or of anyone. Among entries of the same kind the longest layer 4 prefix answers; an entry
//! that does not ask for authentication itself has it from the most specific broader entry of its kind that does. Of the
//! two answers the one of higher precedence wins, and if it does not ask itself, it takes the stronger demand of the
//! other at equal precedence.

use super::Demand;
use super::judge::Hit;
use crate::l7::Auth;

/// A map entry that matches the flow.
#[derive(Clone, Copy)]
struct Entry {
    precedence: u8,
    len: u8,
    specific: bool,
    auth: Option<Demand>,
}

/// What the allows of one level, all of which match the flow, demand.
pub(super) fn demand(hits: &[Hit<'_>]) -> Option<Demand> {
    if hits.iter().all(|hit| hit.filter.auth.is_none()) {
        return None;
    }
    let entries = entries(hits);
    let (own, anyone) = (answer(&entries, true), answer(&entries, false));
    let (winner, other) = match (own, anyone) {
        (Some(own), Some(anyone))
            if (anyone.precedence, anyone.len) > (own.precedence, own.len) =>
        {
            (anyone, Some(own))
        }
        (Some(own), other) => (own, other),
        (None, Some(anyone)) => (anyone, None),
        (None, None) => return None,
    };
    let explicit = winner.auth.is_some_and(|demand| !demand.derived);
    let stronger = other
        .filter(|other| !explicit && other.precedence == winner.precedence)
        .and_then(|other| other.auth)
        .filter(|other| strength(Some(*other)) > strength(winner.auth));
    let demand = stronger.map(|other| Demand {
        derived: true,
        ..other
    });
    demand.or(winner.auth)
}

fn strength(demand: Option<Demand>) -> u8 {
    match demand.map(|demand| demand.mode) {
        None | Some(Auth::Disabled) => 0,
        Some(Auth::Required) => 1,
        Some(Auth::AlwaysFail) => 2,
    }
}

/// One entry per key: of several filters the highest precedence, and the strongest demand of their own.
fn entries(hits: &[Hit<'_>]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for hit in hits {
        let new = Entry {
            precedence: hit.precedence(),
            len: hit.len,
            specific: hit.own,
            auth: hit.filter.auth.map(|mode| Demand {
                mode,
                derived: false,
            }),
        };
        let same = entries
            .iter_mut()
            .find(|entry| (entry.len, entry.specific) == (new.len, new.specific));
        match same {
            None => entries.push(new),
            Some(entry) => {
                entry.precedence = entry.precedence.max(new.precedence);
                if entry.auth.is_none() || strength(new.auth) > strength(entry.auth) {
                    entry.auth = new.auth.or(entry.auth);
                }
            }
        }
    }
    entries.sort_by_key(|entry| entry.len);
    entries
}

/// The entry that answers for one kind, with the demand it has or inherits.
fn answer(entries: &[Entry], specific: bool) -> Option<Entry> {
    let mut inherited: Option<Demand> = None;
    let mut found: Option<Entry> = None;
    for entry in entries {
        let covering = entries
            .iter()
            .filter(|other| other.len <= entry.len && other.specific == specific);
        let above = covering.map(|other| other.precedence).max().unwrap_or(0);
        if entry.specific != specific {
            continue;
        }
        // A covered entry is left out, unless it asks for authentication: then it goes where the other goes.
        if above > entry.precedence && entry.auth.is_none() {
            continue;
        }
        let mut entry = *entry;
        entry.precedence = entry.precedence.max(above);
        if entry.auth.is_some() {
            inherited = entry.auth;
        } else {
            entry.auth = inherited.map(|demand| Demand {
                derived: true,
                ..demand
            });
        }
        found = Some(entry);
    }
    found
}
