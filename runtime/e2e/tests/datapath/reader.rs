//! A second reader of packets, written for clarity and from the protocols' documents, to hold the datapath's against.

use policy_abi::proto;
use policyd_e2e::datapath::Direction::{self, Egress};

/// What a packet that carries on to the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) source: Vec<u8>,
    pub(crate) destination: Vec<u8>,
    pub(crate) protocol: u8,
    /// Destination port, ICMP type, or 0.
    pub(crate) port: u16,
    pub(crate) hop_limit: u8,
    pub(crate) is_fragment: bool,
}

/// Why a packet does not carry on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Arp,
    UnknownL3,
    Malformed,
}

/// The packet's end of the pod.
pub(crate) fn local(read: &Read, direction: Direction) -> &[u8] {
    if direction == Egress {
        &read.source
    } else {
        &read.destination
    }
}

/// The packet's other end.
pub(crate) fn remote(read: &Read, direction: Direction) -> &[u8] {
    if direction == Egress {
        &read.destination
    } else {
        &read.source
    }
}

pub(crate) fn read(frame: &[u8]) -> Result<Read, Unreadable> {
    match u16::from_be_bytes([frame[12], frame[13]]) {
        0x0806 => Err(Unreadable::Arp),
        0x0800 => ipv4(&frame[14..]),
        0x86dd => ipv6(&frame[14..]),
        _ => Err(Unreadable::UnknownL3),
    }
    .and_then(|(mut read, offset, payload)| {
        read.port = port(read.protocol, offset, &payload).ok_or(Unreadable::Malformed)?;
        Ok(read)
    })
}

/// Header, fragment offset and payload.
type Parts = (Read, usize, Vec<u8>);

fn ipv4(packet: &[u8]) -> Result<Parts, Unreadable> {
    let header = packet.get(..20).ok_or(Unreadable::Malformed)?;
    let (header_length, length) = (
        usize::from(header[0] % 16) * 4,
        usize::from(word(header, 2)),
    );
    let payload = packet
        .get(header_length..length)
        .ok_or(Unreadable::Malformed)?;
    if header[0] / 16 != 4 || header_length < 20 {
        return Err(Unreadable::Malformed);
    }
    let fragment = word(header, 6);
    let read = Read {
        source: header[12..16].to_vec(),
        destination: header[16..20].to_vec(),
        protocol: header[9],
        port: 0,
        hop_limit: header[8],
        is_fragment: fragment & 0x3fff != 0,
    };
    Ok((read, usize::from(fragment & 0x1fff) * 8, payload.to_vec()))
}

fn ipv6(packet: &[u8]) -> Result<Parts, Unreadable> {
    let header = packet.get(..40).ok_or(Unreadable::Malformed)?;
    let length = usize::from(word(header, 4));
    let mut rest = packet.get(40..40 + length).ok_or(Unreadable::Malformed)?;
    // No length at all is for batches of more than 64 KiB only, which no test sends.
    if header[0] / 16 != 6 || length == 0 {
        return Err(Unreadable::Malformed);
    }
    let mut read = Read {
        source: header[8..24].to_vec(),
        destination: header[24..40].to_vec(),
        protocol: header[6],
        port: 0,
        hop_limit: header[7],
        is_fragment: false,
    };
    let mut offset = 0;
    for _ in 0..6 {
        let size = match read.protocol {
            0 | 60 | 43 => rest.get(1).map(|units| (usize::from(*units) + 1) * 8),
            44 => Some(8),
            _ => return Ok((read, offset, rest.to_vec())),
        };
        let extension = size
            .and_then(|size| rest.get(..size))
            .ok_or(Unreadable::Malformed)?;
        if read.protocol == 43 && extension[3] != 0 {
            return Err(Unreadable::Malformed);
        }
        if read.protocol == 44 {
            offset = usize::from(word(extension, 2) & 0xfff8);
            read.is_fragment = word(extension, 2) & 0xfff9 != 0;
        }
        read.protocol = extension[0];
        rest = &rest[extension.len()..];
        if offset != 0 {
            return Ok((read, offset, rest.to_vec()));
        }
    }
    Err(Unreadable::Malformed)
}

/// What the policy calls the port; `None` if the transport header is broken.
fn port(protocol: u8, offset: usize, payload: &[u8]) -> Option<u16> {
    let least = match protocol {
        proto::TCP => 20,
        proto::UDP => 8,
        proto::SCTP => 12,
        proto::ICMP | proto::ICMPV6 => 4,
        _ => 0,
    };
    if offset != 0 {
        return (offset >= least).then_some(0);
    }
    let header = payload.get(..least)?;
    match protocol {
        proto::TCP => {
            let length = usize::from(header[12] / 16) * 4;
            (20..=payload.len())
                .contains(&length)
                .then(|| word(header, 2))
        }
        proto::UDP | proto::SCTP => Some(word(header, 2)),
        proto::ICMP | proto::ICMPV6 => {
            let is_echo = matches!(
                (protocol, header[0]),
                (proto::ICMP, 0 | 8) | (proto::ICMPV6, 128 | 129)
            );
            (!is_echo || payload.len() >= 8).then(|| header[0].into())
        }
        _ => Some(0),
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
