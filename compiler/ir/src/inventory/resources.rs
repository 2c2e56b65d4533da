//! What stands behind services, groups and names.

use std::net::IpAddr;
use std::sync::Arc;

use policyc_diag::{Diagnostic, codes};
use policyc_syntax::ast::{self, Text, inventory as tree};

use super::{CidrGroup, Inventory, ServicePort, Slice, addresses, invalid, namespace, pairs};
use crate::cidr::Cidr;
use crate::port::Protocol;

impl Inventory {
    pub(super) fn add_cidr_group(
        &mut self,
        document: &ast::Document,
        group: &tree::CidrGroup,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Some(name) = &document.meta.name else {
            let message = format!("this {} has no name", document.kind.value);
            diagnostics
                .push(Diagnostic::new(codes::INVALID_INVENTORY, message).label(document.span, ""));
            return;
        };
        let written = group.cidrs.iter().flat_map(|list| list.iter());
        let mut cidrs = Vec::new();
        for text in written {
            match Cidr::parse(&text.value) {
                Some(cidr) => cidrs.push(cidr),
                None => diagnostics.push(invalid(text, "no address range")),
            }
        }
        cidrs.sort_unstable();
        cidrs.dedup();
        let labels = pairs(&document.meta.labels);
        let group = CidrGroup { labels, cidrs };
        self.cidr_groups.insert(name.value.as_str().into(), group);
    }

    pub(super) fn add_service(
        &mut self,
        name: Arc<str>,
        document: &ast::Document,
        service: &tree::Service,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let own = addresses(&service.addresses, diagnostics);
        let entry = self
            .services
            .entry((namespace(document), name))
            .or_default();
        entry.exists = true;
        entry.labels = pairs(&document.meta.labels);
        entry.selector = service.selector.as_ref().map(|labels| pairs(labels));
        entry.addresses = own;
        entry.ports = service_ports(&service.ports);
        entry.span = Some(document.span);
    }

    /// Backends may be listed before their service, and in several slices.
    pub(super) fn add_backends(
        &mut self,
        document: &ast::Document,
        backends: &tree::Backends,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let Some(service) = &backends.service else {
            return;
        };
        let namespace = namespace(document);
        let found = addresses(&backends.addresses, diagnostics);
        if &*namespace == "default" && service.value == "kubernetes" {
            self.api_servers.extend(&found);
        }
        let key = (namespace, service.value.as_str().into());
        let entry = self.services.entry(key).or_default();
        entry.slices.push(Slice {
            addresses: found.clone(),
            ports: service_ports(&backends.ports),
        });
        entry.backends.extend(found);
        entry.backends.sort_unstable();
        entry.backends.dedup();
    }

    pub(super) fn learn_names(&mut self, data: &[(Text, Text)], diagnostics: &mut Vec<Diagnostic>) {
        for (name, written) in data {
            let name = name.value.to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            let known = self.dns.entry(name.into()).or_default();
            for text in written.value.split_whitespace() {
                if let Ok(address) = text.parse::<IpAddr>() {
                    known.push(address);
                    continue;
                }
                let message = format!("`{text}` is no IP address");
                let fault = Diagnostic::new(codes::INVALID_INVENTORY, message);
                diagnostics.push(fault.label(written.span, ""));
            }
            known.sort_unstable();
            known.dedup();
        }
    }
}

/// Ports with a number and a protocol that there is; the API server admits no others.
fn service_ports(ports: &[tree::ServicePort]) -> Vec<ServicePort> {
    let known = ports.iter().filter_map(|port| {
        let protocol = port.protocol.as_ref();
        Some(ServicePort {
            name: port.name.as_ref().map_or("", |name| &name.value).into(),
            protocol: protocol.map_or(Some(Protocol::TCP), |text| Protocol::parse(&text.value))?,
            number: u16::try_from(port.port.value).ok()?,
        })
    });
    known.collect()
}
