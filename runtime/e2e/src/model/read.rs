//! From bytes to a packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::proto;
use policy_abi::reason::Reason;

use crate::packet::{ACK, RST, SYN};

/// Extension headers that are looked through.
const EXTENSIONS: usize = 6;

/// An address, ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(IpAddr);

impl Address {
    /// An address.
    pub fn new(address: IpAddr) -> Self {
        Self(address)
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// The address in 16 bytes, as keys hold it.
    pub fn octets(self) -> [u8; 16] {
        crate::datapath::spread(self.0).1
    }

    /// Whether it is of the link itself: `fe80::/10`, or multicast of link scope.
    pub(super) fn is_on_link(self) -> bool {
        match self.0 {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => {
                let first = address.segments()[0];
                first & 0xffc0 == 0xfe80 || first == 0xff02
            }
        }
    }

    /// Whether it lies in a prefix.
    pub(super) fn is_in(self, prefix: Self, bits: u32) -> bool {
        let number = |address: Self| u128::from_be_bytes(address.octets());
        let is_same_family = self.0.is_ipv4() == prefix.0.is_ipv4();
        let differing = number(self) ^ number(prefix);
        is_same_family && differing.leading_zeros() >= bits
    }
}

/// Which part of a packet a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first fragment.
    First,
    /// A later fragment and where it starts.
    Later(u16),
}

/// A packet as far as policies look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Addresses.
    pub source: Address,
    pub destination: Address,
    /// IP protocol behind all extension headers.
    pub protocol: u8,
    /// Source port; the identifier of an ICMP echo.
    pub source_port: u16,
    /// Destination port; an ICMP message's type.
    pub destination_port: u16,
    /// TCP flags.
    pub tcp_flags: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// Time to live.
    pub hop_limit: u8,
    /// Identification of a fragmented packet.
    pub id: u32,
    /// Which part this is.
    pub part: Part,
    /// What follows the ICMP header.
    body: Vec<u8>,
}

impl Packet {
    /// Whether it is ICMP of either family.
    pub fn is_icmp(&self) -> bool {
        matches!(self.protocol, proto::ICMP | proto::ICMPV6)
    }

    fn is_echo_request(&self) -> bool {
        matches!(
            (self.protocol, self.destination_port),
            (proto::ICMP, 8) | (proto::ICMPV6, 128)
        )
    }

    fn is_echo_reply(&self) -> bool {
        matches!(
            (self.protocol, self.destination_port),
            (proto::ICMP, 0) | (proto::ICMPV6, 129)
        )
    }

    /// Whether it opens a TCP connection.
    pub(super) fn is_opening(&self) -> bool {
        self.protocol == proto::TCP && self.tcp_flags & SYN != 0 && self.tcp_flags & ACK == 0
    }

    /// Whether it may be an answer.
    pub(super) fn can_reply(&self) -> bool {
        if self.is_icmp() {
            self.is_echo_reply()
        } else {
            !self.is_opening()
        }
    }

    /// Whether it may be an answer in a connection of which nothing is known: one that TCP refuses unless it is.
    pub(super) fn can_continue(&self) -> bool {
        self.protocol == proto::TCP
            && self.tcp_flags & SYN == 0
            && self.tcp_flags & (ACK | RST) != 0
    }

    /// Whether it may be answered.
    pub(super) fn can_open(&self) -> bool {
        !self.is_icmp() || self.is_echo_request()
    }

    /// Destination port of the packet that this one answers.
    pub(super) fn asked_when_opened(&self) -> u16 {
        match self.protocol {
            proto::ICMP => 8,
            proto::ICMPV6 => 128,
            _ => self.source_port,
        }
    }

    /// The packet that an ICMP error is about, if it quotes enough of one.
    pub(super) fn quotation(&self) -> Option<Self> {
        let is_error = match self.protocol {
            proto::ICMP => matches!(self.destination_port, 3 | 11 | 12),
            proto::ICMPV6 => matches!(self.destination_port, 1..=4),
            _ => false,
        };
        if !is_error || self.part != Part::Whole {
            return None;
        }
        let is_ipv4 = self.source.0.is_ipv4();
        let (mut quoted, rest) = if is_ipv4 {
            quoted_ipv4(&self.body)?
        } else {
            quoted_ipv6(&self.body)?
        };
        let ports = |rest: &[u8]| Some((word(rest, 0)?, word(rest, 2)?));
        (quoted.source_port, quoted.destination_port) = match quoted.protocol {
            proto::TCP | proto::UDP | proto::SCTP => ports(rest)?,
            proto::ICMP if !is_ipv4 => return None,
            proto::ICMPV6 if is_ipv4 => return None,
            proto::ICMP | proto::ICMPV6 => {
                quoted.destination_port = u16::from(*rest.first()?);
                let id = word(rest, 4)?;
                if !quoted.is_echo_request() && !quoted.is_echo_reply() {
                    return None;
                }
                (id, quoted.destination_port)
            }
            _ => (0, 0),
        };
        Some(quoted)
    }
}

/// Source and destination of a frame, if its network header is long enough to have them, whatever else is wrong.
pub(super) fn ends(frame: &[u8]) -> Option<(Address, Address)> {
    let header = frame.get(14..)?;
    match word(frame, 12)? {
        0x0800 => {
            let header: &[u8; 20] = header.first_chunk()?;
            let address = |at: usize| {
                let octets: [u8; 4] = header.get(at..)?.first_chunk().copied()?;
                Some(Address(Ipv4Addr::from(octets).into()))
            };
            Some((address(12)?, address(16)?))
        }
        0x86dd => {
            let header: &[u8; 40] = header.first_chunk()?;
            let address = |at: usize| {
                let octets: [u8; 16] = header.get(at..)?.first_chunk().copied()?;
                Some(Address(Ipv6Addr::from(octets).into()))
            };
            Some((address(8)?, address(24)?))
        }
        _ => None,
    }
}

/// Whether a frame is about the link itself: spanning tree and its like have a length in place of a type.
pub(super) fn is_of_link(frame: &[u8]) -> bool {
    let kind = word(frame, 12).unwrap_or_default();
    let is_raw = frame.get(14..16) == Some(&[0xff, 0xff]);
    matches!(kind, 0x8809 | 0x888e | 0x88cc) || (kind < 0x600 && !is_raw)
}

/// Whether a frame is for a VLAN, as one of the node's own looks that has been there.
pub(super) fn is_for_vlan(frame: &[u8]) -> bool {
    matches!(word(frame, 12), Some(0x8100 | 0x88a8))
}

/// Reads a frame; the reason if it goes no further.
///
/// # Errors
/// The reason why a packet passes or is dropped without being looked at.
pub fn read(frame: &[u8]) -> Result<Packet, Reason> {
    let (kind, rest) = (word(frame, 12), frame.get(14..).unwrap_or_default());
    let (mut packet, payload) = match kind {
        Some(0x0806) => return Err(Reason::Essential),
        Some(0x0800) => ipv4(rest),
        Some(0x86dd) => ipv6(rest),
        _ => return Err(Reason::UnknownL3),
    }
    .ok_or(Reason::Malformed)?;
    transport(&mut packet, payload).ok_or(Reason::Malformed)?;
    Ok(packet)
}

fn ipv4(bytes: &[u8]) -> Option<(Packet, &[u8])> {
    let (packet, length) = ipv4_header(bytes)?;
    let payload = bytes.get(length..usize::from(word(bytes, 2)?))?;
    Some((packet, payload))
}

/// The fixed header, and how long it is with its options.
fn ipv4_header(bytes: &[u8]) -> Option<(Packet, usize)> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    let length = usize::from(header[0] & 15) * 4;
    if header[0] >> 4 != 4 || length < 20 {
        return None;
    }
    let fragment = word(header, 6)?;
    let address = |at: usize| {
        let octets: [u8; 4] = header.get(at..)?.first_chunk().copied()?;
        Some(Address(Ipv4Addr::from(octets).into()))
    };
    let packet = Packet {
        source: address(12)?,
        destination: address(16)?,
        protocol: header[9],
        source_port: 0,
        destination_port: 0,
        tcp_flags: 0,
        icmp_code: 0,
        hop_limit: header[8],
        id: u32::from(word(header, 4)?),
        part: part((fragment & 0x1fff) * 8, fragment & 0x2000 != 0),
        body: Vec::new(),
    };
    Some((packet, length))
}

fn part(offset: u16, is_more: bool) -> Part {
    match (offset, is_more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        (offset, _) => Part::Later(offset),
    }
}

fn ipv6(bytes: &[u8]) -> Option<(Packet, &[u8])> {
    let mut packet = ipv6_header(bytes)?;
    let length = usize::from(word(bytes, 4)?);
    // In a batch of more than 64 KiB the length is 0; no such frame gets here.
    let mut rest = bytes.get(40..40 + length)?;
    for _ in 0..EXTENSIONS {
        let size = match packet.protocol {
            0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
            44 => 8,
            _ => return Some((packet, rest)),
        };
        let extension = rest.get(..size)?;
        match packet.protocol {
            // With segments left, the packet is bound for somewhere else.
            43 if extension.get(3) != Some(&0) => return None,
            44 => {
                let field = word(extension, 2)?;
                packet.part = part(field & 0xfff8, field & 1 != 0);
                packet.id = u32::from(word(extension, 4)?) << 16 | u32::from(word(extension, 6)?);
            }
            _ => {}
        }
        packet.protocol = *extension.first()?;
        rest = rest.get(size..)?;
        if let Part::Later(_) = packet.part {
            return Some((packet, rest));
        }
    }
    None
}

fn ipv6_header(bytes: &[u8]) -> Option<Packet> {
    let header: &[u8; 40] = bytes.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let address = |at: usize| {
        let octets: [u8; 16] = header.get(at..)?.first_chunk().copied()?;
        Some(Address(Ipv6Addr::from(octets).into()))
    };
    Some(Packet {
        source: address(8)?,
        destination: address(24)?,
        protocol: header[6],
        source_port: 0,
        destination_port: 0,
        tcp_flags: 0,
        icmp_code: 0,
        hop_limit: header[7],
        id: 0,
        part: Part::Whole,
        body: Vec::new(),
    })
}

/// Reads what the protocol says, `None` if it is broken.
fn transport(packet: &mut Packet, payload: &[u8]) -> Option<()> {
    let least = match packet.protocol {
        proto::TCP => 20,
        proto::UDP => 8,
        proto::SCTP => 12,
        proto::ICMP | proto::ICMPV6 => 4,
        _ => 0,
    };
    if let Part::Later(offset) = packet.part {
        // It could only rewrite a header that has been judged.
        return (usize::from(offset) >= least).then_some(());
    }
    payload.get(..least)?;
    match packet.protocol {
        proto::TCP => {
            let length = usize::from(*payload.get(12)? >> 4) * 4;
            if length < 20 || length > payload.len() {
                return None;
            }
            packet.tcp_flags = *payload.get(13)?;
        }
        proto::ICMP | proto::ICMPV6 => {
            packet.destination_port = u16::from(*payload.first()?);
            packet.icmp_code = *payload.get(1)?;
            packet.body = payload.get(8..).unwrap_or_default().to_vec();
            if packet.is_echo_request() || packet.is_echo_reply() {
                payload.get(..8)?;
                packet.source_port = word(payload, 4)?;
            }
            return Some(());
        }
        proto::UDP | proto::SCTP => {}
        _ => return Some(()),
    }
    (packet.source_port, packet.destination_port) = (word(payload, 0)?, word(payload, 2)?);
    Some(())
}

fn quoted_ipv4(bytes: &[u8]) -> Option<(Packet, &[u8])> {
    let (packet, length) = ipv4_header(bytes)?;
    let is_later = matches!(packet.part, Part::Later(_));
    (!is_later).then_some(())?;
    Some((packet, bytes.get(length..)?))
}

/// Extension headers in a quotation are not walked.
fn quoted_ipv6(bytes: &[u8]) -> Option<(Packet, &[u8])> {
    Some((ipv6_header(bytes)?, bytes.get(40..)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|raw| u16::from_be_bytes(*raw))
}
