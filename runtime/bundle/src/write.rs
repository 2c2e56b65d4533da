//! Writing bundles. Equal contents and keys give equal bytes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ed25519_dalek::{Signer, SigningKey};
use policy_abi::ABI_VERSION;
use sha2::{Digest, Sha256};
use zerocopy::{FromZeros, IntoBytes};

use crate::bundle::Bundle;
use crate::layout::{
    ALIGN, BODY_AT, FORMAT_VERSION, Header, MAGIC, REQUIRED, RUNTIME_VERSION, SIGNATURE, SIGNED,
    SectionRow,
};
use crate::{OpenError, Trust, keys};

mod pool;
mod rows;
mod windows;

pub use crate::bundle::Ipcache;
use rows::Part;
pub use windows::{Window, Windows};

/// Everything a bundle holds. Addresses and endpoints may come in any order, the other tables are in index order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Revision; the daemon refuses to go back to a lower one.
    pub revision: u64,
    /// JSON text for people; left out if empty.
    pub manifest: String,
    /// The policy tables, without the endpoint table.
    pub arena: Vec<u8>,
    /// Addresses and prefixes.
    pub ipcache: Vec<Ipcache>,
    /// Pods.
    pub endpoints: Vec<Endpoint>,
    /// Rules; records of the arena name them by index.
    pub rules: Vec<Rule>,
    /// Label strings of the identities.
    pub identities: Vec<String>,
    /// Node names.
    pub nodes: Vec<String>,
    /// Identity of a node's own addresses on that node.
    pub host_identity: u32,
    /// JSON text: what was proved about the tables.
    pub certificate: Option<String>,
    /// What records say for logs, in the order of their cookies from 1; several lines where several rules decided.
    pub logs: Vec<String>,
    /// Proxies that records redirect to, in the order of their numbers from 1.
    pub proxies: Vec<String>,
    /// Nodes that policies of their own apply to, in any order.
    pub hosts: Vec<Host>,
}

/// A node that policies of its own apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Index of the node.
    pub node: u32,
    /// Its identity index, as it is on that node.
    pub identity: u32,
    /// Byte offset in the arena of the image for traffic to it.
    pub ingress: u32,
    /// Byte offset in the arena of the image for traffic from it.
    pub egress: u32,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// "namespace/pod".
    pub name: String,
    /// Index of the node it is scheduled on, if known.
    pub node: Option<u32>,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Its identity index.
    pub identity: u32,
    /// Byte offset in the arena of the image for traffic to it.
    pub ingress: u32,
    /// Byte offset in the arena of the image for traffic from it.
    pub egress: u32,
}

/// A policy rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable across compilations of the same rule.
    pub key: String,
    /// For people, such as `cnp shop/allow-web ingress[0]`.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// The line it starts at, from 1; 0 if unknown.
    pub line: u32,
}

/// Why a bundle cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// Two entries for the same address or prefix.
    TwiceInIpcache {
        /// The address.
        address: IpAddr,
        /// The length of the prefix.
        prefix_len: u8,
    },
    /// Two endpoints with the same name.
    TwiceInEndpoints {
        /// The name.
        name: String,
    },
    /// More than four gigabytes of strings, or as many records.
    TooMuch,
    /// What was written would be refused by every reader.
    Refused(OpenError),
}

impl std::error::Error for EncodeError {}

impl fmt::Display for EncodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwiceInIpcache {
                address,
                prefix_len,
            } => {
                write!(out, "`{address}/{prefix_len}` has two identities")
            }
            Self::TwiceInEndpoints { name } => write!(out, "pod `{name}` is there twice"),
            Self::TooMuch => out.write_str("the contents do not fit in a bundle"),
            Self::Refused(error) => write!(out, "the contents do not make a sound bundle: {error}"),
        }
    }
}

/// Writes a bundle, signed if there is a key.
///
/// # Errors
/// If the contents contradict themselves; whatever is returned can be opened.
pub fn encode(contents: &Contents, key: Option<&SigningKey>) -> Result<Vec<u8>, EncodeError> {
    let body = body(&rows::parts(contents)?)?;
    let mut header = Header::new_zeroed();
    header.magic = MAGIC;
    header.format.set(FORMAT_VERSION);
    header.abi.set(ABI_VERSION);
    header.runtime.set(RUNTIME_VERSION);
    header.sections.set(body.sections);
    header.total.set((BODY_AT + body.bytes.len()) as u64);
    header.revision.set(contents.revision);
    header.body = Sha256::digest(&body.bytes).into();
    let mut signature = [0; SIGNATURE];
    if let Some(key) = key {
        header.flags.set(SIGNED);
        header.key = keys::id(&key.verifying_key());
        signature = key.sign(&Sha256::digest(header.as_bytes())).to_bytes();
    }
    let file = [header.as_bytes(), &signature, &body.bytes].concat();
    Bundle::open(&file, &Trust::DoNotCheckSignature).map_err(EncodeError::Refused)?;
    Ok(file)
}

struct Body {
    sections: u32,
    bytes: Vec<u8>,
}

/// Section table and sections.
fn body(parts: &[Part]) -> Result<Body, EncodeError> {
    let mut table: Vec<SectionRow> = Vec::new();
    let mut bytes = vec![0; size_of::<SectionRow>() * parts.len()];
    for part in parts {
        bytes.resize((BODY_AT + bytes.len()).next_multiple_of(ALIGN) - BODY_AT, 0);
        table.push(row(part, BODY_AT + bytes.len()));
        bytes.extend_from_slice(&part.bytes);
    }
    let place = bytes
        .get_mut(..table.as_bytes().len())
        .ok_or(EncodeError::TooMuch)?;
    place.copy_from_slice(table.as_bytes());
    Ok(Body {
        sections: u32::try_from(parts.len()).map_err(|_| EncodeError::TooMuch)?,
        bytes,
    })
}

fn row(part: &Part, at: usize) -> SectionRow {
    let mut row = SectionRow::new_zeroed();
    row.kind.set(part.kind as u32);
    row.flags
        .set(if part.kind.required() { REQUIRED } else { 0 });
    row.offset.set(at as u64);
    row.length.set(part.bytes.len() as u64);
    row.count.set(part.count);
    row.digest = Sha256::digest(&part.bytes).into();
    row
}
