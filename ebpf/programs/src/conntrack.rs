// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Connections: who opened them, until when they are known, and what is a reply.

use policy_abi::conntrack::{
    Entry, Key, OTHER_LIFETIME, PASSING, TCP_CLOSING_LIFETIME, TCP_LIFETIME, TCP_SYN_LIFETIME,
};
use policy_abi::proto;
use policy_abi::reason::Reason;

use crate::network::Network;
use crate::transport::{ACK, FIN, RST, SYN, Transport, echo_request_of};
use crate::{Direction, maps};

/// Where a packet's connection is looked for, and the end that the interface stands for.
#[repr(C)]
pub(crate) struct Connection {
    /// What it is known by.
    pub(crate) key: Key,
    /// The endpoint's address in network order; IPv4 in the first four bytes.
    pub(crate) local: [u8; 16],
}

/// Completes the key of a connection, whose addresses are there already. `scope` is the endpoint's interface.
#[inline(always)]
pub(crate) fn complete(
    key: &mut Key,
    scope: u32,
    network: &Network,
    transport: &Transport,
    direction: Direction,
) {
    let is_egress = direction == Direction::Egress;
    let (source_port, destination_port) = match (transport.is_icmp(), is_egress) {
        (true, true) => (transport.source, 0),
        (true, false) => (0, transport.source),
        (false, _) => (transport.source, transport.destination),
    };
    key.ifindex = scope;
    key.local_port = if is_egress {
        source_port
    } else {
        destination_port
    };
    key.remote_port = if is_egress {
        destination_port
    } else {
        source_port
    };
    key.protocol = transport.protocol;
    key.family = network.family;
    key.pad = [0; 6];
}

/// Whether a packet can be a reply at all, whatever is known of its connection.
///
/// Opening packets never are: else one permitted exchange would let the other side open the same ports backwards.
#[inline(always)]
pub(crate) fn can_reply(transport: &Transport) -> bool {
    if transport.is_icmp() {
        transport.is_echo_reply()
    } else {
        !transport.is_opening()
    }
}

/// Whether a packet may belong to a connection that is older than what is known of connections, and be an answer in it.
///
/// Only TCP tells: whoever gets such a packet without having opened the connection refuses it. So this lets nobody open
/// one, and nobody send what could not be sent as an answer. An answer to an opening packet that was not seen is not
/// believed, as the other side will try again.
#[inline(always)]
pub(crate) fn can_continue(transport: &Transport) -> bool {
    transport.protocol == proto::TCP
        && transport.tcp_flags & (ACK | RST) != 0
        && transport.tcp_flags & SYN == 0
}

/// Whether a packet, once allowed, is remembered for the replies to it.
#[inline(always)]
pub(crate) fn can_open(transport: &Transport) -> bool {
    !transport.is_icmp() || transport.is_echo_request()
}

/// Whether the direction `opener` is open.
#[inline(always)]
pub(crate) fn is_open(entry: &Entry, opener: Direction, now: u64) -> bool {
    now < match opener {
        Direction::Egress => entry.egress_until,
        Direction::Ingress => entry.ingress_until,
    }
}

/// Whether the direction `opener` was allowed by this very generation.
#[inline(always)]
pub(crate) fn is_current(entry: &Entry, opener: Direction, generation: u64) -> bool {
    generation as u32
        == match opener {
            Direction::Egress => entry.egress_generation,
            Direction::Ingress => entry.ingress_generation,
        }
}

/// The record that decided when `opener` was last allowed, if that was by this very generation: asking again would
/// lead to it.
#[inline(always)]
pub(crate) fn decided(entry: &Entry, opener: Direction, generation: u64) -> Option<u32> {
    is_current(entry, opener, generation).then_some(record_of(entry, opener))
}

/// The record that decided when `opener` was last allowed, whenever that was, with what is beside it.
#[inline(always)]
pub(crate) fn record_of(entry: &Entry, opener: Direction) -> u32 {
    u32::from(match opener {
        Direction::Egress => entry.egress_record,
        Direction::Ingress => entry.ingress_record,
    })
}

/// Whether the direction `opener` was allowed without the node's policy being asked.
#[inline(always)]
pub(crate) fn is_passing(entry: &Entry, opener: Direction) -> bool {
    record_of(entry, opener) & PASSING != 0
}

/// Keeps what is known of a connection for longer, and changes nothing about who has allowed it.
#[inline(always)]
pub(crate) fn prolong(
    entry: &mut Entry,
    transport: &Transport,
    direction: Direction,
    opener: Direction,
    now: u64,
) {
    let generation = match opener {
        Direction::Egress => entry.egress_generation,
        Direction::Ingress => entry.ingress_generation,
    };
    let sighting = Sighting {
        direction,
        opener,
        generation: u64::from(generation),
        record: record_of(entry, opener),
        now,
    };
    refresh(entry, transport, &sighting);
}

/// Forgets that `opener` opened a connection.
#[inline(always)]
pub(crate) fn close(entry: &mut Entry, opener: Direction) {
    match opener {
        Direction::Egress => entry.egress_until = 0,
        Direction::Ingress => entry.ingress_until = 0,
    }
}

/// What the policy was asked when a connection was opened, put together from a reply to it: its destination port.
#[inline(always)]
pub(crate) fn port_of_opening(transport: &Transport) -> u16 {
    if transport.is_icmp() {
        echo_request_of(transport.protocol)
    } else {
        transport.source
    }
}

/// One packet's news for the entry of its connection.
#[derive(Clone, Copy)]
pub(crate) struct Sighting {
    /// Which way the packet goes.
    pub(crate) direction: Direction,
    /// Who opened the connection: `direction`, unless the packet is a reply.
    pub(crate) opener: Direction,
    /// The generation that allowed it.
    pub(crate) generation: u64,
    /// The record by which it did.
    pub(crate) record: u32,
    /// The time.
    pub(crate) now: u64,
}

/// Brings an entry up to date with a packet that passes.
#[inline(always)]
pub(crate) fn refresh(entry: &mut Entry, transport: &Transport, sighting: &Sighting) {
    let shift = if sighting.direction == Direction::Egress {
        0
    } else {
        8
    };
    let flags = entry.flags | (u16::from(transport.tcp_flags) << shift);
    let until = sighting.now + lifetime(transport.protocol, flags);
    entry.flags = flags;
    match sighting.opener {
        Direction::Egress => {
            entry.egress_until = until;
            entry.egress_generation = sighting.generation as u32;
            entry.egress_record = sighting.record as u16;
        }
        Direction::Ingress => {
            entry.ingress_until = until;
            entry.ingress_generation = sighting.generation as u32;
            entry.ingress_record = sighting.record as u16;
        }
    }
}

/// Records that a packet was allowed, so that replies to it pass. Says whether the connection is new.
#[inline(always)]
pub(crate) fn open(
    known: Option<&mut Entry>,
    key: &Key,
    fresh: &mut Entry,
    transport: &Transport,
    sighting: &Sighting,
) -> Result<bool, Reason> {
    if let Some(entry) = known {
        let is_over = is_over(entry, transport, sighting.now);
        if is_over {
            *entry = Entry::default();
        }
        refresh(entry, transport, sighting);
        return Ok(is_over);
    }
    *fresh = Entry::default();
    refresh(fresh, transport, sighting);
    maps::CONNTRACK
        .insert(key, *fresh, 0)
        .map(|()| true)
        .map_err(|_| Reason::ConntrackFull)
}

/// Whether an entry tells of an earlier connection with the same ports, not of this packet's.
#[inline(always)]
fn is_over(entry: &Entry, transport: &Transport, now: u64) -> bool {
    let is_expired =
        !is_open(entry, Direction::Egress, now) && !is_open(entry, Direction::Ingress, now);
    is_expired || (transport.is_opening() && is_closing(entry.flags))
}

/// Whether a TCP connection has been reset, or ended by both sides.
#[inline(always)]
fn is_closing(flags: u16) -> bool {
    let (own, peer) = (flags as u8, (flags >> 8) as u8);
    (own | peer) & RST != 0 || own & peer & FIN != 0
}

/// How long a connection stays known after a packet, in nanoseconds.
#[inline(always)]
fn lifetime(protocol: u8, flags: u16) -> u64 {
    let (own, peer) = (flags as u8, (flags >> 8) as u8);
    if protocol != proto::TCP {
        OTHER_LIFETIME
    } else if is_closing(flags) {
        TCP_CLOSING_LIFETIME
    } else if own != 0 && peer != 0 {
        TCP_LIFETIME
    } else {
        TCP_SYN_LIFETIME
    }
}
