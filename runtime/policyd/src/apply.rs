//! Fills the standby tables and flips them into force.
//!
//! Generation `g` lives in slot `g & 1` of the arena and of every address key. The next generation goes into the
//! other slot, which is free of readers after a grace period; one write to the control map then puts it into force
//! for all endpoints in the same instant. Whatever fails before that write leaves the old generation whole.

use std::io;

use policy_abi::control::Control;
use policy_abi::reason::RECORDS_COUNTED;

use crate::failure::Failure;
use crate::maps::{Maps, control_bytes};
use crate::plan::{Address, HOST_SLOT_AT, PREFIX_SLOT_AT, Plan};
use crate::sys::bpf::{self, Map};
use crate::sys::clock;

/// Makes a plan the generation in force and returns its number.
///
/// # Errors
/// If the maps are too small or the kernel refuses a write; then the old generation stays in force.
pub(crate) fn apply(maps: &Maps, plan: &Plan<'_>) -> Result<u64, Failure> {
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
    // Packets that still read the standby slot began before the last flip.
    bpf::synchronize().map_err(failure("the wait for running programs failed"))?;
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
    let key = u32::from(slot).to_ne_bytes();
    maps.arena
        .update(&key, arena)
        .map_err(failure("the tables cannot be written"))?;
    let written = maps
        .arena
        .lookup(&key)
        .map_err(failure("the tables cannot be read back"))?;
    if written == arena {
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
    fn fill(&self) -> Result<(), Failure> {
        let key_size = self.map.info().key_size as usize;
        let (count, room) = (
            self.keys.len() / key_size,
            self.map.info().max_entries as usize,
        );
        let all = self.keys()?;
        let stale: Vec<u8> = all
            .chunks_exact(key_size)
            .filter(|key| self.is_mine(key))
            .flatten()
            .copied()
            .collect();
        let kept = (all.len() - stale.len()) / key_size;
        if kept + count > room {
            return Err(Failure::refused(format!(
                "the bundle has {count} {}; only {} fit beside those in force",
                self.what,
                room.saturating_sub(kept)
            )));
        }
        self.map
            .delete_batch(&stale)
            .map_err(|error| self.failure(&error))?;
        self.map
            .update_batch(&self.keys, &self.values)
            .map_err(|error| self.failure(&error))?;
        let written = self.keys()?;
        let found = written
            .chunks_exact(key_size)
            .filter(|key| self.is_mine(key))
            .count();
        if found == count {
            return Ok(());
        }
        Err(Failure::internal(format!(
            "{found} of {count} {} were written",
            self.what
        )))
    }

    fn keys(&self) -> Result<Vec<u8>, Failure> {
        let entries = self.map.entries().map_err(|error| self.failure(&error))?;
        Ok(entries.keys)
    }

    fn is_mine(&self, key: &[u8]) -> bool {
        key.get(self.slot_at) == Some(&self.slot)
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::internal(format!("the {} cannot be written: {error}", self.what))
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
