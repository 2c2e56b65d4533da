// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What the tables say about a packet: the peer's identity, the record that decides, and what it means.

use aya_ebpf::maps::lpm_trie;
use policy_abi::arena::{self, Read, header, record};
use policy_abi::conntrack::{BY_NODE, PASSING, RECORD};
use policy_abi::ipcache::{HostKey, PREFIX_BASE, PrefixKey, V4};
use policy_abi::lookup::Verdict;
use policy_abi::reason::Reason;
use policy_abi::{endpoint, event, lookup};

use crate::policy::{Generation, Packet};
use crate::sys::{self, Scratch, Tables};
use crate::{Direction, Place, maps};

/// In place of a record: who asks to open a connection to the node claims to be the node, which does not come by its
/// devices.
const FROM_ITSELF: u32 = BY_NODE | PASSING;

/// Whether there is such a record.
#[inline(always)]
fn is_record(tables: &Tables, record: u32) -> bool {
    let record = record & RECORD;
    record != 0 && record < tables.u32(header::RECORDS)
}

/// Whether a verdict lets packets pass.
#[inline(always)]
pub(crate) fn allows(tables: &Tables, verdict: Verdict) -> bool {
    verdict.passes && is_record(tables, verdict.record)
}

/// Asks the policy tables about the peer, and those of the node as well if the node is a pod's peer. The record of the
/// verdict comes with what is beside it.
///
/// `is_passing`: the connection is none of the node's own, though it may bear the node's address.
#[inline(always)]
pub(crate) fn ask(
    packet: &Packet<'_>,
    scratch: &mut Scratch,
    opener: Direction,
    port: u16,
    is_passing: bool,
) -> Verdict {
    let verdict = ask_all(packet, scratch, opener, port, is_passing);
    sys::settle(&mut scratch.verdict, verdict)
}

#[inline(always)]
fn ask_all(
    packet: &Packet<'_>,
    scratch: &mut Scratch,
    opener: Direction,
    port: u16,
    is_passing: bool,
) -> Verdict {
    let Packet {
        generation,
        transport,
        ..
    } = packet;
    let tables = &generation.tables;
    let address = scratch.connection.key.remote;
    let identity = identity(generation, scratch, &address);
    scratch.findings.identity = identity;
    if generation.place == Place::Device
        && opener == Direction::Ingress
        && tables.u32(generation.endpoint + endpoint::IDENTITY) == identity
    {
        return Verdict {
            passes: false,
            record: FROM_ITSELF,
        };
    }
    let image = generation.image(opener);
    let verdict = lookup::verdict(tables, image, identity, transport.protocol, port);
    if is_passing {
        return Verdict {
            record: verdict.record | PASSING,
            ..verdict
        };
    }
    if generation.place == Place::Pod
        && let Some(node) = node_behind(generation, scratch, identity)
        && may_go_on(generation, verdict)
    {
        let own = tables.u32(generation.endpoint + endpoint::IDENTITY);
        let image = tables.u32(match opener {
            Direction::Egress => node + endpoint::INGRESS,
            Direction::Ingress => node + endpoint::EGRESS,
        });
        let of_node = lookup::verdict(tables, image, own, transport.protocol, port);
        if !allows(tables, of_node) {
            return Verdict {
                record: of_node.record | BY_NODE,
                ..of_node
            };
        }
    }
    verdict
}

/// Byte offset of the node's slot, if policies apply to it and the identity is its own.
#[inline(always)]
fn node_behind(generation: &Generation, scratch: &mut Scratch, identity: u32) -> Option<u32> {
    let tables = &generation.tables;
    let node = sys::settle(&mut scratch.node, endpoint::find(tables, endpoint::NODE));
    (node != 0 && tables.u32(node + endpoint::IDENTITY) == identity).then_some(node)
}

/// Whether a packet gets past its pod's policy, so that it is worth while to ask the node's.
#[inline(always)]
fn may_go_on(generation: &Generation, verdict: Verdict) -> bool {
    let flags = generation.tables.u32(generation.endpoint + endpoint::FLAGS);
    flags & endpoint::AUDIT != 0 || allows(&generation.tables, verdict)
}

/// The reason of a verdict. What passes does so without a look at its record.
#[inline(always)]
pub(crate) fn reason(packet: &Packet<'_>, scratch: &mut Scratch, verdict: Verdict) -> Reason {
    let Verdict { passes, record } = verdict;
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
    scratch.findings.record = record & RECORD;
    Reason::Allowed
}

/// What a record says. In audit mode, the policy's no is only remembered.
#[inline(always)]
pub(crate) fn said(packet: &Packet<'_>, scratch: &mut Scratch, record: u32) -> Reason {
    let Generation { tables, .. } = &packet.generation;
    if record == FROM_ITSELF {
        return Reason::Spoofed;
    }
    if !is_record(tables, record) {
        return Reason::InvalidTables;
    }
    let is_by_node = record & BY_NODE != 0;
    let record = record & RECORD;
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
        let mut endpoint = packet.generation.endpoint;
        if is_by_node {
            endpoint = sys::settle(&mut scratch.node, endpoint::find(tables, endpoint::NODE));
            scratch.findings.known |= event::BY_NODE;
        }
        let flags = tables.u32(endpoint + endpoint::FLAGS);
        if flags & endpoint::AUDIT != 0 {
            scratch.findings.verdict = reason as u8;
            return Reason::Audited;
        }
        scratch.findings.may_answer = u8::from(flags & endpoint::REJECT != 0);
    }
    reason
}

/// Identity index of an address of the packet's family.
#[inline(always)]
pub(crate) fn identity(generation: &Generation, scratch: &mut Scratch, address: &[u8; 16]) -> u32 {
    let (slot, family) = (generation.slot() as u8, scratch.connection.key.family);
    scratch.host = HostKey {
        address: *address,
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
        address: *address,
    };
    scratch.prefix = lpm_trie::Key::new(PREFIX_BASE + bits, prefix);
    maps::IPCACHE_PREFIX
        .get(&scratch.prefix)
        .copied()
        .unwrap_or(arena::UNKNOWN)
}
