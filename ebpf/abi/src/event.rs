//! What the programs report through a ring buffer: new connections and drops, up to a number per second.
//!
//! A packet is judged and counted whether or not there is room for an event about it; those that were left out are
//! counted too, and the next event says how many.

use crate::arena::record;

/// Bytes of the ring buffer.
pub const RING: u32 = 1 << 20;
/// Events per second and CPU unless told otherwise.
pub const RATE: u32 = 100;
/// ICMP errors that each CPU may answer dropped packets with, per second.
pub const REJECTIONS: u32 = 100;
/// Identity index of a peer that was not looked up.
pub const NO_IDENTITY: u32 = u32::MAX;
/// Part of an event that is known: addresses and protocol.
pub const KNOWN_ADDRESSES: u8 = 1;
/// Part of an event that is known: ports.
pub const KNOWN_PORTS: u8 = 2;
/// Beside them: the node's policy decided about a packet between a pod and its node.
pub const BY_NODE: u8 = 4;

/// A packet that was dropped, or that opened a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Monotonic time in nanoseconds.
    pub time: u64,
    /// Generation in force; what numbers of records and rules mean depends on it.
    pub generation: u64,
    /// The endpoint's address in network order; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// The peer's address, likewise.
    pub remote: [u8; 16],
    /// Interface index of the endpoint.
    pub ifindex: u32,
    /// The endpoint's index in the bundle, with [`crate::endpoint::NODE_INDEX`] for a node; meaningless without an
    /// endpoint.
    pub endpoint: u32,
    /// Identity index of the peer, [`NO_IDENTITY`] if it was not looked up.
    pub identity: u32,
    /// Rule that decided, [`record::NO_RULE`] if none did.
    pub rule: u32,
    /// Log cookie of the record that decided, 0 for none.
    pub cookie: u32,
    /// Bytes of the packet, link layer included.
    pub length: u32,
    /// Events of this CPU left out since the last one.
    pub lost: u32,
    /// Port on the endpoint's side; the identifier of an ICMP echo.
    pub local_port: u16,
    /// Port on the peer's side; 0 for ICMP.
    pub remote_port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// [`crate::ipcache::V4`] or [`crate::ipcache::V6`].
    pub family: u8,
    /// 0 to the endpoint, 1 from it.
    pub egress: u8,
    /// [`crate::reason::Reason`].
    pub reason: u8,
    /// What the policy said, where audit mode has overruled it; else as `reason`.
    pub verdict: u8,
    /// ICMP type, 0 for other protocols.
    pub icmp_type: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Which parts are known: [`KNOWN_ADDRESSES`], [`KNOWN_PORTS`]; and [`BY_NODE`].
    pub known: u8,
}

/// Bytes of an event.
pub const BYTES: usize = 88;

/// What one CPU may still report.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Start of the second that is counted, on the datapath's clock.
    pub since: u64,
    /// Events reported in it.
    pub used: u32,
    /// Events left out since the last one.
    pub lost: u32,
}

const _: () = assert!(size_of::<Event>() == BYTES && size_of::<Budget>() == 16);

impl Event {
    /// Reads an event from the bytes of the ring buffer, `None` if there are not exactly [`BYTES`] of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let [protocol, family, egress, reason] = Bytes(bytes, 80).array();
        let [verdict, icmp_type, tcp_flags, known] = Bytes(bytes, 84).array();
        Some(Self {
            time: Bytes(bytes, 0).u64(),
            generation: Bytes(bytes, 8).u64(),
            local: Bytes(bytes, 16).array(),
            remote: Bytes(bytes, 32).array(),
            ifindex: Bytes(bytes, 48).u32(),
            endpoint: Bytes(bytes, 52).u32(),
            identity: Bytes(bytes, 56).u32(),
            rule: Bytes(bytes, 60).u32(),
            cookie: Bytes(bytes, 64).u32(),
            length: Bytes(bytes, 68).u32(),
            lost: Bytes(bytes, 72).u32(),
            local_port: Bytes(bytes, 76).u16(),
            remote_port: Bytes(bytes, 78).u16(),
            protocol,
            family,
            egress,
            reason,
            verdict,
            icmp_type,
            tcp_flags,
            known,
        })
    }

    /// Whether a rule decided.
    pub const fn has_rule(&self) -> bool {
        self.rule != record::NO_RULE
    }
}

/// Bytes of an event from an offset on.
struct Bytes<'a>(&'a [u8; BYTES], usize);

impl Bytes<'_> {
    /// Zeros where the event has ended, which no field of [`Event`] asks for.
    fn array<const N: usize>(&self) -> [u8; N] {
        let rest = self.0.get(self.1..).unwrap_or_default();
        rest.first_chunk().copied().unwrap_or([0; N])
    }

    fn u16(&self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    fn u32(&self) -> u32 {
        u32::from_ne_bytes(self.array())
    }

    fn u64(&self) -> u64 {
        u64::from_ne_bytes(self.array())
    }
}
