//! The text for people.

use std::fmt;

use policy_bundle::Bundle;

use crate::plan::{Attachment, Host, Plan};
use crate::state::hex;

impl fmt::Display for Plan<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bundle = self.bundle;
        writeln!(
            out,
            "bundle    revision {}, digest {}",
            bundle.revision(),
            hex(&bundle.digest())
        )?;
        match bundle.signer() {
            Some(key) => writeln!(
                out,
                "signed    by key {}",
                hex(key.get(..8).unwrap_or_default())
            )?,
            None => writeln!(out, "signed    no")?,
        }
        writeln!(
            out,
            "node      {}, host identity {}",
            self.node,
            bundle.host_identity()
        )?;
        let shape = bundle.shape();
        writeln!(
            out,
            "tables    {} bytes: {} identities, {} images, {} records",
            bundle.arena().len(),
            shape.identities,
            shape.images,
            shape.records
        )?;
        writeln!(
            out,
            "addresses {} single, {} prefixes",
            self.addresses.hosts.len(),
            self.addresses.prefixes.len()
        )?;
        writeln!(out, "services  {} addresses", bundle.services().count())?;
        if bundle.proxies().len() > 0 {
            let proxies: Vec<_> = bundle.proxies().collect();
            writeln!(
                out,
                "proxies   {}: none runs, what goes to them is dropped",
                proxies.join(", ")
            )?;
        }
        if let Some(host) = &self.host {
            write_host(out, host)?;
        }
        for attachment in &self.attachments {
            write_attachment(out, bundle, attachment)?;
        }
        for endpoint in &self.absent {
            writeln!(
                out,
                "wait      {} for {}: no such interface",
                endpoint.interface, endpoint.pod
            )?;
        }
        Ok(())
    }
}

fn write_attachment(
    out: &mut fmt::Formatter<'_>,
    bundle: &Bundle<'_>,
    attachment: &Attachment<'_>,
) -> fmt::Result {
    let Attachment {
        interface,
        ifindex,
        audit,
        endpoint,
        ..
    } = attachment;
    write!(
        out,
        "attach    {interface} ({ifindex}) to {}:",
        endpoint.name
    )?;
    endpoint
        .ipv4
        .map_or(Ok(()), |address| write!(out, " {address}"))?;
    endpoint
        .ipv6
        .map_or(Ok(()), |address| write!(out, " {address}"))?;
    let labels = bundle
        .identities()
        .nth(endpoint.identity as usize)
        .unwrap_or_default();
    write!(out, ", identity {} `{labels}`", endpoint.identity)?;
    writeln!(
        out,
        ", images {:#x} to pod, {:#x} from pod{}",
        endpoint.ingress,
        endpoint.egress,
        if *audit { ", audit only" } else { "" }
    )
}

fn write_host(out: &mut fmt::Formatter<'_>, host: &Host<'_>) -> fmt::Result {
    for device in &host.surroundings.devices {
        let index = device
            .ifindex
            .map_or_else(|| "no such interface".to_owned(), |index| index.to_string());
        writeln!(
            out,
            "attach    {} ({index}) to node {}: identity {}, images {:#x} to node, {:#x} from node{}",
            device.interface,
            host.policy.name,
            host.policy.identity,
            host.policy.ingress,
            host.policy.egress,
            if host.audit { ", audit only" } else { "" }
        )?;
    }
    for address in &host.addresses {
        writeln!(out, "own       {address}")?;
    }
    Ok(())
}
