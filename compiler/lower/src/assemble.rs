//! The arena: judged tables as bytes, equal parts stored once.

use std::collections::BTreeMap;
use std::fmt;

use policy_abi::arena::{self, header};
use policy_abi::reason::RECORDS_COUNTED;
use policyc_ir::ids::EndpointId;
use policyc_ir::model::Model;

use crate::Target;
use crate::classes::Judged;
use crate::image::{Bound, Image, Sizes};
use crate::records::{Record, Records};
use policy_bundle::write::{Window, Windows};

/// A limit of the datapath's maps that the tables would break.
#[derive(Debug)]
pub(crate) enum LimitError {
    /// More bytes than an arena has for tables.
    Bytes(usize),
    /// More distinct records than are counted.
    Records,
    /// More classes than a cell index can name.
    Classes,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(
                f,
                "the tables take {bytes} bytes, the datapath has room for {}",
                arena::ENDPOINTS_AT
            ),
            Self::Records => write!(
                f,
                "the tables have more distinct verdicts than the {RECORDS_COUNTED} that the datapath counts"
            ),
            Self::Classes => f.write_str("a table has more than 65,536 classes of peers or ports"),
        }
    }
}

/// Lays the tables out; `by_endpoint` says which two of `judged` each of `bound` uses.
pub(crate) fn assemble(
    model: &Model<'_>,
    target: &Target,
    bound: &[EndpointId],
    by_endpoint: &[[usize; 2]],
    judged: &[Judged],
) -> Result<Image, LimitError> {
    let mut windows = Windows::new();
    let peers: Vec<_> = judged
        .iter()
        .map(|table| windows.place_all(&table.peers.iter().copied().map(low).collect::<Vec<_>>()))
        .collect();
    let mut pool = Pool::new(&windows);
    let mut records = Records::new();
    let mut rows: BTreeMap<Fields, usize> = BTreeMap::new();
    let mut images: Vec<Fields> = Vec::new();
    let mut of_table = Vec::with_capacity(judged.len());
    for (table, peers) in judged.iter().zip(&peers) {
        let row = pool.image(table, peers, &mut records)?;
        let at = *rows.entry(row).or_insert_with(|| {
            images.push(row);
            images.len() - 1
        });
        of_table.push(at);
    }
    let records_at = pool.append(records.bytes());
    let images_at = pool.append(images.iter().flat_map(image_bytes).collect());
    let bytes = pool.finish(&Header {
        identities: model.universe().identities().len() + target.services.len(),
        records_at,
        records: records.len(),
        images_at,
        images: images.len(),
        flags: flags(target),
    });
    if bytes.len() > arena::ENDPOINTS_AT as usize {
        return Err(LimitError::Bytes(bytes.len()));
    }
    let offset = |table: usize| {
        let at = of_table.get(table).copied().unwrap_or(0);
        images_at + narrow(at) * arena::image::BYTES
    };
    let endpoints = bound.iter().zip(by_endpoint);
    let endpoints = endpoints.map(|(endpoint, [ingress, egress])| Bound {
        endpoint: *endpoint,
        host: model
            .universe()
            .endpoint(*endpoint)
            .is_some_and(|endpoint| endpoint.host),
        ingress: offset(*ingress),
        egress: offset(*egress),
    });
    let sizes = Sizes {
        images: narrow(images.len()),
        records: narrow(records.len()),
        identities: narrow(model.universe().identities().len()),
        services: narrow(target.services.len()),
        bytes: narrow(bytes.len()),
        checked: 0,
    };
    Ok(Image {
        endpoints: endpoints.collect(),
        ipcache: Vec::new(),
        services: Vec::new(),
        arena: bytes,
        logs: records.logs.into_list(),
        proxies: records.proxies.into_list(),
        sizes,
    })
}

fn flags(target: &Target) -> u32 {
    let extended = if target.extended_protocols {
        header::FLAG_EXTENDED_PROTOCOLS
    } else {
        0
    };
    header::FLAG_FRAG_NEEDED | extended
}

/// Every count here is bounded by the arena's size, which is checked before the result is used.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The fields of an image, in their order.
type Fields = [u32; 6];

fn image_bytes(row: &Fields) -> Vec<u8> {
    let mut bytes: Vec<u8> = row.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(arena::image::BYTES as usize, 0);
    bytes
}

struct Header {
    identities: usize,
    records_at: u32,
    records: usize,
    images_at: u32,
    images: usize,
    flags: u32,
}

/// Ports of a page.
const PORTS: u16 = 256;
const _: () = assert!(arena::PORT_PAGE == 256);

/// Bytes of the arena, with equal tables stored once.
struct Pool {
    bytes: Vec<u8>,
    /// Where the windows start.
    windows: u32,
    known: BTreeMap<Vec<u8>, u32>,
    /// Rows by their intervals.
    rows: BTreeMap<Vec<(u16, u32)>, u32>,
    /// Pages of ports that are all in one class, by that class.
    uniform: BTreeMap<u16, u32>,
}

impl Pool {
    fn new(windows: &Windows) -> Self {
        let mut pool = Self {
            bytes: vec![0; header::BYTES as usize],
            windows: 0,
            known: BTreeMap::new(),
            rows: BTreeMap::new(),
            uniform: BTreeMap::new(),
        };
        pool.windows = pool.append(windows.bytes());
        pool
    }

    /// Offset of a table, stored now unless an equal one is there.
    fn put(&mut self, table: Vec<u8>) -> u32 {
        if let Some(at) = self.known.get(&table) {
            return *at;
        }
        let at = self.append(table.clone());
        self.known.insert(table, at);
        at
    }

    fn append(&mut self, table: Vec<u8>) -> u32 {
        let at = narrow(self.bytes.len());
        self.bytes.extend(table);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        at
    }

    fn image(
        &mut self,
        table: &Judged,
        peers: &[Window],
        records: &mut Records,
    ) -> Result<Fields, LimitError> {
        if table.peer_classes > 1 << 16 || table.l4_classes > 1 << 16 {
            return Err(LimitError::Classes);
        }
        let peer_dir = self.peers(peers);
        let l4_dir = self.slots(&table.slots);
        let cells = table.cells.iter().map(|decision| records.number(decision));
        let cells = cells
            .collect::<Option<Vec<u16>>>()
            .ok_or(LimitError::Records)?;
        let cells = self.put(halves(cells));
        let passes = self.put(bits(table.cells.iter().map(Record::passes)));
        Ok([
            peer_dir,
            l4_dir,
            cells,
            table.l4_classes,
            table.peer_classes,
            passes,
        ])
    }

    fn peers(&mut self, groups: &[Window]) -> u32 {
        let offset = |first: u32| self.windows.saturating_add(first.saturating_mul(4));
        let groups = groups.iter();
        let entries = groups.flat_map(|group| [offset(group.first), group.key]);
        let entries = entries.collect();
        self.put(words(entries))
    }

    fn slots(&mut self, slots: &[Vec<(u16, u32)>]) -> u32 {
        let rows: Vec<_> = slots.iter().map(|intervals| self.row(intervals)).collect();
        self.put(words(rows))
    }

    fn row(&mut self, intervals: &[(u16, u32)]) -> u32 {
        if let Some(at) = self.rows.get(intervals) {
            return *at;
        }
        let pages = (0..=u16::MAX / PORTS).map(|page| self.port_page(intervals, page));
        let offsets: Vec<_> = pages.collect();
        let at = self.put(words(offsets));
        self.rows.insert(intervals.to_vec(), at);
        at
    }

    /// Most pages lie within one interval; those are made once for each class.
    fn port_page(&mut self, intervals: &[(u16, u32)], page: u16) -> u32 {
        let first = page * PORTS;
        let last = first + (PORTS - 1);
        let until = intervals.partition_point(|(start, _)| *start <= last);
        let from = intervals.partition_point(|(start, _)| *start <= first);
        let class_of = |port: u16| {
            let at = intervals.partition_point(|(start, _)| *start <= port);
            intervals
                .get(at.wrapping_sub(1))
                .map_or(0, |(_, class)| low(*class))
        };
        if until > from {
            return self.put(halves((first..=last).map(class_of).collect()));
        }
        let class = class_of(first);
        if let Some(at) = self.uniform.get(&class) {
            return *at;
        }
        let at = self.put(halves(vec![class; usize::from(PORTS)]));
        self.uniform.insert(class, at);
        at
    }

    fn finish(mut self, fields: &Header) -> Vec<u8> {
        let used = narrow(self.bytes.len());
        for (at, value) in [
            (header::MAGIC, arena::MAGIC),
            (header::ABI, policy_abi::ABI_VERSION),
            (header::USED, used),
            (header::IDENTITIES, narrow(fields.identities)),
            (header::RECORDS_AT, fields.records_at),
            (header::RECORDS, narrow(fields.records)),
            (header::IMAGES_AT, fields.images_at),
            (header::IMAGES, narrow(fields.images)),
            (header::FLAGS, fields.flags),
        ] {
            if let Some(field) = self.bytes.get_mut(at as usize..at as usize + 4) {
                field.copy_from_slice(&value.to_le_bytes());
            }
        }
        self.bytes
    }
}

/// A class number as a table holds it; more than fit were refused before.
fn low(class: u32) -> u16 {
    u16::try_from(class).unwrap_or(u16::MAX)
}

fn halves(values: Vec<u16>) -> Vec<u8> {
    values.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// A bit for each value, the lowest first.
fn bits(values: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, value) in values.enumerate() {
        if at % 32 == 0 {
            bytes.extend([0; 4]);
        }
        if let Some(byte) = bytes.get_mut(at / 8) {
            *byte |= u8::from(value) << (at % 8);
        }
    }
    bytes
}

fn words(values: Vec<u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_le_bytes).collect()
}
