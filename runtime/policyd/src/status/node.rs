//! The node's own policy.

use std::collections::BTreeSet;

use policy_abi::arena::Read;
use policy_abi::endpoint;
use policy_bundle::Bundle;
use serde::Serialize;

use crate::attach::is_attached;
use crate::failure::Failure;
use crate::pins::{Pins, Side};
use crate::sys::net;

/// The node's own policy.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// The node's name, `None` if the bundle is not known.
    pub name: Option<String>,
    /// Its identity index.
    pub identity: u32,
    /// Whether it is in audit mode: what the policy would drop passes.
    pub audit: bool,
    /// Where the policy is enforced.
    pub devices: Vec<DeviceStatus>,
}

/// A device by which the node is reached.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceStatus {
    /// Its name.
    pub interface: String,
    /// Whether both programs are attached.
    pub attached: bool,
}

/// What is in force.
pub(super) fn status(
    tables: &[u8],
    pins: &Pins,
    bundle: Option<&Bundle<'_>>,
) -> Result<Option<NodeStatus>, Failure> {
    let at = endpoint::find(tables, endpoint::NODE);
    if at == 0 {
        return Ok(None);
    }
    let index = tables.u32(at + endpoint::INDEX) & !endpoint::NODE_INDEX;
    let name = bundle.and_then(|bundle| bundle.nodes().nth(index as usize));
    let pinned = pins.link_names()?;
    let pinned = pinned.iter().filter_map(|name| Pins::parse_link(name));
    let devices: BTreeSet<String> = pinned
        .filter(|(_, side)| Side::DEVICE.contains(side))
        .map(|(interface, _)| interface)
        .collect();
    let device = |interface: String| DeviceStatus {
        attached: net::index(&interface).is_some_and(|ifindex| {
            let mut sides = Side::DEVICE.into_iter();
            sides.all(|side| is_attached(pins, &interface, ifindex, side))
        }),
        interface,
    };
    Ok(Some(NodeStatus {
        name: name.map(str::to_owned),
        identity: tables.u32(at + endpoint::IDENTITY),
        audit: tables.u32(at + endpoint::FLAGS) & endpoint::AUDIT != 0,
        devices: devices.into_iter().map(device).collect(),
    }))
}
