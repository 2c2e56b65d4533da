//! The file as bytes: header, section table and the records of the sections. All integers are little-endian.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of every bundle.
pub const MAGIC: [u8; 8] = *b"PLCBNDL\0";
/// Version of the container: header, section table and section records.
pub const FORMAT_VERSION: u32 = 1;
/// Level of this runtime. A bundle may demand a level; one above this is refused.
pub const RUNTIME_VERSION: u32 = 1;
/// Longest bundle that is read, in bytes.
pub const BYTES_MAX: usize = 64 << 20;
/// Most sections of a bundle.
pub const SECTIONS_MAX: u32 = 64;
/// Longest string in the pool that a record may name, in bytes.
pub const STRING_MAX: usize = 64 << 10;

/// Sections start at multiples of this many bytes.
pub(crate) const ALIGN: usize = 64;
/// Header flag: the bundle is signed.
pub(crate) const SIGNED: u32 = 1;
/// Section flag: a reader that does not know the kind must refuse the bundle.
pub(crate) const REQUIRED: u32 = 1;
/// "None" where a record names an optional node.
pub(crate) const NO_NODE: u32 = u32::MAX;
/// Endpoint flag: the IPv4 address is set.
pub(crate) const HAS_IPV4: u32 = 1;
/// Endpoint flag: the IPv6 address is set.
pub(crate) const HAS_IPV6: u32 = 2;

/// The part of the header that is signed.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: [u8; 8],
    pub(crate) format: U32,
    pub(crate) abi: U32,
    pub(crate) runtime: U32,
    pub(crate) flags: U32,
    pub(crate) sections: U32,
    pub(crate) reserved: U32,
    pub(crate) total: U64,
    pub(crate) revision: U64,
    pub(crate) body: [u8; 32],
    pub(crate) key: [u8; 32],
    pub(crate) zero: [u8; 16],
}

/// Bytes of the signature, which follows the header.
pub(crate) const SIGNATURE: usize = 64;
/// Where the body (section table and sections) starts.
pub(crate) const BODY_AT: usize = size_of::<Header>() + SIGNATURE;

/// A row of the section table.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct SectionRow {
    pub(crate) kind: U32,
    pub(crate) flags: U32,
    pub(crate) offset: U64,
    pub(crate) length: U64,
    pub(crate) count: U32,
    pub(crate) reserved: U32,
    pub(crate) digest: [u8; 32],
}

/// A string: where in the pool, and how many bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct TextRow {
    pub(crate) at: U32,
    pub(crate) length: U32,
}

/// Settings that are single numbers.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct SettingsRow {
    pub(crate) host_identity: U32,
    pub(crate) zero: [u8; 60],
}

/// One address or prefix and its identity.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct IpcacheRow {
    pub(crate) address: [u8; 16],
    pub(crate) identity: U32,
    pub(crate) node: U32,
    pub(crate) family: u8,
    pub(crate) prefix_len: u8,
    pub(crate) zero: [u8; 2],
    /// What it is on its own node; 0 for the host identity of the settings.
    pub(crate) own: U32,
}

/// One pod.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct EndpointRow {
    pub(crate) name: TextRow,
    pub(crate) node: U32,
    pub(crate) identity: U32,
    pub(crate) ingress: U32,
    pub(crate) egress: U32,
    pub(crate) flags: U32,
    pub(crate) ipv4: [u8; 4],
    pub(crate) ipv6: [u8; 16],
}

/// One node that policies of its own apply to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct HostRow {
    pub(crate) node: U32,
    pub(crate) identity: U32,
    pub(crate) ingress: U32,
    pub(crate) egress: U32,
}

/// One policy rule.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RuleRow {
    pub(crate) key: TextRow,
    pub(crate) name: TextRow,
    pub(crate) file: TextRow,
    pub(crate) line: U32,
    pub(crate) reserved: U32,
}

const _: () =
    assert!(size_of::<Header>() == 128 && BODY_AT == 192 && size_of::<SectionRow>() == 64);
const _: () = assert!(size_of::<SettingsRow>() == 64 && size_of::<IpcacheRow>() == 32);
const _: () = assert!(size_of::<EndpointRow>() == 48 && size_of::<RuleRow>() == 32);
const _: () = assert!(size_of::<HostRow>() == 16);
