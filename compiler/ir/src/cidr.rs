//! Address prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address prefix in canonical form: bits beyond the length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    len: u8,
}

impl Cidr {
    /// Every IPv4 address.
    pub const ALL_V4: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        len: 0,
    };
    /// Every IPv6 address.
    pub const ALL_V6: Self = Self {
        address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        len: 0,
    };

    /// A prefix; host bits are cleared, as Cilium does. `None` if the length is too long for the family.
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if len <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) if len <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { address, len })
    }

    /// The prefix of one address.
    pub fn host(address: IpAddr) -> Self {
        let len = if address.is_ipv4() { 32 } else { 128 };
        Self { address, len }
    }

    /// Reads `address/length`, or a bare address as its host prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((address, len)) = text.split_once('/') else {
            return text.parse().ok().map(Self::host);
        };
        // `+8` and `08` parse as numbers, but are no prefix lengths.
        let plain = len.bytes().all(|byte| byte.is_ascii_digit())
            && (len.len() == 1 || !len.starts_with('0'));
        Self::new(address.parse().ok()?, len.parse().ok().filter(|_| plain)?)
    }

    /// First address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Length in bits.
    pub const fn bits(&self) -> u8 {
        self.len
    }

    /// Whether it holds every address of its family.
    pub const fn is_all(&self) -> bool {
        self.len == 0
    }

    /// Whether it is a single address.
    pub const fn is_host(&self) -> bool {
        matches!(
            (self.address, self.len),
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128)
        )
    }

    /// Whether it is an IPv4 prefix.
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether every address of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.len <= other.len && Self::new(other.address, self.len) == Some(*self)
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.covers(&Self::host(address))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_clears_host_bits_and_refuses_what_is_no_prefix() {
        for (text, wanted) in [
            ("20.1.2.3/16", "20.1.0.0/16"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), wanted);
        }
        for text in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "host",
            "10.0.0.0/",
            "",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn covers_follows_containment_and_keeps_families_apart() {
        let cidr = |text| Cidr::parse(text).unwrap();
        assert!(cidr("10.0.0.0/8").covers(&cidr("10.1.0.0/16")));
        assert!(!cidr("10.1.0.0/16").covers(&cidr("10.0.0.0/8")));
        assert!(!cidr("0.0.0.0/0").covers(&cidr("::/0")));
        assert!(cidr("::/0").contains("2001:db8::1".parse().unwrap()));
    }
}
