//! Policy tables made by hand, for tests that do not want a compiler.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use policy_abi::arena::{self, ENDPOINT_SLOTS, PORT_PAGE, Read, header, image, record};
use policy_abi::reason::Reason;
use policy_abi::{ABI_VERSION, endpoint, proto};
use policy_bundle::write::{Window, Windows};

/// Classes of all ports of one protocol slot.
pub type Ports = Vec<u16>;

/// One image: which class each identity and each port of each protocol has, and what holds between classes.
#[derive(Clone, Debug)]
pub struct Image {
    /// Class of each identity.
    pub peers: Vec<u16>,
    /// Classes of the ports of protocol slots; slots left out have class 0 throughout.
    pub ports: BTreeMap<u32, Ports>,
    /// Record numbers, one row per peer class.
    pub cells: Vec<Vec<u16>>,
}

/// One generation of tables, as long as the map's value.
#[derive(Clone, Debug)]
pub struct Arena {
    bytes: Vec<u8>,
    used: usize,
    images: Vec<u32>,
    stored: BTreeMap<Vec<u8>, u32>,
}

impl Arena {
    /// Tables of `records` (action, reason, authentication) and `images`. Record 0 is added in front.
    pub fn new(
        identities: u32,
        flags: u32,
        records: &[(u8, Reason, u8)],
        images: &[Image],
    ) -> Self {
        let mut arena = Self {
            bytes: vec![0; arena::BYTES as usize],
            used: header::BYTES as usize,
            images: Vec::new(),
            stored: BTreeMap::new(),
        };
        let records_at = arena.put_records(records);
        let mut windows = Windows::new();
        let peers: Vec<_> = images
            .iter()
            .map(|image| windows.place_all(&image.peers))
            .collect();
        let windows = arena.put(&windows.bytes());
        let built: Vec<_> = images
            .iter()
            .zip(&peers)
            .flat_map(|(image, peers)| arena.put_image(image, (windows, peers), records))
            .collect();
        let images_at = arena.put(&words(&built));
        arena.images = (0..)
            .step_by(image::BYTES as usize)
            .map(|at: u32| images_at + at)
            .take(images.len())
            .collect();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        for (at, value) in [
            (header::MAGIC, arena::MAGIC),
            (header::ABI, ABI_VERSION),
            (header::USED, count(arena.used)),
            (header::IDENTITIES, identities),
            (header::RECORDS_AT, records_at),
            (header::RECORDS, count(records.len() + 1)),
            (header::IMAGES_AT, images_at),
            (header::IMAGES, count(images.len())),
            (header::FLAGS, flags),
        ] {
            arena.set(at, value);
        }
        arena
    }

    /// Adds an endpoint with its addresses and the numbers of its images.
    #[must_use]
    pub fn with_endpoint(
        mut self,
        ifindex: u32,
        addresses: (Option<Ipv4Addr>, Option<Ipv6Addr>),
        ingress: usize,
        egress: usize,
    ) -> Self {
        let home = endpoint::home(ifindex);
        let free = (home..home + ENDPOINT_SLOTS)
            .map(endpoint::at)
            .find(|at| self.bytes.u32(*at) == 0);
        let Some(at) = free else {
            return self;
        };
        let (ipv4, ipv6) = addresses;
        let flags = ipv4.map_or(0, |_| endpoint::HAS_IPV4) | ipv6.map_or(0, |_| endpoint::HAS_IPV6);
        for (offset, value) in [
            (endpoint::IFINDEX, ifindex),
            (endpoint::FLAGS, flags),
            (endpoint::INGRESS, self.image(ingress)),
            (endpoint::EGRESS, self.image(egress)),
            (
                endpoint::IPV4,
                ipv4.map_or(0, |address| u32::from_le_bytes(address.octets())),
            ),
        ] {
            self.set(at + offset, value);
        }
        if let Some(address) = ipv6 {
            self.copy(at + endpoint::IPV6, &address.octets());
        }
        self
    }

    /// Adds the node with its identity and the numbers of its images.
    #[must_use]
    pub fn with_node(self, identity: u32, ingress: usize, egress: usize) -> Self {
        let mut arena = self.with_endpoint(endpoint::NODE, (None, None), ingress, egress);
        arena.set_identity(endpoint::NODE, identity);
        arena
    }

    /// Sets the identity of an endpoint.
    pub fn set_identity(&mut self, ifindex: u32, identity: u32) {
        let at = endpoint::find(self.bytes.as_slice(), ifindex) + endpoint::IDENTITY;
        self.set(at, identity);
    }

    /// Adds flags to those of an endpoint.
    pub fn set_endpoint_flags(&mut self, ifindex: u32, flags: u32) {
        let at = endpoint::find(self.bytes.as_slice(), ifindex) + endpoint::FLAGS;
        self.set(at, self.bytes.u32(at) | flags);
    }

    /// The tables.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Byte offset of an image.
    pub fn image(&self, number: usize) -> u32 {
        self.images.get(number).copied().unwrap_or_default()
    }

    /// Overwrites a word, to make tables that no compiler would.
    pub fn set(&mut self, at: u32, value: u32) {
        self.copy(at, &value.to_le_bytes());
    }

    /// Copies bytes to an offset. What does not fit is left out: there is no such table in a test.
    fn copy(&mut self, at: u32, from: &[u8]) {
        let to = self
            .bytes
            .get_mut(at as usize..)
            .and_then(|rest| rest.get_mut(..from.len()));
        if let Some(to) = to {
            to.copy_from_slice(from);
        }
    }

    /// Stores a table once, however often it is asked for.
    fn put(&mut self, table: &[u8]) -> u32 {
        if let Some(at) = self.stored.get(table) {
            return *at;
        }
        let at = u32::try_from(self.used).unwrap_or(u32::MAX);
        self.copy(at, table);
        self.used += table.len().next_multiple_of(4);
        self.stored.insert(table.to_vec(), at);
        at
    }

    fn put_records(&mut self, records: &[(u8, Reason, u8)]) -> u32 {
        let invalid = (record::DENY, Reason::InvalidTables, 0);
        let words: Vec<u32> = std::iter::once(&invalid)
            .chain(records)
            .flat_map(|(action, reason, auth)| {
                [
                    u32::from_le_bytes([*action, *reason as u8, *auth, 0]),
                    record::NO_RULE,
                    0,
                    u32::from(*action == record::REDIRECT),
                ]
            })
            .collect();
        self.put(&self::words(&words))
    }

    fn put_image(
        &mut self,
        image: &Image,
        (windows, peers): (u32, &[Window]),
        records: &[(u8, Reason, u8)],
    ) -> [u32; (image::BYTES / 4) as usize] {
        let peers = peers.iter();
        let peers: Vec<u32> = peers
            .flat_map(|group| [windows + group.first * 4, group.key])
            .collect();
        let peers = self.put(&words(&peers));
        let rows: Vec<u32> = (0..proto::SLOTS)
            .map(|slot| match image.ports.get(&slot) {
                Some(ports) => self.put_pages(ports, PORT_PAGE),
                None => self.put_pages(&vec![0; 65_536], PORT_PAGE),
            })
            .collect();
        let rows = self.put(&words(&rows));
        let cells: Vec<u16> = image.cells.concat();
        let passes = self.put(&words(&passes(&cells, records)));
        let cells = self.put(&halves(&cells));
        let length = image.cells.first().map_or(0, Vec::len);
        let [columns, lines] =
            [length, image.cells.len()].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        [peers, rows, cells, columns, lines, passes, 0, 0]
    }

    /// Stores pages of `length` values and the directory that leads to them.
    fn put_pages(&mut self, values: &[u16], length: u32) -> u32 {
        let directory: Vec<u32> = values
            .chunks(length as usize)
            .map(|page| {
                let mut page = page.to_vec();
                page.resize(length as usize, 0);
                self.put(&halves(&page))
            })
            .collect();
        self.put(&words(&directory))
    }
}

/// A bit for each cell whose record lets packets pass, as a compiler would set it; records that contradict themselves
/// let none.
fn passes(cells: &[u16], records: &[(u8, Reason, u8)]) -> Vec<u32> {
    let says = |cell: &u16| {
        let record = usize::from(*cell)
            .checked_sub(1)
            .and_then(|at| records.get(at));
        record.is_some_and(|record| {
            matches!(record, (record::ALLOW, reason, record::AUTH_NONE) if reason.passes())
        })
    };
    let words = cells.chunks(32).map(|cells| {
        let bits = (0..).zip(cells.iter().map(says));
        bits.fold(0, |word, (at, passes)| word | u32::from(passes) << at)
    });
    words.collect()
}

fn words(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
