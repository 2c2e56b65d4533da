//! One generation of policy tables: a flat block of bytes, the same in the bundle and in the map.
//!
//! ```text
//! 0            header (64 bytes)
//! …            peer windows, peer directories, protocol directories, port rows, port pages, cells, bits
//! records_at   Record[records]            what a verdict is; record 0 is "drop, invalid image"
//! images_at    Image[images]              one per distinct (subject policy, direction)
//! ENDPOINTS_AT Endpoint[ENDPOINT_SLOTS]   written by the daemon, empty in a bundle
//! ```
//!
//! All offsets are in bytes from the start of the arena and multiples of 4 (of 2 for tables of `u16`).
//! Equal tables are stored once: images share directories, rows and pages.

/// Bytes of one arena. A power of two, so that masking an offset keeps it inside.
pub const BYTES: u32 = 8 << 20;
/// Slots of the endpoint table at the end of the arena; a power of two.
pub const ENDPOINT_SLOTS: u32 = 2048;
/// Where the endpoint table starts; tables from a bundle end at or before it.
pub const ENDPOINTS_AT: u32 = BYTES - ENDPOINT_SLOTS * crate::endpoint::BYTES;
/// "PLCA", little-endian.
pub const MAGIC: u32 = u32::from_le_bytes(*b"PLCA");
/// Identities of a group, which share an entry of the peer directory.
pub const PEER_PAGE: u32 = 128;
/// Ports a port page covers.
pub const PORT_PAGE: u32 = 256;
/// Identity index of an address that the ipcache does not know: it gets the wildcard-only verdict.
pub const UNKNOWN: u32 = 0;

/// Offsets of the header's fields.
pub mod header {
    /// Bytes of the header.
    pub const BYTES: u32 = 64;
    /// [`super::MAGIC`].
    pub const MAGIC: u32 = 0;
    /// [`crate::ABI_VERSION`].
    pub const ABI: u32 = 4;
    /// Bytes in use, the header included, the endpoint table not.
    pub const USED: u32 = 8;
    /// Number of identity indexes; indexes at or above it are dropped.
    pub const IDENTITIES: u32 = 12;
    /// Where the records start.
    pub const RECORDS_AT: u32 = 16;
    /// Number of records, at most 65,536.
    pub const RECORDS: u32 = 20;
    /// Where the images start.
    pub const IMAGES_AT: u32 = 24;
    /// Number of images.
    pub const IMAGES: u32 = 28;
    /// Datapath options, see the constants beside.
    pub const FLAGS: u32 = 32;
    /// Flag: ICMPv4 "fragmentation needed" always passes (`allow-icmp-frag-needed`).
    pub const FLAG_FRAG_NEEDED: u32 = 1;
    /// Flag: protocols other than TCP, UDP, SCTP, ICMP and ICMPv6 are judged; without it they are dropped.
    pub const FLAG_EXTENDED_PROTOCOLS: u32 = 2;
}

/// Offsets of an image's fields.
pub mod image {
    /// Bytes of one image.
    pub const BYTES: u32 = 32;
    /// `[u32; 2][ceil(identities / PEER_PAGE)]`: for each group of identities the offset of its window, and its key: a
    /// tag, which is not 0, and the class that is usual in the group ([`super::peer_entry`]). The window is
    /// `u32[PEER_PAGE]`: tag and class of the exceptions. Windows overlap; entries with another tag are not the group's.
    pub const PEER_DIR: u32 = 0;
    /// `u32[proto::SLOTS]`: offset of the port row of each protocol slot.
    pub const L4_DIR: u32 = 4;
    /// `u16[peer classes × l4 classes]`: record numbers.
    pub const CELLS: u32 = 8;
    /// Number of L4 classes, the row length of the cells.
    pub const L4_CLASSES: u32 = 12;
    /// Number of peer classes.
    pub const PEER_CLASSES: u32 = 16;
    /// `u32[ceil(peer classes × l4 classes / 32)]`: a bit for each cell, the lowest first, that is set if the cell's
    /// record lets packets pass. Sixteen times smaller than the cells, so that it stays in the processor's first cache.
    pub const PASSES: u32 = 20;
}

/// Offsets of a verdict record's fields.
pub mod record {
    /// Bytes of one record.
    pub const BYTES: u32 = 16;
    /// The verdict, [`DENY`], [`ALLOW`] or [`REDIRECT`] (one byte).
    pub const ACTION: u32 = 0;
    /// [`crate::reason::Reason`] (one byte).
    pub const REASON: u32 = 1;
    /// Authentication demanded (one byte): [`AUTH_NONE`], [`AUTH_REQUIRED`] or [`AUTH_ALWAYS_FAIL`]. What is allowed on
    /// that condition is dropped until it is met.
    pub const AUTH: u32 = 2;
    /// Index into the bundle's rule table of the rule that decided, [`NO_RULE`] if none did.
    pub const RULE: u32 = 4;
    /// Log cookie: position from 1 among the bundle's log texts, 0 for none.
    pub const COOKIE: u32 = 8;
    /// With [`REDIRECT`]: position from 1 among the bundle's proxies of the one that has the last word. Else 0.
    pub const PROXY: u32 = 12;
    /// Action: drop.
    pub const DENY: u8 = 0;
    /// Action: pass.
    pub const ALLOW: u8 = 1;
    /// Action: a proxy has the last word. Where none runs, the packet is dropped for the record's reason.
    pub const REDIRECT: u8 = 2;
    /// Authentication: none.
    pub const AUTH_NONE: u8 = 0;
    /// Authentication: both sides prove who they are.
    pub const AUTH_REQUIRED: u8 = 1;
    /// Authentication: one that always fails, for tests.
    pub const AUTH_ALWAYS_FAIL: u8 = 2;
    /// No single rule decided (default deny, or nothing enforced).
    pub const NO_RULE: u32 = u32::MAX;
}

/// An entry of a window, or the key of a group: a tag in the high half, a class in the low one.
#[inline(always)]
pub const fn peer_entry(tag: u16, class: u16) -> u32 {
    (tag as u32) << 16 | class as u32
}

/// Reading access to an arena. An offset outside reads as zero in user space and wraps in the kernel; either way
/// the tables a bundle check has accepted never lead there.
pub trait Read {
    /// The little-endian `u16` at an offset that is a multiple of 2.
    fn u16(&self, at: u32) -> u16;
    /// The little-endian `u32` at an offset that is a multiple of 4.
    fn u32(&self, at: u32) -> u32;
}

impl Read for [u8] {
    fn u16(&self, at: u32) -> u16 {
        self.get(at as usize..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |raw| u16::from_le_bytes(*raw))
    }

    fn u32(&self, at: u32) -> u32 {
        self.get(at as usize..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |raw| u32::from_le_bytes(*raw))
    }
}
