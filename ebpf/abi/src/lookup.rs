//! The decision: class arrays to a verdict, the same few loads whatever the policy.
//!
//! Whether a packet passes is one bit beside the cells. Nothing but that bit is on the way from a packet to its verdict:
//! the record, which says why, is far larger, and only drops and events ask for it.

use crate::arena::{self, Read, header, image, record};
use crate::proto;

/// What the tables say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether packets pass. An allow that demands authentication does not let them.
    pub passes: bool,
    /// Number of the record that decides; its byte offset is [`record_at`].
    pub record: u32,
}

impl Verdict {
    /// Of what the tables do not know.
    pub const NONE: Self = Self {
        passes: false,
        record: 0,
    };
}

/// The verdict on (identity, protocol, port) under the image at `image`. `port` is the destination port, the ICMP
/// type, or 0 for protocols without either.
///
/// An identity index outside the arena's table gives record 0, which drops.
#[inline(always)]
pub fn verdict<A: Read + ?Sized>(
    tables: &A,
    image: u32,
    identity: u32,
    protocol: u8,
    port: u16,
) -> Verdict {
    if identity >= tables.u32(header::IDENTITIES) {
        return Verdict::NONE;
    }
    let peer_class = peer_class(tables, image, identity);
    let row = tables.u32(tables.u32(image + image::L4_DIR) + proto::slot(protocol) * 4);
    let port = u32::from(port);
    let port_page = tables.u32(row + (port / arena::PORT_PAGE) * 4);
    let l4_class = u32::from(tables.u16(port_page + (port % arena::PORT_PAGE) * 2));
    let cell = peer_class
        .wrapping_mul(tables.u32(image + image::L4_CLASSES))
        .wrapping_add(l4_class);
    let passes = tables
        .u32(image + image::PASSES)
        .wrapping_add(cell / 32 * 4);
    let record = tables
        .u32(image + image::CELLS)
        .wrapping_add(cell.wrapping_mul(2));
    Verdict {
        passes: (tables.u32(passes) >> (cell % 32)) & 1 != 0,
        record: u32::from(tables.u16(record)),
    }
}

/// Class of an identity below the number of identities.
#[inline(always)]
pub fn peer_class<A: Read + ?Sized>(tables: &A, image: u32, identity: u32) -> u32 {
    let group = tables
        .u32(image + image::PEER_DIR)
        .wrapping_add(identity / arena::PEER_PAGE * 8);
    let window = tables.u32(group);
    let key = tables.u32(group.wrapping_add(4));
    let entry = tables.u32(window.wrapping_add(identity % arena::PEER_PAGE * 4));
    // Tags are in the high halves.
    let of = if (entry ^ key) >> 16 == 0 { entry } else { key };
    of & 0xffff
}

/// Byte offset of a record.
#[inline(always)]
pub fn record_at<A: Read + ?Sized>(tables: &A, record: u32) -> u32 {
    tables
        .u32(header::RECORDS_AT)
        .wrapping_add(record.wrapping_mul(record::BYTES))
}

/// Whether the record at byte offset `at` lets packets pass.
#[inline(always)]
pub fn passes<A: Read + ?Sized>(tables: &A, at: u32) -> bool {
    action(tables, at) == record::ALLOW && auth(tables, at) == record::AUTH_NONE
}

/// Action of the record at byte offset `at`.
#[inline(always)]
pub fn action<A: Read + ?Sized>(tables: &A, at: u32) -> u8 {
    (tables.u32(at) & 0xff) as u8
}

/// Reason of the record at byte offset `at`.
#[inline(always)]
pub fn reason<A: Read + ?Sized>(tables: &A, at: u32) -> u8 {
    ((tables.u32(at) >> 8) & 0xff) as u8
}

/// Authentication demanded by the record at byte offset `at`, 0 for none.
#[inline(always)]
pub fn auth<A: Read + ?Sized>(tables: &A, at: u32) -> u8 {
    ((tables.u32(at) >> 16) & 0xff) as u8
}
