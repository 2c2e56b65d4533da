//! The section table.

use sha2::{Digest, Sha256};
use zerocopy::FromBytes;

use crate::OpenError;
use crate::layout::{ALIGN, BODY_AT, REQUIRED, SECTIONS_MAX, SectionRow};

/// What a section holds. The numbers are part of the format.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All strings, end to end.
    Strings = 1,
    /// JSON text for people; never trusted.
    Manifest = 2,
    /// Settings that are single numbers.
    Settings = 3,
    /// The policy tables.
    Arena = 4,
    /// Addresses and their identities.
    Ipcache = 5,
    /// Pods, their identities and images.
    Endpoints = 6,
    /// Policy rules, for showing which one decided.
    Rules = 7,
    /// Label strings of the identities.
    Identities = 8,
    /// Node names.
    Nodes = 9,
    /// JSON text: what was proved about the tables, by what, over which digests.
    Certificate = 10,
    /// What records say for logs, in the order of their cookies.
    Logs = 12,
    /// Nodes that have policies of their own, and their images.
    Hosts = 13,
    /// Proxies that records redirect to, in the order of their numbers.
    Proxies = 14,
}

impl Kind {
    /// All kinds in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Strings,
        Self::Manifest,
        Self::Settings,
        Self::Arena,
        Self::Ipcache,
        Self::Endpoints,
        Self::Rules,
        Self::Identities,
        Self::Nodes,
        Self::Certificate,
        Self::Logs,
        Self::Hosts,
        Self::Proxies,
    ];

    /// The name shown to people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strings => "strings",
            Self::Manifest => "manifest",
            Self::Settings => "settings",
            Self::Arena => "arena",
            Self::Ipcache => "ipcache",
            Self::Endpoints => "endpoints",
            Self::Rules => "rules",
            Self::Identities => "identities",
            Self::Nodes => "nodes",
            Self::Certificate => "certificate",
            Self::Logs => "logs",
            Self::Hosts => "hosts",
            Self::Proxies => "proxies",
        }
    }

    /// Whether every bundle has this section.
    pub const fn mandatory(self) -> bool {
        !matches!(
            self,
            Self::Manifest | Self::Certificate | Self::Logs | Self::Hosts | Self::Proxies
        )
    }

    /// Whether who does not know this section must refuse the bundle: else a node would be left open without a word.
    pub const fn required(self) -> bool {
        self.mandatory() || matches!(self, Self::Hosts)
    }

    fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// One section, as the table describes it.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// The number of its kind.
    pub number: u32,
    /// Its kind, `None` if this reader does not know it.
    pub kind: Option<Kind>,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Number of records in it; 1 where it is one value.
    pub count: u32,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
}

/// Reads the table and checks bounds, order, alignment and digests.
pub(crate) fn read(file: &[u8], sections: u32) -> Result<Vec<Section<'_>>, OpenError> {
    if sections > SECTIONS_MAX {
        return Err(OpenError::TooManySections { found: sections });
    }
    let body = file.get(BODY_AT..).ok_or(OpenError::TableOutOfBounds)?;
    let (rows, _) = <[SectionRow]>::ref_from_prefix_with_elems(body, sections as usize)
        .map_err(|_| OpenError::TableOutOfBounds)?;
    let mut found = Vec::with_capacity(rows.len());
    let mut end = BODY_AT + size_of_val(rows);
    let mut previous = 0;
    for row in rows {
        let number = row.kind.get();
        if number <= previous {
            return Err(OpenError::SectionOrder { kind: number });
        }
        previous = number;
        let bytes = bytes(file, row, end)?;
        end = row_end(row).unwrap_or(usize::MAX);
        found.push(section(row, bytes)?);
    }
    if end != file.len() {
        return Err(OpenError::TrailingBytes);
    }
    Ok(found)
}

/// The bytes of a section that must start at or after `earliest`.
fn bytes<'a>(file: &'a [u8], row: &SectionRow, earliest: usize) -> Result<&'a [u8], OpenError> {
    let kind = row.kind.get();
    let start =
        usize::try_from(row.offset.get()).map_err(|_| OpenError::SectionOutOfBounds { kind })?;
    if !start.is_multiple_of(ALIGN) {
        return Err(OpenError::SectionAlignment { kind });
    }
    if start < earliest {
        return Err(OpenError::SectionOverlap { kind });
    }
    let end = row_end(row).ok_or(OpenError::SectionOutOfBounds { kind })?;
    let gap = file
        .get(earliest..start)
        .ok_or(OpenError::SectionOutOfBounds { kind })?;
    if gap.len() >= ALIGN || gap.iter().any(|byte| *byte != 0) {
        return Err(OpenError::SectionGap { kind });
    }
    file.get(start..end)
        .ok_or(OpenError::SectionOutOfBounds { kind })
}

fn row_end(row: &SectionRow) -> Option<usize> {
    usize::try_from(row.offset.get().checked_add(row.length.get())?).ok()
}

/// The section of a row; its kind may be unknown only if it is optional.
fn section<'a>(row: &SectionRow, bytes: &'a [u8]) -> Result<Section<'a>, OpenError> {
    let number = row.kind.get();
    let kind = Kind::from_number(number);
    if row.flags.get() & !REQUIRED != 0 || row.reserved.get() != 0 {
        return Err(OpenError::SectionFlags { kind: number });
    }
    if kind.is_none() && row.flags.get() & REQUIRED != 0 {
        return Err(OpenError::UnknownRequired { kind: number });
    }
    if <[u8; 32]>::from(Sha256::digest(bytes)) != row.digest {
        return Err(OpenError::SectionDigest { kind: number });
    }
    Ok(Section {
        number,
        kind,
        bytes,
        count: row.count.get(),
        digest: row.digest,
    })
}
