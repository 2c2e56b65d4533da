//! The maps by name, and what shape they must have.

use aya_obj::Object;
use policy_abi::arena;
use policy_abi::conntrack::{Entry, FragmentKey, FragmentPorts, Key};
use policy_abi::control::Control;
use policy_abi::event::{self, Budget};
use policy_abi::ipcache::{HostKey, PrefixKey};
use policy_abi::reason::{self, Counter, RECORDS_COUNTED};

use crate::failure::Failure;
use crate::pins::Pins;
use crate::state::Accepted;
use crate::sys::bpf::{Map, MapInfo};

const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PERCPU_ARRAY: u32 = 6;
const LRU_HASH: u32 = 9;
const LPM_TRIE: u32 = 11;
const RINGBUF: u32 = 27;

/// Name and shape of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The name in the object and in the pin folder.
    pub name: &'static str,
    kind: u32,
    key_size: usize,
    value_size: usize,
    /// `None` where the object may choose.
    max_entries: Option<u32>,
}

const fn shape(
    name: &'static str,
    kind: u32,
    key_size: usize,
    value_size: usize,
    max_entries: Option<u32>,
) -> Shape {
    Shape {
        name,
        kind,
        key_size,
        value_size,
        max_entries,
    }
}

/// The maps that are pinned, as the ABI wants them. The prefix length stands before the data of a trie's key.
const SHAPES: [Shape; 10] = [
    shape("ARENA", ARRAY, 4, arena::BYTES as usize, Some(2)),
    shape("CONTROL", ARRAY, 4, size_of::<Control>(), Some(1)),
    shape("IPCACHE_HOST", HASH, size_of::<HostKey>(), 4, None),
    shape(
        "IPCACHE_PREFIX",
        LPM_TRIE,
        4 + size_of::<PrefixKey>(),
        4,
        None,
    ),
    shape(
        "CONNTRACK",
        LRU_HASH,
        size_of::<Key>(),
        size_of::<Entry>(),
        None,
    ),
    shape(
        "FRAGMENTS",
        LRU_HASH,
        size_of::<FragmentKey>(),
        size_of::<FragmentPorts>(),
        None,
    ),
    shape(
        "RECORD_COUNTERS",
        PERCPU_ARRAY,
        4,
        size_of::<Counter>(),
        Some(2 * RECORDS_COUNTED),
    ),
    shape(
        "REASON_COUNTERS",
        PERCPU_ARRAY,
        4,
        size_of::<Counter>(),
        Some(2 * reason::COUNT),
    ),
    shape("EVENTS", RINGBUF, 0, 0, Some(event::RING)),
    shape(
        "EVENT_BUDGET",
        PERCPU_ARRAY,
        4,
        size_of::<Budget>(),
        Some(2),
    ),
];

impl Shape {
    fn fits(&self, info: &MapInfo) -> bool {
        info.kind == self.kind
            && info.key_size as usize == self.key_size
            && info.value_size as usize == self.value_size
            && self
                .max_entries
                .is_none_or(|entries| info.max_entries == entries)
    }
}

/// The shapes with the sizes that the object chooses.
///
/// # Errors
/// If the object is not one of this ABI.
pub fn expected(object: &[u8]) -> Result<Vec<Shape>, Failure> {
    let object = Object::parse(object).map_err(|error| {
        Failure::internal(format!("the built-in programs cannot be read: {error}"))
    })?;
    SHAPES
        .iter()
        .map(|shape| expected_one(&object, shape))
        .collect()
}

fn expected_one(object: &Object, shape: &Shape) -> Result<Shape, Failure> {
    let wrong = || {
        Failure::internal(format!(
            "the built-in programs do not have the right map `{}`",
            shape.name
        ))
    };
    let map = object.maps.get(shape.name).ok_or_else(wrong)?;
    let info = MapInfo {
        kind: map.map_type(),
        id: 0,
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
        flags: map.map_flags(),
    };
    if shape.fits(&info) {
        Ok(Shape {
            max_entries: Some(info.max_entries),
            ..shape.clone()
        })
    } else {
        Err(wrong())
    }
}

/// Checks the maps that are pinned already; nobody else does before they are used.
///
/// # Errors
/// If one has another shape.
pub(crate) fn check_pinned(pins: &Pins, shapes: &[Shape]) -> Result<(), Failure> {
    for shape in shapes {
        if let Some(map) = open(pins, shape.name)?
            && !shape.fits(map.info())
        {
            return Err(Failure::usage(format!(
                "map `{}` is pinned with another shape, by another build of policyd; `policyd detach` removes it",
                pins.map(shape.name).display()
            )));
        }
    }
    Ok(())
}

/// The maps that the daemon works with.
#[derive(Debug)]
pub(crate) struct Maps {
    pub(crate) arena: Map,
    pub(crate) control: Map,
    pub(crate) hosts: Map,
    pub(crate) prefixes: Map,
    pub(crate) records: Map,
    pub(crate) reasons: Map,
}

impl Maps {
    /// Opens the pinned maps, `None` if they are not there.
    pub(crate) fn open(pins: &Pins) -> Result<Option<Self>, Failure> {
        let found = (
            open(pins, "ARENA")?,
            open(pins, "CONTROL")?,
            open(pins, "IPCACHE_HOST")?,
            open(pins, "IPCACHE_PREFIX")?,
            open(pins, "RECORD_COUNTERS")?,
            open(pins, "REASON_COUNTERS")?,
        );
        let (Some(arena), Some(control), Some(hosts), Some(prefixes), Some(records), Some(reasons)) =
            found
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            arena,
            control,
            hosts,
            prefixes,
            records,
            reasons,
        }))
    }

    /// What is in force; generation 0 if nothing is.
    pub(crate) fn control(&self) -> Result<Control, Failure> {
        let bytes = self
            .control
            .lookup(&0_u32.to_ne_bytes())
            .map_err(|error| Failure::internal(format!("map `CONTROL` cannot be read: {error}")))?;
        control_of(&bytes).ok_or_else(|| Failure::internal("map `CONTROL` has another shape"))
    }
}

/// Revision and digest of what is in force according to the kernel, `None` if nothing is.
///
/// # Errors
/// If a pin is there but cannot be read.
pub(crate) fn in_force(pins: &Pins) -> Result<Option<Accepted>, Failure> {
    let Some(maps) = Maps::open(pins)? else {
        return Ok(None);
    };
    let Control {
        generation,
        revision,
        digest,
        ..
    } = maps.control()?;
    Ok((generation != 0).then_some(Accepted { revision, digest }))
}

fn open(pins: &Pins, name: &str) -> Result<Option<Map>, Failure> {
    let path = pins.map(name);
    let cpus = aya::util::nr_cpus()
        .map_err(|(_, error)| Failure::internal(format!("the CPUs cannot be counted: {error}")))?;
    match Map::open(&path, cpus) {
        Ok(map) => Ok(Some(map)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::internal(format!(
            "pin `{}` cannot be opened: {error}",
            path.display()
        ))),
    }
}

/// [`Control`] as it stands in the map.
pub(crate) fn control_bytes(control: &Control) -> Vec<u8> {
    [
        &control.generation.to_ne_bytes()[..],
        &control.revision.to_ne_bytes(),
        &control.digest,
        &control.tick.to_ne_bytes(),
        &control.events.to_ne_bytes(),
        &control.pad.to_ne_bytes(),
    ]
    .concat()
}

fn control_of(bytes: &[u8]) -> Option<Control> {
    let (generation, rest) = bytes.split_first_chunk()?;
    let (revision, rest) = rest.split_first_chunk()?;
    let (digest, rest) = rest.split_first_chunk()?;
    let (tick, rest) = rest.split_first_chunk()?;
    let (events, pad) = rest.split_first_chunk()?;
    Some(Control {
        generation: u64::from_ne_bytes(*generation),
        revision: u64::from_ne_bytes(*revision),
        digest: *digest,
        tick: u64::from_ne_bytes(*tick),
        events: u32::from_ne_bytes(*events),
        pad: u32::from_ne_bytes(pad.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn control_is_laid_out_as_the_abi_says() {
        let control = Control {
            generation: 5,
            revision: 9,
            digest: [3; 32],
            tick: 4_000_000,
            events: 100,
            pad: 0,
        };
        assert_eq!(control_of(&control_bytes(&control)), Some(control));
        assert_eq!(
            (
                offset_of!(Control, generation),
                offset_of!(Control, revision),
                offset_of!(Control, digest),
                offset_of!(Control, tick),
                offset_of!(Control, events)
            ),
            (0, 8, 16, 48, 56)
        );
        assert_eq!(control_of(&[0; 63]), None);
    }

    #[test]
    fn built_in_programs_have_the_maps_of_the_abi() {
        let shapes = expected(crate::load::OBJECT).unwrap();
        assert_eq!(shapes.len(), SHAPES.len());
        assert!(
            shapes
                .iter()
                .all(|shape| shape.max_entries.is_some_and(|entries| entries > 0))
        );
    }
}
