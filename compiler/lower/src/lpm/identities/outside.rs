//! Identities of addresses outside the cluster (Cilium's ipcache metadata, resolveLabels).
//!
//! A prefix has the labels that are given to it, and those of the prefixes it lies in: its own `cidr:` label if a rule
//! mentions it, else that of the longest prefix that one mentions; the labels of every group it lies in; the toFQDNs
//! selectors that select a name of its address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::ids::IdentityId;
use policyc_ir::inventory::{CidrGroup, Inventory};
use policyc_ir::model::Model;
use policyc_ir::rule::Peer;
use policyc_ir::universe::Universe;

use super::{text, texts};

/// The label by which a group is known by name.
const GROUP_NAME: &str = "io.cilium.policy.cidrgroupname/";

/// Every distinct set of labels, and the model's identity that it shares its policy with.
pub(super) fn outside(model: &Model<'_>, inventory: &Inventory) -> Vec<(IdentityId, Vec<String>)> {
    let world = World::new(model, inventory);
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for prefix in world.prefixes() {
        let Some(owner) = world.owner(prefix) else {
            continue;
        };
        let labels = world.labels(model.universe(), prefix, owner);
        if known.insert(labels.clone()) {
            found.push((owner, labels));
        }
    }
    found
}

/// What gives labels to addresses outside the cluster.
struct World<'a> {
    /// Prefixes that rules mention themselves, not through a group.
    mentioned: BTreeSet<Cidr>,
    groups: &'a BTreeMap<Arc<str>, CidrGroup>,
    api_servers: &'a [IpAddr],
    /// Selectors of names.
    selectors: BTreeSet<&'a Fqdn>,
    names: BTreeMap<Cidr, Vec<&'a Arc<str>>>,
    owners: BTreeMap<Cidr, IdentityId>,
    inside: BTreeSet<IpAddr>,
}

impl<'a> World<'a> {
    fn new(model: &'a Model<'_>, inventory: &'a Inventory) -> Self {
        let peers = model.resolved.rules.peers();
        let blocks = peers.iter().filter(|peer| matches!(peer, Peer::Cidr(..)));
        let blocks = blocks.flat_map(Peer::blocks);
        let mentioned = blocks.flat_map(|(cidr, except)| std::iter::once(cidr).chain(except));
        let selectors = peers.iter().filter_map(|peer| match peer {
            Peer::Fqdn(fqdn) => Some(fqdn),
            _ => None,
        });
        let mut names: BTreeMap<Cidr, Vec<_>> = BTreeMap::new();
        for (name, addresses) in &inventory.dns {
            for address in addresses {
                names.entry(Cidr::host(*address)).or_default().push(name);
            }
        }
        let universe = model.universe();
        let nodes = inventory.nodes.iter().flat_map(|node| &node.addresses);
        let pods = universe.endpoints().iter();
        let pods = pods.flat_map(|endpoint| &endpoint.addresses);
        Self {
            mentioned: mentioned.filter(|cidr| !cidr.is_all()).copied().collect(),
            groups: &inventory.cidr_groups,
            api_servers: &inventory.api_servers,
            selectors: selectors.collect(),
            names,
            owners: universe
                .addresses()
                .map(|(cidr, owner)| (*cidr, owner.identity))
                .collect(),
            inside: nodes.chain(pods).copied().collect(),
        }
    }

    /// Every prefix that has an identity: those with a label of their own, but for the addresses of nodes and pods.
    fn prefixes(&self) -> BTreeSet<Cidr> {
        let groups = self.groups.values().flat_map(|group| &group.cidrs);
        let named = self.names.keys();
        let named = named.filter(|cidr| !self.selected(cidr).is_empty());
        let servers = self.api_servers.iter().map(|address| Cidr::host(*address));
        let all = self.mentioned.iter().chain(groups).chain(named).copied();
        let all = all.chain(servers);
        let outside = |cidr: &Cidr| !(cidr.is_host() && self.inside.contains(&cidr.address()));
        // In a cluster of one family nothing has addresses of the other.
        let family = |cidr: &Cidr| self.owner(*cidr).is_some();
        all.filter(|cidr| outside(cidr) && !cidr.is_all() && family(cidr))
            .collect()
    }

    /// The model's identity of a prefix that it may not tell apart from a longer one.
    fn owner(&self, prefix: Cidr) -> Option<IdentityId> {
        covering(prefix).find_map(|cidr| self.owners.get(&cidr).copied())
    }

    fn labels(&self, universe: &Universe, prefix: Cidr, owner: IdentityId) -> Vec<String> {
        let identity = universe.identity(owner);
        let mut labels = identity.map_or_else(Vec::new, |identity| texts(&identity.labels));
        let server = self.api_servers.iter().any(|ip| Cidr::host(*ip) == prefix);
        let mentioned = |cidr: &Cidr| self.mentioned.contains(cidr) || server && *cidr == prefix;
        labels.extend(covering(prefix).find(mentioned).map(|cidr| of_cidr(&cidr)));
        labels.extend(self.selected(&prefix).into_iter().map(of_name));
        labels.extend(self.group_labels(prefix));
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// The selectors that select a name of an address.
    fn selected(&self, prefix: &Cidr) -> Vec<&'a Fqdn> {
        let names = self.names.get(prefix).map_or(&[][..], Vec::as_slice);
        let selects = |fqdn: &&&Fqdn| names.iter().any(|name| fqdn.matches(name));
        self.selectors.iter().filter(selects).copied().collect()
    }

    /// The labels of every group that a prefix lies in. One key has one value under its own name, that of the nearest
    /// group, and every value under a name made of both.
    fn group_labels(&self, prefix: Cidr) -> Vec<String> {
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for cidr in covering(prefix) {
            let here = self.groups.iter();
            for (name, group) in here.filter(|(_, group)| group.cidrs.contains(&cidr)) {
                let name = format!("{GROUP_NAME}{name}");
                labels.insert(name.clone(), text("cidrgroup", &name, ""));
                for (key, value) in &group.labels {
                    let both = format!("{key}+{value}");
                    labels.insert(both.clone(), text("cidrgroup", &both, ""));
                    labels
                        .entry(key.to_string())
                        .or_insert_with(|| text("cidrgroup", key, value));
                }
            }
        }
        labels.into_values().collect()
    }
}

/// A prefix and those it lies in, the longest first.
fn covering(prefix: Cidr) -> impl Iterator<Item = Cidr> {
    let lengths = (0..=prefix.bits()).rev();
    lengths.filter_map(move |len| Cidr::new(prefix.address(), len))
}

/// Colons part the source from the name, so those of IPv6 addresses are written as hyphens (Cilium's maskedIPToLabel).
fn of_cidr(cidr: &Cidr) -> String {
    let mut address = cidr.address().to_string().replace(':', "-");
    if address.starts_with('-') {
        address.insert(0, '0');
    }
    if address.ends_with('-') {
        address.push('0');
    }
    format!("cidr:{address}/{}", cidr.bits())
}

fn of_name(fqdn: &Fqdn) -> String {
    let written = fqdn.name.as_ref().or(fqdn.pattern.as_ref());
    text("fqdn", written.map_or("", |text| text), "")
}
