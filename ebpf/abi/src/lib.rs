//! What compiler, daemon and eBPF programs must agree on: structures, constants and the lookup itself.
//!
//! Everything here is `no_std`, has no dependencies and is little-endian. Maps hold the structures as they
//! stand in memory, so each has a fixed size, asserted at compile time, and no implicit padding.
//!
//! **Invariant.** [`lookup::verdict`] is the only code that reads policy tables. The eBPF program runs it over
//! the map, the compiler and the tests run it over a byte slice; the two cannot differ.
#![no_std]
#![expect(
    clippy::inline_always,
    reason = "a call costs an eBPF program stack, and the verifier knowledge of ranges"
)]

/// The layout of one generation of policy tables, and reading from it.
pub mod arena;
/// What the benchmark's programs and its user space agree on.
pub mod bench;
/// Connection tracking: keys, entries and their lifetimes.
pub mod conntrack;
/// Which generation is in force.
pub mod control;
/// Endpoints attached on this node, found by interface index.
pub mod endpoint;
/// What the programs report: new connections and drops.
pub mod event;
/// From an address to an identity index.
pub mod ipcache;
/// The decision: class arrays to a verdict record.
pub mod lookup;
/// Protocol numbers and the slots they occupy in the tables.
pub mod proto;
/// Why a packet was passed or dropped, and the counters per reason.
pub mod reason;

/// Version of everything in this crate. It is part of the pin path and of every bundle; a different number is
/// refused, never guessed at.
pub const ABI_VERSION: u32 = 3;

#[cfg(feature = "user")]
mod sys;
