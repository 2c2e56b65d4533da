//! Why a bundle was refused.

use std::fmt;

use crate::layout::{BYTES_MAX, FORMAT_VERSION, RUNTIME_VERSION, SECTIONS_MAX, STRING_MAX};
use crate::section::Kind;
use crate::tables::TablesError;

/// Why a bundle was refused; in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Longer than [`BYTES_MAX`].
    TooLong {
        /// Bytes given.
        found: usize,
    },
    /// Shorter than a header.
    TooShort,
    /// Not a bundle at all.
    Magic,
    /// Another format version.
    Format {
        /// The version of the bundle.
        found: u32,
    },
    /// Another ABI version.
    Abi {
        /// The version of the bundle.
        found: u32,
    },
    /// Needs a newer runtime.
    Runtime {
        /// The level it needs.
        needed: u32,
    },
    /// Flags or reserved bytes of the header that are not defined.
    HeaderFlags,
    /// The length in the header is not the length of the file.
    Length {
        /// Length in the header.
        stated: u64,
        /// Length of the file.
        found: usize,
    },
    /// The bundle has no signature and one is demanded.
    Unsigned,
    /// Signed by a key that is not trusted.
    UnknownKey {
        /// The key's identifier.
        id: [u8; 32],
    },
    /// The signature is not by the key it names.
    Signature,
    /// The body is not the one that was signed.
    BodyDigest,
    /// More than [`SECTIONS_MAX`] sections.
    TooManySections {
        /// Sections stated.
        found: u32,
    },
    /// The section table does not fit in the file.
    TableOutOfBounds,
    /// Kinds are not strictly ascending: out of order, or twice the same.
    SectionOrder {
        /// The offending kind.
        kind: u32,
    },
    /// A section reaches out of the file.
    SectionOutOfBounds {
        /// The offending kind.
        kind: u32,
    },
    /// A section does not start at a multiple of 64.
    SectionAlignment {
        /// The offending kind.
        kind: u32,
    },
    /// A section overlaps the one before it or the table.
    SectionOverlap {
        /// The offending kind.
        kind: u32,
    },
    /// The bytes before a section are not just zero padding.
    SectionGap {
        /// The offending kind.
        kind: u32,
    },
    /// Undefined flags on a section.
    SectionFlags {
        /// The offending kind.
        kind: u32,
    },
    /// A section that must be understood is of an unknown kind.
    UnknownRequired {
        /// The offending kind.
        kind: u32,
    },
    /// A section does not have the digest the table states.
    SectionDigest {
        /// The offending kind.
        kind: u32,
    },
    /// Bytes after the last section.
    TrailingBytes,
    /// A section that every bundle has is missing.
    Missing {
        /// The missing section.
        kind: Kind,
    },
    /// A section's length does not fit its records.
    RecordLength {
        /// The offending section.
        kind: Kind,
    },
    /// Text that is not UTF-8.
    Utf8 {
        /// The offending section.
        kind: Kind,
    },
    /// A record names a string outside the pool, across a character, or longer than [`STRING_MAX`].
    Text {
        /// The section of the record.
        kind: Kind,
        /// The record.
        row: usize,
    },
    /// Reserved bytes of a record are not zero, or a flag is not defined.
    Reserved {
        /// The section of the record.
        kind: Kind,
        /// The record.
        row: usize,
    },
    /// Records out of order, or twice the same.
    RecordOrder {
        /// The section of the record.
        kind: Kind,
        /// The record.
        row: usize,
    },
    /// An identity outside the identity table.
    Identity {
        /// The section of the record.
        kind: Kind,
        /// The record.
        row: usize,
    },
    /// A node outside the node table.
    Node {
        /// The section of the record.
        kind: Kind,
        /// The record.
        row: usize,
    },
    /// An address with a wrong family, a prefix that is too long, or bits set after the prefix.
    Address {
        /// The section of the record.
        kind: Kind,
        /// The record.
        row: usize,
    },
    /// An image of a pod or node is not one of the arena's images.
    Image {
        /// The section.
        kind: Kind,
        /// The pod or node.
        row: usize,
    },
    /// The identity table does not have the length the arena states.
    IdentityCount {
        /// Entries of the identity table.
        found: usize,
        /// Identities of the arena.
        stated: u32,
    },
    /// Records name log texts that are not listed.
    LogCount {
        /// Texts listed.
        found: usize,
        /// Texts that records name.
        needed: u32,
    },
    /// Records redirect to proxies that are not listed.
    ProxyCount {
        /// Proxies listed.
        found: usize,
        /// Proxies that records name.
        needed: u32,
    },
    /// The arena names a rule outside the rule table.
    RuleCount {
        /// Entries of the rule table.
        found: usize,
        /// Rules the arena names.
        needed: u32,
    },
    /// The policy tables are not sound.
    Tables(TablesError),
}

impl std::error::Error for OpenError {}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found } => write!(
                out,
                "the file has {found} bytes; a bundle has at most {BYTES_MAX}"
            ),
            Self::TooShort => out.write_str("the file is too short to be a bundle"),
            Self::Magic => out.write_str("the file is not a policy bundle"),
            Self::Format { found } => {
                write!(
                    out,
                    "the bundle has format version {found}; this program reads version {FORMAT_VERSION}"
                )
            }
            Self::Abi { found } => write!(
                out,
                "the bundle is for datapath ABI {found}; this program has ABI {}; rebuild it with the matching compiler",
                policy_abi::ABI_VERSION
            ),
            Self::Runtime { needed } => write!(
                out,
                "the bundle needs runtime level {needed}; this program has level {RUNTIME_VERSION}"
            ),
            Self::HeaderFlags => {
                out.write_str("the header has flags or reserved bytes that are not defined")
            }
            Self::Length { stated, found } => {
                write!(
                    out,
                    "the header states {stated} bytes but the file has {found}; it may have been cut off"
                )
            }
            Self::Unsigned => out.write_str("the bundle is not signed"),
            Self::UnknownKey { id } => {
                write!(out, "the bundle is signed by key `")?;
                id.iter()
                    .take(8)
                    .try_for_each(|byte| write!(out, "{byte:02x}"))?;
                out.write_str("`, which is not trusted")
            }
            Self::Signature => {
                out.write_str("the signature does not match; the bundle was changed or forged")
            }
            Self::BodyDigest => {
                out.write_str("the contents do not have the digest the header states")
            }
            Self::TooManySections { found } => {
                write!(
                    out,
                    "the bundle states {found} sections; at most {SECTIONS_MAX} are allowed"
                )
            }
            Self::TableOutOfBounds => out.write_str("the section table does not fit in the file"),
            Self::TrailingBytes => out.write_str("there are bytes after the last section"),
            _ => self.section_message(out),
        }
    }
}

impl OpenError {
    /// The messages about one section or one record.
    fn section_message(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SectionOrder { kind } => {
                write!(out, "section {kind} is out of order or there twice")
            }
            Self::SectionOutOfBounds { kind } => {
                write!(out, "section {kind} reaches out of the file")
            }
            Self::SectionAlignment { kind } => {
                write!(out, "section {kind} is not aligned to 64 bytes")
            }
            Self::SectionOverlap { kind } => {
                write!(out, "section {kind} overlaps what stands before it")
            }
            Self::SectionGap { kind } => {
                write!(out, "the bytes before section {kind} are not zero padding")
            }
            Self::SectionFlags { kind } => {
                write!(out, "section {kind} has flags that are not defined")
            }
            Self::UnknownRequired { kind } => {
                write!(
                    out,
                    "section {kind} is required but unknown to this program; a newer one is needed"
                )
            }
            Self::SectionDigest { kind } => write!(
                out,
                "section {kind} does not have the digest the table states"
            ),
            Self::Missing { kind } => write!(out, "section `{}` is missing", kind.name()),
            Self::RecordLength { kind } => {
                write!(
                    out,
                    "the length of section `{}` does not fit its records",
                    kind.name()
                )
            }
            Self::Utf8 { kind } => write!(out, "section `{}` is not UTF-8 text", kind.name()),
            Self::Text { kind, row } => write!(
                out,
                "record {row} of section `{}` names a string outside the pool or longer than {STRING_MAX} bytes",
                kind.name()
            ),
            Self::Reserved { kind, row } => {
                write!(
                    out,
                    "record {row} of section `{}` has undefined bits set",
                    kind.name()
                )
            }
            Self::RecordOrder { kind, row } => {
                write!(
                    out,
                    "record {row} of section `{}` is out of order or there twice",
                    kind.name()
                )
            }
            Self::Identity { kind, row } => {
                write!(
                    out,
                    "record {row} of section `{}` names an identity that does not exist",
                    kind.name()
                )
            }
            Self::Node { kind, row } => {
                write!(
                    out,
                    "record {row} of section `{}` names a node that does not exist",
                    kind.name()
                )
            }
            Self::Address { kind, row } => {
                write!(
                    out,
                    "record {row} of section `{}` has an invalid address or prefix",
                    kind.name()
                )
            }
            Self::Image { kind, row } => no_tables(out, *kind, *row),
            Self::Tables(error) => write!(out, "the policy tables are not sound: {error}"),
            _ => self.count_message(out),
        }
    }

    /// The messages about tables that do not have what others name.
    fn count_message(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdentityCount { found, stated } => {
                write!(
                    out,
                    "the identity table has {found} entries but the policy tables state {stated}"
                )
            }
            Self::LogCount { found, needed } => write!(
                out,
                "verdict records name {needed} log texts, the bundle lists {found}"
            ),
            Self::ProxyCount { found, needed } => write!(
                out,
                "verdict records name {needed} proxies, the bundle lists {found}"
            ),
            Self::RuleCount { found, needed } => {
                write!(
                    out,
                    "the rule table has {found} entries but the policy tables name {needed}"
                )
            }
            _ => out.write_str("the bundle was refused"),
        }
    }
}

impl From<TablesError> for OpenError {
    fn from(error: TablesError) -> Self {
        Self::Tables(error)
    }
}

fn no_tables(out: &mut fmt::Formatter<'_>, kind: Kind, row: usize) -> fmt::Result {
    let section = kind.name();
    write!(
        out,
        "record {row} of section `{section}` names policy tables that do not exist"
    )
}
