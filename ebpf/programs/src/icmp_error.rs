// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! ICMP errors that belong to a known connection. They quote the packet they complain about.

use policy_abi::conntrack::Entry;
use policy_abi::ipcache::V4;
use policy_abi::proto;

use crate::conntrack::Connection;
use crate::network::{Network, Part, carries, ends, widen};
use crate::policy::Generation;
use crate::sys::{self, Frame};
use crate::transport::{Transport, is_echo_reply, is_echo_request};
use crate::{Direction, conntrack};

/// Bytes of the ICMP header before the quoted packet.
const ICMP_HEADER: u32 = 8;

/// A quoted packet, apart from its addresses.
struct Quoted {
    protocol: u8,
    at: u32,
}

/// Whether a message is an error about another packet.
#[inline(always)]
fn is_error(transport: &Transport) -> bool {
    match transport.protocol {
        proto::ICMP => matches!(transport.destination, 3 | 11 | 12),
        proto::ICMPV6 => matches!(transport.destination, 1..=4),
        _ => false,
    }
}

/// Whether a packet is ICMPv4 "fragmentation needed".
#[inline(always)]
pub(crate) fn is_fragmentation_needed(
    frame: &Frame<'_>,
    network: &Network,
    transport: &Transport,
) -> bool {
    if network.part != Part::Whole
        || transport.protocol != proto::ICMP
        || transport.destination != 3
    {
        return false;
    }
    frame.bytes(network.at).is_some_and(|[_, code]| code == 4)
}

/// Whether a packet is an error about a connection of this pod that is still known, and that the generation in force
/// allows: the packet that the error is about has made sure of that when it passed.
#[inline(always)]
pub(crate) fn is_related(
    frame: &Frame<'_>,
    network: &Network,
    transport: &Transport,
    connection: &Connection,
    quoted: &mut Connection,
    direction: Direction,
    generation: &Generation,
) -> bool {
    if network.part != Part::Whole || !is_error(transport) {
        return false;
    }
    let scope = generation.scope;
    if find_quoted(frame, network, connection, quoted, direction, scope).is_none() {
        return false;
    }
    sys::connection(&quoted.key).is_some_and(|entry| {
        is_allowed(entry, Direction::Egress, generation)
            || is_allowed(entry, Direction::Ingress, generation)
    })
}

#[inline(always)]
fn is_allowed(entry: &Entry, opener: Direction, generation: &Generation) -> bool {
    conntrack::is_open(entry, opener, generation.now)
        && (conntrack::is_current(entry, opener, generation.number)
            || generation.is_passing(entry, opener))
}

/// Fills in where the connection of the quoted packet is known, if this pod can have been part of it.
///
/// The quoted packet went the other way than the error does.
#[inline(always)]
fn find_quoted(
    frame: &Frame<'_>,
    network: &Network,
    connection: &Connection,
    about: &mut Connection,
    direction: Direction,
    scope: u32,
) -> Option<()> {
    let at = network.at + ICMP_HEADER;
    let is_egress = direction == Direction::Egress;
    let went = direction.reversed();
    let quoted = if network.family == V4 {
        quoted_ipv4(frame, at, about, went)
    } else {
        quoted_ipv6(frame, at, about, went)
    }?;
    // Errors go back to where the packet came from; a pod may complain only about packets that it was sent.
    let is_fitting = about.local == connection.local
        && (!is_egress || about.key.remote == connection.key.remote);
    if !is_fitting || !carries(network.family, quoted.protocol) {
        return None;
    }
    let (source_port, destination_port) = quoted_ports(frame, &quoted, network.end)?;
    let is_icmp = matches!(quoted.protocol, proto::ICMP | proto::ICMPV6);
    let remote_port = if is_egress {
        source_port
    } else {
        destination_port
    };
    let key = &mut about.key;
    key.ifindex = scope;
    key.local_port = if is_egress {
        destination_port
    } else {
        source_port
    };
    key.remote_port = if is_icmp { 0 } else { remote_port };
    key.protocol = quoted.protocol;
    key.family = network.family;
    key.pad = [0; 6];
    Some(())
}

#[inline(always)]
fn quoted_ipv4(
    frame: &Frame<'_>,
    at: u32,
    about: &mut Connection,
    went: Direction,
) -> Option<Quoted> {
    let header: [u8; 20] = frame.bytes(at)?;
    let length = u32::from(header[0] & 0x0f) * 4;
    let is_later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
    if header[0] >> 4 != 4 || length < 20 || is_later_fragment {
        return None;
    }
    let (source, destination) = ends(about, went);
    *source = widen([header[12], header[13], header[14], header[15]]);
    *destination = widen([header[16], header[17], header[18], header[19]]);
    Some(Quoted {
        protocol: header[9],
        at: at + length,
    })
}

/// Extension headers in a quotation are not walked: such an error is left to the policy.
#[inline(always)]
fn quoted_ipv6(
    frame: &Frame<'_>,
    at: u32,
    about: &mut Connection,
    went: Direction,
) -> Option<Quoted> {
    let header: [u8; 8] = frame.bytes(at)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let (source, destination) = ends(about, went);
    frame.copy_address(at + 8, source)?;
    frame.copy_address(at + 24, destination)?;
    Some(Quoted {
        protocol: header[6],
        at: at + 40,
    })
}

/// Ports of the quoted packet; the identifier in both places for an ICMP echo. What lies behind the end of the message
/// is not part of the quotation.
#[inline(always)]
fn quoted_ports(frame: &Frame<'_>, quoted: &Quoted, end: u32) -> Option<(u16, u16)> {
    let least = match quoted.protocol {
        proto::TCP | proto::UDP | proto::SCTP => 4,
        proto::ICMP | proto::ICMPV6 => 6,
        _ => 0,
    };
    if quoted.at + least > end {
        return None;
    }
    match quoted.protocol {
        proto::TCP | proto::UDP | proto::SCTP => {
            let [a, b, c, d] = frame.bytes(quoted.at)?;
            Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
        protocol @ (proto::ICMP | proto::ICMPV6) => {
            let header: [u8; 6] = frame.bytes(quoted.at)?;
            let kind = u16::from(header[0]);
            let id = u16::from_be_bytes([header[4], header[5]]);
            (is_echo_request(protocol, kind) || is_echo_reply(protocol, kind)).then_some((id, id))
        }
        _ => Some((0, 0)),
    }
}
