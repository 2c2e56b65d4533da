//! Waiting for signals and changes of interfaces.
#![expect(
    unsafe_code,
    reason = "the standard library has no signals, polling or netlink"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

#[expect(clippy::cast_possible_truncation, reason = "the constant is 16")]
const FAMILY: libc::sa_family_t = libc::AF_NETLINK as libc::sa_family_t;
#[expect(
    clippy::cast_possible_truncation,
    reason = "the structure has 12 bytes"
)]
const LENGTH: libc::socklen_t = size_of::<libc::sockaddr_nl>() as libc::socklen_t;

/// Why the wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// An interface has come, gone or changed, or the time is up.
    Interfaces,
}

/// What is waited for. Signals are blocked from its making on, so that none is lost between waits.
#[derive(Debug)]
pub(crate) struct Wakes {
    signals: OwnedFd,
    interfaces: OwnedFd,
}

impl Wakes {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            signals: signals()?,
            interfaces: interfaces()?,
        })
    }

    /// Waits at most `timeout` milliseconds.
    pub(crate) fn wait(&self, timeout: i32) -> io::Result<Wake> {
        let watch = |fd: &OwnedFd| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [watch(&self.signals), watch(&self.interfaces)];
        // SAFETY: the array has the length given and both descriptors are open.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(Wake::Interfaces)
            } else {
                Err(error)
            };
        }
        if let Some(signal) = self.signal()? {
            return Ok(if signal == libc::SIGHUP {
                Wake::Reload
            } else {
                Wake::Stop
            });
        }
        // What changed does not matter: the caller looks at all interfaces it knows.
        let mut buffer = [0; 8192];
        while read(&self.interfaces, &mut buffer).is_ok_and(|length| length > 0) {}
        Ok(Wake::Interfaces)
    }

    /// The next pending signal.
    fn signal(&self) -> io::Result<Option<i32>> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        match read(&self.signals, &mut info) {
            // The number is the first field.
            Ok(_) => Ok(info.first_chunk().map(|raw| i32::from_ne_bytes(*raw))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Waits at most `timeout` milliseconds until there is something to read.
pub(crate) fn readable(fd: &impl AsRawFd, timeout: i32) -> io::Result<()> {
    let mut fds = [libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    }];
    // SAFETY: the array has the length given and the descriptor is open.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), 1, timeout) };
    let error = io::Error::last_os_error();
    if ready < 0 && error.kind() != io::ErrorKind::Interrupted {
        return Err(error);
    }
    Ok(())
}

fn read(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer has the length given.
    let length = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call has just made the descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Blocks the signals of interest and gives a descriptor to read them from.
fn signals() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` fills the set in, the others only read or add to it.
    let fd = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    owned(fd)
}

/// A netlink socket that hears of interfaces and their addresses.
fn interfaces() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the call takes no pointers.
    let socket = owned(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = FAMILY;
    let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
    address.nl_groups = groups.unsigned_abs();
    // SAFETY: the address is of the type and length given.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), LENGTH) };
    if bound == 0 {
        Ok(socket)
    } else {
        Err(io::Error::last_os_error())
    }
}
