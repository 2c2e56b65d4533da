//! Fills the standby tables and flips them into force.
//!
//! Generation `g` lives in slot `g & 1` of the arena and of every address key. The next generation goes into the
//! other slot, which is free of readers after a grace period; one write to the control map then puts it into force
//! for all endpoints in the same instant. Whatever fails before that write leaves the old generation whole.

use std::io;
use std::thread::{self, JoinHandle};

use policy_abi::control::Control;
use policy_abi::ipcache::{HostKey, PrefixKey};
use policy_abi::reason::RECORDS_COUNTED;

use crate::failure::Failure;
use crate::maps::{Maps, control_bytes};
use crate::plan::{Address, HOST_SLOT_AT, PREFIX_SLOT_AT, Plan};
use crate::sys::bpf::{self, Entries, Map};
use crate::sys::clock;

/// The end of all packets that still read the standby slot: those that began before the last flip. It is waited for
/// beside whatever else there is to do.
#[derive(Debug)]
pub(crate) struct Grace(JoinHandle<io::Result<()>>);

impl Grace {
    /// Starts to wait. To be called after the last flip.
    pub(crate) fn begin() -> Self {
        Self(thread::spawn(bpf::synchronize))
    }

    fn end(self) -> Result<(), Failure> {
        self.0
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("it was given up")))
            .map_err(failure("the wait for running programs failed"))
    }
}

/// Makes a plan the generation in force and returns its number.
///
/// # Errors
/// If the maps are too small or the kernel refuses a write; then the old generation stays in force.
pub(crate) fn apply(maps: &Maps, plan: &Plan<'_>, grace: Grace) -> Result<u64, Failure> {
    let old = maps.control()?;
    let next = Control {
        generation: old
            .generation
            .checked_add(1)
            .ok_or_else(|| Failure::internal("out of generations"))?,
        revision: plan.bundle().revision(),
        digest: plan.bundle().digest(),
        tick: clock::tick().map_err(failure("the length of a tick is unknown"))?,
        events: plan.events(),
        pad: 0,
    };
    let slot = u8::from(next.slot() == 1);
    let arena = plan.arena()?;
    grace.end()?;
    fill_addresses(maps, plan, slot)?;
    fill_arena(maps, &arena, slot)?;
    clear_counters(maps, plan.bundle().shape().records, slot)?;
    maps.control
        .update(&0_u32.to_ne_bytes(), &control_bytes(&next))
        .map_err(failure("the flip failed"))?;
    Ok(next.generation)
}

fn failure(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::internal(format!("{what}: {error}"))
}

fn fill_arena(maps: &Maps, arena: &[u8], slot: u8) -> Result<(), Failure> {
    let mut mapping = maps
        .arena
        .mapping(slot.into())
        .map_err(failure("the tables cannot be reached"))?;
    mapping
        .write(arena)
        .map_err(failure("the tables cannot be written"))?;
    if mapping.is(arena) {
        Ok(())
    } else {
        Err(Failure::internal("the tables were not written as they are"))
    }
}

fn fill_addresses(maps: &Maps, plan: &Plan<'_>, slot: u8) -> Result<(), Failure> {
    let addresses = &plan.addresses;
    let hosts = Filling {
        map: &maps.hosts,
        what: "addresses",
        slot,
        slot_at: HOST_SLOT_AT,
        keys: addresses
            .hosts
            .iter()
            .flat_map(|host| host.host_key(slot))
            .collect(),
        values: addresses.hosts.iter().flat_map(Address::value).collect(),
    };
    hosts.fill()?;
    let prefixes = Filling {
        map: &maps.prefixes,
        what: "prefixes",
        slot,
        slot_at: PREFIX_SLOT_AT,
        keys: addresses
            .prefixes
            .iter()
            .flat_map(|prefix| prefix.prefix_key(slot))
            .collect(),
        values: addresses.prefixes.iter().flat_map(Address::value).collect(),
    };
    prefixes.fill()
}

/// New contents of one slot of an address map.
struct Filling<'a> {
    map: &'a Map,
    what: &'static str,
    slot: u8,
    slot_at: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Filling<'_> {
    /// Brings the slot from what it holds, the addresses of the generation before the last, to what it shall hold.
    /// Most of them are the same.
    fn fill(&self) -> Result<(), Failure> {
        let found = self.entries()?;
        let old = self.rows(&found);
        let new = rows(&self.keys, &self.values);
        self.check_room(found.keys.len() / KEY - old.len(), new.len())?;
        let (stale, fresh) = differences(&old, &new);
        let keys = |rows: &[Row]| rows.iter().flat_map(|row| row.key).collect::<Vec<u8>>();
        let values: Vec<u8> = fresh.iter().flat_map(|row| row.value).collect();
        let failure = |error| self.failure(&error);
        self.map.delete_batch(&keys(&stale)).map_err(failure)?;
        self.map
            .update_batch(&keys(&fresh), &values)
            .map_err(failure)?;
        if stale.is_empty() && fresh.is_empty() {
            return Ok(());
        }
        if self.rows(&self.entries()?) == new {
            return Ok(());
        }
        Err(Failure::internal(format!(
            "the {} were not written as they are",
            self.what
        )))
    }

    fn check_room(&self, kept: usize, count: usize) -> Result<(), Failure> {
        let room = (self.map.info().max_entries as usize).saturating_sub(kept);
        if count <= room {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "the bundle has {count} {}; only {room} fit beside those in force",
            self.what
        )))
    }

    fn entries(&self) -> Result<Entries, Failure> {
        self.map.entries().map_err(|error| self.failure(&error))
    }

    /// Keys and values of this slot, in order.
    fn rows(&self, entries: &Entries) -> Vec<Row> {
        let mut rows = rows(&entries.keys, &entries.values);
        rows.retain(|row| row.key.get(self.slot_at) == Some(&self.slot));
        rows
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::internal(format!("the {} cannot be written: {error}", self.what))
    }
}

/// Bytes of a key of either address map: [`HostKey`], and [`PrefixKey`] behind its length.
const KEY: usize = size_of::<HostKey>();
const _: () = assert!(KEY == size_of::<u32>() + size_of::<PrefixKey>());

/// A key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    key: [u8; KEY],
    value: [u8; 4],
}

impl Row {
    /// Numbers to sort by, which is much faster than by bytes.
    fn order(&self) -> [u64; 4] {
        let mut words = [u64::from(u32::from_be_bytes(self.value)); 4];
        let (chunks, _) = self.key.as_chunks();
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_be_bytes(*chunk);
        }
        words
    }
}

/// Keys and values in order.
fn rows(keys: &[u8], values: &[u8]) -> Vec<Row> {
    let (keys, _) = keys.as_chunks();
    let (values, _) = values.as_chunks();
    let row = |(key, value): (&[u8; KEY], &[u8; 4])| Row {
        key: *key,
        value: *value,
    };
    let mut rows: Vec<Row> = keys.iter().zip(values).map(row).collect();
    rows.sort_unstable_by_key(Row::order);
    rows
}

/// Rows whose keys are not wanted any more, and rows that are missing or have another value.
fn differences(old: &[Row], new: &[Row]) -> (Vec<Row>, Vec<Row>) {
    let (mut stale, mut fresh) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return (stale, fresh),
            (Some(row), Some(other)) if row == other => {
                old.next();
                new.next();
            }
            (Some(row), Some(other)) if row.key == other.key => {
                old.next();
                fresh.extend(new.next());
            }
            (Some(row), Some(other)) if row.order() > other.order() => fresh.extend(new.next()),
            (None, Some(_)) => fresh.extend(new.next()),
            (Some(_), _) => stale.extend(old.next()),
        }
    }
}

/// Sets the counters of the new generation's records to zero.
fn clear_counters(maps: &Maps, records: u32, slot: u8) -> Result<(), Failure> {
    let first = u32::from(slot) * RECORDS_COUNTED;
    let keys: Vec<u8> = (first..first + records)
        .flat_map(u32::to_ne_bytes)
        .collect();
    let zeros = vec![0; records as usize * maps.records.value_size()];
    maps.records
        .update_batch(&keys, &zeros)
        .map_err(failure("the counters cannot be cleared"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u8, value: u8) -> Row {
        let mut row = Row {
            key: [0; KEY],
            value: [0, 0, 0, value],
        };
        row.key[KEY - 1] = key;
        row
    }

    #[test]
    fn only_differences_are_written() {
        let old = [row(1, 10), row(2, 20), row(4, 40), row(7, 70)];
        let new = [row(2, 20), row(3, 30), row(4, 41), row(5, 50)];
        let (stale, fresh) = differences(&old, &new);
        assert_eq!(stale, [row(1, 10), row(7, 70)]);
        assert_eq!(fresh, [row(3, 30), row(4, 41), row(5, 50)]);
        assert_eq!(differences(&new, &new), (vec![], vec![]));
        assert_eq!(differences(&[], &new).1, new);
        assert_eq!(differences(&old, &[]).0, old);
    }

    #[test]
    fn rows_are_ordered() {
        let shuffled = [row(9, 1), row(3, 2), row(5, 0)];
        let keys: Vec<u8> = shuffled.iter().flat_map(|row| row.key).collect();
        let values: Vec<u8> = shuffled.iter().flat_map(|row| row.value).collect();
        assert_eq!(rows(&keys, &values), [row(3, 2), row(5, 0), row(9, 1)]);
    }
}
