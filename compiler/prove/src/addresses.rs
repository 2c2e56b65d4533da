//! What every address stands for.
//!
//! The address space is cut by every prefix that the address table, a rule, a pod range or the inventory names. One
//! address of each part that is not inside a narrower prefix is looked up; the others of that part have the same answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use policy_bundle::{Bundle, Ipcache};
use policyc_diag::Diagnostic;
use policyc_ir::cidr::Cidr;
use policyc_ir::inventory::Node;
use policyc_ir::label::{Key, Source};
use policyc_ir::rule::Peer;
use policyc_ir::universe::Identity;
use policyc_ir::{EndpointId, IdentityId};

use crate::rules::is_peer;
use crate::{Sources, fault, services};

/// What an address is, by the inventory.
#[derive(Debug)]
enum Wanted<'a> {
    Pod(EndpointId),
    Node(&'a Node),
    /// A service; its identity.
    Service(IdentityId),
    /// Among the addresses that pods get, but no known pod's.
    Unknown,
    Outside,
}

/// Compares all addresses; what is said otherwise, and the number of parts.
pub(crate) fn compare(bundle: &Bundle<'_>, sources: &Sources<'_>) -> (Vec<Diagnostic>, u64) {
    let known = Known::new(sources);
    let table: BTreeMap<Cidr, Ipcache> = bundle
        .ipcache()
        .filter_map(|entry| Some((Cidr::new(entry.address, entry.prefix_len)?, entry)))
        .collect();
    let parts = parts(&known.cuts(&table, sources));
    let mut faults = Vec::new();
    for (within, address) in &parts {
        let found = longest(&table, *address);
        if let Some(says) = known.wrong(*address, found, sources) {
            let message = format!("address {address} (as all of `{within}` around it) {says}");
            faults.push(fault(&message));
        }
    }
    (faults, parts.len() as u64)
}

fn longest(table: &BTreeMap<Cidr, Ipcache>, address: IpAddr) -> Option<Ipcache> {
    let bits = Cidr::host(address).bits();
    let mut prefixes = (0..=bits).rev().filter_map(|len| Cidr::new(address, len));
    prefixes.find_map(|prefix| table.get(&prefix).copied())
}

/// Owners of single addresses.
struct Known<'a> {
    pods: BTreeMap<IpAddr, (String, Option<EndpointId>)>,
    nodes: BTreeMap<IpAddr, &'a Node>,
    services: BTreeMap<IpAddr, IdentityId>,
    api_servers: BTreeSet<IpAddr>,
    /// The node it is for; all if `None`.
    local: Option<Arc<str>>,
    /// Peers made of prefixes, each once.
    peers: Vec<&'a Peer>,
}

impl<'a> Known<'a> {
    fn new(sources: &Sources<'a>) -> Self {
        let inventory = sources.inventory;
        let pods = inventory.pods.iter().filter(|(_, pod)| !pod.host_network);
        let pods = pods.flat_map(|((namespace, name), pod)| {
            let name = format!("{namespace}/{name}");
            let id = sources.universe.find(&name);
            pod.addresses
                .iter()
                .map(move |address| (*address, (name.clone(), id)))
        });
        let nodes = inventory.nodes.iter();
        let nodes = nodes.flat_map(|node| node.addresses.iter().map(move |one| (*one, node)));
        let peers = sources.rules.peers().iter();
        let behind = sources.universe.identities().len();
        let services = services::known(sources).into_iter().enumerate();
        let services = services.map(|(at, one)| (one.address, IdentityId::at(behind + at)));
        Self {
            pods: pods.collect(),
            nodes: nodes.collect(),
            services: services.collect(),
            api_servers: inventory.api_servers.iter().copied().collect(),
            local: sources.node.map(Arc::from),
            peers: peers
                .filter(|peer| peer.blocks().next().is_some())
                .collect(),
        }
    }

    /// Every prefix that makes a difference to somebody.
    fn cuts(&self, table: &BTreeMap<Cidr, Ipcache>, sources: &Sources<'_>) -> BTreeSet<Cidr> {
        let blocks = self.peers.iter().flat_map(|peer| peer.blocks());
        let blocks = blocks.flat_map(|(cidr, except)| std::iter::once(cidr).chain(except));
        let single = self.pods.keys().chain(self.nodes.keys());
        let single = single.chain(&self.api_servers).chain(self.services.keys());
        let single = single.map(|address| Cidr::host(*address));
        let all = [Cidr::ALL_V4, Cidr::ALL_V6];
        let prefixes = blocks.chain(table.keys()).chain(sources.pod_ranges);
        prefixes.copied().chain(single).chain(all).collect()
    }

    fn wanted(&self, address: IpAddr, sources: &Sources<'_>) -> Wanted<'a> {
        if let Some((_, id)) = self.pods.get(&address) {
            return id.map_or(Wanted::Unknown, Wanted::Pod);
        }
        if let Some(node) = self.nodes.get(&address) {
            return Wanted::Node(node);
        }
        if let Some(identity) = self.services.get(&address) {
            return Wanted::Service(*identity);
        }
        let mut ranges = sources.pod_ranges.iter();
        if ranges.any(|range| range.contains(address)) {
            Wanted::Unknown
        } else {
            Wanted::Outside
        }
    }

    /// What is wrong with the entry found for an address.
    fn wrong(
        &self,
        address: IpAddr,
        found: Option<Ipcache>,
        sources: &Sources<'_>,
    ) -> Option<String> {
        let universe = sources.universe;
        let index = found.map_or(IdentityId::UNKNOWN.0, |entry| entry.identity);
        let node = found.and_then(|entry| entry.node);
        if let Wanted::Service(wanted) = self.wanted(address, sources) {
            let right = index == wanted.0 && node.is_none();
            return (!right).then(|| {
                format!(
                    "is a service's, but has identity {index} and not {}",
                    wanted.0
                )
            });
        }
        let Some(identity) = universe.identity(IdentityId(index)) else {
            return Some(format!("has identity {index}, which does not exist"));
        };
        match self.wanted(address, sources) {
            // Told above: such identities are none of the universe.
            Wanted::Service(_) => None,
            Wanted::Pod(id) => {
                let Some(endpoint) = universe.endpoint(id) else {
                    return Some("is a pod's that has no identity".to_owned());
                };
                let right = endpoint.identity.0 == index && node.is_none();
                let name = &endpoint.name;
                (!right).then(|| format!("is pod `{name}`, but has identity {index}, so flows of `{name}` from and to others are judged as those of {}", who(index, identity)))
            }
            Wanted::Node(wanted) => {
                let named = node.and_then(|at| universe.nodes().get(at as usize));
                let right = named == Some(&wanted.name)
                    && self.is_node(wanted, identity, sources)
                    && self.is_own(wanted, found, sources);
                let name = &wanted.name;
                (!right).then(|| {
                    format!(
                        "is node `{name}`, but has identity {index}, that of {}, or on itself is no host of its kind",
                        who(index, identity)
                    )
                })
            }
            Wanted::Unknown => {
                let right = index == IdentityId::UNKNOWN.0 && node.is_none();
                (!right).then(|| format!("is one that pods get and no known pod's, but has identity {index}, so flows with it are judged as those of {}", who(index, identity)))
            }
            Wanted::Outside => {
                let wrong = node.is_some() || !self.is_outside(address, identity, sources);
                let carried = if address.is_ipv4() {
                    sources.settings.ipv4
                } else {
                    sources.settings.ipv6
                };
                // Nothing has an address of a family that the cluster lacks; unknown is the strictest there is.
                let absent = !carried && index == IdentityId::UNKNOWN.0;
                (wrong && !absent).then(|| format!("is outside the cluster, but has identity {index}, so flows with it are judged as those of {}", who(index, identity)))
            }
        }
    }

    /// Whether an identity is that of a node, as other nodes see it.
    fn is_node(&self, node: &Node, identity: &Identity, sources: &Sources<'_>) -> bool {
        let serves = self.serves(node);
        let labels = &identity.labels;
        let entity = Key::new(Source::Reserved, "remote-node");
        let api = Key::new(Source::Reserved, "kube-apiserver");
        let named =
            sources.settings.node_selector_labels && self.local.as_ref() != Some(&node.name);
        let carries = node.labels.iter().all(|(name, value)| {
            labels.get(&Key::new(Source::Node, name.clone())) == Some(value) || !named
        });
        identity.cidr.is_none()
            && labels.get(&entity).is_some()
            && labels.get(&api).is_some() == serves
            && carries
    }

    fn serves(&self, node: &Node) -> bool {
        let mut own = node.addresses.iter();
        own.any(|address| self.api_servers.contains(address))
    }

    /// Whether a node takes an address of its own for the host, and for one that runs the API server if it does. What
    /// nodes do that the bundle is not for does not matter.
    fn is_own(&self, node: &Node, found: Option<Ipcache>, sources: &Sources<'_>) -> bool {
        if self.local.as_ref().is_some_and(|local| *local != node.name) {
            return true;
        }
        let own = found.and_then(|entry| entry.own);
        let own = sources
            .universe
            .identity(own.map_or(IdentityId::HOST, IdentityId));
        let has = |name| {
            let key = Key::new(Source::Reserved, name);
            own.is_some_and(|own| own.labels.get(&key).is_some())
        };
        has("host") && has("kube-apiserver") == self.serves(node)
    }

    /// Whether an identity is that of an address outside: of its family, and a peer where the address is one.
    fn is_outside(&self, address: IpAddr, identity: &Identity, sources: &Sources<'_>) -> bool {
        let family = sources.settings.world(address.is_ipv4());
        let labels = &identity.labels;
        let world = labels.get(&Key::new(Source::Reserved, family)).is_some();
        let api = Key::new(Source::Reserved, "kube-apiserver");
        let api = labels.get(&api).is_some() == self.api_servers.contains(&address);
        let peers = self.peers.iter().all(|peer| {
            let inside = peer.blocks().any(|(block, except)| {
                block.contains(address) && !except.iter().any(|one| one.contains(address))
            });
            inside == is_peer(sources.rules, peer, identity)
        });
        world && api && peers
    }
}

fn who(index: u32, identity: &Identity) -> String {
    if index == IdentityId::UNKNOWN.0 {
        return "an unknown address".to_owned();
    }
    match identity.cidr {
        Some(cidr) => format!("`{cidr}`"),
        None => format!("`{}`", identity.labels),
    }
}

/// An address of each prefix that is in no narrower one, and the prefix.
fn parts(cuts: &BTreeSet<Cidr>) -> Vec<(Cidr, IpAddr)> {
    // Prefixes sort by first address, then length: what a prefix covers follows it.
    let sorted: Vec<_> = cuts.iter().copied().collect();
    let own = sorted.iter().enumerate().filter_map(|(at, cidr)| {
        let inner = sorted.get(at + 1..).unwrap_or_default();
        let inner = inner.iter().take_while(|other| cidr.covers(other));
        let (mut free, last) = bounds(cidr);
        for other in inner {
            let (first, end) = bounds(other);
            if free < first {
                break;
            }
            // One inside another that has been passed ends before `free`.
            free = free.max(end.checked_add(1)?);
        }
        let v4 = cidr.is_ipv4();
        (free <= last).then(|| (*cidr, address(v4, free)))
    });
    own.collect()
}

/// First and last address as numbers.
fn bounds(cidr: &Cidr) -> (u128, u128) {
    match cidr.address() {
        IpAddr::V4(first) => {
            let first = first.to_bits();
            let rest = u32::MAX.checked_shr(u32::from(cidr.bits())).unwrap_or(0);
            (u128::from(first), u128::from(first | rest))
        }
        IpAddr::V6(first) => {
            let rest = u128::MAX.checked_shr(u32::from(cidr.bits())).unwrap_or(0);
            (first.to_bits(), first.to_bits() | rest)
        }
    }
}

fn address(v4: bool, bits: u128) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if v4 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_narrower_prefixes_leave_over() {
        let cuts = |texts: &[&str]| texts.iter().map(|one| Cidr::parse(one).unwrap()).collect();
        let found = |texts: &[&str]| {
            let found = parts(&cuts(texts)).into_iter();
            found
                .map(|(cidr, address)| format!("{cidr} {address}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found(&["0.0.0.0/0", "0.0.0.0/1", "0.0.0.0/2", "128.0.0.0/1", "::/0"]),
            [
                "0.0.0.0/1 64.0.0.0",
                "0.0.0.0/2 0.0.0.0",
                "128.0.0.0/1 128.0.0.0",
                "::/0 ::"
            ]
        );
        assert_eq!(
            found(&["10.0.0.0/31", "10.0.0.0/32", "10.0.0.1/32"]),
            ["10.0.0.0/32 10.0.0.0", "10.0.0.1/32 10.0.0.1"]
        );
        assert_eq!(
            found(&["::/0", "::/1", "8000::/1"]),
            ["::/1 ::", "8000::/1 8000::"]
        );
    }
}
