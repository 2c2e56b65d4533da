//! Small policy tables for tests, laid out by hand.
#![expect(
    clippy::cast_possible_truncation,
    reason = "tables of a test are small"
)]

use policy_abi::arena::{BYTES, MAGIC, PORT_PAGE, header, image, record};
use policy_abi::reason::Reason;
use policy_abi::{ABI_VERSION, proto};
use policy_bundle::write::Windows;

/// What one image lets through: (identity, protocol, port); everything else is dropped by default.
pub(crate) type Allow = (u32, u8, u16);

/// Record of the default deny.
pub(crate) const DEFAULT_DENY: u16 = 1;
/// Record of the first rule; the rule with index `n` has record `FIRST_RULE + n`.
pub(crate) const FIRST_RULE: u16 = 2;

/// Tables with one image per list; each entry of each list is a rule of its own. Returns the tables and the images'
/// offsets.
pub(crate) fn build(identities: u32, images: &[&[Allow]]) -> (Vec<u8>, Vec<u32>) {
    let rules: u32 = images.iter().map(|allows| allows.len() as u32).sum();
    let records = u32::from(FIRST_RULE) + rules;
    let records_at = header::BYTES;
    let images_at = records_at + records * record::BYTES;
    let mut out = Tables(vec![
        0;
        (images_at + images.len() as u32 * image::BYTES)
            as usize
    ]);
    write_records(&mut out, records_at, rules);
    let mut offsets = Vec::new();
    let mut first_rule = 0;
    for (index, allows) in images.iter().enumerate() {
        let at = images_at + index as u32 * image::BYTES;
        write_image(&mut out, at, identities, allows, first_rule);
        first_rule += allows.len() as u16;
        offsets.push(at);
    }
    let used = out.0.len() as u32;
    assert!(used < BYTES);
    let fields = [
        (header::MAGIC, MAGIC),
        (header::ABI, ABI_VERSION),
        (header::USED, used),
        (header::IDENTITIES, identities),
        (header::RECORDS_AT, records_at),
        (header::RECORDS, records),
        (header::IMAGES_AT, images_at),
        (header::IMAGES, images.len() as u32),
        (header::FLAGS, header::FLAG_FRAG_NEEDED),
    ];
    for (at, value) in fields {
        out.set32(at, value);
    }
    (out.0, offsets)
}

fn write_records(out: &mut Tables, at: u32, rules: u32) {
    out.record(at, record::DENY, Reason::InvalidTables, record::NO_RULE);
    out.record(
        at + record::BYTES,
        record::DENY,
        Reason::DefaultDeny,
        record::NO_RULE,
    );
    for rule in 0..rules {
        out.record(
            at + (u32::from(FIRST_RULE) + rule) * record::BYTES,
            record::ALLOW,
            Reason::Allowed,
            rule,
        );
    }
}

/// Peer class = identity; L4 class 0 = anything, class n = protocol and port of entry n - 1.
fn write_image(out: &mut Tables, at: u32, identities: u32, allows: &[Allow], first_rule: u16) {
    let classes: Vec<u16> = (0..identities).map(|class| class as u16).collect();
    let mut windows = Windows::new();
    let groups = windows.place_all(&classes);
    let windows = out.push32(windows.entries().iter().copied());
    let groups = groups.iter();
    let groups: Vec<u32> = groups
        .flat_map(|group| [windows + group.first * 4, group.key])
        .collect();
    let nothing = out.push16((0..PORT_PAGE).map(|_| 0));
    let empty_row = out.push32((0..0x1_0000 / PORT_PAGE).map(|_| nothing));
    let rows: Vec<u32> = (0..proto::SLOTS)
        .map(|slot| row(out, slot, allows, nothing, empty_row))
        .collect();
    let l4_classes = allows.len() as u32 + 1;
    let mut cells = vec![DEFAULT_DENY; (identities * l4_classes) as usize];
    for (number, (identity, _, _)) in allows.iter().enumerate() {
        cells[(identity * l4_classes) as usize + number + 1] =
            FIRST_RULE + first_rule + number as u16;
    }
    let passes = cells.chunks(32).map(|cells| {
        let passes = cells.iter().map(|record| u32::from(*record >= FIRST_RULE));
        (0..)
            .zip(passes)
            .fold(0, |word, (at, bit)| word | bit << at)
    });
    let passes: Vec<u32> = passes.collect();
    let fields = [
        (image::PEER_DIR, out.push32(groups.into_iter())),
        (image::L4_DIR, out.push32(rows.into_iter())),
        (image::CELLS, out.push16(cells.into_iter())),
        (image::L4_CLASSES, l4_classes),
        (image::PEER_CLASSES, identities),
        (image::PASSES, out.push32(passes.into_iter())),
    ];
    for (field, value) in fields {
        out.set32(at + field, value);
    }
}

/// Port row of a protocol slot.
fn row(out: &mut Tables, slot: u32, allows: &[Allow], nothing: u32, empty_row: u32) -> u32 {
    let here: Vec<(usize, u16)> = allows
        .iter()
        .enumerate()
        .filter(|(_, (_, protocol, _))| proto::slot(*protocol) == slot)
        .map(|(number, (_, _, port))| (number + 1, *port))
        .collect();
    if here.is_empty() {
        return empty_row;
    }
    let page = |out: &mut Tables, page: u32| {
        let class = |port: u32| {
            here.iter()
                .find(|(_, wanted)| u32::from(*wanted) == port)
                .map_or(0, |(class, _)| *class as u16)
        };
        let ports = page * PORT_PAGE..(page + 1) * PORT_PAGE;
        if ports.clone().all(|port| class(port) == 0) {
            nothing
        } else {
            out.push16(ports.map(class))
        }
    };
    let pages: Vec<u32> = (0..0x1_0000 / PORT_PAGE)
        .map(|number| page(out, number))
        .collect();
    out.push32(pages.into_iter())
}

struct Tables(Vec<u8>);

impl Tables {
    fn set32(&mut self, at: u32, value: u32) {
        self.0[at as usize..at as usize + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn record(&mut self, at: u32, action: u8, reason: Reason, rule: u32) {
        self.set32(at, u32::from_le_bytes([action, reason as u8, 0, 0]));
        self.set32(at + record::RULE, rule);
    }

    fn push32(&mut self, values: impl Iterator<Item = u32>) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let at = self.0.len() as u32;
        values.for_each(|value| self.0.extend(value.to_le_bytes()));
        at
    }

    fn push16(&mut self, values: impl Iterator<Item = u16>) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let at = self.0.len() as u32;
        values.for_each(|value| self.0.extend(value.to_le_bytes()));
        at
    }
}
