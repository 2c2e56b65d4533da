//! Endpoints attached on this node, found by interface index.
//!
//! The table is open-addressed with linear probing and lives at the end of the arena, so that endpoints, their
//! images and their identities always come from the same generation.
//!
//! A node that policies of its own apply to has a slot, too, under [`NODE`] in place of an interface. Its addresses are
//! those that the ipcache has under the slot's identity.

use crate::arena::{ENDPOINT_SLOTS, ENDPOINTS_AT, Read};

/// Bytes of one slot.
pub const BYTES: u32 = 64;
/// Slots looked at before giving up; the daemon refuses a table that would need more.
pub const PROBES: u32 = 16;

/// Offset of: interface index, 0 for an empty slot.
pub const IFINDEX: u32 = 0;
/// Offset of: flags.
pub const FLAGS: u32 = 4;
/// Offset of: byte offset of the ingress image (traffic to the endpoint).
pub const INGRESS: u32 = 8;
/// Offset of: byte offset of the egress image (traffic from the endpoint).
pub const EGRESS: u32 = 12;
/// Offset of: the endpoint's IPv4 address, in network order.
pub const IPV4: u32 = 16;
/// Offset of: the endpoint's own identity index.
pub const IDENTITY: u32 = 20;
/// Offset of: the endpoint's index in the bundle.
pub const INDEX: u32 = 24;
/// Offset of: the endpoint's IPv6 address, in network order, 16 bytes.
pub const IPV6: u32 = 32;

/// In place of an interface index: the node. No interface has it.
pub const NODE: u32 = i32::MAX as u32;
/// Added to the index of the node in the bundle, to tell it from the index of a pod.
pub const NODE_INDEX: u32 = 1 << 31;

/// Flag: the IPv4 address is set.
pub const HAS_IPV4: u32 = 1;
/// Flag: the IPv6 address is set.
pub const HAS_IPV6: u32 = 2;
/// Flag: what the policy would drop passes, and is counted and reported as such.
pub const AUDIT: u32 = 4;
/// Flag: what the policy drops of the endpoint's own packets is answered by an ICMP error.
pub const REJECT: u32 = 8;

/// First slot to look at for an interface index (multiplicative hashing).
#[inline(always)]
pub const fn home(ifindex: u32) -> u32 {
    ifindex.wrapping_mul(0x9E37_79B1) >> (32 - ENDPOINT_SLOTS.trailing_zeros())
}

/// Byte offset of a slot.
#[inline(always)]
pub const fn at(slot: u32) -> u32 {
    ENDPOINTS_AT + (slot % ENDPOINT_SLOTS) * BYTES
}

/// Byte offset of the endpoint of an interface, or 0 if there is none.
#[inline(always)]
pub fn find<A: Read + ?Sized>(tables: &A, ifindex: u32) -> u32 {
    let home = home(ifindex);
    let mut probe = 0;
    while probe < PROBES {
        let at = at(home + probe);
        let found = tables.u32(at + IFINDEX);
        if found == ifindex {
            return at;
        }
        if found == 0 {
            return 0;
        }
        probe += 1;
    }
    0
}
