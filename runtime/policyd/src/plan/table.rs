//! The endpoint table at the end of the arena.

use policy_abi::arena::Read;
use policy_abi::endpoint;

use crate::failure::Failure;
use crate::plan::Attachment;

/// Writes the endpoints' slots into an arena.
pub(super) fn write(arena: &mut [u8], attachments: &[Attachment<'_>]) -> Result<(), Failure> {
    for attachment in attachments {
        let at = free_slot(arena, attachment.ifindex).ok_or_else(|| {
            Failure::internal(format!(
                "interface `{}` finds no place in the endpoint table: too many interface indexes collide",
                attachment.interface
            ))
        })?;
        write_slot(arena, at, attachment)
            .ok_or_else(|| Failure::internal("the endpoint table does not fit"))?;
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
    let mut put = |field: u32, bytes: &[u8]| {
        let start = (at + field) as usize;
        arena
            .get_mut(start..start + bytes.len())
            .map(|place| place.copy_from_slice(bytes))
    };
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
