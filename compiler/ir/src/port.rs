//! Protocols and ports.

use std::fmt;
use std::sync::Arc;

/// An IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// IPv4 ICMP.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// IPv6 ICMP.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
    /// What `ANY` stands for in a rule with ports.
    pub const WITH_PORTS: [Self; 3] = [Self::TCP, Self::UDP, Self::SCTP];

    const NAMES: &'static [(&'static str, u8)] = &[
        ("ICMP", 1),
        ("IGMP", 2),
        ("IPIP", 4),
        ("TCP", 6),
        ("UDP", 17),
        ("IPV6", 41),
        ("GRE", 47),
        ("ESP", 50),
        ("AH", 51),
        ("ICMPv6", 58),
        ("VRRP", 112),
        ("SCTP", 132),
    ];

    /// The protocol of a name, case apart.
    pub fn parse(text: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, number)| Self(*number))
    }

    /// Whether flows of it have a destination port.
    pub fn has_ports(self) -> bool {
        Self::WITH_PORTS.contains(&self)
    }

    /// Whether it is ICMP or ICMPv6, whose "port" is the message type.
    pub fn is_icmp(self) -> bool {
        matches!(self, Self::ICMP | Self::ICMPV6)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(&name.to_ascii_lowercase()),
            None => write!(f, "proto-{}", self.0),
        }
    }
}

/// Destination ports of a protocol, or ICMP types.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// All of them.
    All,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// From whatever number the destination pod gives this name, to an `endPort` above it if there is one.
    Named(Arc<str>, Option<u16>),
}

/// One alternative of a rule's layer 4: a protocol and its ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct L4 {
    /// The protocol.
    pub protocol: Protocol,
    /// Its ports.
    pub ports: Ports,
}

impl fmt::Display for L4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, ports } = self;
        match ports {
            Ports::All => write!(f, "{protocol}"),
            Ports::Range(first, last) if first == last => write!(f, "{protocol}/{first}"),
            Ports::Range(first, last) => write!(f, "{protocol}/{first}-{last}"),
            Ports::Named(name, None) => write!(f, "{protocol}/{name}"),
            Ports::Named(name, Some(last)) => write!(f, "{protocol}/{name}-{last}"),
        }
    }
}

/// A port as text in a Cilium policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortText {
    /// By number; 0 means every port.
    Number(u16),
    /// By name, in lower case.
    Name(Arc<str>),
}

/// Reads a port as Cilium's agent does: what has the form of an IANA service name is a name (so `0x50` is one),
/// anything else a number in Go's notation (a leading `0` is octal, `_` separates digits). `None` if neither.
pub fn parse(text: &str) -> Option<PortText> {
    if is_service_name(text) {
        return Some(PortText::Name(text.to_ascii_lowercase().into()));
    }
    number(text).map(PortText::Number)
}

/// Whether a text has the form of an IANA service name: at most 15 letters, digits and single inner hyphens, with a
/// letter among them.
pub fn is_service_name(text: &str) -> bool {
    let letters = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    let shape = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let hyphens = text.starts_with('-') || text.ends_with('-') || text.contains("--");
    letters && shape && !hyphens && text.len() <= 15
}

fn number(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let misplaced = text.starts_with('_') || text.ends_with('_') || text.contains("__");
    if misplaced
        || !bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'_')
    {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u16::from_str_radix(octal, 8).ok(),
        _ => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_ports_as_go_and_iana_do() {
        let number = |number| Some(PortText::Number(number));
        let name = |name: &str| Some(PortText::Name(name.into()));
        for (text, wanted) in [
            ("80", number(80)),
            ("0", number(0)),
            ("010", number(8)),
            ("1_0", number(10)),
            ("65535", number(65535)),
            ("0x50", name("0x50")),
            ("HTTP", name("http")),
            ("dns-tcp", name("dns-tcp")),
            ("080", None),
            ("65536", None),
            ("_1", None),
            ("80-90", None),
            ("", None),
            ("a-very-long-name-x", None),
        ] {
            assert_eq!(parse(text), wanted, "{text}");
        }
    }
}
