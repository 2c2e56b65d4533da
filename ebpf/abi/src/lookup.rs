//! The decision: class arrays to a verdict record, seven loads whatever the policy.

use crate::arena::{self, Read, header, image, record};
use crate::proto;

/// Record that decides (identity, protocol, port) under the image at `image`; its byte offset is
/// [`record_at`]. `port` is the destination port, the ICMP type, or 0 for protocols without either.
///
/// An identity index outside the arena's table gives record 0, which drops.
#[inline(always)]
pub fn verdict<A: Read + ?Sized>(
    tables: &A,
    image: u32,
    identity: u32,
    protocol: u8,
    port: u16,
) -> u32 {
    if identity >= tables.u32(header::IDENTITIES) {
        return 0;
    }
    let peer_page =
        tables.u32(tables.u32(image + image::PEER_DIR) + (identity / arena::PEER_PAGE) * 4);
    let peer_class = u32::from(tables.u16(peer_page + (identity % arena::PEER_PAGE) * 2));
    let row = tables.u32(tables.u32(image + image::L4_DIR) + proto::slot(protocol) * 4);
    let port = u32::from(port);
    let port_page = tables.u32(row + (port / arena::PORT_PAGE) * 4);
    let l4_class = u32::from(tables.u16(port_page + (port % arena::PORT_PAGE) * 2));
    let cell = peer_class
        .wrapping_mul(tables.u32(image + image::L4_CLASSES))
        .wrapping_add(l4_class);
    u32::from(
        tables.u16(
            tables
                .u32(image + image::CELLS)
                .wrapping_add(cell.wrapping_mul(2)),
        ),
    )
}

/// Byte offset of a record.
#[inline(always)]
pub fn record_at<A: Read + ?Sized>(tables: &A, record: u32) -> u32 {
    tables
        .u32(header::RECORDS_AT)
        .wrapping_add(record.wrapping_mul(record::BYTES))
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
