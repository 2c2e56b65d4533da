//! Structure of the sections: record lengths, text, order, and references between them.

use policy_abi::ipcache::{V4, V6};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::OpenError;
use crate::bundle::{Parts, text};
use crate::layout::{
    EndpointRow, HAS_IPV4, HAS_IPV6, HostRow, IpcacheRow, NO_NODE, STRING_MAX, SettingsRow, TextRow,
};
use crate::section::{Kind, Section};
use crate::tables::Shape;

/// The sections as records; lengths, text and counts are right, references are not checked yet.
pub(crate) fn parts<'a>(sections: &[Section<'a>]) -> Result<Parts<'a>, OpenError> {
    if let Some(kind) = Kind::ALL
        .into_iter()
        .find(|kind| kind.mandatory() && find(sections, *kind).is_none())
    {
        return Err(OpenError::Missing { kind });
    }
    let settings: &[SettingsRow] = rows(sections, Kind::Settings)?;
    let [settings] = settings else {
        return Err(OpenError::RecordLength {
            kind: Kind::Settings,
        });
    };
    if settings.zero != [0; 60] {
        return Err(OpenError::Reserved {
            kind: Kind::Settings,
            row: 0,
        });
    }
    Ok(Parts {
        strings: utf8(sections, Kind::Strings)?.unwrap_or(""),
        manifest: utf8(sections, Kind::Manifest)?.unwrap_or(""),
        host_identity: settings.host_identity.get(),
        arena: find(sections, Kind::Arena).map_or(&[], |section| section.bytes),
        ipcache: rows(sections, Kind::Ipcache)?,
        endpoints: rows(sections, Kind::Endpoints)?,
        rules: rows(sections, Kind::Rules)?,
        identities: rows(sections, Kind::Identities)?,
        nodes: rows(sections, Kind::Nodes)?,
        certificate: utf8(sections, Kind::Certificate)?,
        logs: match find(sections, Kind::Logs) {
            Some(_) => rows(sections, Kind::Logs)?,
            None => &[],
        },
        proxies: match find(sections, Kind::Proxies) {
            Some(_) => rows(sections, Kind::Proxies)?,
            None => &[],
        },
        hosts: match find(sections, Kind::Hosts) {
            Some(_) => rows::<HostRow>(sections, Kind::Hosts)?,
            None => &[],
        },
    })
}

fn find<'s, 'a>(sections: &'s [Section<'a>], kind: Kind) -> Option<&'s Section<'a>> {
    sections.iter().find(|section| section.kind == Some(kind))
}

fn utf8<'a>(sections: &[Section<'a>], kind: Kind) -> Result<Option<&'a str>, OpenError> {
    let Some(section) = find(sections, kind) else {
        return Ok(None);
    };
    std::str::from_utf8(section.bytes)
        .map(Some)
        .map_err(|_| OpenError::Utf8 { kind })
}

fn rows<'a, T>(sections: &[Section<'a>], kind: Kind) -> Result<&'a [T], OpenError>
where
    T: FromBytes + Immutable + KnownLayout + Unaligned,
{
    let section = find(sections, kind).ok_or(OpenError::Missing { kind })?;
    let rows =
        <[T]>::ref_from_bytes(section.bytes).map_err(|_| OpenError::RecordLength { kind })?;
    if rows.len() == section.count as usize {
        Ok(rows)
    } else {
        Err(OpenError::RecordLength { kind })
    }
}

/// Checks what records say about strings, identities, nodes, images and addresses, and their order.
pub(crate) fn references(parts: &Parts<'_>, shape: &Shape) -> Result<(), OpenError> {
    if parts.identities.len() != shape.identities as usize {
        return Err(OpenError::IdentityCount {
            found: parts.identities.len(),
            stated: shape.identities,
        });
    }
    if parts.rules.len() < shape.rules as usize {
        return Err(OpenError::RuleCount {
            found: parts.rules.len(),
            needed: shape.rules,
        });
    }
    if parts.logs.len() < shape.logs as usize {
        return Err(OpenError::LogCount {
            found: parts.logs.len(),
            needed: shape.logs,
        });
    }
    if parts.proxies.len() < shape.proxies as usize {
        return Err(OpenError::ProxyCount {
            found: parts.proxies.len(),
            needed: shape.proxies,
        });
    }
    if parts.host_identity >= shape.identities {
        return Err(OpenError::Identity {
            kind: Kind::Settings,
            row: 0,
        });
    }
    check_names(parts)?;
    check_ipcache(parts, shape)?;
    check_endpoints(parts, shape)?;
    check_hosts(parts, shape)
}

/// Every string that a record outside the endpoint table names.
fn check_names(parts: &Parts<'_>) -> Result<(), OpenError> {
    for (row, rule) in parts.rules.iter().enumerate() {
        if rule.reserved.get() != 0 {
            return Err(OpenError::Reserved {
                kind: Kind::Rules,
                row,
            });
        }
        for name in [rule.key, rule.name, rule.file] {
            check_text(parts.strings, name, Kind::Rules, row)?;
        }
    }
    for (row, label) in parts.identities.iter().enumerate() {
        check_text(parts.strings, *label, Kind::Identities, row)?;
    }
    for (row, name) in parts.nodes.iter().enumerate() {
        check_text(parts.strings, *name, Kind::Nodes, row)?;
    }
    for (row, text) in parts.logs.iter().enumerate() {
        check_text(parts.strings, *text, Kind::Logs, row)?;
    }
    for (row, name) in parts.proxies.iter().enumerate() {
        check_text(parts.strings, *name, Kind::Proxies, row)?;
    }
    Ok(())
}

fn check_text(strings: &str, row_text: TextRow, kind: Kind, row: usize) -> Result<(), OpenError> {
    let (start, length) = (row_text.at.get() as usize, row_text.length.get() as usize);
    let fits = length <= STRING_MAX && strings.get(start..start.saturating_add(length)).is_some();
    if fits {
        Ok(())
    } else {
        Err(OpenError::Text { kind, row })
    }
}

fn check_node(node: u32, parts: &Parts<'_>, kind: Kind, row: usize) -> Result<(), OpenError> {
    let exists = node == NO_NODE || (node as usize) < parts.nodes.len();
    if exists {
        Ok(())
    } else {
        Err(OpenError::Node { kind, row })
    }
}

fn check_ipcache(parts: &Parts<'_>, shape: &Shape) -> Result<(), OpenError> {
    let kind = Kind::Ipcache;
    let mut previous = None;
    for (row, entry) in parts.ipcache.iter().enumerate() {
        // Only a node's own address can be something else on it.
        if entry.zero != [0; 2] || (entry.own.get() != 0 && entry.node.get() == NO_NODE) {
            return Err(OpenError::Reserved { kind, row });
        }
        if !is_prefix(entry) {
            return Err(OpenError::Address { kind, row });
        }
        if entry.identity.get().max(entry.own.get()) >= shape.identities {
            return Err(OpenError::Identity { kind, row });
        }
        check_node(entry.node.get(), parts, kind, row)?;
        let key = Some((entry.family, entry.address, entry.prefix_len));
        if key <= previous {
            return Err(OpenError::RecordOrder { kind, row });
        }
        previous = key;
    }
    Ok(())
}

/// Known family, length within it, and no bit set after the prefix.
fn is_prefix(entry: &IpcacheRow) -> bool {
    let longest = match entry.family {
        V4 => 32,
        V6 => 128,
        _ => return false,
    };
    let after = u128::MAX
        .checked_shr(u32::from(entry.prefix_len))
        .unwrap_or(0);
    entry.prefix_len <= longest && u128::from_be_bytes(entry.address) & after == 0
}

fn check_endpoints(parts: &Parts<'_>, shape: &Shape) -> Result<(), OpenError> {
    let kind = Kind::Endpoints;
    let mut previous: Option<&str> = None;
    for (row, endpoint) in parts.endpoints.iter().enumerate() {
        check_text(parts.strings, endpoint.name, kind, row)?;
        let name = Some(text(parts.strings, endpoint.name));
        if name <= previous {
            return Err(OpenError::RecordOrder { kind, row });
        }
        previous = name;
        check_addresses(endpoint, row)?;
        check_node(endpoint.node.get(), parts, kind, row)?;
        if endpoint.identity.get() >= shape.identities {
            return Err(OpenError::Identity { kind, row });
        }
        if !shape.is_image(endpoint.ingress.get()) || !shape.is_image(endpoint.egress.get()) {
            return Err(OpenError::Image { kind, row });
        }
    }
    Ok(())
}

/// Nodes that exist, each once, with the identity of their own addresses and images of the tables.
fn check_hosts(parts: &Parts<'_>, shape: &Shape) -> Result<(), OpenError> {
    let kind = Kind::Hosts;
    let mut previous = None;
    for (row, host) in parts.hosts.iter().enumerate() {
        let node = host.node.get();
        if Some(node) <= previous {
            return Err(OpenError::RecordOrder { kind, row });
        }
        previous = Some(node);
        if node as usize >= parts.nodes.len() {
            return Err(OpenError::Node { kind, row });
        }
        if host.identity.get() >= shape.identities {
            return Err(OpenError::Identity { kind, row });
        }
        if !shape.is_image(host.ingress.get()) || !shape.is_image(host.egress.get()) {
            return Err(OpenError::Image { kind, row });
        }
    }
    check_own_addresses(parts)
}

/// A node's addresses have the identity that its policy is found under; by any other they would not be judged.
fn check_own_addresses(parts: &Parts<'_>) -> Result<(), OpenError> {
    for entry in parts.ipcache {
        let own = match entry.own.get() {
            0 => parts.host_identity,
            own => own,
        };
        let node = entry.node.get();
        let host = parts
            .hosts
            .binary_search_by_key(&node, |host| host.node.get());
        if let Ok(row) = host
            && parts
                .hosts
                .get(row)
                .is_some_and(|host| host.identity.get() != own)
        {
            let kind = Kind::Hosts;
            return Err(OpenError::Identity { kind, row });
        }
    }
    Ok(())
}

/// No undefined flag, and no address without its flag.
fn check_addresses(endpoint: &EndpointRow, row: usize) -> Result<(), OpenError> {
    let flags = endpoint.flags.get();
    let unset = (flags & HAS_IPV4 == 0 && endpoint.ipv4 != [0; 4])
        || (flags & HAS_IPV6 == 0 && endpoint.ipv6 != [0; 16]);
    if flags & !(HAS_IPV4 | HAS_IPV6) != 0 || unset {
        return Err(OpenError::Reserved {
            kind: Kind::Endpoints,
            row,
        });
    }
    Ok(())
}
