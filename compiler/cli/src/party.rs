//! The two ends of a flow, by the names people give them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use policyc_ir::cidr::Cidr;
use policyc_ir::ids::{EndpointId, IdentityId};
use policyc_ir::inventory::Pod;
use policyc_ir::label::Labels;
use policyc_ir::universe::{Identity, RESERVED, Universe};

use crate::pipeline::Front;

/// Before a DNS name.
const FQDN: &str = "fqdn:";

/// Makes room for the DNS names among `peers` that nobody has looked up yet: each is an address of its own outside the
/// cluster, in no prefix that rules mention.
pub(crate) fn add_names<'a>(
    universe: &mut Universe,
    front: &Front,
    peers: impl Iterator<Item = &'a str>,
) {
    let names = peers.filter_map(|peer| peer.strip_prefix(FQDN));
    let unknown = names.filter(|name| addresses(front, name).is_empty());
    let unknown: BTreeSet<_> = unknown.map(canonical).collect();
    let ipv4 = front.settings.ipv4;
    for name in unknown {
        universe.add_identity(Identity {
            labels: Labels::reserved(&[front.settings.world(ipv4)]),
            cidr: Some(if ipv4 { Cidr::ALL_V4 } else { Cidr::ALL_V6 }),
            names: vec![name.into()],
        });
    }
}

fn canonical(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}

fn addresses<'a>(front: &'a Front, name: &str) -> &'a [IpAddr] {
    let known = front.inventory.dns.get(&*canonical(name));
    known.map_or(&[], Vec::as_slice)
}

/// The identity of a name's addresses, which have to agree.
fn by_name(universe: &Universe, front: &Front, name: &str) -> Result<IdentityId, String> {
    let addresses = addresses(front, name).iter();
    let known: BTreeSet<_> = addresses.map(|one| universe.identity_of(*one)).collect();
    if known.len() > 1 {
        return Err(format!(
            "rules tell the addresses of `{name}` apart: ask about one of them with `ip:`"
        ));
    }
    let canonical = canonical(name);
    let added = || {
        let mut identities = universe.identities().iter();
        identities.position(|identity| matches!(&identity.names[..], [one] if **one == *canonical))
    };
    let id = known
        .first()
        .copied()
        .or_else(|| added().map(IdentityId::at));
    id.ok_or_else(|| format!("the name `{name}` has no address"))
}

/// A pod by name, or the host; a pod on the host's network is the host.
pub(crate) fn subject(
    universe: &Universe,
    front: &Front,
    name: &str,
) -> Result<EndpointId, String> {
    if let Some(id) = universe.find(name) {
        return Ok(id);
    }
    match host_pod(front, name) {
        Some(_) => universe
            .find("host")
            .ok_or_else(|| "the inventory has no node".to_owned()),
        None => Err(format!("the inventory has no pod `{name}`")),
    }
}

/// The pod of a name, if it shares its node's network.
fn host_pod<'a>(front: &'a Front, name: &str) -> Option<&'a Pod> {
    let (namespace, pod) = name.split_once('/')?;
    let pod = front.inventory.pods.get(&(namespace.into(), pod.into()))?;
    pod.host_network.then_some(pod)
}

pub(crate) fn peer(universe: &Universe, front: &Front, name: &str) -> Result<IdentityId, String> {
    if let Some(address) = name.strip_prefix("ip:") {
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("`{address}` is no IP address"))?;
        return Ok(universe.identity_of(address));
    }
    if let Some(fqdn) = name.strip_prefix(FQDN) {
        return by_name(universe, front, fqdn);
    }
    if let Some(node) = name.strip_prefix("node:") {
        return node_identity(universe, front, node);
    }
    let entity = name.strip_prefix("entity:").unwrap_or(name);
    if let Some(id) = IdentityId::reserved(entity) {
        return Ok(id);
    }
    if let Some(id) = universe.find(name).and_then(|id| universe.endpoint(id)) {
        return Ok(id.identity);
    }
    match host_pod(front, name).map(|pod| pod.node.as_deref()) {
        Some(Some(node)) => node_identity(universe, front, node),
        Some(None) => Err(format!(
            "pod `{name}` is on its node's network, but has no node yet"
        )),
        None => {
            let known = RESERVED.iter().map(|(entity, _)| *entity);
            let hint =
                policyc_diag::suggest::did_you_mean(entity, known).map(|hint| format!("; {hint}"));
            Err(format!(
                "no pod, node, address or entity is called `{name}`{}",
                hint.unwrap_or_default()
            ))
        }
    }
}

fn node_identity(universe: &Universe, front: &Front, name: &str) -> Result<IdentityId, String> {
    let node = front
        .inventory
        .nodes
        .iter()
        .find(|node| &*node.name == name);
    let node = node.ok_or_else(|| format!("the inventory has no node `{name}`"))?;
    let local = universe
        .local_node()
        .and_then(|id| universe.nodes().get(id.index()));
    if local.is_some_and(|local| &**local == name) {
        return Ok(IdentityId::HOST);
    }
    let address = node.addresses.first();
    Ok(address.map_or(IdentityId::REMOTE_NODE, |address| {
        universe.identity_of(*address)
    }))
}
