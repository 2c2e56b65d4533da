//! The `bpf` system call: maps and links.
//!
//! aya's typed maps copy each value over the stack, have no batches and do not tell which interface a link is on.
#![expect(unsafe_code, reason = "aya does not offer these commands")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_GET_NEXT_KEY: libc::c_int = 4;
const OBJ_PIN: libc::c_int = 6;
const OBJ_GET: libc::c_int = 7;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const MAP_UPDATE_BATCH: libc::c_int = 26;
const MAP_DELETE_BATCH: libc::c_int = 27;
const LINK_CREATE: libc::c_int = 28;
const LINK_UPDATE: libc::c_int = 29;
const LINK_DETACH: libc::c_int = 34;

const ARRAY: u32 = 2;
const ARRAY_OF_MAPS: u32 = 12;
/// Types of maps of which every CPU has its own values.
const PER_CPU: [u32; 2] = [5, 6];
/// Type of a link to an interface.
const LINK_TCX: u32 = 11;
/// Entries handed over in one batch.
const BATCH: usize = 16_384;

/// Where a program is attached to an interface.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Ingress = 46,
    Egress = 47,
}

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

/// What the kernel says about a link.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkInfo {
    kind: u32,
    pub(crate) id: u32,
    pub(crate) program: u32,
    pad: u32,
    /// 0 once the interface is gone.
    pub(crate) ifindex: u32,
    hook: u32,
}

impl LinkInfo {
    /// Whether the link is at `hook` of the interface.
    pub(crate) fn is_at(&self, ifindex: u32, hook: Hook) -> bool {
        self.kind == LINK_TCX && self.ifindex == ifindex && self.hook == hook as u32
    }
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

#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct Info {
    fd: u32,
    length: u32,
    to: u64,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    ifindex: u32,
    hook: u32,
    flags: u32,
    relative: u32,
    pad: u32,
    revision: u64,
}

#[repr(C)]
struct LinkDetach {
    link: u32,
}

#[repr(C)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old: u32,
}

/// One `bpf` command. The caller vouches for the pointers inside `attributes`.
unsafe fn command<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the structure is of the size given; pointers inside are the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(libc::c_int::try_from(result).unwrap_or(libc::c_int::MAX))
    }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

fn wrong_length() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "keys or values do not have the length the map demands",
    )
}

fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the system call has just made the descriptor and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Opens what is pinned at a path.
pub(crate) fn get(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attributes = Object {
        path: path.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    // SAFETY: the path ends with a zero byte and outlives the call.
    unsafe { command(OBJ_GET, &mut attributes) }.map(owned)
}

/// Pins at a path.
pub(crate) fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attributes = Object {
        path: path.as_ptr() as u64,
        fd: number(fd),
        flags: 0,
    };
    // SAFETY: the path ends with a zero byte and outlives the call.
    unsafe { command(OBJ_PIN, &mut attributes) }.map(drop)
}

/// Reads the first bytes of what the kernel says about an object.
fn info<T: Default>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut found = T::default();
    let length = u32::try_from(size_of::<T>()).unwrap_or(0);
    let mut attributes = Info {
        fd: number(fd),
        length,
        to: (&raw mut found) as u64,
    };
    // SAFETY: only used with structures of plain integers; the kernel writes at most `length` bytes.
    unsafe { command(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(found)
}

/// What a link is attached to.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    info(link)
}

/// Attaches a program behind those that are already there. Closing the last descriptor or pin detaches it.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    hook: Hook,
) -> io::Result<OwnedFd> {
    let hook = hook as u32;
    let program = number(program);
    let mut attributes = LinkCreate {
        program,
        ifindex,
        hook,
        flags: 0,
        relative: 0,
        pad: 0,
        revision: 0,
    };
    // SAFETY: there are no pointers inside.
    unsafe { command(LINK_CREATE, &mut attributes) }.map(owned)
}

/// Replaces a link's program; no packet goes without one.
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = LinkUpdate {
        link: number(link),
        program: number(program),
        flags: 0,
        old: 0,
    };
    // SAFETY: there are no pointers inside.
    unsafe { command(LINK_UPDATE, &mut attributes) }.map(drop)
}

/// Detaches a link at once. Letting go of its last descriptor does the same, but only some time later.
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = LinkDetach { link: number(link) };
    // SAFETY: there are no pointers inside.
    unsafe { command(LINK_DETACH, &mut attributes) }.map(drop)
}

/// Waits until every program run that was under way has ended.
///
/// Setting an entry of a map of maps promises that, so that the old inner map can be reused; unlike `membarrier` it
/// also works on kernels with CPUs that are free of ticks.
pub(crate) fn synchronize() -> io::Result<()> {
    let inner = array(ARRAY, 0)?;
    let outer = array(ARRAY_OF_MAPS, inner.as_raw_fd().unsigned_abs())?;
    let (key, value) = ([0_u32], [inner.as_raw_fd()]);
    let map = outer.as_raw_fd().unsigned_abs();
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
        let info: MapInfo = info(std::os::fd::AsFd::as_fd(&fd))?;
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
        number(std::os::fd::AsFd::as_fd(&self.fd))
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

    /// All keys, end to end, in the map's own order. Nobody may write meanwhile.
    pub(crate) fn keys(&self) -> io::Result<Vec<u8>> {
        let mut keys: Vec<u8> = Vec::new();
        let mut next = vec![0_u8; self.key_size()];
        loop {
            let previous = keys.last_chunk_of(self.key_size()).map_or(0, address);
            let to = next.as_mut_ptr() as u64;
            let mut attributes = Element {
                map: self.number(),
                pad: 0,
                key: previous,
                value: to,
                flags: 0,
            };
            // SAFETY: both keys have the size of the map's keys; a null one asks for the first.
            match unsafe { command(MAP_GET_NEXT_KEY, &mut attributes) } {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(keys),
                Err(error) => return Err(error),
                Ok(_) => keys.extend_from_slice(&next),
            }
            if keys.len() > self.info.max_entries as usize * self.key_size() {
                return Err(io::Error::other("the map changed while it was read"));
            }
        }
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

    /// All values of an array, end to end.
    pub(crate) fn array_values(&self) -> io::Result<Vec<u8>> {
        let entries = self.info.max_entries;
        let mut keys = vec![0_u32; entries as usize];
        let mut values = vec![0_u8; entries as usize * self.value_size];
        let mut position = 0_u32;
        if self.key_size() != 4 {
            return Err(wrong_length());
        }
        let mut attributes = Batch {
            start: 0,
            end: (&raw mut position) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: entries,
            map: self.number(),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: there is room for all entries; an array's keys and batch positions have four bytes.
        match unsafe { command(MAP_LOOKUP_BATCH, &mut attributes) } {
            // The kernel's way of saying that this was all.
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ if attributes.count == entries => Ok(values),
            _ => Err(io::Error::other("only a part of an array was read")),
        }
    }
}

/// The last `length` bytes, `None` if there are none.
trait LastChunk {
    fn last_chunk_of(&self, length: usize) -> Option<&[u8]>;
}

impl LastChunk for Vec<u8> {
    fn last_chunk_of(&self, length: usize) -> Option<&[u8]> {
        self.len()
            .checked_sub(length)
            .filter(|_| !self.is_empty())
            .and_then(|start| self.get(start..))
    }
}
