//! The text for people.

use std::fmt;

use crate::status::{Count, EndpointStatus, NodeStatus, Status};

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "generation {}, revision {}, digest {}",
            self.generation, self.revision, self.digest
        )?;
        if !self.bundle_known {
            writeln!(
                out,
                "the copy of the bundle is missing: pods and rules have no names"
            )?;
        }
        match &self.node {
            Some(node) => write_node(out, node)?,
            None => writeln!(out, "\nnode: no policy applies to it")?,
        }
        writeln!(out, "\npods")?;
        for endpoint in &self.endpoints {
            write_endpoint(out, endpoint)?;
        }
        if !self.services.is_empty() {
            writeln!(out, "\nservices")?;
        }
        for service in &self.services {
            writeln!(
                out,
                "  {:<30} {} identity {}",
                service.service, service.address, service.identity
            )?;
        }
        if !self.proxies.is_empty() {
            let proxies = self.proxies.join(", ");
            writeln!(out, "\nno proxy runs: what goes to {proxies} is dropped")?;
        }
        // Names are of any length, so the numbers stand before them.
        writeln!(out, "\n{:>10} {:>14}  rules", "packets", "bytes")?;
        for rule in &self.rules {
            write_count(
                out,
                &format!("{} ({}:{})", rule.name, rule.file, rule.line),
                rule.count,
            )?;
        }
        for (title, reasons) in [
            ("to pods and the node", &self.reasons.ingress),
            ("from pods and the node", &self.reasons.egress),
        ] {
            writeln!(out, "\n{:>10} {:>14}  {title}", "packets", "bytes")?;
            for (name, count) in reasons.iter().filter(|(_, count)| count.packets != 0) {
                write_count(out, name, *count)?;
            }
        }
        Ok(())
    }
}

fn write_node(out: &mut fmt::Formatter<'_>, node: &NodeStatus) -> fmt::Result {
    let name = node.name.as_deref().unwrap_or("?");
    let audit = if node.audit { " AUDIT ONLY" } else { "" };
    writeln!(out, "\nnode {name} identity {}{audit}", node.identity)?;
    if node.devices.is_empty() {
        writeln!(out, "  NOT ATTACHED to any device")?;
    }
    for device in &node.devices {
        let attached = if device.attached {
            "attached"
        } else {
            "NOT ATTACHED"
        };
        writeln!(out, "  {} {attached}", device.interface)?;
    }
    Ok(())
}

fn write_endpoint(out: &mut fmt::Formatter<'_>, endpoint: &EndpointStatus) -> fmt::Result {
    let pod = endpoint.pod.as_deref().unwrap_or("?");
    let interface = endpoint.interface.as_deref().unwrap_or("gone");
    let attached = if endpoint.attached {
        "attached"
    } else {
        "NOT ATTACHED"
    };
    write!(
        out,
        "  {pod:<30} {interface} ({}) {attached}",
        endpoint.ifindex
    )?;
    endpoint
        .ipv4
        .map_or(Ok(()), |address| write!(out, " {address}"))?;
    endpoint
        .ipv6
        .map_or(Ok(()), |address| write!(out, " {address}"))?;
    let audit = if endpoint.audit { " AUDIT ONLY" } else { "" };
    writeln!(out, " identity {}{audit}", endpoint.identity)
}

fn write_count(out: &mut fmt::Formatter<'_>, name: &str, count: Count) -> fmt::Result {
    writeln!(out, "{:>10} {:>14}  {name}", count.packets, count.bytes)
}
