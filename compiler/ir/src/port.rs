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
        Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| Self(*number))
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
    /// Whatever number the destination pod gives this name.
    Named(Arc<str>),
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
            Ports::Named(name) => write!(f, "{protocol}/{name}"),
        }
    }
}
