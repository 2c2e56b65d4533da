// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Reporting new connections and drops.

use policy_abi::arena::{Read, record};
use policy_abi::event::{Event, KNOWN_ADDRESSES, KNOWN_PORTS};
use policy_abi::reason::Reason;
use policy_abi::{endpoint, lookup};

use crate::policy::Generation;
use crate::sys::{self, Frame, Scratch};
use crate::{Direction, maps};

/// Reports a packet, unless its CPU has reported enough within this second.
#[inline(always)]
pub(crate) fn report(
    frame: &Frame<'_>,
    scratch: &mut Scratch,
    generation: &Generation,
    direction: Direction,
    reason: Reason,
) {
    let Some(lost) = draw(generation.now) else {
        return;
    };
    describe(frame, scratch, direction, reason);
    decide(scratch, generation);
    scratch.event.lost = lost;
    if maps::EVENTS.output::<Event>(&scratch.event, 0).is_err()
        && let Some(budget) = sys::budget()
    {
        budget.lost = lost.wrapping_add(1);
    }
}

/// Takes one event from this CPU's budget: how many were left out before it, `None` if this one is, too.
#[inline(always)]
fn draw(now: u64) -> Option<u32> {
    let budget = sys::budget()?;
    if sys::spend(budget, now, sys::event_rate()) {
        return Some(core::mem::take(&mut budget.lost));
    }
    budget.lost = budget.lost.wrapping_add(1);
    None
}

/// What the packet itself says; of what could not be read, nothing.
#[inline(always)]
fn describe(frame: &Frame<'_>, scratch: &mut Scratch, direction: Direction, reason: Reason) {
    let Scratch {
        connection,
        network,
        transport,
        findings,
        event,
        ..
    } = scratch;
    let has_addresses = findings.known & KNOWN_ADDRESSES != 0;
    let has_ports = findings.known & KNOWN_PORTS != 0;
    event.time = sys::monotonic();
    event.local = if has_addresses {
        connection.local
    } else {
        [0; 16]
    };
    event.remote = if has_addresses {
        connection.key.remote
    } else {
        [0; 16]
    };
    event.family = if has_addresses { network.family } else { 0 };
    event.protocol = if has_addresses { network.protocol } else { 0 };
    event.ifindex = frame.ifindex();
    event.length = frame.len();
    (event.local_port, event.remote_port) = (0, 0);
    (event.icmp_type, event.tcp_flags) = (0, 0);
    if has_ports {
        event.protocol = transport.protocol;
        event.tcp_flags = transport.tcp_flags;
        (event.local_port, event.remote_port) = match (transport.is_icmp(), direction) {
            (true, _) => (transport.source, 0),
            (false, Direction::Egress) => (transport.source, transport.destination),
            (false, Direction::Ingress) => (transport.destination, transport.source),
        };
        if transport.is_icmp() {
            event.icmp_type = transport.destination as u8;
        }
    }
    event.egress = u8::from(direction == Direction::Egress);
    event.reason = reason as u8;
    event.known = findings.known;
}

/// What was decided, and by what.
#[inline(always)]
fn decide(scratch: &mut Scratch, generation: &Generation) {
    let Generation {
        number,
        tables,
        endpoint,
        ..
    } = generation;
    let Scratch {
        findings, event, ..
    } = scratch;
    event.generation = *number;
    event.endpoint = tables.u32(endpoint + endpoint::INDEX);
    event.identity = findings.identity;
    event.verdict = if event.reason == Reason::Audited as u8 {
        findings.verdict
    } else {
        event.reason
    };
    (event.rule, event.cookie) = (record::NO_RULE, 0);
    if findings.record != 0 {
        let at = lookup::record_at(tables, findings.record);
        event.rule = tables.u32(at + record::RULE);
        event.cookie = tables.u32(at + record::COOKIE);
    }
}
