//! How large the images of a bundle are, and what they share.

use std::collections::{BTreeMap, BTreeSet};

use policy_abi::arena::{self, Read, image};
use policy_abi::proto;
use policy_bundle::Bundle;
use serde_json::{Value, json};

/// Bytes of the directories of one image's port rows.
const ROW: u32 = 0x1_0000 / arena::PORT_PAGE * 4;

/// One image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Its offset.
    at: u32,
    peer_classes: u32,
    port_classes: u32,
    /// Bytes of all that a look-up in it may read.
    bytes: u64,
    /// Bytes of that which no other image has.
    own: u64,
}

/// The images of a bundle, in order.
pub(super) fn sizes(bundle: &Bundle<'_>) -> Vec<Size> {
    let arena = bundle.arena();
    let identities = bundle.shape().identities;
    let images: Vec<_> = bundle
        .shape()
        .image_offsets()
        .map(|at| (at, tables(arena, at, identities)))
        .collect();
    let mut users: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for table in images.iter().flat_map(|(_, tables)| tables) {
        *users.entry(*table).or_default() += 1;
    }
    let sum = |tables: &mut dyn Iterator<Item = &(u32, u32)>| {
        tables.map(|(_, bytes)| u64::from(*bytes)).sum::<u64>()
    };
    let size = |(at, tables): &(u32, BTreeSet<(u32, u32)>)| Size {
        at: *at,
        peer_classes: arena.u32(at + image::PEER_CLASSES),
        port_classes: arena.u32(at + image::L4_CLASSES),
        bytes: sum(&mut tables.iter()),
        own: sum(&mut tables.iter().filter(|table| users.get(table) == Some(&1))),
    };
    images.iter().map(size).collect()
}

/// Offset and bytes of each table that a look-up in an image may read, itself included.
fn tables(arena: &[u8], at: u32, identities: u32) -> BTreeSet<(u32, u32)> {
    let field = |offset: u32| arena.u32(at + offset);
    let (peers, ports) = (field(image::PEER_DIR), field(image::L4_DIR));
    let groups = identities.div_ceil(arena::PEER_PAGE);
    let cells = field(image::PEER_CLASSES).saturating_mul(field(image::L4_CLASSES));
    let mut found = BTreeSet::from([
        (at, image::BYTES),
        (peers, groups.saturating_mul(8)),
        (ports, proto::SLOTS * 4),
        (field(image::CELLS), cells.saturating_mul(2)),
        (field(image::PASSES), cells.div_ceil(32).saturating_mul(4)),
    ]);
    let entry = |table: u32, index: u32| arena.u32(table + index * 4);
    for group in 0..groups {
        let (window, key) = (entry(peers, group * 2), entry(peers, group * 2 + 1));
        // The rest of a window is other groups'.
        let own = (0..arena::PEER_PAGE).filter(|at| entry(window, *at) >> 16 == key >> 16);
        found.extend(own.map(|at| (window + at * 4, 4)));
    }
    for row in (0..proto::SLOTS).map(|slot| entry(ports, slot)) {
        found.insert((row, ROW));
        let pages = (0..ROW / 4).map(|page| (entry(row, page), arena::PORT_PAGE * 2));
        found.extend(pages);
    }
    found
}

/// A line for people.
pub(super) fn line(bundle: &Bundle<'_>) -> String {
    let sizes = sizes(bundle);
    let count = sizes.len() as u64;
    let total: u64 = sizes.iter().map(|size| size.bytes).sum();
    let largest = sizes.iter().map(|size| size.bytes).max().unwrap_or(0);
    let own: u64 = sizes.iter().map(|size| size.own).sum();
    let mean = |sum: u64| sum.checked_div(count).unwrap_or(0);
    format!(
        "{count} of {} bytes on average, {} of them shared with no other; the largest has {largest}",
        mean(total),
        mean(own),
    )
}

/// For programs.
pub(super) fn value(bundle: &Bundle<'_>) -> Value {
    let sizes = sizes(bundle);
    let sizes = sizes.iter().map(|size| {
        json!({
            "at": size.at,
            "peer_classes": size.peer_classes,
            "port_classes": size.port_classes,
            "bytes": size.bytes,
            "own_bytes": size.own,
        })
    });
    sizes.collect()
}
