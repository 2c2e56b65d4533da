// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The order of the checks that a packet goes through.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use policy_abi::arena::{Read, header};
use policy_abi::conntrack::{Entry, PASSING, RECORD};
use policy_abi::event::{KNOWN_ADDRESSES, KNOWN_PORTS};
use policy_abi::ipcache::{V4, V6};
use policy_abi::reason::Reason;
use policy_abi::{endpoint, proto};

use crate::conntrack::{Connection, Sighting};
use crate::network::{Network, Part};
use crate::sys::{self, Findings, Frame, Scratch, Tables};
use crate::transport::Transport;
use crate::{
    Direction, Place, conntrack, counters, device, events, icmp_error, network, reject, transport,
    verdict,
};

/// Hop limit of neighbour discovery: proof that the packet has not been forwarded.
const UNFORWARDED: u8 = 255;

/// Judges a packet, counts it, and says what the kernel shall do with it.
#[inline(always)]
pub(crate) fn run(frame: &Frame<'_>, direction: Direction, place: Place) -> i32 {
    let (Ok(reason) | Err(reason)) = judge(frame, direction, place);
    counters::count_reason(frame, direction, reason);
    // "Unspecified" is also what "next" is called for tcx.
    if reason.passes() {
        return TC_ACT_UNSPEC;
    }
    if is_answered(reason) && direction == Direction::Egress && place == Place::Pod {
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
    /// Where the program stands.
    pub(crate) place: Place,
    /// Interface that the endpoint's connections are known by.
    pub(crate) scope: u32,
}

impl Generation {
    /// Whether a connection goes on whatever the policy says: at a device, one that is only forwarded.
    #[inline(always)]
    pub(crate) fn is_passing(&self, entry: &Entry, opener: Direction) -> bool {
        self.place == Place::Device && conntrack::is_passing(entry, opener)
    }

    #[inline(always)]
    pub(crate) fn slot(&self) -> u32 {
        (self.number & 1) as u32
    }

    /// Image that judges packets going in `direction`.
    #[inline(always)]
    pub(crate) fn image(&self, direction: Direction) -> u32 {
        self.tables.u32(match direction {
            Direction::Ingress => self.endpoint + endpoint::INGRESS,
            Direction::Egress => self.endpoint + endpoint::EGRESS,
        })
    }
}

/// `Err` and `Ok` both carry the reason; `Err` only ends the checks early.
#[inline(always)]
fn judge(frame: &Frame<'_>, direction: Direction, place: Place) -> Result<Reason, Reason> {
    if network::is_arp(frame, place) {
        return Ok(Reason::Essential);
    }
    if place == Place::Device && device::is_beside(frame, direction) {
        return Ok(Reason::Unjudged);
    }
    // An array map of one entry has it.
    let scratch = sys::scratch().ok_or(Reason::InvalidTables)?;
    scratch.findings = Findings::NONE;
    let generation = generation(frame, scratch, place)?;
    let (Ok(reason) | Err(reason)) = judge_packet(frame, &generation, scratch, direction);
    if !reason.passes() || scratch.findings.is_new != 0 {
        events::report(frame, scratch, &generation, direction, reason);
    }
    Ok(reason)
}

#[inline(always)]
fn generation(
    frame: &Frame<'_>,
    scratch: &mut Scratch,
    place: Place,
) -> Result<Generation, Reason> {
    let (number, tick) = sys::in_force().ok_or(Reason::NoGeneration)?;
    // Without a clock, connections would be known for ever.
    if number == 0 || tick == 0 {
        return Err(Reason::NoGeneration);
    }
    let tables = Tables::of_slot((number & 1) as u32).ok_or(Reason::NoGeneration)?;
    // A node that no policy applies to has no slot, and nothing of it is judged.
    let (scope, sought, otherwise) = match place {
        Place::Pod => (frame.ifindex(), frame.ifindex(), Reason::NoEndpoint),
        Place::Device => (0, endpoint::NODE, Reason::Unjudged),
    };
    let endpoint = sys::settle(&mut scratch.endpoint, endpoint::find(&tables, sought));
    if endpoint == 0 {
        return Err(otherwise);
    }
    Ok(Generation {
        number,
        now: sys::ticks().wrapping_mul(tick),
        tables,
        endpoint,
        place,
        scope,
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
    let place = generation.place;
    if place == Place::Device {
        // What is not read is no address of the node's.
        scratch.connection.local = [0; 16];
    }
    let network = network::parse(frame, &mut scratch.connection, direction, place);
    if place == Place::Device {
        device::admit(frame, generation, scratch)?;
        // What is forwarded bears the node's address when it is masqueraded.
        if direction == Direction::Egress && frame.came_by() != 0 {
            return device::let_pass(frame, generation, scratch, network);
        }
    }
    let network = network?;
    let network = sys::settle(&mut scratch.network, network);
    scratch.findings.known = KNOWN_ADDRESSES;
    let transport = transport::parse(frame, &network)?;
    let transport = sys::settle(&mut scratch.transport, transport);
    // A node need not heed neighbours that know better ways.
    let is_redirect = place == Place::Device && transport.destination == 137;
    let is_discovery = is_discovery(&network, &transport) && !is_redirect;
    if place == Place::Pod {
        check_address(
            generation,
            &network,
            &scratch.connection,
            direction,
            is_discovery,
        )?;
    } else if device::is_essential(&network, &transport, &scratch.connection, direction) {
        return Ok(Reason::Essential);
    }
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
    let transport = transport::join_fragments(
        generation.scope,
        &network,
        transport,
        connection,
        fragment,
        direction,
    )?;
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
pub(crate) fn is_on_link(address: &[u8; 16]) -> bool {
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
pub(crate) struct Packet<'run> {
    pub(crate) frame: &'run Frame<'run>,
    pub(crate) generation: Generation,
    pub(crate) network: Network,
    pub(crate) transport: Transport,
    pub(crate) direction: Direction,
}

impl Packet<'_> {
    /// Whether the packet is one to a pod that this node only forwards, so that the node's policy has no say.
    #[inline(always)]
    fn is_passing(&self) -> bool {
        self.generation.place == Place::Pod
            && self.direction == Direction::Ingress
            && self.frame.came_by() != 0
    }

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
    let scope = generation.scope;
    conntrack::complete(&mut connection.key, scope, network, transport, *direction);
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
    if packet.generation.is_passing(entry, opener) {
        return Some(conntrack::record_of(entry, opener));
    }
    let port = conntrack::port_of_opening(&packet.transport);
    let is_passing = conntrack::is_passing(entry, opener);
    let verdict = verdict::ask(packet, scratch, opener, port, is_passing);
    let reason = verdict::reason(packet, scratch, verdict);
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
        .and_then(|entry| conntrack::decided(entry, *direction, generation.number))
        // What was not asked about somebody else's packet has to be asked about the node's own.
        .filter(|record| (record & PASSING != 0) == packet.is_passing());
    let (record, reason) = match decided {
        // It may be one that says no, of a pod in audit mode.
        Some(record) => (record, verdict::said(packet, scratch, record)),
        None => {
            let (port, is_passing) = (transport.destination, packet.is_passing());
            let verdict = verdict::ask(packet, scratch, *direction, port, is_passing);
            let reason = verdict::reason(packet, scratch, verdict);
            (verdict.record, reason)
        }
    };
    if reason == Reason::Spoofed {
        return Err(reason);
    }
    let record = if reason == Reason::InvalidTables {
        0
    } else {
        record
    };
    if (!reason.passes() || reason == Reason::Audited) && conntrack::can_continue(transport) {
        let opener = direction.reversed();
        let port = conntrack::port_of_opening(transport);
        let answered = verdict::ask(packet, scratch, opener, port, false);
        if verdict::allows(&generation.tables, answered) {
            let record = answered.record;
            scratch.findings.record = record & RECORD;
            return remember(packet, scratch, entry, opener, record).map(|()| Reason::Reply);
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
