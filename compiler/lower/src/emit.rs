//! From an image to what a bundle holds.

use std::net::IpAddr;

use policy_bundle::Contents;
use policy_bundle::write::{Endpoint, Host, Rule};
use policyc_diag::SourceMap;
use policyc_ir::ids::IdentityId;
use policyc_ir::model::Model;

use crate::image::{Bound, Image};

/// The contents of a bundle. `manifest` is JSON for people; nothing in it is trusted.
pub fn contents(
    model: &Model<'_>,
    image: Image,
    sources: &SourceMap,
    revision: u64,
    manifest: String,
) -> Contents {
    let universe = model.universe();
    let rules = model.resolved.rules;
    let named = rules.iter().map(|(id, rule)| Rule {
        key: rules.name(id),
        name: rules.name(id),
        file: sources.name(rule.origin.span.file).to_owned(),
        line: sources
            .place(rule.origin.span.file, rule.origin.span.start)
            .line,
    });
    let identities = universe
        .identities()
        .iter()
        .enumerate()
        .map(|(at, identity)| match identity.cidr {
            _ if at == 0 => "unknown".to_owned(),
            Some(cidr) => format!("{},cidr:{cidr}", identity.labels),
            None => identity.labels.to_string(),
        });
    Contents {
        revision,
        manifest,
        endpoints: image
            .endpoints
            .iter()
            .filter_map(|bound| endpoint(model, bound))
            .collect(),
        hosts: image
            .endpoints
            .iter()
            .filter_map(|bound| host(model, bound))
            .collect(),
        arena: image.arena,
        ipcache: image.ipcache,
        logs: image.logs,
        proxies: image.proxies,
        rules: named.collect(),
        identities: identities.chain(image.services).collect(),
        nodes: universe.nodes().iter().map(ToString::to_string).collect(),
        host_identity: IdentityId::HOST.0,
        certificate: None,
    }
}

fn endpoint(model: &Model<'_>, bound: &Bound) -> Option<Endpoint> {
    let endpoint = model.universe().endpoint(bound.endpoint);
    let endpoint = endpoint.filter(|endpoint| !endpoint.host)?;
    let mut ipv4 = None;
    let mut ipv6 = None;
    for address in &endpoint.addresses {
        match address {
            IpAddr::V4(address) => ipv4 = Some(*address),
            IpAddr::V6(address) => ipv6 = Some(*address),
        }
    }
    Some(Endpoint {
        name: endpoint.name.to_string(),
        node: endpoint.node.map(|node| node.0),
        ipv4,
        ipv6,
        identity: endpoint.identity.0,
        ingress: bound.ingress,
        egress: bound.egress,
    })
}

fn host(model: &Model<'_>, bound: &Bound) -> Option<Host> {
    let endpoint = model.universe().endpoint(bound.endpoint);
    let endpoint = endpoint.filter(|endpoint| endpoint.host)?;
    Some(Host {
        node: endpoint.node?.0,
        identity: endpoint.identity.0,
        ingress: bound.ingress,
        egress: bound.egress,
    })
}
