//! Check of one generation of policy tables.
//!
//! After [`check`] no lookup can leave the tables, whatever identity, protocol and port it is asked about: every
//! offset that [`policy_abi::lookup::verdict`] may follow has been followed, every class is inside its image and every
//! cell names a record and has the bit that the record says. The work is bounded: directories and pages that images share are walked once, and tables
//! that overlap so much that walking them would take more than [`STEPS_MAX`] steps are refused.

use std::collections::{BTreeMap, BTreeSet};

use policy_abi::arena::{self, Read, header, image, record};
use policy_abi::reason::{self, Reason};
use policy_abi::{ABI_VERSION, lookup, proto};

mod error;

pub use error::TablesError;

/// Most table entries looked at during a check.
pub const STEPS_MAX: u64 = 32 << 20;

/// What a check found out about the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of identity indexes.
    pub identities: u32,
    /// Number of verdict records.
    pub records: u32,
    /// Number of images.
    pub images: u32,
    /// One more than the highest rule index a record names, 0 if none does.
    pub rules: u32,
    /// The highest log cookie of a record, 0 if none has one.
    pub logs: u32,
    /// The highest proxy of a record, 0 if none redirects.
    pub proxies: u32,
    images_at: u32,
}

impl Shape {
    /// Whether `offset` is the start of an image.
    pub fn is_image(&self, offset: u32) -> bool {
        let Some(distance) = offset.checked_sub(self.images_at) else {
            return false;
        };
        distance.is_multiple_of(image::BYTES) && distance / image::BYTES < self.images
    }

    /// Byte offset of each image, in order.
    pub fn image_offsets(&self) -> impl Iterator<Item = u32> + use<> {
        let start = self.images_at;
        (0..self.images).map(move |index| start + index * image::BYTES)
    }
}

/// Checks policy tables.
///
/// # Errors
/// The first thing that is not sound.
pub fn check(bytes: &[u8]) -> Result<Shape, TablesError> {
    let shape = check_header(bytes)?;
    let mut walk = Walk {
        bytes,
        shape,
        steps: 0,
        rows: BTreeMap::new(),
        directories: BTreeMap::new(),
        peers: BTreeMap::new(),
        windows: BTreeMap::new(),
        compared: BTreeSet::new(),
    };
    for (index, at) in shape.image_offsets().enumerate() {
        walk.image(at).map_err(|error| error.in_image(index))?;
    }
    Ok(shape)
}

fn check_header(bytes: &[u8]) -> Result<Shape, TablesError> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if !(header::BYTES..=arena::ENDPOINTS_AT).contains(&length) {
        return Err(TablesError::Length { found: bytes.len() });
    }
    if bytes.u32(header::MAGIC) != arena::MAGIC {
        return Err(TablesError::Magic);
    }
    if bytes.u32(header::ABI) != ABI_VERSION {
        return Err(TablesError::Abi {
            found: bytes.u32(header::ABI),
        });
    }
    if bytes.u32(header::USED) != length {
        return Err(TablesError::Used {
            stated: bytes.u32(header::USED),
            found: bytes.len(),
        });
    }
    if bytes.u32(header::FLAGS) & !(header::FLAG_FRAG_NEEDED | header::FLAG_EXTENDED_PROTOCOLS) != 0
    {
        return Err(TablesError::Flags);
    }
    if bytes.u32(header::IDENTITIES) == 0 {
        return Err(TablesError::NoIdentities);
    }
    let (images_at, images) = (bytes.u32(header::IMAGES_AT), bytes.u32(header::IMAGES));
    in_bounds(bytes, images_at, images, image::BYTES).ok_or(TablesError::Images)?;
    let shape = Shape {
        identities: bytes.u32(header::IDENTITIES),
        records: bytes.u32(header::RECORDS),
        images,
        rules: 0,
        logs: 0,
        proxies: 0,
        images_at,
    };
    check_records(bytes, shape)
}

/// Adds to the shape what records name.
fn check_records(bytes: &[u8], mut shape: Shape) -> Result<Shape, TablesError> {
    let (at, records) = (bytes.u32(header::RECORDS_AT), shape.records);
    in_bounds(bytes, at, records, record::BYTES).ok_or(TablesError::Records)?;
    if records == 0 || records > reason::RECORDS_COUNTED {
        return Err(TablesError::RecordCount { found: records });
    }
    for index in 0..records {
        let at = at + index * record::BYTES;
        check_record(bytes, at, index)?;
        let rule = bytes.u32(at + record::RULE);
        if rule != record::NO_RULE {
            shape.rules = shape.rules.max(rule.saturating_add(1));
        }
        shape.logs = shape.logs.max(bytes.u32(at + record::COOKIE));
        shape.proxies = shape.proxies.max(bytes.u32(at + record::PROXY));
    }
    Ok(shape)
}

/// Checks action, reason, authentication, proxy and what must be zero.
fn check_record(bytes: &[u8], at: u32, index: u32) -> Result<(), TablesError> {
    let [action, cause, auth, zero] = bytes.u32(at).to_le_bytes();
    let known = Reason::from_number(cause).ok_or(TablesError::Reason { record: index })?;
    // The datapath does not look at the record of what passes.
    let fits = match action {
        record::DENY => !known.passes() && known != Reason::NoProxy,
        record::ALLOW => known == Reason::Allowed,
        record::REDIRECT => known == Reason::NoProxy,
        _ => return Err(TablesError::Action { record: index }),
    };
    if !fits || zero != 0 {
        return Err(TablesError::Reason { record: index });
    }
    if auth > record::AUTH_ALWAYS_FAIL || (auth != record::AUTH_NONE && action != record::ALLOW) {
        return Err(TablesError::Auth { record: index });
    }
    if (bytes.u32(at + record::PROXY) != 0) != (action == record::REDIRECT) {
        return Err(TablesError::Proxy { record: index });
    }
    if index == 0 && action != record::DENY {
        return Err(TablesError::FirstRecord);
    }
    Ok(())
}

/// `Some` if `count` elements of `size` bytes at `at` lie between the header and the end, aligned to 4 (2 for `u16`).
fn in_bounds(bytes: &[u8], at: u32, count: u32, size: u32) -> Option<&[u8]> {
    let end = u64::from(count)
        .checked_mul(u64::from(size))?
        .checked_add(u64::from(at))?;
    if !at.is_multiple_of(size.min(4)) || at < header::BYTES {
        return None;
    }
    bytes.get(at as usize..usize::try_from(end).ok()?)
}

/// A walk over everything that images reach; what was walked once is remembered with its highest entry.
struct Walk<'a> {
    bytes: &'a [u8],
    shape: Shape,
    steps: u64,
    /// Highest entry of the `u16` tables, by offset and length.
    rows: BTreeMap<(u32, u32), u16>,
    /// Highest class below the directories, by offset and number of pages.
    directories: BTreeMap<(u32, u32), u16>,
    /// Highest class of the groups, by offset of their directory.
    peers: BTreeMap<u32, u16>,
    /// Highest class of a group, by offset of its window and key.
    windows: BTreeMap<(u32, u32), u16>,
    /// Cells and their bits that have been compared, by both offsets and the number of cells.
    compared: BTreeSet<(u32, u32, u32)>,
}

impl Walk<'_> {
    fn image(&mut self, at: u32) -> Result<(), TablesError> {
        let field = |offset: u32| self.bytes.u32(at + offset);
        let (peer_directory, l4_directory, cells) = (
            field(image::PEER_DIR),
            field(image::L4_DIR),
            field(image::CELLS),
        );
        let (peer_classes, l4_classes) = (field(image::PEER_CLASSES), field(image::L4_CLASSES));
        let groups = self.shape.identities.div_ceil(arena::PEER_PAGE);
        let peer = self.peers(peer_directory, groups)?;
        if u32::from(peer) >= peer_classes {
            return Err(TablesError::PeerClass);
        }
        if u32::from(self.protocols(l4_directory)?) >= l4_classes {
            return Err(TablesError::L4Class);
        }
        let count = peer_classes
            .checked_mul(l4_classes)
            .ok_or(TablesError::Bounds { at: cells })?;
        if u32::from(self.row(cells, count)?) >= self.shape.records {
            return Err(TablesError::Cell);
        }
        self.passes(cells, field(image::PASSES), count)
    }

    /// Compares the bits at `at` with what the records of `count` cells say.
    fn passes(&mut self, cells: u32, at: u32, count: u32) -> Result<(), TablesError> {
        if !self.compared.insert((cells, at, count)) {
            return Ok(());
        }
        let words = count.div_ceil(32);
        let bits = in_bounds(self.bytes, at, words, 4).ok_or(TablesError::Bounds { at })?;
        let cells =
            in_bounds(self.bytes, cells, count, 2).ok_or(TablesError::Bounds { at: cells })?;
        self.step(count)?;
        for (word, cells) in bits.chunks_exact(4).zip(cells.chunks(64)) {
            let said = cells.chunks_exact(2).map(|cell| self.says(cell.u16(0)));
            let said = (0..).zip(said);
            let said = said.fold(0, |word, (at, passes)| word | u32::from(passes) << at);
            if word.u32(0) != said {
                return Err(TablesError::Passes);
            }
        }
        Ok(())
    }

    /// Whether a record lets packets pass.
    fn says(&self, record: u16) -> bool {
        let at = lookup::record_at(self.bytes, u32::from(record));
        lookup::passes(self.bytes, at)
    }

    /// Highest class of a peer directory.
    fn peers(&mut self, at: u32, groups: u32) -> Result<u16, TablesError> {
        if let Some(known) = self.peers.get(&at) {
            return Ok(*known);
        }
        let entries = in_bounds(self.bytes, at, groups, 8).ok_or(TablesError::Bounds { at })?;
        self.step(groups)?;
        let mut highest = 0;
        for raw in entries.chunks_exact(8) {
            highest = highest.max(self.window(raw.u32(0), raw.u32(4))?);
        }
        self.peers.insert(at, highest);
        Ok(highest)
    }

    /// Highest class of a group: the usual one, and those of the entries that are its own.
    fn window(&mut self, at: u32, key: u32) -> Result<u16, TablesError> {
        if let Some(known) = self.windows.get(&(at, key)) {
            return Ok(*known);
        }
        let bytes = in_bounds(self.bytes, at, arena::PEER_PAGE, 4);
        let bytes = bytes.ok_or(TablesError::Bounds { at })?;
        self.step(arena::PEER_PAGE)?;
        let entries = bytes.chunks_exact(4).map(|raw| raw.u32(0));
        let own = entries.filter(|entry| entry >> 16 == key >> 16);
        let classes = own.chain([key]).map(|entry| entry & 0xffff);
        let highest = u16::try_from(classes.max().unwrap_or(0)).unwrap_or(u16::MAX);
        self.windows.insert((at, key), highest);
        Ok(highest)
    }

    /// Highest L4 class of a protocol directory.
    fn protocols(&mut self, at: u32) -> Result<u16, TablesError> {
        let rows = in_bounds(self.bytes, at, proto::SLOTS, 4).ok_or(TablesError::Bounds { at })?;
        let ports = 0x1_0000 / arena::PORT_PAGE;
        let mut highest = 0;
        for raw in rows.chunks_exact(4) {
            highest = highest.max(self.directory(raw.u32(0), ports, arena::PORT_PAGE)?);
        }
        Ok(highest)
    }

    /// Highest class below a directory of `pages` pages of `page` entries.
    fn directory(&mut self, at: u32, pages: u32, page: u32) -> Result<u16, TablesError> {
        if let Some(known) = self.directories.get(&(at, pages)) {
            return Ok(*known);
        }
        let entries = in_bounds(self.bytes, at, pages, 4).ok_or(TablesError::Bounds { at })?;
        self.step(pages)?;
        let mut highest = 0;
        for raw in entries.chunks_exact(4) {
            highest = highest.max(self.row(raw.u32(0), page)?);
        }
        self.directories.insert((at, pages), highest);
        Ok(highest)
    }

    /// Highest entry of a table of `u16`.
    fn row(&mut self, at: u32, count: u32) -> Result<u16, TablesError> {
        if let Some(known) = self.rows.get(&(at, count)) {
            return Ok(*known);
        }
        let entries = in_bounds(self.bytes, at, count, 2).ok_or(TablesError::Bounds { at })?;
        self.step(count)?;
        let highest = entries
            .chunks_exact(2)
            .map(|raw| raw.u16(0))
            .max()
            .unwrap_or(0);
        self.rows.insert((at, count), highest);
        Ok(highest)
    }

    fn step(&mut self, count: u32) -> Result<(), TablesError> {
        self.steps += u64::from(count);
        if self.steps > STEPS_MAX {
            Err(TablesError::Overlap)
        } else {
            Ok(())
        }
    }
}
