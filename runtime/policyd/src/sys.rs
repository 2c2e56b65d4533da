//! System calls that neither the standard library nor aya offers, behind safe functions.

/// The `bpf` system call: maps and links.
pub(crate) mod bpf;
/// The kernel's timer.
pub(crate) mod clock;
/// File systems.
pub(crate) mod fs;
/// The node's own addresses and devices.
pub(crate) mod local;
/// Interfaces.
pub(crate) mod net;
/// Filters of traffic control.
pub(crate) mod netlink;
/// Waiting for signals and changes of interfaces.
pub(crate) mod wake;
