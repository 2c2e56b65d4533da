//! Contents to section bytes.

use std::net::IpAddr;

use policy_abi::ipcache::{V4, V6};
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::pool::Pool;
use crate::layout::{
    EndpointRow, HAS_IPV4, HAS_IPV6, HostRow, IpcacheRow, NO_NODE, RuleRow, SettingsRow, TextRow,
};
use crate::section::Kind;
use crate::write::{Contents, EncodeError, Endpoint, Host, Ipcache, Rule};

/// One section to be.
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) count: u32,
    pub(super) bytes: Vec<u8>,
}

/// All sections in the order of their kinds.
pub(super) fn parts(contents: &Contents) -> Result<Vec<Part>, EncodeError> {
    let pool = Pool::new(contents)?;
    let rules = contents
        .rules
        .iter()
        .map(|rule| rule_row(&pool, rule))
        .collect::<Result<Vec<_>, _>>()?;
    let mut settings = SettingsRow::new_zeroed();
    settings.host_identity.set(contents.host_identity);
    let mut parts = vec![
        value(Kind::Strings, pool.bytes.clone()),
        value(Kind::Settings, settings.as_bytes().to_vec()),
        value(Kind::Arena, contents.arena.clone()),
        table(Kind::Ipcache, &ipcache(contents)?)?,
        table(Kind::Endpoints, &endpoints(contents, &pool)?)?,
        table(Kind::Rules, &rules)?,
        table(Kind::Identities, &texts(&pool, &contents.identities)?)?,
        table(Kind::Nodes, &texts(&pool, &contents.nodes)?)?,
    ];
    if !contents.manifest.is_empty() {
        parts.push(value(
            Kind::Manifest,
            contents.manifest.clone().into_bytes(),
        ));
    }
    if let Some(certificate) = &contents.certificate {
        parts.push(value(Kind::Certificate, certificate.clone().into_bytes()));
    }
    if !contents.logs.is_empty() {
        parts.push(table(Kind::Logs, &texts(&pool, &contents.logs)?)?);
    }
    if !contents.proxies.is_empty() {
        parts.push(table(Kind::Proxies, &texts(&pool, &contents.proxies)?)?);
    }
    if !contents.hosts.is_empty() {
        parts.push(table(Kind::Hosts, &hosts(contents))?);
    }
    parts.sort_by_key(|part| part.kind);
    Ok(parts)
}

fn value(kind: Kind, bytes: Vec<u8>) -> Part {
    Part {
        kind,
        count: 1,
        bytes,
    }
}

fn table<T: IntoBytes + Immutable>(kind: Kind, rows: &[T]) -> Result<Part, EncodeError> {
    let count = u32::try_from(rows.len()).map_err(|_| EncodeError::TooMuch)?;
    Ok(Part {
        kind,
        count,
        bytes: rows.as_bytes().to_vec(),
    })
}

fn texts(pool: &Pool<'_>, texts: &[String]) -> Result<Vec<TextRow>, EncodeError> {
    texts.iter().map(|text| pool.place(text)).collect()
}

fn rule_row(pool: &Pool<'_>, rule: &Rule) -> Result<RuleRow, EncodeError> {
    Ok(RuleRow {
        key: pool.place(&rule.key)?,
        name: pool.place(&rule.name)?,
        file: pool.place(&rule.file)?,
        line: rule.line.into(),
        reserved: 0.into(),
    })
}

fn ipcache(contents: &Contents) -> Result<Vec<IpcacheRow>, EncodeError> {
    let mut entries: Vec<&Ipcache> = contents.ipcache.iter().collect();
    // `IpAddr` orders IPv4 before IPv6, as the family numbers do.
    entries.sort_by_key(|entry| (entry.address, entry.prefix_len));
    for pair in entries.windows(2) {
        if let [a, b] = pair
            && (a.address, a.prefix_len) == (b.address, b.prefix_len)
        {
            return Err(EncodeError::TwiceInIpcache {
                address: a.address,
                prefix_len: a.prefix_len,
            });
        }
    }
    Ok(entries.into_iter().map(ipcache_row).collect())
}

fn ipcache_row(entry: &Ipcache) -> IpcacheRow {
    let mut row = IpcacheRow::new_zeroed();
    match entry.address {
        IpAddr::V4(address) => {
            row.family = V4;
            let [a, b, c, d] = address.octets();
            row.address = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        }
        IpAddr::V6(address) => {
            row.family = V6;
            row.address = address.octets();
        }
    }
    row.prefix_len = entry.prefix_len;
    row.identity.set(entry.identity);
    row.node.set(entry.node.unwrap_or(NO_NODE));
    row.own.set(entry.own.unwrap_or(0));
    row
}

fn endpoints(contents: &Contents, pool: &Pool<'_>) -> Result<Vec<EndpointRow>, EncodeError> {
    let mut entries: Vec<&Endpoint> = contents.endpoints.iter().collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in entries.windows(2) {
        if let [a, b] = pair
            && a.name == b.name
        {
            return Err(EncodeError::TwiceInEndpoints {
                name: a.name.clone(),
            });
        }
    }
    entries
        .into_iter()
        .map(|entry| endpoint_row(pool, entry))
        .collect()
}

/// Two of one node are refused by every reader, as all that is out of order.
fn hosts(contents: &Contents) -> Vec<HostRow> {
    let mut hosts: Vec<&Host> = contents.hosts.iter().collect();
    hosts.sort();
    let row = |host: &Host| HostRow {
        node: host.node.into(),
        identity: host.identity.into(),
        ingress: host.ingress.into(),
        egress: host.egress.into(),
    };
    hosts.into_iter().map(row).collect()
}

fn endpoint_row(pool: &Pool<'_>, endpoint: &Endpoint) -> Result<EndpointRow, EncodeError> {
    let flags = endpoint.ipv4.map_or(0, |_| HAS_IPV4) | endpoint.ipv6.map_or(0, |_| HAS_IPV6);
    Ok(EndpointRow {
        name: pool.place(&endpoint.name)?,
        node: endpoint.node.unwrap_or(NO_NODE).into(),
        identity: endpoint.identity.into(),
        ingress: endpoint.ingress.into(),
        egress: endpoint.egress.into(),
        flags: flags.into(),
        ipv4: endpoint.ipv4.map_or([0; 4], |address| address.octets()),
        ipv6: endpoint.ipv6.map_or([0; 16], |address| address.octets()),
    })
}
