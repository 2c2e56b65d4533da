//! Links: programs on interfaces.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{command, info, number, owned};

const LINK_CREATE: libc::c_int = 28;
const LINK_UPDATE: libc::c_int = 29;
const LINK_DETACH: libc::c_int = 34;

/// Type of the programs that interfaces run, where what the kernel says about a program begins.
const CLASSIFIER: u32 = 3;
/// Type of a link to an interface.
const LINK_TCX: u32 = 11;

/// Where a program is attached to an interface.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Ingress = 46,
    Egress = 47,
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
    /// Whether this is not about a link but about a program.
    pub(crate) fn is_program(&self) -> bool {
        self.kind == CLASSIFIER
    }

    /// Whether the link is at `hook` of the interface.
    pub(crate) fn is_at(&self, ifindex: u32, hook: Hook) -> bool {
        self.kind == LINK_TCX && self.ifindex == ifindex && self.hook == hook as u32
    }
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

/// What a link is attached to; for a program, whatever its number is.
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
