// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The order of the checks that a packet goes through.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::maps::lpm_trie;
use policy_abi::arena::{self, Read, header, record};
use policy_abi::conntrack::Key;
use policy_abi::ipcache::{HostKey, PREFIX_BASE, PrefixKey, V4};
use policy_abi::reason::Reason;
use policy_abi::{endpoint, lookup, proto};

use crate::conntrack::Sighting;
use crate::network::{Network, Part};
use crate::sys::{self, Frame, Scratch, Tables};
use crate::transport::Transport;
use crate::{Direction, conntrack, counters, icmp_error, maps, network, transport};

/// Hop limit of neighbour discovery: proof that the packet has not been forwarded.
const UNFORWARDED: u8 = 255;

/// Judges a packet, counts it, and says what the kernel shall do with it.
#[inline(always)]
pub(crate) fn run(frame: &Frame<'_>, direction: Direction) -> i32 {
    let (Ok(reason) | Err(reason)) = judge(frame, direction);
    counters::count_reason(frame, direction, reason);
    // "Unspecified" is also what "next" is called for tcx.
    if reason.passes() {
        TC_ACT_UNSPEC
    } else {
        TC_ACT_SHOT
    }
}

/// The generation a packet is judged by.
#[derive(Clone, Copy)]
struct Generation {
    number: u64,
    tables: Tables,
    endpoint: u32,
}

impl Generation {
    #[inline(always)]
    fn slot(&self) -> u32 {
        (self.number & 1) as u32
    }

    /// Image that judges packets going in `direction`.
    #[inline(always)]
    fn image(&self, direction: Direction) -> u32 {
        self.tables.u32(match direction {
            Direction::Ingress => self.endpoint + endpoint::INGRESS,
            Direction::Egress => self.endpoint + endpoint::EGRESS,
        })
    }
}

/// `Err` and `Ok` both carry the reason; `Err` only ends the checks early.
#[inline(always)]
fn judge(frame: &Frame<'_>, direction: Direction) -> Result<Reason, Reason> {
    // An array map of one entry has it.
    let scratch = sys::scratch().ok_or(Reason::InvalidTables)?;
    let Some(network) = network::parse(frame, &mut scratch.connection, direction)? else {
        return Ok(Reason::Essential);
    };
    let network = sys::settle(&mut scratch.network, network);
    let transport = transport::parse(frame, &network)?;
    let transport = sys::settle(&mut scratch.transport, transport);
    let generation = generation(frame, scratch)?;
    let is_discovery = is_discovery(&network, &transport);
    check_address(
        &generation,
        &network,
        &scratch.connection,
        direction,
        is_discovery,
    )?;
    // A pod's own may not go beyond the link, or it would be a way around the policy.
    if is_discovery && (direction == Direction::Ingress || is_on_link(&scratch.connection.remote)) {
        return Ok(Reason::Essential);
    }
    let Scratch {
        connection,
        fragment,
        ..
    } = scratch;
    let transport =
        transport::join_fragments(frame, &network, transport, connection, fragment, direction)?;
    let transport = sys::settle(&mut scratch.transport, transport);
    let packet = Packet {
        frame,
        generation,
        network,
        transport,
        direction,
    };
    judge_protocol(&packet, scratch)
}

#[inline(always)]
fn generation(frame: &Frame<'_>, scratch: &mut Scratch) -> Result<Generation, Reason> {
    let number = sys::generation();
    if number == 0 {
        return Err(Reason::NoGeneration);
    }
    let tables = Tables::of_slot((number & 1) as u32).ok_or(Reason::NoGeneration)?;
    let endpoint = sys::settle(
        &mut scratch.endpoint,
        endpoint::find(&tables, frame.ifindex()),
    );
    if endpoint == 0 {
        Err(Reason::NoEndpoint)
    } else {
        Ok(Generation {
            number,
            tables,
            endpoint,
        })
    }
}

/// Whether a packet is IPv6 neighbour discovery that comes from this very link.
#[inline(always)]
fn is_discovery(network: &Network, transport: &Transport) -> bool {
    transport.protocol == proto::ICMPV6
        && network.part == Part::Whole
        && network.hop_limit == UNFORWARDED
        && matches!(transport.destination, 133..=137)
}

/// Whether an IPv6 address is of the link itself: `fe80::/10` or `ff02::/16`.
#[inline(always)]
fn is_on_link(address: &[u8; 16]) -> bool {
    (address[0] == 0xfe && address[1] & 0xc0 == 0x80) || (address[0] == 0xff && address[1] == 0x02)
}

/// The pod's end of a packet must be the pod's own address; neighbour discovery may also use those of the link.
#[inline(always)]
fn check_address(
    generation: &Generation,
    network: &Network,
    key: &Key,
    direction: Direction,
    is_discovery: bool,
) -> Result<(), Reason> {
    let is_unspecified = direction == Direction::Egress && key.local == [0; 16];
    if is_own(generation, network.family, &key.local)
        || (is_discovery && (is_unspecified || is_on_link(&key.local)))
    {
        return Ok(());
    }
    Err(match direction {
        Direction::Egress => Reason::Spoofed,
        Direction::Ingress => Reason::Misdelivered,
    })
}

#[inline(always)]
fn is_own(generation: &Generation, family: u8, address: &[u8; 16]) -> bool {
    let tables = &generation.tables;
    let at = generation.endpoint;
    let flags = tables.u32(at + endpoint::FLAGS);
    let [a, b, c, d, rest @ ..] = *address;
    let first = u32::from_le_bytes([a, b, c, d]);
    if family == V4 {
        return flags & endpoint::HAS_IPV4 != 0 && tables.u32(at + endpoint::IPV4) == first;
    }
    let [e, f, g, h, i, j, k, l, m, n, o, p] = rest;
    flags & endpoint::HAS_IPV6 != 0
        && tables.u32(at + endpoint::IPV6) == first
        && tables.u32(at + endpoint::IPV6 + 4) == u32::from_le_bytes([e, f, g, h])
        && tables.u32(at + endpoint::IPV6 + 8) == u32::from_le_bytes([i, j, k, l])
        && tables.u32(at + endpoint::IPV6 + 12) == u32::from_le_bytes([m, n, o, p])
}

/// A packet that has been read and belongs to the pod.
struct Packet<'run> {
    frame: &'run Frame<'run>,
    generation: Generation,
    network: Network,
    transport: Transport,
    direction: Direction,
}

/// Protocols that nobody judges are dropped; errors about known connections pass.
#[inline(always)]
fn judge_protocol(packet: &Packet<'_>, scratch: &mut Scratch) -> Result<Reason, Reason> {
    let Packet {
        frame,
        generation,
        network,
        transport,
        direction,
    } = packet;
    let flags = generation.tables.u32(header::FLAGS);
    let is_extended = flags & header::FLAG_EXTENDED_PROTOCOLS != 0;
    if !network::carries(network.family, transport.protocol)
        || !(is_extended || is_judged(transport.protocol))
    {
        return Err(Reason::UnknownL4);
    }
    let Scratch {
        connection, quoted, ..
    } = scratch;
    if icmp_error::is_related(
        frame,
        network,
        transport,
        connection,
        quoted,
        *direction,
        generation.number,
    ) {
        return Ok(Reason::Reply);
    }
    if flags & header::FLAG_FRAG_NEEDED != 0
        && icmp_error::is_fragmentation_needed(frame, network, transport)
    {
        return Ok(Reason::Essential);
    }
    conntrack::complete(connection, frame, network, transport, *direction);
    judge_connection(packet, scratch)
}

/// Whether policies judge a protocol even without extended protocols.
#[inline(always)]
fn is_judged(protocol: u8) -> bool {
    matches!(
        protocol,
        proto::TCP | proto::UDP | proto::SCTP | proto::ICMP | proto::ICMPV6
    )
}

/// Replies pass; anything else is for the policy.
#[inline(always)]
fn judge_connection(packet: &Packet<'_>, scratch: &mut Scratch) -> Result<Reason, Reason> {
    let Packet {
        frame,
        generation,
        transport,
        direction,
        ..
    } = packet;
    let mut entry = sys::connection(&scratch.connection);
    let mut sighting = Sighting {
        direction: *direction,
        opener: *direction,
        generation: generation.number,
        now: sys::now(),
    };
    // Whom a reply answers, and what the policy is asked: about a reply's connection if the tables are newer than
    // its permission, about the packet itself if it is no reply.
    if let Some(entry) = entry.as_deref_mut()
        && conntrack::can_reply(transport)
    {
        sighting.opener = direction.reversed();
        if conntrack::is_open(entry, sighting.opener, sighting.now) {
            let is_reply = conntrack::is_current(entry, sighting.opener, generation.number)
                || ask(
                    packet,
                    scratch,
                    sighting.opener,
                    conntrack::port_of_opening(transport),
                )
                .1
                .passes();
            if is_reply {
                conntrack::refresh(entry, transport, &sighting);
                return Ok(Reason::Reply);
            }
            conntrack::close(entry, sighting.opener);
        }
        sighting.opener = *direction;
    }
    let (record, reason) = ask(packet, scratch, *direction, transport.destination);
    counters::count_record(frame, generation.slot(), record);
    if reason.passes() && conntrack::can_open(transport) {
        conntrack::open(
            entry,
            &scratch.connection,
            &mut scratch.entry,
            transport,
            &sighting,
        )?;
    }
    Ok(reason)
}

/// Asks the policy tables about the peer. Returns the record that decided, and what it says.
#[inline(always)]
fn ask(
    packet: &Packet<'_>,
    scratch: &mut Scratch,
    direction: Direction,
    port: u16,
) -> (u32, Reason) {
    let tables = &packet.generation.tables;
    let identity = identity(&packet.generation, scratch);
    let image = packet.generation.image(direction);
    let record = lookup::verdict(tables, image, identity, packet.transport.protocol, port);
    if record == 0 || record >= tables.u32(header::RECORDS) {
        return (0, Reason::InvalidTables);
    }
    let at = lookup::record_at(tables, record);
    let is_allowed = lookup::action(tables, at) == record::ALLOW;
    let reason = match Reason::from_number(lookup::reason(tables, at)) {
        Some(reason) if reason.passes() == is_allowed => reason,
        _ => Reason::InvalidTables,
    };
    if is_allowed && lookup::auth(tables, at) != 0 {
        return (record, Reason::AuthRequired);
    }
    (record, reason)
}

/// Identity index of the peer.
#[inline(always)]
fn identity(generation: &Generation, scratch: &mut Scratch) -> u32 {
    let (slot, family) = (generation.slot() as u8, scratch.connection.family);
    scratch.host = HostKey {
        address: scratch.connection.remote,
        family,
        slot,
        pad: [0; 2],
    };
    if let Some(identity) = sys::identity_of_host(&scratch.host) {
        return identity;
    }
    let bits = if family == V4 { 32 } else { 128 };
    let prefix = PrefixKey {
        slot,
        family,
        pad: [0; 2],
        address: scratch.connection.remote,
    };
    scratch.prefix = lpm_trie::Key::new(PREFIX_BASE + bits, prefix);
    maps::IPCACHE_PREFIX
        .get(&scratch.prefix)
        .copied()
        .unwrap_or(arena::UNKNOWN)
}
