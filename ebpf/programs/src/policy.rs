// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The order of the checks that a packet goes through.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::maps::lpm_trie;
use policy_abi::arena::{self, Read, header, record};
use policy_abi::conntrack::Entry;
use policy_abi::event::{KNOWN_ADDRESSES, KNOWN_PORTS};
use policy_abi::ipcache::{HostKey, PREFIX_BASE, PrefixKey, V4, V6};
use policy_abi::reason::Reason;
use policy_abi::{endpoint, lookup, proto};

use crate::conntrack::{Connection, Sighting};
use crate::network::{Network, Part};
use crate::sys::{self, Findings, Frame, Scratch, Tables};
use crate::transport::Transport;
use crate::{Direction, conntrack, counters, events, icmp_error, maps, network, reject, transport};

/// Hop limit of neighbour discovery: proof that the packet has not been forwarded.
const UNFORWARDED: u8 = 255;

/// Judges a packet, counts it, and says what the kernel shall do with it.
#[inline(always)]
pub(crate) fn run(frame: &Frame<'_>, direction: Direction) -> i32 {
    let (Ok(reason) | Err(reason)) = judge(frame, direction);
    counters::count_reason(frame, direction, reason);
    // "Unspecified" is also what "next" is called for tcx.
    if reason.passes() {
        return TC_ACT_UNSPEC;
    }
    if is_answered(reason) && direction == Direction::Egress {
        reject::answer(frame).unwrap_or(TC_ACT_SHOT)
    } else {
        TC_ACT_SHOT
    }
}

/// Whether a pod may be told of a drop: what a rule or the lack of one says, not what the datapath cannot do.
#[inline(always)]
fn is_answered(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PolicyDeny | Reason::DefaultDeny | Reason::MixedService | Reason::NoBackend
    )
}

/// The generation a packet is judged by.
#[derive(Clone, Copy)]
pub(crate) struct Generation {
    /// Its number.
    pub(crate) number: u64,
    /// The time, in nanoseconds of a clock of the datapath's own.
    pub(crate) now: u64,
    /// Its tables.
    pub(crate) tables: Tables,
    /// Byte offset of the endpoint.
    pub(crate) endpoint: u32,
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
    if network::is_arp(frame) {
        return Ok(Reason::Essential);
    }
    // An array map of one entry has it.
    let scratch = sys::scratch().ok_or(Reason::InvalidTables)?;
    scratch.findings = Findings::NONE;
    let generation = generation(frame, scratch)?;
    let (Ok(reason) | Err(reason)) = judge_packet(frame, &generation, scratch, direction);
    if !reason.passes() || scratch.findings.is_new != 0 {
        events::report(frame, scratch, &generation, direction, reason);
    }
    Ok(reason)
}

#[inline(always)]
fn generation(frame: &Frame<'_>, scratch: &mut Scratch) -> Result<Generation, Reason> {
    let (number, tick) = sys::in_force().ok_or(Reason::NoGeneration)?;
    // Without a clock, connections would be known for ever.
    if number == 0 || tick == 0 {
        return Err(Reason::NoGeneration);
    }
    let tables = Tables::of_slot((number & 1) as u32).ok_or(Reason::NoGeneration)?;
    let endpoint = sys::settle(
        &mut scratch.endpoint,
        endpoint::find(&tables, frame.ifindex()),
    );
    if endpoint == 0 {
        return Err(Reason::NoEndpoint);
    }
    Ok(Generation {
        number,
        now: sys::ticks().wrapping_mul(tick),
        tables,
        endpoint,
    })
}

/// Reads a packet and sees whose it is.
#[inline(always)]
fn judge_packet(
    frame: &Frame<'_>,
    generation: &Generation,
    scratch: &mut Scratch,
    direction: Direction,
) -> Result<Reason, Reason> {
    let network = network::parse(frame, &mut scratch.connection, direction)?;
    let network = sys::settle(&mut scratch.network, network);
    scratch.findings.known = KNOWN_ADDRESSES;
    let transport = transport::parse(frame, &network)?;
    let transport = sys::settle(&mut scratch.transport, transport);
    let is_discovery = is_discovery(&network, &transport);
    check_address(
        generation,
        &network,
        &scratch.connection,
        direction,
        is_discovery,
    )?;
    // A pod's own may not go beyond the link, or it would be a way around the policy.
    if is_discovery
        && (direction == Direction::Ingress || is_on_link(&scratch.connection.key.remote))
    {
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
    scratch.findings.known = KNOWN_ADDRESSES | KNOWN_PORTS;
    let packet = Packet {
        frame,
        generation: *generation,
        network,
        transport,
        direction,
    };
    judge_protocol(&packet, scratch)
}

/// Whether a packet is IPv6 neighbour discovery that comes from this very link.
#[inline(always)]
fn is_discovery(network: &Network, transport: &Transport) -> bool {
    network.family == V6
        && transport.protocol == proto::ICMPV6
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
    connection: &Connection,
    direction: Direction,
    is_discovery: bool,
) -> Result<(), Reason> {
    let is_unspecified = direction == Direction::Egress && connection.local == [0; 16];
    if is_own(generation, network.family, &connection.local)
        || (is_discovery && (is_unspecified || is_on_link(&connection.local)))
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

impl Packet<'_> {
    /// What the packet tells about its connection, opened by `opener` and allowed by a record.
    #[inline(always)]
    fn sighting(&self, opener: Direction, record: u32) -> Sighting {
        Sighting {
            direction: self.direction,
            opener,
            generation: self.generation.number,
            record,
            now: self.generation.now,
        }
    }
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
        frame, network, transport, connection, quoted, *direction, generation,
    ) {
        return Ok(Reason::Reply);
    }
    if flags & header::FLAG_FRAG_NEEDED != 0
        && icmp_error::is_fragmentation_needed(frame, network, transport)
    {
        return Ok(Reason::Essential);
    }
    conntrack::complete(&mut connection.key, frame, network, transport, *direction);
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
        generation,
        transport,
        direction,
        ..
    } = packet;
    let opener = direction.reversed();
    let mut entry = sys::connection(&scratch.connection.key);
    if let Some(entry) = entry.as_deref_mut()
        && conntrack::can_reply(transport)
        && conntrack::is_open(entry, opener, generation.now)
    {
        if let Some(record) = confirm(packet, scratch, entry, opener) {
            conntrack::refresh(entry, transport, &packet.sighting(opener, record));
            return Ok(Reason::Reply);
        }
        conntrack::close(entry, opener);
    }
    judge_forward(packet, scratch, entry)
}

/// The record that allows the connection that a reply belongs to. If the generation has changed since it did, the
/// policy is asked what it was asked when the connection was opened.
#[inline(always)]
fn confirm(
    packet: &Packet<'_>,
    scratch: &mut Scratch,
    entry: &Entry,
    opener: Direction,
) -> Option<u32> {
    let record = conntrack::decided(entry, opener, packet.generation.number);
    if record.is_some() {
        return record;
    }
    let port = conntrack::port_of_opening(&packet.transport);
    let verdict = ask(packet, scratch, opener, port);
    let reason = reason(packet, scratch, verdict);
    reason.passes().then_some(verdict.record)
}

/// The policy decides about every packet that is no reply; what it decided about this very connection in this very
/// generation need not be asked again.
///
/// A packet that it denies may be an answer in a connection that was open before the programs were attached. It passes
/// if the policy would have let the other side open that connection.
#[inline(always)]
fn judge_forward(
    packet: &Packet<'_>,
    scratch: &mut Scratch,
    entry: Option<&mut Entry>,
) -> Result<Reason, Reason> {
    let Packet {
        frame,
        generation,
        transport,
        direction,
        ..
    } = packet;
    let can_open = conntrack::can_open(transport);
    let decided = entry
        .as_deref()
        .filter(|_| can_open)
        .and_then(|entry| conntrack::decided(entry, *direction, generation.number));
    let (record, reason) = match decided {
        // It may be one that says no, of a pod in audit mode.
        Some(record) => (record, said(packet, scratch, record)),
        None => {
            let verdict = ask(packet, scratch, *direction, transport.destination);
            (verdict.record, reason(packet, scratch, verdict))
        }
    };
    let record = if reason == Reason::InvalidTables {
        0
    } else {
        record
    };
    if (!reason.passes() || reason == Reason::Audited) && conntrack::can_continue(transport) {
        let opener = direction.reversed();
        let answered = ask(packet, scratch, opener, conntrack::port_of_opening(transport));
        if answered.passes && is_record(&generation.tables, answered.record) {
            scratch.findings.record = answered.record;
            return remember(packet, scratch, entry, opener, answered.record).map(|()| Reason::Reply);
        }
    }
    counters::count_record(frame, generation.slot(), record);
    if reason.passes() && can_open {
        remember(packet, scratch, entry, *direction, record)?;
    }
    Ok(reason)
}

/// Takes note of the connection of a packet that passes.
#[inline(always)]
fn remember(
    packet: &Packet<'_>,
    scratch: &mut Scratch,
    known: Option<&mut Entry>,
    opener: Direction,
    record: u32,
) -> Result<(), Reason> {
    let sighting = packet.sighting(opener, record);
    let Scratch {
        connection,
        entry: fresh,
        findings,
        ..
    } = scratch;
    let is_new = conntrack::open(known, &connection.key, fresh, &packet.transport, &sighting)?;
    findings.is_new = u8::from(is_new);
    Ok(())
}

/// Whether there is such a record.
#[inline(always)]
fn is_record(tables: &Tables, record: u32) -> bool {
    record != 0 && record < tables.u32(header::RECORDS)
}

/// Asks the policy tables about the peer.
#[inline(always)]
fn ask(
    packet: &Packet<'_>,
    scratch: &mut Scratch,
    direction: Direction,
    port: u16,
) -> lookup::Verdict {
    let tables = &packet.generation.tables;
    let identity = identity(&packet.generation, scratch);
    scratch.findings.identity = identity;
    let image = packet.generation.image(direction);
    lookup::verdict(tables, image, identity, packet.transport.protocol, port)
}

/// The reason of a verdict. What passes does so without a look at its record.
#[inline(always)]
fn reason(packet: &Packet<'_>, scratch: &mut Scratch, verdict: lookup::Verdict) -> Reason {
    let lookup::Verdict { passes, record } = verdict;
    if !passes {
        let reason = said(packet, scratch, record);
        // The tables contradict themselves.
        return if reason == Reason::Allowed {
            Reason::InvalidTables
        } else {
            reason
        };
    }
    if !is_record(&packet.generation.tables, record) {
        return Reason::InvalidTables;
    }
    scratch.findings.record = record;
    Reason::Allowed
}

/// What a record says. In audit mode, the policy's no is only remembered.
#[inline(always)]
fn said(packet: &Packet<'_>, scratch: &mut Scratch, record: u32) -> Reason {
    let Generation {
        tables, endpoint, ..
    } = &packet.generation;
    if !is_record(tables, record) {
        return Reason::InvalidTables;
    }
    let at = lookup::record_at(tables, record);
    let is_allowed = lookup::action(tables, at) == record::ALLOW;
    let reason = match Reason::from_number(lookup::reason(tables, at)) {
        Some(reason) if reason.passes() == is_allowed => reason,
        _ => return Reason::InvalidTables,
    };
    let reason = if is_allowed && lookup::auth(tables, at) != 0 {
        Reason::AuthRequired
    } else {
        reason
    };
    scratch.findings.record = record;
    if reason.is_policy() {
        let flags = tables.u32(endpoint + endpoint::FLAGS);
        if flags & endpoint::AUDIT != 0 {
            scratch.findings.verdict = reason as u8;
            return Reason::Audited;
        }
        scratch.findings.may_answer = u8::from(flags & endpoint::REJECT != 0);
    }
    reason
}

/// Identity index of the peer.
#[inline(always)]
fn identity(generation: &Generation, scratch: &mut Scratch) -> u32 {
    let key = &scratch.connection.key;
    let (slot, family) = (generation.slot() as u8, key.family);
    scratch.host = HostKey {
        address: key.remote,
        family,
        slot,
        pad: [0; 6],
    };
    if let Some(identity) = sys::identity_of_host(&scratch.host) {
        return identity;
    }
    let bits = if family == V4 { 32 } else { 128 };
    let prefix = PrefixKey {
        slot,
        family,
        pad: [0; 2],
        address: key.remote,
    };
    scratch.prefix = lpm_trie::Key::new(PREFIX_BASE + bits, prefix);
    maps::IPCACHE_PREFIX
        .get(&scratch.prefix)
        .copied()
        .unwrap_or(arena::UNKNOWN)
}
