//! Why policy tables are not sound.

use std::fmt;

use policy_abi::{ABI_VERSION, arena, reason};

/// Why policy tables are not sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TablesError {
    /// Too short for a header, or reaching into the endpoint table.
    Length {
        /// Bytes given.
        found: usize,
    },
    /// The tables do not start with [`arena::MAGIC`].
    Magic,
    /// Another ABI version.
    Abi {
        /// The version of the tables.
        found: u32,
    },
    /// The header's length is not the length given.
    Used {
        /// Length in the header.
        stated: u32,
        /// Bytes given.
        found: usize,
    },
    /// Undefined datapath options.
    Flags,
    /// Not even the index of unknown addresses exists.
    NoIdentities,
    /// The records do not fit.
    Records,
    /// No record, or more than are counted.
    RecordCount {
        /// Records stated.
        found: u32,
    },
    /// Neither allow nor deny nor redirect.
    Action {
        /// The record.
        record: u32,
    },
    /// An unknown reason, or one that contradicts the action.
    Reason {
        /// The record.
        record: u32,
    },
    /// An unknown authentication, or one on a record that does not allow.
    Auth {
        /// The record.
        record: u32,
    },
    /// A redirect without a proxy, or a proxy without a redirect.
    Proxy {
        /// The record.
        record: u32,
    },
    /// Record 0 does not deny.
    FirstRecord,
    /// The images do not fit.
    Images,
    /// A directory, row or page that does not fit or is not aligned.
    Bounds {
        /// Its byte offset.
        at: u32,
    },
    /// A peer class outside its image.
    PeerClass,
    /// An L4 class outside its image.
    L4Class,
    /// A cell that names no record.
    Cell,
    /// The bit of a cell is not what its record says.
    Passes,
    /// Tables overlap so much that checking them would take too long.
    Overlap,
    /// An error inside one image.
    Image {
        /// The image's number.
        image: usize,
        /// What is wrong with it.
        error: Box<TablesError>,
    },
}

impl TablesError {
    pub(super) fn in_image(self, image: usize) -> Self {
        Self::Image {
            image,
            error: Box::new(self),
        }
    }
}

impl std::error::Error for TablesError {}

impl fmt::Display for TablesError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => {
                write!(
                    out,
                    "they have {found} bytes; between 64 and {} are allowed",
                    arena::ENDPOINTS_AT
                )
            }
            Self::Magic => out.write_str("they do not start with the magic number"),
            Self::Abi { found } => write!(out, "they are for ABI {found}, not {ABI_VERSION}"),
            Self::Used { stated, found } => {
                write!(
                    out,
                    "their header states {stated} bytes but there are {found}"
                )
            }
            Self::Flags => out.write_str("their header has options that are not defined"),
            Self::NoIdentities => out.write_str("they have no identities"),
            Self::Records => out.write_str("the records reach out of them"),
            Self::RecordCount { found } => {
                write!(
                    out,
                    "they have {found} records; between 1 and {} are allowed",
                    reason::RECORDS_COUNTED
                )
            }
            Self::Action { record } => {
                write!(out, "record {record} has an action that is not defined")
            }
            Self::Reason { record } => {
                write!(out, "the reason of record {record} does not fit its action")
            }
            Self::Auth { record } => write!(
                out,
                "record {record} demands an unknown authentication, or one for what it does not allow"
            ),
            Self::Proxy { record } => write!(
                out,
                "record {record} redirects without naming a proxy, or the reverse"
            ),
            Self::FirstRecord => out.write_str("record 0 does not deny"),
            Self::Images => out.write_str("the images reach out of them"),
            Self::Bounds { at } => write!(
                out,
                "the table at byte {at} reaches out of them or is not aligned"
            ),
            Self::PeerClass => out.write_str("a peer class does not exist"),
            Self::L4Class => out.write_str("a port class does not exist"),
            Self::Cell => out.write_str("a cell names a record that does not exist"),
            Self::Passes => out.write_str("a cell's bit is not what its record says"),
            Self::Overlap => {
                out.write_str("they overlap so much that checking them would take too long")
            }
            Self::Image { image, error } => write!(out, "image {image}: {error}"),
        }
    }
}
