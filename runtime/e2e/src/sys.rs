//! Everything that only `unsafe` can do: namespaces, mounts, mapped memory, raw sockets.
#![expect(
    unsafe_code,
    reason = "system calls without a safe wrapper in the standard library"
)]

/// Letting a process's system calls fail.
pub(crate) mod seccomp;

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;
use std::time::Duration;

/// Effective user of this process.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Nanoseconds of a tick of the kernel's timer: what the coarse clocks are good to.
pub(crate) fn tick() -> io::Result<u64> {
    // SAFETY: all-zero bytes are a valid `timespec`, a struct of integers.
    let mut resolution: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `timespec`, which outlives the call.
    checked(unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut resolution) })?;
    u64::try_from(resolution.tv_nsec).map_err(io::Error::other)
}

/// Keeps the calling thread on the CPU it is on.
pub(crate) fn stay_on_one_cpu() -> io::Result<()> {
    // SAFETY: no memory is involved.
    let cpu = checked(unsafe { libc::sched_getcpu() })?;
    // SAFETY: all-zero bytes are a valid set of CPUs, the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let cpu = usize::try_from(cpu).map_err(io::Error::other)?;
    // SAFETY: the set is writable, and the function checks the number against its size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set has the size given and outlives the call.
    checked(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })
        .map(|_| ())
}

/// Nanoseconds since the start of the kernel, as its timer counts them.
pub(crate) fn monotonic() -> io::Result<u64> {
    // SAFETY: all-zero bytes are a valid `timespec`, a struct of integers.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `timespec`, which outlives the call.
    checked(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) })?;
    let [seconds, rest] = [now.tv_sec, now.tv_nsec].map(u64::try_from);
    let (seconds, rest) = (
        seconds.map_err(io::Error::other)?,
        rest.map_err(io::Error::other)?,
    );
    Ok(seconds * 1_000_000_000 + rest)
}

/// Moves the calling thread, and it alone, to a network namespace.
pub(crate) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open; no memory is involved.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(|_| ())
}

/// Type number of the file system that a path lies on.
pub(crate) fn file_system(path: &Path) -> io::Result<i64> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: all-zero bytes are a valid `statfs`, a struct of integers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends in a zero byte and `found` is large enough; both outlive the call.
    checked(unsafe { libc::statfs(path.as_ptr(), &raw mut found) })?;
    Ok(found.f_type)
}

/// Mounts the file system for pinned BPF objects.
pub(crate) fn mount_bpffs(at: &Path) -> io::Result<()> {
    let at = CString::new(at.as_os_str().as_encoded_bytes())?;
    let kind = c"bpf";
    // SAFETY: all strings end in a zero byte and outlive the call; no data is passed.
    checked(unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, ptr::null()) })
        .map(|_| ())
}

/// Memory of a map, shared with the kernel.
pub(crate) struct Mapping {
    base: *mut u8,
    length: usize,
}

impl Mapping {
    /// Maps the values of an array map that was made for it.
    pub(crate) fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, aliasing nothing of this process.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            base: base.cast(),
            length,
        })
    }

    /// Copies bytes to an offset; an error if they do not fit.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        if at
            .checked_add(bytes.len())
            .is_none_or(|end| end > self.length)
        {
            return Err(io::Error::other("the bytes do not fit the map"));
        }
        // SAFETY: source and destination are in bounds as just checked, and cannot overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(at), bytes.len()) };
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast::<c_void>(), self.length) };
    }
}

/// Socket option: each frame comes after a header that says how much of it lies in its first piece.
const PACKET_VNET_HDR: c_int = 15;
/// Bytes of that header, and where the length stands in it.
const VNET_HEADER: usize = 10;
const VNET_LENGTH: std::ops::Range<usize> = 2..4;

/// Sends one frame, link layer and all, on an interface of the calling thread's namespace. Of a frame longer than a
/// page, only `first` bytes lie in the first piece of the kernel's buffer.
pub(crate) fn send_frame(interface: &str, frame: &[u8], first: u16) -> io::Result<()> {
    let name = CString::new(interface)?;
    // SAFETY: the name ends in a zero byte and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no memory is involved.
    let raw =
        checked(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: just opened and owned by nobody else.
    let _socket = unsafe { OwnedFd::from_raw_fd(raw) };
    let on: c_int = 1;
    // SAFETY: the option's value is an `int` of the length given, which outlives the call.
    checked(unsafe {
        let length = socket_length::<c_int>()?;
        libc::setsockopt(
            raw,
            libc::SOL_PACKET,
            PACKET_VNET_HDR,
            (&raw const on).cast(),
            length,
        )
    })?;
    let mut message = vec![0; VNET_HEADER];
    message
        .get_mut(VNET_LENGTH)
        .ok_or_else(|| io::Error::other("no room for the length"))?
        .copy_from_slice(&first.to_ne_bytes());
    message.extend_from_slice(frame);
    // SAFETY: all-zero bytes are a valid address, a struct of integers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_ifindex = c_int::try_from(index).map_err(io::Error::other)?;
    let length = socket_length::<libc::sockaddr_ll>()?;
    // SAFETY: message and address are valid for their lengths and outlive the call.
    let sent = unsafe {
        let address = (&raw const address).cast();
        libc::sendto(
            raw,
            message.as_ptr().cast(),
            message.len(),
            0,
            address,
            length,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A raw ICMP or ICMPv6 socket that sends to one address, with a time limit for receiving.
pub(crate) struct IcmpSocket {
    socket: OwnedFd,
    to: SocketAddr,
}

impl IcmpSocket {
    /// Opens a socket in the namespace of the calling thread.
    pub(crate) fn new(to: IpAddr, limit: Duration) -> io::Result<Self> {
        let (family, protocol) = match to {
            IpAddr::V4(_) => (libc::AF_INET, libc::IPPROTO_ICMP),
            IpAddr::V6(_) => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
        };
        // SAFETY: no memory is involved.
        let raw = checked(unsafe {
            libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol)
        })?;
        // SAFETY: just opened and owned by nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        let limit = libc::timeval {
            tv_sec: libc::time_t::try_from(limit.as_secs()).map_err(io::Error::other)?,
            tv_usec: libc::suseconds_t::from(limit.subsec_micros()),
        };
        let length = socket_length::<libc::timeval>()?;
        // SAFETY: the option's value is a `timeval` of the length given, which outlives the call.
        checked(unsafe {
            let value = (&raw const limit).cast();
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                value,
                length,
            )
        })?;
        Ok(Self {
            socket,
            to: SocketAddr::new(to, 0),
        })
    }

    /// Sends one message.
    pub(crate) fn send(&self, message: &[u8]) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        let sent = match self.to {
            SocketAddr::V4(to) => {
                // SAFETY: all-zero bytes are a valid address, a struct of integers.
                let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
                address.sin_family =
                    libc::sa_family_t::try_from(libc::AF_INET).map_err(io::Error::other)?;
                address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
                let length = socket_length::<libc::sockaddr_in>()?;
                // SAFETY: message and address are valid for their lengths and outlive the call.
                unsafe {
                    let address = (&raw const address).cast();
                    libc::sendto(
                        fd,
                        message.as_ptr().cast(),
                        message.len(),
                        0,
                        address,
                        length,
                    )
                }
            }
            SocketAddr::V6(to) => {
                // SAFETY: as above.
                let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
                address.sin6_family =
                    libc::sa_family_t::try_from(libc::AF_INET6).map_err(io::Error::other)?;
                address.sin6_addr.s6_addr = to.ip().octets();
                let length = socket_length::<libc::sockaddr_in6>()?;
                // SAFETY: as above.
                unsafe {
                    let address = (&raw const address).cast();
                    libc::sendto(
                        fd,
                        message.as_ptr().cast(),
                        message.len(),
                        0,
                        address,
                        length,
                    )
                }
            }
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Receives one message: with the IP header in IPv4, without it in IPv6.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is writable for its length and outlives the call.
        let length = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        };
        usize::try_from(length).map_err(|_| io::Error::last_os_error())
    }
}

fn socket_length<T>() -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)
}

/// Has a command run a function of its own between fork and exec.
pub(crate) fn before_exec(
    command: &mut std::process::Command,
    run: fn() -> io::Result<()>,
) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: the functions given make system calls on memory of their own only, which is allowed after a fork.
    unsafe { command.pre_exec(run) }
}
