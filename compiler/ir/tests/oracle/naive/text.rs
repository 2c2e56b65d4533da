//! Prefixes, ports, protocols and DNS patterns, read from their text.

use std::net::IpAddr;

use policyc_syntax::ast::cilium;

/// A prefix: any address in it, and its length.
pub(crate) type Block = (IpAddr, u32);

/// A prefix as written, host bits cleared; a bare address is a prefix of its own.
pub(super) fn block(text: &str) -> Block {
    let (network, length) = text
        .split_once('/')
        .map_or((text, None), |(network, length)| (network, Some(length)));
    let network: IpAddr = network.parse().unwrap();
    let longest = if network.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(longest, |length| length.parse().unwrap());
    (masked(network, length), length)
}

fn masked(address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - length).unwrap_or(0)).into())
        }
        IpAddr::V6(v6) => {
            IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - length).unwrap_or(0)).into())
        }
    }
}

/// Whether the second prefix lies in the first.
pub(super) fn covers(outer: &Block, inner: &Block) -> bool {
    outer.0.is_ipv4() == inner.0.is_ipv4()
        && outer.1 <= inner.1
        && masked(inner.0, outer.1) == outer.0
}

/// The number of a protocol.
pub(super) fn protocol(name: &str) -> u8 {
    match name.to_ascii_uppercase().as_str() {
        "ICMP" => 1,
        "IGMP" => 2,
        "IPIP" => 4,
        "TCP" => 6,
        "UDP" => 17,
        "IPV6" => 41,
        "GRE" => 47,
        "ESP" => 50,
        "AH" => 51,
        "ICMPV6" => 58,
        "VRRP" => 112,
        "SCTP" => 132,
        other => panic!("no protocol: {other}"),
    }
}

/// The protocols a port of a policy is for.
pub(super) fn protocols(name: Option<&str>) -> Vec<u8> {
    match name {
        None | Some("" | "ANY") => vec![6, 17, 132],
        Some(name) => vec![protocol(name)],
    }
}

/// What a port's text says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    /// From, to; 0 to 65535 is every port.
    Range(u16, u16),
    /// By name, from its number on to an end if that is greater.
    Named(String, u16),
}

/// Every port.
pub(super) const ALL: Port = Port::Range(0, u16::MAX);

/// A port as Cilium reads it: a name if it looks like one, else a number to the base its beginning tells.
pub(super) fn port(text: &str, end: i64) -> Port {
    let end = u16::try_from(end).unwrap();
    if text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Port::Named(text.to_ascii_lowercase(), end);
    }
    let digits = text.replace('_', "");
    let base = if digits.len() > 1 && digits.starts_with('0') {
        8
    } else {
        10
    };
    let first = if digits.is_empty() {
        0
    } else {
        u16::from_str_radix(&digits, base).unwrap()
    };
    number(first, end)
}

/// A port by number, up to an end if that is greater. Port 0 is every port, whatever the end.
pub(super) fn number(first: u16, end: u16) -> Port {
    if first == 0 {
        ALL
    } else {
        Port::Range(first, end.max(first))
    }
}

/// Protocol and port of an ICMP field. Type 0 is every type, as port 0 is every port.
pub(super) fn icmp(field: &cilium::IcmpField) -> (u8, Option<Port>) {
    let v6 = field
        .family
        .as_ref()
        .is_some_and(|family| family.value == "IPv6");
    let kind = match &field.kind.as_ref().unwrap().value {
        cilium::IcmpType::Number(number) => *number,
        cilium::IcmpType::Name(name) => icmp_type(name, v6),
    };
    // A type of more than eight bits is never seen.
    let port = u16::try_from(kind).ok().map(|kind| number(kind, 0));
    (if v6 { 58 } else { 1 }, port)
}

fn icmp_type(name: &str, v6: bool) -> i64 {
    let (v4_type, v6_type) = match name {
        "EchoReply" => (0, 129),
        "DestinationUnreachable" => (3, 1),
        "Redirect" => (5, 137),
        "Echo" | "EchoRequest" => (8, 128),
        "TimeExceeded" => (11, 3),
        "ParameterProblem" => (12, 4),
        "Timestamp" => (13, -1),
        "TimestampReply" => (14, -1),
        "PacketTooBig" => (-1, 2),
        "RouterSolicitation" => (-1, 133),
        "RouterAdvertisement" => (9, 134),
        "NeighborSolicitation" => (-1, 135),
        "NeighborAdvertisement" => (-1, 136),
        other => panic!("no type that is used here: {other}"),
    };
    if v6 { v6_type } else { v4_type }
}

/// The part of a DNS name that counts.
pub(super) fn dns(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    lower.strip_suffix('.').map_or(lower.clone(), str::to_owned)
}

/// Whether a pattern selects a name, both as [`dns`] leaves them, tried letter by letter.
pub(super) fn pattern_selects(pattern: &str, name: &str) -> bool {
    if !pattern.is_empty() && pattern.chars().all(|letter| letter == '*') {
        return true;
    }
    let stars = pattern.len() - pattern.trim_start_matches('*').len();
    let rest = &pattern[stars..];
    if stars >= 2 && rest.starts_with('.') {
        let labels: Vec<_> = name.split('.').collect();
        return (1..labels.len()).any(|taken| {
            let tail = format!(".{}", labels[taken..].join("."));
            let whole = |label: &&str| !label.is_empty() && label.bytes().all(in_label);
            labels[..taken].iter().all(whole) && walk(rest.as_bytes(), tail.as_bytes())
        });
    }
    walk(pattern.as_bytes(), name.as_bytes())
}

fn walk(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), Some((letter, tail))) => {
            walk(rest, name) || in_label(*letter) && walk(pattern, tail)
        }
        (Some((b'*', rest)), None) => walk(rest, name),
        (Some((wanted, rest)), Some((letter, tail))) => wanted == letter && walk(rest, tail),
        _ => false,
    }
}

const fn in_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
