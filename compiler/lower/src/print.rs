//! Text form.

use std::fmt::Write as _;

use policy_abi::arena::{Read, image};
use policyc_ir::model::Model;

use crate::image::Image;

/// The image as text: sizes, endpoints with their tables' shapes, and the ipcache.
pub fn print(model: &Model<'_>, lowered: &Image) -> String {
    let mut out = String::new();
    let sizes = &lowered.sizes;
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        out,
        "tables {} bytes, {} images, {} records, {} identities, {} addresses of services, {} answers compared with the model",
        sizes.bytes, sizes.images, sizes.records, sizes.identities, sizes.services, sizes.checked
    );
    for (number, proxy) in (1..).zip(&lowered.proxies) {
        let _ = writeln!(out, "proxy {number} {proxy}");
    }
    for bound in &lowered.endpoints {
        let Some(endpoint) = model.universe().endpoint(bound.endpoint) else {
            continue;
        };
        let _ = writeln!(
            out,
            "endpoint {} identity {}",
            endpoint.name, endpoint.identity.0
        );
        for (name, at) in [("ingress", bound.ingress), ("egress", bound.egress)] {
            let arena = lowered.arena.as_slice();
            let (peers, l4) = (
                arena.u32(at + image::PEER_CLASSES),
                arena.u32(at + image::L4_CLASSES),
            );
            let _ = writeln!(
                out,
                "  {name} image {at}: {peers} peer classes × {l4} port classes"
            );
        }
    }
    for entry in &lowered.ipcache {
        let _ = writeln!(
            out,
            "address {}/{} identity {}",
            entry.address, entry.prefix_len, entry.identity
        );
    }
    out
}
