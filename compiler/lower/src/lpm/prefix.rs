//! The part of a key that names protocol and port.

use std::fmt;

use policyc_ir::port::Protocol;

/// Bits of a protocol.
const PROTOCOL_BITS: u8 = 8;
/// Bits of a protocol and a port.
const ALL_BITS: u8 = 24;

/// Protocol and port as a prefix: none of the bits, the protocol, or the protocol and leading bits of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The protocol, then the port; bits beyond the length are zero.
    bits: u32,
    len: u8,
}

impl Prefix {
    /// Every protocol.
    pub const ALL: Self = Self { bits: 0, len: 0 };

    /// One port of a protocol.
    pub fn exact(protocol: Protocol, port: u16) -> Self {
        Self {
            bits: u32::from(protocol.0) << 16 | u32::from(port),
            len: ALL_BITS,
        }
    }

    /// The fewest prefixes that make up a range of ports (Cilium's PortRangeToMaskedPorts).
    pub fn cover(protocol: Protocol, first: u16, last: u16) -> Vec<Self> {
        let base = u32::from(protocol.0) << 16;
        let (mut at, last) = (u32::from(first), u32::from(last));
        let mut found = Vec::new();
        while at <= last {
            let aligned = if at == 0 { 16 } else { at.trailing_zeros() };
            // The largest block that starts here and ends in time; a block of one port always does.
            let size = (0..=aligned.min(16)).rev();
            let size = size.into_iter().find(|size| at + (1 << size) - 1 <= last);
            let size = size.unwrap_or(0);
            found.push(Self {
                bits: base | at,
                len: ALL_BITS - u8::try_from(size).unwrap_or(0),
            });
            at += 1 << size;
        }
        found
    }

    /// Length in bits: 0, or 8 and those of the port.
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether it is every protocol.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The protocol; every one if `None`.
    pub fn protocol(self) -> Option<Protocol> {
        let number = u8::try_from(self.bits >> 16).unwrap_or(u8::MAX);
        (self.len > 0).then_some(Protocol(number))
    }

    /// Leading bits of the port that are fixed.
    pub const fn port_bits(self) -> u8 {
        self.len.saturating_sub(PROTOCOL_BITS)
    }

    /// First and last port; `None` if no bit of the port is fixed.
    pub fn ports(self) -> Option<(u16, u16)> {
        let port = |bits: u32| u16::try_from(bits & 0xffff).unwrap_or(u16::MAX);
        (self.port_bits() > 0).then(|| (port(self.bits), port(self.end())))
    }

    /// Whether all that the other one matches is matched by this one.
    pub const fn covers(self, other: Self) -> bool {
        self.len <= other.len && other.bits & self.mask() == self.bits
    }

    /// This one and those that cover it, the longest first.
    pub(super) fn covering(self) -> impl Iterator<Item = Self> {
        let shorter = (0..=self.len)
            .rev()
            .filter(|len| *len == 0 || *len >= PROTOCOL_BITS);
        shorter.map(move |len| {
            let shortened = Self { len, ..self };
            Self {
                bits: self.bits & shortened.mask(),
                len,
            }
        })
    }

    /// The last of those it covers, in order; it is itself the first of them.
    pub(super) const fn last_covered(self) -> Self {
        Self {
            bits: self.end(),
            len: ALL_BITS,
        }
    }

    const fn mask(self) -> u32 {
        let free = ALL_BITS - self.len;
        0x00ff_ffff >> free << free
    }

    const fn end(self) -> u32 {
        self.bits | (0x00ff_ffff & !self.mask())
    }
}

impl fmt::Display for Prefix {
    /// The port as Cilium writes it: `80`, `128-255`, or `*` for all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports() {
            None => f.write_str("*"),
            Some((first, last)) if first == last => write!(f, "{first}"),
            Some((first, last)) => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(first: u16, last: u16) -> Vec<String> {
        let blocks = Prefix::cover(Protocol::TCP, first, last);
        blocks
            .iter()
            .map(|one| format!("{one}/{}", one.port_bits()))
            .collect()
    }

    #[test]
    fn ranges_become_the_fewest_blocks() {
        let wanted = [
            "80-95/12",
            "96-127/11",
            "128-255/9",
            "256-383/9",
            "384-415/11",
            "416-431/12",
            "432-439/13",
            "440-443/14",
            "444/16",
        ];
        assert_eq!(text(80, 444), wanted);
        assert_eq!(text(0, u16::MAX), ["*/0"]);
        assert_eq!(text(443, 443), ["443/16"]);
        assert_eq!(text(1, u16::MAX).len(), 16);
        assert_eq!(text(1, 65_534).len(), 30);
    }

    #[test]
    fn blocks_of_a_range_hold_its_ports_and_no_others() {
        for (first, last) in [(0, 0), (1, 2768), (8000, 8100), (65_535, 65_535), (7, 49)] {
            let blocks = Prefix::cover(Protocol::UDP, first, last);
            for port in 0..=u16::MAX {
                let one = Prefix::exact(Protocol::UDP, port);
                let holding = blocks.iter().filter(|block| block.covers(one)).count();
                assert_eq!(
                    holding,
                    usize::from((first..=last).contains(&port)),
                    "{port}"
                );
            }
        }
    }

    #[test]
    fn covering_starts_with_itself_and_ends_with_all() {
        let port = Prefix::exact(Protocol::TCP, 80);
        let covering: Vec<_> = port.covering().collect();
        assert_eq!(covering.len(), 18);
        assert_eq!(covering.first(), Some(&port));
        assert_eq!(covering.last(), Some(&Prefix::ALL));
        assert!(covering.iter().all(|one| one.covers(port)));
        assert!(!port.covers(Prefix::ALL));
    }
}
