//! Connection tracking: keys, entries and their lifetimes.
//!
//! A key holds the connection as its endpoint sees it (local and remote), so one lookup finds it from either
//! direction; the entry says who opened it. The interface is part of the key: no pod can make entries for another.
//! It also stands for the endpoint's own address, which a packet must carry before any connection is looked for.

/// Key of a connection. A multiple of eight bytes, which is what the kernel compares fastest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The peer's address in network order; IPv4 in the first four bytes.
    pub remote: [u8; 16],
    /// Interface index of the endpoint; 0 for the node, whose connections may come by one device and go by another.
    pub ifindex: u32,
    /// Port on the endpoint's side, or the ICMP echo identifier; host order.
    pub local_port: u16,
    /// Port on the peer's side, 0 for ICMP; host order.
    pub remote_port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// [`crate::ipcache::V4`] or [`crate::ipcache::V6`].
    pub family: u8,
    /// Zero.
    pub pad: [u8; 6],
}

/// State of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Time at which the direction opened by the endpoint stops being known; 0 if never opened. In nanoseconds of the
    /// datapath's own clock, see [`crate::control::Control::tick`].
    pub egress_until: u64,
    /// The same for the direction opened by the peer.
    pub ingress_until: u64,
    /// Low bits of the generation that last allowed the direction opened by the endpoint. Under another generation the
    /// policy is asked anew, about replies as well, so that taking a permission back ends its connections in both
    /// directions. Under the same one nothing can have changed, since tables, addresses and endpoints change together
    /// with it only.
    pub egress_generation: u32,
    /// The same for the direction opened by the peer.
    pub ingress_generation: u32,
    /// Record that decided for the direction opened by the endpoint, under that generation; with [`BY_NODE`] and
    /// [`PASSING`].
    pub egress_record: u16,
    /// The same for the direction opened by the peer.
    pub ingress_record: u16,
    /// TCP flags seen so far, endpoint's side in the low byte, peer's in the next.
    pub flags: u16,
    /// Zero.
    pub pad: u16,
}

/// Beside a record: it is the node's, of whose policy and audit mode it speaks.
pub const BY_NODE: u32 = 1 << 15;
/// Beside a record: the connection is none of the node's own, though it may bear its address, so that the node's policy
/// was not asked. At a device of the node's nothing was asked at all, and nothing needs to be.
pub const PASSING: u32 = 1 << 14;
/// The record without what is beside it.
pub const RECORD: u32 = PASSING - 1;
const _: () = assert!(crate::reason::RECORDS_COUNTED == PASSING);

/// Key of a fragmented packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Interface index of the endpoint; 0 for the node.
    pub ifindex: u32,
    /// IP identification (32 bits in IPv6).
    pub id: u32,
    /// Source address in network order; IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// Destination address, likewise.
    pub destination: [u8; 16],
    /// IP protocol; 0 in IPv6, where reassembly does not look at it.
    pub protocol: u8,
    /// [`crate::ipcache::V4`] or [`crate::ipcache::V6`].
    pub family: u8,
    /// Direction, so that both hooks of one interface keep apart: 0 ingress, 1 egress.
    pub egress: u8,
    /// Zero.
    pub pad: u8,
}

/// What the first fragment said, for those that follow; ports in host order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentPorts {
    /// Source port; the identifier of an ICMP echo.
    pub source: u16,
    /// Destination port; the type of an ICMP message.
    pub destination: u16,
    /// IP protocol, behind any extension headers.
    pub protocol: u8,
    /// Zero.
    pub pad: [u8; 3],
}

/// Lifetime of an established TCP connection after its last packet, in nanoseconds (2 h 13 min 20 s).
pub const TCP_LIFETIME: u64 = 8_000 * SECOND;
/// Lifetime of a TCP connection that has seen no answer yet.
pub const TCP_SYN_LIFETIME: u64 = 60 * SECOND;
/// Lifetime of a TCP connection after a RST, or a FIN from both sides.
pub const TCP_CLOSING_LIFETIME: u64 = 10 * SECOND;
/// Lifetime of everything else.
pub const OTHER_LIFETIME: u64 = 60 * SECOND;
/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

const _: () = assert!(size_of::<Key>() == 32 && size_of::<Entry>() == 32);
const _: () = assert!(size_of::<FragmentKey>() == 44 && size_of::<FragmentPorts>() == 8);
