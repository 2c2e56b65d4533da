//! Tables as intervals of ports.
//!
//! Rows and pages are read entry by entry, as the layout in `policy-abi` describes them. What is found here decides only
//! where comparisons are made; the answers compared come from [`policy_abi::lookup`], as in the kernel.

use std::collections::{BTreeMap, BTreeSet};

use policy_abi::arena::{self, Read, image};
use policy_abi::proto;

/// Ports of a page.
const PORTS: u16 = 256;
const _: () = assert!(arena::PORT_PAGE == 256);

/// First port of each run of equal classes, in order from 0.
type Starts = Vec<u16>;

/// Where the rows of an arena change.
#[derive(Debug)]
pub(crate) struct Rows(BTreeMap<u32, Starts>);

impl Rows {
    /// Reads every row that these images name.
    pub(crate) fn read(arena: &[u8], images: &BTreeSet<u32>) -> Self {
        let mut pages: BTreeMap<u32, Vec<(u16, u16)>> = BTreeMap::new();
        let mut rows = BTreeMap::new();
        for image in images {
            for slot in 0..proto::SLOTS {
                let row = arena.u32(arena.u32(image + image::L4_DIR) + slot * 4);
                rows.entry(row)
                    .or_insert_with(|| starts(arena, row, &mut pages));
            }
        }
        Self(rows)
    }

    /// Where the classes of a protocol change under an image.
    pub(crate) fn starts(&self, arena: &[u8], image: u32, protocol: u8) -> &[u16] {
        let row = arena.u32(arena.u32(image + image::L4_DIR) + proto::slot(protocol) * 4);
        self.0.get(&row).map_or(&[0], Vec::as_slice)
    }
}

fn starts(arena: &[u8], row: u32, pages: &mut BTreeMap<u32, Vec<(u16, u16)>>) -> Starts {
    let mut starts = Vec::new();
    let mut last = None;
    for at in 0..=u16::MAX / PORTS {
        let page = arena.u32(row + u32::from(at) * 4);
        let runs = pages.entry(page).or_insert_with(|| runs(arena, page));
        for (offset, class) in runs {
            if last != Some(*class) {
                starts.push(at * PORTS + *offset);
            }
            last = Some(*class);
        }
    }
    starts
}

/// The runs of equal classes of a page: the first port's offset, and the class.
fn runs(arena: &[u8], page: u32) -> Vec<(u16, u16)> {
    let entry = |at: u16| (at, arena.u16(page + u32::from(at) * 2));
    let mut all: Vec<_> = (0..PORTS).map(entry).collect();
    all.dedup_by_key(|(_, class)| *class);
    all
}

/// The class that an image has an identity in.
pub(crate) fn peer_class(arena: &[u8], image: u32, identity: u32) -> u16 {
    let group = arena.u32(image + image::PEER_DIR) + identity / arena::PEER_PAGE * 8;
    let (window, key) = (arena.u32(group), arena.u32(group + 4));
    let [class, tag] = halves(arena.u32(window + identity % arena::PEER_PAGE * 4));
    let [usual, own] = halves(key);
    if tag == own { class } else { usual }
}

/// The low half and the high half.
fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_le_bytes();
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
}
