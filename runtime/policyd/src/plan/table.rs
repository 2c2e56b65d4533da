//! The endpoint table at the end of the arena.

use policy_abi::arena::Read;
use policy_abi::endpoint;

use crate::failure::Failure;
use crate::plan::{Attachment, Host};

/// Writes the endpoints' slots into an arena, and the node's.
pub(super) fn write(
    arena: &mut [u8],
    attachments: &[Attachment<'_>],
    host: Option<&Host<'_>>,
) -> Result<(), Failure> {
    let full = || Failure::internal("the endpoint table does not fit");
    if let Some(host) = host {
        let at = free_slot(arena, endpoint::NODE).ok_or_else(full)?;
        write_host(arena, at, host).ok_or_else(full)?;
    }
    for attachment in attachments {
        let at = free_slot(arena, attachment.ifindex).ok_or_else(|| {
            Failure::internal(format!(
                "interface `{}` finds no place in the endpoint table: too many interface indexes collide",
                attachment.interface
            ))
        })?;
        write_slot(arena, at, attachment).ok_or_else(full)?;
    }
    Ok(())
}

/// Offset of the first free slot among those that a lookup looks at.
fn free_slot(arena: &[u8], ifindex: u32) -> Option<u32> {
    let home = endpoint::home(ifindex);
    (0..endpoint::PROBES)
        .map(|probe| endpoint::at(home + probe))
        .find(|at| arena.u32(at + endpoint::IFINDEX) == 0)
}

fn write_slot(arena: &mut [u8], at: u32, attachment: &Attachment<'_>) -> Option<()> {
    let Attachment {
        endpoint: pod,
        ifindex,
        audit,
        reject,
        index,
        ..
    } = attachment;
    let flags = pod.ipv4.map_or(0, |_| endpoint::HAS_IPV4)
        | pod.ipv6.map_or(0, |_| endpoint::HAS_IPV6)
        | if *audit { endpoint::AUDIT } else { 0 }
        | if *reject { endpoint::REJECT } else { 0 };
    let mut put = |field: u32, bytes: &[u8]| put(arena, at + field, bytes);
    put(endpoint::FLAGS, &flags.to_le_bytes())?;
    put(endpoint::INGRESS, &pod.ingress.to_le_bytes())?;
    put(endpoint::EGRESS, &pod.egress.to_le_bytes())?;
    put(endpoint::IDENTITY, &pod.identity.to_le_bytes())?;
    put(endpoint::INDEX, &index.to_le_bytes())?;
    pod.ipv4
        .map_or(Some(()), |address| put(endpoint::IPV4, &address.octets()))?;
    pod.ipv6
        .map_or(Some(()), |address| put(endpoint::IPV6, &address.octets()))?;
    put(endpoint::IFINDEX, &ifindex.to_le_bytes())
}

/// The node's addresses are in the ipcache.
fn write_host(arena: &mut [u8], at: u32, host: &Host<'_>) -> Option<()> {
    let flags = if host.audit { endpoint::AUDIT } else { 0 }
        | if host.reject { endpoint::REJECT } else { 0 };
    for (field, value) in [
        (endpoint::FLAGS, flags),
        (endpoint::INGRESS, host.policy.ingress),
        (endpoint::EGRESS, host.policy.egress),
        (endpoint::IDENTITY, host.policy.identity),
        (endpoint::INDEX, endpoint::NODE_INDEX | host.policy.node),
        (endpoint::IFINDEX, endpoint::NODE),
    ] {
        put(arena, at + field, &value.to_le_bytes())?;
    }
    Some(())
}

fn put(arena: &mut [u8], at: u32, bytes: &[u8]) -> Option<()> {
    let start = at as usize;
    arena
        .get_mut(start..start + bytes.len())
        .map(|place| place.copy_from_slice(bytes))
}
