//! Fills the standby tables and flips them into force.
//!
//! Generation `g` lives in slot `g & 1` of the arena and of every address key. The next generation goes into the
//! other slot, which is free of readers after a grace period; one write to the control map then puts it into force
//! for all endpoints in the same instant. Whatever fails before that write leaves the old generation whole.

use std::io;
use std::thread::{self, JoinHandle};

use policy_abi::control::Control;
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
        let new = rows(
            &self.keys,
            &self.values,
            self.key_size(),
            self.map.value_size(),
        );
        self.check_room(found.keys.len() / self.key_size() - old.len(), new.len())?;
        let (stale, fresh) = differences(&old, &new);
        let failure = |error| self.failure(&error);
        self.map.delete_batch(&stale).map_err(failure)?;
        let (keys, values): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        self.map
            .update_batch(&keys.concat(), &values.concat())
            .map_err(failure)?;
        if stale.is_empty() && keys.is_empty() {
            return Ok(());
        }
        let found = self.entries()?;
        if self.rows(&found) == new {
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

    fn key_size(&self) -> usize {
        self.map.info().key_size as usize
    }

    fn entries(&self) -> Result<Entries, Failure> {
        self.map.entries().map_err(|error| self.failure(&error))
    }

    /// Keys and values of this slot, in order.
    fn rows<'e>(&self, entries: &'e Entries) -> Vec<Row<'e>> {
        let (key_size, value_size) = (self.key_size(), self.map.value_size());
        let mut rows = rows(&entries.keys, &entries.values, key_size, value_size);
        rows.retain(|(key, _)| key.get(self.slot_at) == Some(&self.slot));
        rows
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::internal(format!("the {} cannot be written: {error}", self.what))
    }
}

/// A key and its value.
type Row<'a> = (&'a [u8], &'a [u8]);

/// Keys and values in order.
fn rows<'a>(keys: &'a [u8], values: &'a [u8], key_size: usize, value_size: usize) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = keys
        .chunks_exact(key_size)
        .zip(values.chunks_exact(value_size))
        .collect();
    rows.sort_unstable();
    rows
}

/// Keys that are not wanted any more, end to end, and rows that are missing or have another value.
fn differences<'a>(old: &[Row<'_>], new: &[Row<'a>]) -> (Vec<u8>, Vec<Row<'a>>) {
    let key_in = |rows: &[Row<'_>], key: &[u8]| {
        rows.binary_search_by(|(other, _)| (*other).cmp(key))
            .is_ok()
    };
    let stale = old.iter().filter(|(key, _)| !key_in(new, key));
    let fresh = new.iter().filter(|row| old.binary_search(row).is_err());
    (
        stale.flat_map(|(key, _)| key.iter().copied()).collect(),
        fresh.copied().collect(),
    )
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

    #[test]
    fn only_differences_are_written() {
        let old: [Row<'_>; 3] = [(&[1], &[10]), (&[2], &[20]), (&[4], &[40])];
        let new: [Row<'_>; 3] = [(&[2], &[20]), (&[3], &[30]), (&[4], &[41])];
        let (stale, fresh) = differences(&old, &new);
        assert_eq!(stale, [1]);
        assert_eq!(fresh, [(&[3][..], &[30][..]), (&[4], &[41])]);
        let (stale, fresh) = differences(&new, &new);
        assert!(stale.is_empty() && fresh.is_empty());
    }

    #[test]
    fn rows_are_ordered() {
        assert_eq!(
            rows(&[9, 1, 3, 2], &[1, 2], 2, 1),
            [(&[3, 2][..], &[2][..]), (&[9, 1], &[1])]
        );
    }
}
