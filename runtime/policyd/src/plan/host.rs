//! The node's own policy, and the devices that it is enforced at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use policy_bundle::Bundle;

use crate::config::{Config, DenyResponse, Devices, Enforcement};
use crate::failure::Failure;

/// The node's own policy. It is there only if some policy applies to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// Its tables.
    pub policy: policy_bundle::Host<'a>,
    /// Where it is enforced, and what that was found out from.
    pub surroundings: Surroundings,
    /// Addresses of the node's interfaces: what is sent to them is for the node, whether or not the bundle knows them.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether what the policy would drop passes.
    pub audit: bool,
    /// Whether pods are told what the policy drops of theirs.
    pub reject: bool,
}

/// What the plan depends on besides bundle and configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Where the policy is enforced.
    pub devices: Vec<Device>,
    addresses: BTreeSet<(String, IpAddr)>,
    by_default: BTreeSet<String>,
}

impl Surroundings {
    /// Whether a plan made now would be the same.
    pub(crate) fn is_like(&self, local: &Local) -> bool {
        (&self.addresses, &self.by_default) == (&local.addresses, &local.by_default)
    }
}

/// A device by which the node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Name of the interface.
    pub interface: String,
    /// Its index, `None` if it does not exist now.
    pub ifindex: Option<u32>,
}

/// What a node is like: interfaces, addresses and routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// What kinds of devices its interfaces are, by name.
    pub kinds: BTreeMap<String, Kind>,
    /// Interfaces and their addresses.
    pub addresses: BTreeSet<(String, IpAddr)>,
    /// Interfaces by which packets go that no other route fits.
    pub by_default: BTreeSet<String>,
}

/// What kind of device an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Packets have an Ethernet header.
    Ethernet,
    /// The node talks to itself.
    Loopback,
    /// Packets have another header, or none.
    Other,
}

/// What the bundle has for this node, `None` if no policy applies to it.
///
/// # Errors
/// If enforcement is off, or there is no device at which it could be enforced.
pub(super) fn plan<'a>(
    bundle: &Bundle<'a>,
    config: &Config,
    node: Option<u32>,
    ifindex: &dyn Fn(&str) -> Option<u32>,
    local: &dyn Fn() -> Result<Local, Failure>,
) -> Result<Option<Host<'a>>, Failure> {
    let Some(policy) = bundle.hosts().find(|host| Some(host.node) == node) else {
        return Ok(None);
    };
    if config.host.enforcement == Enforcement::Off {
        return Err(Failure::refused(format!(
            "policies apply to node `{}` itself, and `host.enforcement` is `off` in the configuration",
            policy.name
        )));
    }
    let local = local()?;
    let devices = devices(bundle, config, policy.node, &local)?;
    let devices = devices.into_iter().map(|interface| Device {
        ifindex: ifindex(&interface),
        interface,
    });
    // What a node sends to itself by the loopback device meets no program.
    let addresses = local.addresses.iter().map(|(_, address)| *address);
    Ok(Some(Host {
        policy,
        surroundings: Surroundings {
            devices: devices.collect(),
            addresses: local.addresses.clone(),
            by_default: local.by_default.clone(),
        },
        addresses: addresses.filter(|one| !one.is_loopback()).collect(),
        audit: config.audit || config.host.audit,
        reject: config.deny_response == DenyResponse::Icmp,
    }))
}

/// Names of the devices at which the node's policy is to be enforced.
fn devices(
    bundle: &Bundle<'_>,
    config: &Config,
    node: u32,
    local: &Local,
) -> Result<Vec<String>, Failure> {
    let found = match &config.host.devices {
        Devices::Named(names) => {
            let mut names = names.clone();
            names.sort();
            names
        }
        Devices::Auto(_) => {
            let found = found(bundle, config, node, local);
            if found.is_empty() {
                return Err(Failure::refused(
                    "policies apply to this node, and none of its devices has an address that the bundle knows of it or a \
                     default route; name the devices by which it is reached as `host.devices`",
                ));
            }
            found
        }
    };
    let kind = |name: &String| local.kinds.get(name);
    match found
        .iter()
        .find(|name| !matches!(kind(name), None | Some(Kind::Ethernet)))
    {
        Some(other) => Err(Failure::refused(format!(
            "policies apply to this node, and its device `{other}` is none whose packets have an Ethernet header; \
             `host.devices` may name others"
        ))),
        None => Ok(found),
    }
}

/// Devices that have an address which the bundle gives the node, or that lead elsewhere by default. Interfaces of pods
/// are none, nor is the loopback device.
fn found(bundle: &Bundle<'_>, config: &Config, node: u32, local: &Local) -> Vec<String> {
    let known = bundle.ipcache().filter(|entry| entry.node == Some(node));
    let known: BTreeSet<IpAddr> = known.map(|entry| entry.address).collect();
    let having = local.addresses.iter();
    let having = having.filter(|(_, address)| known.contains(address));
    let pods = config.interfaces();
    let found: BTreeSet<&String> = having
        .map(|(name, _)| name)
        .chain(&local.by_default)
        .filter(|name| !pods.contains(name.as_str()))
        .filter(|name| local.kinds.get(*name) != Some(&Kind::Loopback))
        .collect();
    found.into_iter().cloned().collect()
}
