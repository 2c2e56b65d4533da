//! Maps.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use super::mapping::Mapping;
use super::{address, command, get, info, number, owned};

const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const MAP_UPDATE_BATCH: libc::c_int = 26;
const MAP_DELETE_BATCH: libc::c_int = 27;

const ARRAY: u32 = 2;
const ARRAY_OF_MAPS: u32 = 12;
/// Types of maps of which every CPU has its own values.
const PER_CPU: [u32; 2] = [5, 6];
/// Entries handed over in one batch.
const BATCH: usize = 16_384;

/// What the kernel says about a map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MapInfo {
    pub(crate) kind: u32,
    pub(crate) id: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

#[repr(C)]
struct Create {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner: u32,
}

#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Batch {
    start: u64,
    end: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

fn wrong_length() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "keys or values do not have the length the map demands",
    )
}

/// Entries of a map, keys and values end to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    pub(crate) keys: Vec<u8>,
    pub(crate) values: Vec<u8>,
}

/// An open map. Lengths of keys and values are checked before every call, so the kernel never reads or writes
/// past a slice.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    info: MapInfo,
    value_size: usize,
}

impl Map {
    /// Opens a pinned map. `cpus` is the number of possible CPUs.
    pub(crate) fn open(path: &Path, cpus: usize) -> io::Result<Self> {
        let fd = get(path)?;
        let info: MapInfo = info(fd.as_fd())?;
        let one = info.value_size as usize;
        let value_size = if PER_CPU.contains(&info.kind) {
            one.next_multiple_of(8) * cpus
        } else {
            one
        };
        Ok(Self {
            fd,
            info,
            value_size,
        })
    }

    pub(crate) fn info(&self) -> &MapInfo {
        &self.info
    }

    /// Bytes of a value as handed over: for per-CPU maps those of all CPUs.
    pub(crate) fn value_size(&self) -> usize {
        self.value_size
    }

    fn key_size(&self) -> usize {
        self.info.key_size as usize
    }

    fn number(&self) -> u32 {
        number(self.fd.as_fd())
    }

    /// The value at an index of an array as memory of this process.
    pub(crate) fn mapping(&self, index: u32) -> io::Result<Mapping> {
        let at = u64::from(index) * self.value_size as u64;
        Mapping::new(self.fd.as_fd(), at, self.value_size)
    }

    /// Value of a key.
    pub(crate) fn lookup(&self, key: &[u8]) -> io::Result<Vec<u8>> {
        if key.len() != self.key_size() {
            return Err(wrong_length());
        }
        let mut value = vec![0; self.value_size];
        let to = value.as_mut_ptr() as u64;
        let mut attributes = Element {
            map: self.number(),
            pad: 0,
            key: address(key),
            value: to,
            flags: 0,
        };
        // SAFETY: key and value have the sizes of the map.
        unsafe { command(MAP_LOOKUP_ELEM, &mut attributes) }?;
        Ok(value)
    }

    /// Sets the value of a key.
    pub(crate) fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if key.len() != self.key_size() || value.len() != self.value_size {
            return Err(wrong_length());
        }
        let (key, value) = (address(key), address(value));
        let mut attributes = Element {
            map: self.number(),
            pad: 0,
            key,
            value,
            flags: 0,
        };
        // SAFETY: key and value have the sizes of the map; the kernel only reads them.
        unsafe { command(MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
    }

    /// All entries in the map's own order. Nobody may add or delete meanwhile.
    pub(crate) fn entries(&self) -> io::Result<Entries> {
        let room = BATCH.min(self.info.max_entries as usize);
        let mut all = Entries::default();
        let mut part = Entries {
            keys: vec![0; room * self.key_size()],
            values: vec![0; room * self.value_size],
        };
        // Hashes want four bytes for a position, the others a key.
        let position_size = self.key_size().max(size_of::<u32>());
        let (mut start, mut end) = (Vec::new(), vec![0_u8; position_size]);
        loop {
            let (count, is_last) = self.lookup_batch(&start, &mut end, &mut part)?;
            all.keys
                .extend(part.keys.iter().take(count * self.key_size()));
            all.values
                .extend(part.values.iter().take(count * self.value_size));
            if is_last {
                return Ok(all);
            }
            if all.keys.len() > self.info.max_entries as usize * self.key_size() {
                return Err(io::Error::other("the map changed while it was read"));
            }
            start.clone_from(&end);
        }
    }

    /// Reads entries from a position on, the first if it is empty: how many, and whether they are the last.
    fn lookup_batch(
        &self,
        start: &[u8],
        end: &mut [u8],
        part: &mut Entries,
    ) -> io::Result<(usize, bool)> {
        let room = part.keys.len() / self.key_size().max(1);
        let mut attributes = Batch {
            start: if start.is_empty() { 0 } else { address(start) },
            end: end.as_mut_ptr() as u64,
            keys: part.keys.as_mut_ptr() as u64,
            values: part.values.as_mut_ptr() as u64,
            count: u32::try_from(room).map_err(|_| wrong_length())?,
            map: self.number(),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: there is room for `count` keys and values of the map's sizes, and both positions have the size
        // that the kernel wants.
        let is_last = match unsafe { command(MAP_LOOKUP_BATCH, &mut attributes) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
            Ok(_) => false,
        };
        Ok(((attributes.count as usize).min(room), is_last))
    }

    /// Sets many keys. On an error some of them may be set.
    pub(crate) fn update_batch(&self, keys: &[u8], values: &[u8]) -> io::Result<()> {
        let (key_size, value_size) = (self.key_size(), self.value_size);
        let count = keys.len() / key_size.max(1);
        if keys.len() != count * key_size || values.len() != count * value_size {
            return Err(wrong_length());
        }
        for (keys, values) in keys
            .chunks(BATCH * key_size)
            .zip(values.chunks(BATCH * value_size))
        {
            self.batch(
                MAP_UPDATE_BATCH,
                address(keys),
                address(values),
                keys.len() / key_size,
            )?;
        }
        Ok(())
    }

    /// Deletes many keys. On an error some of them may be gone.
    pub(crate) fn delete_batch(&self, keys: &[u8]) -> io::Result<()> {
        let key_size = self.key_size();
        if key_size == 0 || !keys.len().is_multiple_of(key_size) {
            return Err(wrong_length());
        }
        for keys in keys.chunks(BATCH * key_size) {
            self.batch(MAP_DELETE_BATCH, address(keys), 0, keys.len() / key_size)?;
        }
        Ok(())
    }

    /// One update or delete batch of `count` keys at `keys`, values at `values`.
    fn batch(&self, kind: libc::c_int, keys: u64, values: u64, count: usize) -> io::Result<()> {
        let count32 = u32::try_from(count).map_err(|_| wrong_length())?;
        let map = self.number();
        let mut attributes = Batch {
            start: 0,
            end: 0,
            keys,
            values,
            count: count32,
            map,
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the callers have checked that `count` keys and values of the map's sizes are there.
        unsafe { command(kind, &mut attributes) }?;
        if attributes.count == count32 {
            Ok(())
        } else {
            Err(io::Error::other("only a part of a batch was done"))
        }
    }
}

/// Waits until every program run that was under way has ended.
///
/// Setting an entry of a map of maps promises that, so that the old inner map can be reused; unlike `membarrier` it
/// also works on kernels with CPUs that are free of ticks.
pub(crate) fn synchronize() -> io::Result<()> {
    let inner = array(ARRAY, 0)?;
    let outer = array(ARRAY_OF_MAPS, number(inner.as_fd()))?;
    let (key, value) = ([0_u32], [inner.as_raw_fd()]);
    let map = number(outer.as_fd());
    let mut attributes = Element {
        map,
        pad: 0,
        key: address(&key),
        value: address(&value),
        flags: 0,
    };
    // SAFETY: keys and values of the map have four bytes; the kernel only reads them.
    unsafe { command(MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
}

/// Makes an array of one entry of four bytes.
fn array(kind: u32, inner: u32) -> io::Result<OwnedFd> {
    let mut attributes = Create {
        kind,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
        inner,
    };
    // SAFETY: there are no pointers inside.
    unsafe { command(MAP_CREATE, &mut attributes) }.map(owned)
}
