//! The `bpf` system call: maps and links.
//!
//! aya's typed maps copy each value over the stack, have no batches and do not tell which interface a link is on.
#![expect(unsafe_code, reason = "aya does not offer these commands")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Links: programs on interfaces.
mod link;
/// Maps.
mod map;
/// Values of array maps as memory of this process.
mod mapping;

pub(crate) use link::{Hook, link_create, link_detach, link_info, link_update};
pub(crate) use map::{Entries, Map, MapInfo, synchronize};

const OBJ_PIN: libc::c_int = 6;
const OBJ_GET: libc::c_int = 7;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;

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

fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the system call has just made the descriptor and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// What the kernel says about a program, as far as anybody asks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
}

/// Number by which the kernel knows a loaded program.
pub(crate) fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    info::<ProgramInfo>(program).map(|info| info.id)
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
