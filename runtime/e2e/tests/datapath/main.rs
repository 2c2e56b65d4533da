//! Packets made by hand, put through the programs as the kernel runs them. Each case asserts both what happened to
//! the packet and the reason that was counted for it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and may say what it measured"
)]

/// Whose packets these are: source, destination, neighbour discovery.
mod addresses;
/// What a packet costs.
mod cost;
/// ICMP errors about known connections.
mod errors;
/// New connections and drops as they are reported, and audit mode.
mod events;
/// Packets in pieces.
mod fragments;
/// Headers of all kinds, whole and broken.
mod headers;
/// The node's own packets, at its devices and between it and its pods.
mod node;
/// The same decision in the kernel as in user space, for tables and packets made at random.
mod random;
/// Connections: replies, their end, and permissions taken back.
mod replies;
/// Tables: identities, records, generations, counters.
mod tables;
/// The pod, its peers and its policy that all cases share.
mod world;
