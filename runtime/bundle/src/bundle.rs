//! An opened bundle: views that cannot fail.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::layout::{
    EndpointRow, HAS_IPV4, HAS_IPV6, Header, HostRow, IpcacheRow, NO_NODE, RuleRow, TextRow,
};
use crate::section::Section;
use crate::tables::Shape;

/// A bundle that has passed every check.
#[derive(Clone, Debug)]
pub struct Bundle<'a> {
    pub(crate) header: Header,
    pub(crate) digest: [u8; 32],
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) parts: Parts<'a>,
    pub(crate) shape: Shape,
}

/// The sections as records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) strings: &'a str,
    pub(crate) manifest: &'a str,
    pub(crate) host_identity: u32,
    pub(crate) arena: &'a [u8],
    pub(crate) ipcache: &'a [IpcacheRow],
    pub(crate) endpoints: &'a [EndpointRow],
    pub(crate) rules: &'a [RuleRow],
    pub(crate) identities: &'a [TextRow],
    pub(crate) nodes: &'a [TextRow],
    pub(crate) certificate: Option<&'a str>,
    pub(crate) logs: &'a [TextRow],
    pub(crate) proxies: &'a [TextRow],
    pub(crate) hosts: &'a [HostRow],
}

/// An address or prefix and its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipcache {
    /// The address; bits after the prefix are zero.
    pub address: IpAddr,
    /// Length of the prefix in bits; 32 or 128 for one address.
    pub prefix_len: u8,
    /// Identity index.
    pub identity: u32,
    /// Index of the node whose own address this is. That node uses `own` instead.
    pub node: Option<u32>,
    /// Identity index on its own node, [`Bundle::host_identity`] if `None`.
    pub own: Option<u32>,
}

/// A pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// "namespace/pod".
    pub name: &'a str,
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

/// A node that policies of its own apply to. Its addresses are those of the ipcache that name the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// Name of the node.
    pub name: &'a str,
    /// Index of the node.
    pub node: u32,
    /// Its identity index, as it is on that node.
    pub identity: u32,
    /// Byte offset in the arena of the image for traffic to it.
    pub ingress: u32,
    /// Byte offset in the arena of the image for traffic from it.
    pub egress: u32,
}

/// An address of a service, which has an identity like a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// "namespace/name".
    pub name: &'a str,
    /// The address.
    pub address: &'a str,
    /// Its identity index.
    pub identity: u32,
}

/// A policy rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// Stable across compilations of the same rule.
    pub key: &'a str,
    /// For people, such as `cnp shop/allow-web ingress[0]`.
    pub name: &'a str,
    /// The file it stands in.
    pub file: &'a str,
    /// The line it starts at, from 1; 0 if unknown.
    pub line: u32,
}

impl<'a> Bundle<'a> {
    /// Revision; rises with every bundle that is rolled out.
    pub fn revision(&self) -> u64 {
        self.header.revision.get()
    }

    /// SHA-256 of the signed part of the header. It covers all contents, as the header holds the body's digest.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Identifier of the key that signed it (see [`crate::keys::id`]), `None` if it is unsigned.
    pub fn signer(&self) -> Option<[u8; 32]> {
        self.header.signed().then_some(self.header.key)
    }

    /// JSON text for people, empty if there is none. Nothing may depend on it.
    pub fn manifest(&self) -> &'a str {
        self.parts.manifest
    }

    /// The policy tables.
    pub fn arena(&self) -> &'a [u8] {
        self.parts.arena
    }

    /// What the check found out about the policy tables.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Addresses and prefixes in order of family, address and length.
    pub fn ipcache(&self) -> impl ExactSizeIterator<Item = Ipcache> + use<'a> {
        self.parts.ipcache.iter().map(ipcache)
    }

    /// Pods in order of their names.
    pub fn endpoints(&self) -> impl ExactSizeIterator<Item = Endpoint<'a>> + use<'a> {
        let strings = self.parts.strings;
        self.parts
            .endpoints
            .iter()
            .map(move |row| endpoint(strings, row))
    }

    /// The pod of a name and its index, found by bisection.
    pub fn endpoint(&self, name: &str) -> Option<(u32, Endpoint<'a>)> {
        let strings = self.parts.strings;
        let index = self
            .parts
            .endpoints
            .binary_search_by(|row| text(strings, row.name).cmp(name))
            .ok()?;
        Some((
            u32::try_from(index).ok()?,
            endpoint(strings, self.parts.endpoints.get(index)?),
        ))
    }

    /// Rules in the order of the indexes that records hold.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = Rule<'a>> + use<'a> {
        let strings = self.parts.strings;
        self.parts.rules.iter().map(move |row| Rule {
            key: text(strings, row.key),
            name: text(strings, row.name),
            file: text(strings, row.file),
            line: row.line.get(),
        })
    }

    /// Label strings of the identities, in the order of their indexes.
    pub fn identities(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let strings = self.parts.strings;
        self.parts
            .identities
            .iter()
            .map(move |row| text(strings, *row))
    }

    /// Addresses of services, as the names of identities tell them; for people.
    pub fn services(&self) -> impl Iterator<Item = Service<'a>> + use<'a> {
        let named = self.identities().zip(0_u32..);
        named.filter_map(|(text, identity)| {
            let (name, address) = text.strip_prefix("service:")?.split_once(",address:")?;
            Some(Service {
                name,
                address,
                identity,
            })
        })
    }

    /// Node names, in the order of their indexes.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let strings = self.parts.strings;
        self.parts.nodes.iter().map(move |row| text(strings, *row))
    }

    /// Nodes that policies of their own apply to, in order of their indexes. What nobody speaks of is not here.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = Host<'a>> + use<'a> {
        let (strings, nodes) = (self.parts.strings, self.parts.nodes);
        self.parts.hosts.iter().map(move |row| Host {
            name: nodes
                .get(row.node.get() as usize)
                .map_or("", |name| text(strings, *name)),
            node: row.node.get(),
            identity: row.identity.get(),
            ingress: row.ingress.get(),
            egress: row.egress.get(),
        })
    }

    /// Identity index of a node's own addresses on that node, unless they name another.
    pub fn host_identity(&self) -> u32 {
        self.parts.host_identity
    }

    /// JSON text: what was proved about the tables.
    pub fn certificate(&self) -> Option<&'a str> {
        self.parts.certificate
    }

    /// What records say for logs, in the order of their cookies from 1; several lines where several rules decided.
    pub fn logs(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let strings = self.parts.strings;
        self.parts.logs.iter().map(move |row| text(strings, *row))
    }

    /// Proxies that records redirect to, in the order of their numbers from 1: `http`, `dns`, `kafka`, `generic`, `tls`, or
    /// `listener` and a name.
    pub fn proxies(&self) -> impl ExactSizeIterator<Item = &'a str> + use<'a> {
        let strings = self.parts.strings;
        self.parts
            .proxies
            .iter()
            .map(move |row| text(strings, *row))
    }

    /// The section table, unknown optional sections included.
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }
}

/// A string that the check has found to be in the pool.
pub(crate) fn text(strings: &str, row: TextRow) -> &str {
    let start = row.at.get() as usize;
    strings
        .get(start..start.saturating_add(row.length.get() as usize))
        .unwrap_or("")
}

fn ipcache(row: &IpcacheRow) -> Ipcache {
    let [a, b, c, d, ..] = row.address;
    let address = if row.family == policy_abi::ipcache::V4 {
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::V6(Ipv6Addr::from(row.address))
    };
    Ipcache {
        address,
        prefix_len: row.prefix_len,
        identity: row.identity.get(),
        node: node(row.node.get()),
        own: Some(row.own.get()).filter(|identity| *identity != 0),
    }
}

fn endpoint<'a>(strings: &'a str, row: &EndpointRow) -> Endpoint<'a> {
    let flags = row.flags.get();
    Endpoint {
        name: text(strings, row.name),
        node: node(row.node.get()),
        ipv4: (flags & HAS_IPV4 != 0).then(|| Ipv4Addr::from(row.ipv4)),
        ipv6: (flags & HAS_IPV6 != 0).then(|| Ipv6Addr::from(row.ipv6)),
        identity: row.identity.get(),
        ingress: row.ingress.get(),
        egress: row.egress.get(),
    }
}

fn node(index: u32) -> Option<u32> {
    (index != NO_NODE).then_some(index)
}
