//! From an address to an identity index: an exact hash for full-length addresses, a longest-prefix trie for the
//! rest. The generation's slot is part of each key, so that both generations are resident at once.

/// Address family in keys: IPv4.
pub const V4: u8 = 4;
/// Address family in keys: IPv6.
pub const V6: u8 = 6;

/// Key of the exact hash.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey {
    /// Address in network order; IPv4 in the first four bytes, the rest zero.
    pub address: [u8; 16],
    /// [`V4`] or [`V6`].
    pub family: u8,
    /// Generation slot, 0 or 1.
    pub slot: u8,
    /// Zero. The kernel compares multiples of eight bytes fastest.
    pub pad: [u8; 6],
}

/// Data of the trie's key (the kernel's prefix length stands before it and counts [`PREFIX_BASE`] more bits than
/// the prefix).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixKey {
    /// Generation slot, 0 or 1.
    pub slot: u8,
    /// [`V4`] or [`V6`].
    pub family: u8,
    /// Zero.
    pub pad: [u8; 2],
    /// Address in network order; IPv4 in the first four bytes, the rest zero.
    pub address: [u8; 16],
}

/// Bits before the address in [`PrefixKey`]: slot, family and padding.
pub const PREFIX_BASE: u32 = 32;

const _: () = assert!(size_of::<HostKey>() == 24 && size_of::<PrefixKey>() == 20);
