// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! From bytes to ports: TCP, UDP, SCTP, ICMP, and the fragments that follow a first.

use policy_abi::conntrack::{FragmentKey, FragmentPorts};
use policy_abi::ipcache::V6;
use policy_abi::proto;
use policy_abi::reason::Reason;

use crate::conntrack::Connection;
use crate::network::{Network, Part};
use crate::sys::{self, Frame};
use crate::{Direction, maps};

/// TCP flags.
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// Bytes that a transport header has at least.
const TCP_HEADER: u32 = 20;
const UDP_HEADER: u32 = 8;
const SCTP_HEADER: u32 = 12;
const ICMP_HEADER: u32 = 8;
/// Least bytes of an ICMP message that has no identifier.
const ICMP_SHORT: u32 = 4;

/// What the transport layer says.
#[derive(Clone, Copy)]
pub(crate) struct Transport {
    /// Source port; the identifier of an ICMP echo.
    pub(crate) source: u16,
    /// Destination port; the type of an ICMP message.
    pub(crate) destination: u16,
    /// IP protocol.
    pub(crate) protocol: u8,
    /// TCP flags, 0 in later fragments.
    pub(crate) tcp_flags: u8,
}

impl Transport {
    /// Whether this is ICMP of either family.
    #[inline(always)]
    pub(crate) fn is_icmp(&self) -> bool {
        matches!(self.protocol, proto::ICMP | proto::ICMPV6)
    }

    /// Whether this is an echo request, which opens an exchange.
    #[inline(always)]
    pub(crate) fn is_echo_request(&self) -> bool {
        is_echo_request(self.protocol, self.destination)
    }

    /// Whether this is an echo reply, which answers one.
    #[inline(always)]
    pub(crate) fn is_echo_reply(&self) -> bool {
        is_echo_reply(self.protocol, self.destination)
    }

    /// Whether this opens a TCP connection.
    #[inline(always)]
    pub(crate) fn is_opening(&self) -> bool {
        self.protocol == proto::TCP && self.tcp_flags & (SYN | ACK) == SYN
    }
}

/// Type of an echo request.
#[inline(always)]
pub(crate) fn echo_request_of(protocol: u8) -> u16 {
    if protocol == proto::ICMP { 8 } else { 128 }
}

/// Whether an ICMP type is an echo request.
#[inline(always)]
pub(crate) fn is_echo_request(protocol: u8, kind: u16) -> bool {
    matches!((protocol, kind), (proto::ICMP, 8) | (proto::ICMPV6, 128))
}

/// Whether an ICMP type is an echo reply.
#[inline(always)]
pub(crate) fn is_echo_reply(protocol: u8, kind: u16) -> bool {
    matches!((protocol, kind), (proto::ICMP, 0) | (proto::ICMPV6, 129))
}

/// Reads the transport header of a whole packet or a first fragment.
#[inline(always)]
pub(crate) fn parse(frame: &Frame<'_>, network: &Network) -> Result<Transport, Reason> {
    let protocol = network.protocol;
    let room = network.end - network.at;
    let least = least_header(protocol);
    if let Part::Later(offset) = network.part {
        // Such a fragment can only be meant to rewrite a header that has been judged.
        let none = Transport {
            source: 0,
            destination: 0,
            protocol,
            tcp_flags: 0,
        };
        return if offset < least {
            Err(Reason::Malformed)
        } else {
            Ok(none)
        };
    }
    if room < least {
        return Err(Reason::Malformed);
    }
    match protocol {
        proto::TCP => parse_tcp(frame, network.at, room),
        proto::UDP | proto::SCTP => {
            let [a, b, c, d] = frame.bytes(network.at).ok_or(Reason::Malformed)?;
            let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Ok(Transport {
                source,
                destination,
                protocol,
                tcp_flags: 0,
            })
        }
        proto::ICMP | proto::ICMPV6 => parse_icmp(frame, network, room),
        _ => Ok(Transport {
            source: 0,
            destination: 0,
            protocol,
            tcp_flags: 0,
        }),
    }
}

#[inline(always)]
fn least_header(protocol: u8) -> u32 {
    match protocol {
        proto::TCP => TCP_HEADER,
        proto::UDP => UDP_HEADER,
        proto::SCTP => SCTP_HEADER,
        proto::ICMP | proto::ICMPV6 => ICMP_SHORT,
        _ => 0,
    }
}

#[inline(always)]
fn parse_tcp(frame: &Frame<'_>, at: u32, room: u32) -> Result<Transport, Reason> {
    let header: [u8; 14] = frame.bytes(at).ok_or(Reason::Malformed)?;
    let length = u32::from(header[12] >> 4) * 4;
    if length < TCP_HEADER || length > room {
        return Err(Reason::Malformed);
    }
    Ok(Transport {
        source: u16::from_be_bytes([header[0], header[1]]),
        destination: u16::from_be_bytes([header[2], header[3]]),
        protocol: proto::TCP,
        tcp_flags: header[13],
    })
}

#[inline(always)]
fn parse_icmp(frame: &Frame<'_>, network: &Network, room: u32) -> Result<Transport, Reason> {
    let [kind, _, _, _] = frame.bytes(network.at).ok_or(Reason::Malformed)?;
    let kind = u16::from(kind);
    let mut source = 0;
    if is_echo_request(network.protocol, kind) || is_echo_reply(network.protocol, kind) {
        if room < ICMP_HEADER {
            return Err(Reason::Malformed);
        }
        source = u16::from_be_bytes(frame.bytes(network.at + 4).ok_or(Reason::Malformed)?);
    }
    Ok(Transport {
        source,
        destination: kind,
        protocol: network.protocol,
        tcp_flags: 0,
    })
}

/// Makes the fragments of a packet share the ports of its first one.
#[inline(always)]
pub(crate) fn join_fragments(
    scope: u32,
    network: &Network,
    transport: Transport,
    connection: &Connection,
    key: &mut FragmentKey,
    direction: Direction,
) -> Result<Transport, Reason> {
    if network.part == Part::Whole {
        return Ok(transport);
    }
    let is_egress = direction == Direction::Egress;
    let (local, remote) = (connection.local, connection.key.remote);
    *key = FragmentKey {
        ifindex: scope,
        id: network.id,
        source: if is_egress { local } else { remote },
        destination: if is_egress { remote } else { local },
        protocol: if network.family == V6 {
            0
        } else {
            network.protocol
        },
        family: network.family,
        egress: u8::from(is_egress),
        pad: 0,
    };
    if network.part == Part::First {
        let Transport {
            source,
            destination,
            protocol,
            ..
        } = transport;
        let ports = FragmentPorts {
            source,
            destination,
            protocol,
            pad: [0; 3],
        };
        // Not stored means that the later fragments are lost, which is the safe outcome.
        let _stored = maps::FRAGMENTS.insert(*key, ports, 0);
        return Ok(transport);
    }
    let ports = sys::fragment_ports(key).ok_or(Reason::LostFragment)?;
    let FragmentPorts {
        source,
        destination,
        protocol,
        ..
    } = ports;
    Ok(Transport {
        source,
        destination,
        protocol,
        tcp_flags: 0,
    })
}
