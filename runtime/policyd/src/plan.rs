//! What to do, as data: nothing here touches the kernel.

use policy_abi::arena;
use policy_bundle::{Bundle, Endpoint};

use crate::config::{self, Config, DenyResponse};
use crate::failure::Failure;
use crate::pins::Side;

/// Addresses and prefixes as the maps want them.
mod addresses;
/// The node's own policy, and the devices that it is enforced at.
mod host;
/// The text for people.
mod print;
/// The endpoint table.
mod table;

pub(crate) use addresses::{Address, Addresses, HOST_SLOT_AT, PREFIX_SLOT_AT};
pub use host::{Device, Host, Kind, Local, Surroundings};

/// A pod whose interface gets the programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment<'a> {
    /// Name of the interface.
    pub interface: String,
    /// Its index.
    pub ifindex: u32,
    /// Whether what the policy would drop passes.
    pub audit: bool,
    /// Whether its packets that the policy drops are answered.
    pub reject: bool,
    /// The pod's index in the bundle.
    pub index: u32,
    /// The pod.
    pub endpoint: Endpoint<'a>,
}

/// What a bundle means for this node.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    bundle: &'a Bundle<'a>,
    node: String,
    events: u32,
    /// The node's own policy, if any applies to it.
    pub host: Option<Host<'a>>,
    /// What is attached where.
    pub attachments: Vec<Attachment<'a>>,
    /// Pods whose interface does not exist now.
    pub absent: Vec<config::Endpoint>,
    pub(crate) addresses: Addresses,
}

impl<'a> Plan<'a> {
    /// Puts bundle and configuration together. `ifindex` knows the indexes of interfaces, `local` what else the node is
    /// like: it is asked if a policy applies to the node.
    ///
    /// # Errors
    /// If the node or a configured pod is not in the bundle, a pod belongs to another node or has no address, or a policy
    /// applies to the node and cannot be enforced.
    pub fn new(
        bundle: &'a Bundle<'a>,
        config: &Config,
        ifindex: &dyn Fn(&str) -> Option<u32>,
        local: &dyn Fn() -> Result<Local, Failure>,
    ) -> Result<Self, Failure> {
        let node = find_node(bundle, &config.node)?;
        let host = host::plan(bundle, config, node, ifindex, local)?;
        let (mut attachments, mut absent) = (Vec::new(), Vec::new());
        let mut wanted = config.endpoints.clone();
        wanted.sort();
        for endpoint in wanted {
            let (index, pod) = find_pod(bundle, &endpoint.pod, node)?;
            match ifindex(&endpoint.interface) {
                Some(ifindex) => {
                    let interface = endpoint.interface;
                    attachments.push(Attachment {
                        interface,
                        ifindex,
                        audit: config.audit || endpoint.audit,
                        reject: config.deny_response == DenyResponse::Icmp,
                        index,
                        endpoint: pod,
                    });
                }
                None => absent.push(endpoint),
            }
        }
        let own = host
            .as_ref()
            .map(|host| (host.policy.identity, &host.addresses));
        let addresses = Addresses::new(bundle, node, own);
        Ok(Self {
            bundle,
            node: config.node.clone(),
            events: config.events_per_second,
            host,
            attachments,
            absent,
            addresses,
        })
    }

    /// Refuses a plan in which interfaces are missing.
    ///
    /// # Errors
    /// If a configured interface does not exist.
    pub fn require_interfaces(&self) -> Result<(), Failure> {
        let mut devices = self.devices();
        if let Some(device) = devices.find(|device| device.ifindex.is_none()) {
            return Err(Failure::usage(format!(
                "device `{}` of the node does not exist",
                device.interface
            )));
        }
        self.absent.first().map_or(Ok(()), |endpoint| {
            Err(Failure::usage(format!(
                "interface `{}` of pod `{}` does not exist",
                endpoint.interface, endpoint.pod
            )))
        })
    }

    /// Devices at which the node's own policy is enforced; none if there is no such policy.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        let hosts = self.host.iter();
        hosts.flat_map(|host| &host.surroundings.devices)
    }

    /// Where programs go: interface, its index, and which side of it.
    pub fn spots(&self) -> impl Iterator<Item = (&str, u32, Side)> {
        let pods = self.attachments.iter().flat_map(|attachment| {
            Side::BOTH.map(|side| (attachment.interface.as_str(), attachment.ifindex, side))
        });
        let devices = self.devices().flat_map(|device| {
            let spot =
                |ifindex| Side::DEVICE.map(|side| (device.interface.as_str(), ifindex, side));
            device.ifindex.map(spot).into_iter().flatten()
        });
        pods.chain(devices)
    }

    /// The bundle that the plan is about.
    pub fn bundle(&self) -> &'a Bundle<'a> {
        self.bundle
    }

    /// Events that each CPU may report per second.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// The arena of one generation: the bundle's tables, and the endpoint table of this node.
    ///
    /// # Errors
    /// If the interface indexes collide so much that a lookup would not find an endpoint.
    pub fn arena(&self) -> Result<Vec<u8>, Failure> {
        let tables = self.bundle.arena();
        let mut bytes = vec![0; arena::BYTES as usize];
        let place = bytes
            .get_mut(..tables.len())
            .ok_or_else(|| Failure::internal("the tables do not fit"))?;
        place.copy_from_slice(tables);
        table::write(&mut bytes, &self.attachments, self.host.as_ref())?;
        Ok(bytes)
    }
}

/// Index of this node. A bundle that knows no nodes fits any.
fn find_node(bundle: &Bundle<'_>, name: &str) -> Result<Option<u32>, Failure> {
    if bundle.nodes().len() == 0 {
        return Ok(None);
    }
    let index = bundle.nodes().position(|node| node == name);
    match index.and_then(|index| u32::try_from(index).ok()) {
        Some(index) => Ok(Some(index)),
        None => Err(Failure::refused(format!(
            "node `{name}` is not in the bundle"
        ))),
    }
}

fn find_pod<'a>(
    bundle: &Bundle<'a>,
    name: &str,
    node: Option<u32>,
) -> Result<(u32, Endpoint<'a>), Failure> {
    let (index, pod) = bundle
        .endpoint(name)
        .ok_or_else(|| Failure::refused(format!("pod `{name}` is not in the bundle")))?;
    if let Some(scheduled) = pod.node
        && Some(scheduled) != node
    {
        let other = bundle.nodes().nth(scheduled as usize).unwrap_or_default();
        return Err(Failure::refused(format!(
            "pod `{name}` is on node `{other}` according to the bundle, not here"
        )));
    }
    if pod.ipv4.is_none() && pod.ipv6.is_none() {
        return Err(Failure::refused(format!(
            "pod `{name}` has no address in the bundle, so none of its traffic could pass; compile it from the \
             running cluster's inventory"
        )));
    }
    Ok((index, pod))
}

#[cfg(test)]
mod tests;

/// A small bundle, shared with the tests of the format.
#[cfg(test)]
#[path = "../../bundle/tests/common/mod.rs"]
pub(crate) mod sample;
