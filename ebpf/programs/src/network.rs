// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! From bytes to addresses: Ethernet, IPv4, IPv6 and its extension headers.

use policy_abi::ipcache::{V4, V6};
use policy_abi::proto;
use policy_abi::reason::Reason;

use crate::conntrack::Connection;
use crate::sys::Frame;
use crate::{Direction, Place};

/// Bytes of the Ethernet header.
pub(crate) const ETHERNET: u32 = 14;
/// EtherTypes.
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Bytes of the fixed headers.
pub(crate) const IPV4_HEADER: u32 = 20;
pub(crate) const IPV6_HEADER: u32 = 40;
/// Longest packet that a length field can express; a longer one is a segmentation batch of the kernel's.
const LARGEST: u32 = 65_535;
/// Extension headers looked through before a packet counts as malformed.
const EXTENSION_HEADERS: u32 = 6;
/// Extension headers of IPv6. Authentication (51) is not among them: policies judge it as a protocol.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Which part of a packet this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// The first fragment, which has the transport header.
    First,
    /// A later fragment, starting this many bytes into the packet.
    Later(u32),
}

/// What the network layer says, apart from the addresses: those go straight to where the connection is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Network {
    /// Where the transport header starts.
    pub(crate) at: u32,
    /// Where the packet ends; what lies behind is link-layer padding.
    pub(crate) end: u32,
    /// Identification of a fragmented packet.
    pub(crate) id: u32,
    /// Which part of a packet this is.
    pub(crate) part: Part,
    /// [`V4`] or [`V6`].
    pub(crate) family: u8,
    /// Protocol of the transport header.
    pub(crate) protocol: u8,
    /// Time to live.
    pub(crate) hop_limit: u8,
}

/// Whether a packet's EtherType is one that the kernel's own network layer never gets: bridges, authentication at a
/// port, aggregation of links and neighbours' names. What comes without a type is of the same kind.
#[inline(always)]
pub(crate) fn is_of_link(frame: &Frame<'_>) -> bool {
    matches!(frame.ethertype(), 0x0004 | 0x8809 | 0x888e | 0x88cc)
}

/// Whether a packet carries a VLAN tag among its bytes.
#[inline(always)]
pub(crate) fn has_inner_tag(frame: &Frame<'_>) -> bool {
    matches!(frame.ethertype(), 0x8100 | 0x88a8)
}

/// Whether a packet is ARP, which is none of a policy's business.
#[inline(always)]
pub(crate) fn is_arp(frame: &Frame<'_>, place: Place) -> bool {
    let is_tagged = match place {
        Place::Pod => frame.is_tagged(),
        Place::Device => frame.is_of_vlan(),
    };
    !is_tagged && frame.ethertype() == ETHERTYPE_ARP
}

/// Reads the network header.
#[inline(always)]
pub(crate) fn parse(
    frame: &Frame<'_>,
    connection: &mut Connection,
    direction: Direction,
    place: Place,
) -> Result<Network, Reason> {
    // A pod's interface has no VLANs; a tag would only serve to slip past somebody. At a device, what is for a VLAN has
    // been passed over, and other tags count as none.
    if place == Place::Pod && frame.is_tagged() {
        return Err(Reason::UnknownL3);
    }
    match frame.ethertype() {
        ETHERTYPE_IPV4 => parse_ipv4(frame, connection, direction),
        ETHERTYPE_IPV6 => parse_ipv6(frame, connection, direction),
        _ => Err(Reason::UnknownL3),
    }
}

/// Source and destination of a packet as ends of its connection.
#[inline(always)]
pub(crate) fn ends(
    connection: &mut Connection,
    direction: Direction,
) -> (&mut [u8; 16], &mut [u8; 16]) {
    let Connection { key, local } = connection;
    match direction {
        Direction::Ingress => (&mut key.remote, local),
        Direction::Egress => (local, &mut key.remote),
    }
}

/// An IPv4 address in the form that all keys use.
#[inline(always)]
pub(crate) fn widen(address: [u8; 4]) -> [u8; 16] {
    // As one number, which takes two instructions to store; an array takes a loop.
    u128::from(u32::from_le_bytes(address)).to_le_bytes()
}

/// Where a packet ends that claims `length` bytes from the network header on.
#[inline(always)]
fn end_of(frame: &Frame<'_>, length: u32, is_claimed: bool) -> Result<u32, Reason> {
    if !is_claimed && frame.len() > ETHERNET + LARGEST {
        return Ok(frame.len());
    }
    let end = ETHERNET + length;
    if end > frame.len() {
        Err(Reason::Malformed)
    } else {
        Ok(end)
    }
}

#[inline(always)]
fn parse_ipv4(
    frame: &Frame<'_>,
    connection: &mut Connection,
    direction: Direction,
) -> Result<Network, Reason> {
    let header: [u8; IPV4_HEADER as usize] = frame.bytes(ETHERNET).ok_or(Reason::Malformed)?;
    let (source, destination) = ends(connection, direction);
    *source = widen([header[12], header[13], header[14], header[15]]);
    *destination = widen([header[16], header[17], header[18], header[19]]);
    let length = u32::from(u16::from_be_bytes([header[2], header[3]]));
    let header_length = u32::from(header[0] & 0x0f) * 4;
    let end = end_of(frame, length, length != 0)?;
    let at = ETHERNET + header_length;
    if header[0] >> 4 != 4 || header_length < IPV4_HEADER || at > end {
        return Err(Reason::Malformed);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    Ok(Network {
        at,
        end,
        id: u32::from(u16::from_be_bytes([header[4], header[5]])),
        part: part_of(u32::from(fragment & 0x1fff) * 8, fragment & 0x2000 != 0),
        family: V4,
        protocol: header[9],
        hop_limit: header[8],
    })
}

#[inline(always)]
fn part_of(offset: u32, more: bool) -> Part {
    match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        (offset, _) => Part::Later(offset),
    }
}

#[inline(always)]
fn parse_ipv6(
    frame: &Frame<'_>,
    connection: &mut Connection,
    direction: Direction,
) -> Result<Network, Reason> {
    let header: [u8; 8] = frame.bytes(ETHERNET).ok_or(Reason::Malformed)?;
    let length = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let (source, destination) = ends(connection, direction);
    frame
        .copy_address(ETHERNET + 8, source)
        .ok_or(Reason::Malformed)?;
    frame
        .copy_address(ETHERNET + 24, destination)
        .ok_or(Reason::Malformed)?;
    let mut network = Network {
        at: ETHERNET + IPV6_HEADER,
        end: end_of(frame, IPV6_HEADER + length, length != 0)?,
        id: 0,
        part: Part::Whole,
        family: V6,
        protocol: header[6],
        hop_limit: header[7],
    };
    if header[0] >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    skip_extensions(frame, &mut network)?;
    Ok(network)
}

/// Walks to the transport header, or to where a later fragment's data starts.
#[inline(always)]
fn skip_extensions(frame: &Frame<'_>, network: &mut Network) -> Result<(), Reason> {
    let mut seen = 0;
    while seen < EXTENSION_HEADERS {
        if !matches!(
            network.protocol,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS
        ) {
            return Ok(());
        }
        let header: [u8; 8] = frame.bytes(network.at).ok_or(Reason::Malformed)?;
        let length = if network.protocol == FRAGMENT {
            8
        } else {
            (u32::from(header[1]) + 1) * 8
        };
        // With segments left, the destination in sight is not where the packet is bound for.
        if network.protocol == ROUTING && header[3] != 0 {
            return Err(Reason::Malformed);
        }
        if network.protocol == FRAGMENT {
            let offset = u16::from_be_bytes([header[2], header[3]]);
            network.id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            network.part = part_of(u32::from(offset & 0xfff8), offset & 1 != 0);
        }
        network.protocol = header[0];
        network.at += length;
        if network.at > network.end {
            return Err(Reason::Malformed);
        }
        if let Part::Later(_) = network.part {
            return Ok(());
        }
        seen += 1;
    }
    Err(Reason::Malformed)
}

/// Whether a packet of this address family can carry the protocol at all.
#[inline(always)]
pub(crate) fn carries(family: u8, protocol: u8) -> bool {
    match protocol {
        proto::ICMP => family == V4,
        proto::ICMPV6 => family == V6,
        _ => true,
    }
}
