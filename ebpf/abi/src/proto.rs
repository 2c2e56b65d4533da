//! Protocol numbers and the slots they occupy in the tables.

/// IPv4 ICMP.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// IPv6 ICMP.
pub const ICMPV6: u8 = 58;
/// SCTP.
pub const SCTP: u8 = 132;

/// Number of protocol slots in an image.
pub const SLOTS: u32 = 16;

/// Protocol of each slot; slot 0 stands for every protocol without one of its own, and shows as 0.
pub const BY_SLOT: [u8; SLOTS as usize] = [
    0, TCP, UDP, SCTP, ICMP, ICMPV6, 2, 4, 41, 47, 50, 51, 112, 0, 0, 0,
];

/// Slot of a protocol: one of its own for those a policy can name, else 0.
#[inline(always)]
pub const fn slot(protocol: u8) -> u32 {
    match protocol {
        TCP => 1,
        UDP => 2,
        SCTP => 3,
        ICMP => 4,
        ICMPV6 => 5,
        2 => 6,
        4 => 7,
        41 => 8,
        47 => 9,
        50 => 10,
        51 => 11,
        112 => 12,
        _ => 0,
    }
}
