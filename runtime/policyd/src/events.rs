//! New connections and drops, as the programs report them: one JSON object a line.
//!
//! The ring buffer is pinned and keeps what nobody has read yet, so events from before the reading begins come first.
//! What was read is gone; therefore only one reader is let in.

use std::fs::File;

use aya::maps::{Map, MapData, RingBuf};
use policy_abi::event::Event;

use crate::config::Config;
use crate::failure::Failure;
use crate::maps::Maps;
use crate::pins::Pins;
use crate::state::State;
use crate::sys::wake;

/// What a line says.
mod line;
/// Names of pods, rules and identities.
mod names;

use line::Line;
use names::Names;

/// Longest wait for an event, in milliseconds; the kernel wakes the reader earlier.
const WAIT: i32 = 1_000;

/// Hands over a line for each event that is there; with `follow`, goes on with those to come until `print` says that
/// nobody listens any more (`false`).
///
/// # Errors
/// If nothing is pinned, somebody else reads already, or the kernel refuses.
pub fn read(
    config: &Config,
    follow: bool,
    print: &mut dyn FnMut(&str) -> bool,
) -> Result<(), Failure> {
    let mut reader = Reader::new(config)?;
    loop {
        while let Some(event) = reader.next()? {
            let text = Line::new(&event, reader.names.of(&event, &reader.maps)?).to_json()?;
            if !print(&text) {
                return Ok(());
            }
        }
        if !follow {
            return Ok(());
        }
        wake::readable(&reader.ring, WAIT)
            .map_err(|error| Failure::internal(format!("waiting for events failed: {error}")))?;
    }
}

struct Reader {
    ring: RingBuf<MapData>,
    maps: Maps,
    names: Names,
    /// Keeps other readers away as long as it lives.
    _lock: File,
}

impl Reader {
    fn new(config: &Config) -> Result<Self, Failure> {
        let pins = Pins::new(&config.pin_dir);
        let state = State::new(&config.state_dir);
        let maps = Maps::open(&pins)?.ok_or_else(|| {
            Failure::usage("nothing is in force: there are no events without programs")
        })?;
        let lock = state.lock_events()?;
        let path = pins.map("EVENTS");
        let fail = |error: &dyn std::fmt::Display| {
            Failure::internal(format!("`{}` cannot be read: {error}", path.display()))
        };
        let map = MapData::from_pin(&path).map_err(|error| fail(&error))?;
        let ring = RingBuf::try_from(Map::RingBuf(map)).map_err(|error| fail(&error))?;
        Ok(Self {
            ring,
            maps,
            names: Names::new(state),
            _lock: lock,
        })
    }

    fn next(&mut self) -> Result<Option<Event>, Failure> {
        let Some(item) = self.ring.next() else {
            return Ok(None);
        };
        Event::from_bytes(&item)
            .map(Some)
            .ok_or_else(|| Failure::internal("an event has another length than this version's"))
    }
}
