//! Letting a process's system calls fail, or asking somebody about each of them.

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::checked;

/// Number of the `bpf` command that makes a link.
const LINK_CREATE: u32 = 28;

/// Parts of seccomp programs.
const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Offset in `seccomp_data` of the call's number.
const NUMBER: u32 = 0;
/// Offset of the low half of its first argument.
const ARGUMENT: u32 = 16;

fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// The number of `bpf` among system calls.
fn bpf_call() -> io::Result<u32> {
    u32::try_from(libc::SYS_bpf).map_err(io::Error::other)
}

/// What a filter returns for a call to fail.
fn failing(error: c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | error.unsigned_abs()
}

/// Has `bpf(BPF_LINK_CREATE)` fail with "invalid argument" in this process and those it starts.
pub(crate) fn refuse_links() -> io::Result<()> {
    filter(&mut [
        step(LOAD, 0, 0, NUMBER),
        step(EQUAL, 0, 3, bpf_call()?),
        step(LOAD, 0, 0, ARGUMENT),
        step(EQUAL, 0, 1, LINK_CREATE),
        step(RETURN, 0, 0, failing(libc::EINVAL)),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

/// Has `bpf` fail with "not implemented" in this process and those it starts.
pub(crate) fn refuse_bpf() -> io::Result<()> {
    filter(&mut [
        step(LOAD, 0, 0, NUMBER),
        step(EQUAL, 0, 1, bpf_call()?),
        step(RETURN, 0, 0, failing(libc::ENOSYS)),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}

fn filter(steps: &mut [libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(steps.len()).map_err(io::Error::other)?,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program and its steps outlive the call, and the kernel only reads them.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    checked(result).map(|_| ())
}

/// Where a child leaves the end at which its calls are decided.
const LISTENER: c_int = 200;
/// Commands and flags of seccomp and of its listener.
const SET_FILTER: c_long = 1;
const NEW_LISTENER: c_long = 8;
const CONTINUE: u32 = 1;
const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;

/// A call that waits for a decision.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Notification {
    id: u64,
    process: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// The decision.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const _: () = assert!(size_of::<Notification>() == 80 && size_of::<Response>() == 24);

/// Has every `bpf` call of this process and those it starts wait for a decision by [`Listener`].
pub(crate) fn ask_about_bpf() -> io::Result<()> {
    let mut steps = [
        step(LOAD, 0, 0, NUMBER),
        step(EQUAL, 0, 1, bpf_call()?),
        step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program and its steps outlive the call, and the kernel only reads them.
    let made = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SET_FILTER,
            NEW_LISTENER,
            &raw const program,
        )
    };
    let made = checked(c_int::try_from(made).map_err(io::Error::other)?)?;
    // SAFETY: no memory is involved. The copy, unlike the original, stays open in the program to come.
    checked(unsafe { libc::dup2(made, LISTENER) }).map(|_| ())
}

/// The end at which a process's calls are decided.
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Takes it from a child that has called [`ask_about_bpf`].
    pub(crate) fn of(child: u32) -> io::Result<Self> {
        // SAFETY: no memory is involved.
        let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) })?;
        // SAFETY: as above.
        let found =
            unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), LISTENER, 0) };
        owned(found).map(Self)
    }

    /// Waits for a call: what it is known by, and the number of the `bpf` command; `None` at the end of the process.
    pub(crate) fn next(&self) -> io::Result<Option<(u64, u64)>> {
        loop {
            let mut ready = libc::pollfd {
                fd: self.0.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one structure, which outlives the call.
            checked(unsafe { libc::poll(&raw mut ready, 1, -1) })?;
            if ready.revents & libc::POLLIN == 0 {
                return Ok(None);
            }
            let mut found = Notification::default();
            // SAFETY: the kernel writes one structure of the size that the command names.
            match checked(unsafe { libc::ioctl(self.0.as_raw_fd(), RECEIVE, &raw mut found) }) {
                Ok(_) => return Ok(Some((found.id, found.arguments[0]))),
                // The caller was killed meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets a call go on, or fail with an error.
    pub(crate) fn decide(&self, id: u64, error: Option<c_int>) -> io::Result<()> {
        let response = Response {
            id,
            value: 0,
            error: error.map_or(0, |error| -error),
            flags: if error.is_none() { CONTINUE } else { 0 },
        };
        // SAFETY: the kernel reads one structure of the size that the command names.
        match checked(unsafe { libc::ioctl(self.0.as_raw_fd(), SEND, &raw const response) }) {
            // The caller is gone, and needs no decision any more.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result.map(|_| ()),
        }
    }
}

fn owned(fd: c_long) -> io::Result<OwnedFd> {
    let fd = checked(c_int::try_from(fd).map_err(io::Error::other)?)?;
    // SAFETY: the system call has just made the descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
