//! Pods of the bundle and of the inventory.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy_abi::arena::{Read, header};
use policy_bundle::Bundle;
use policyc_diag::Diagnostic;
use policyc_ir::IdentityId;

use crate::{Sources, fault, hosts, services};

/// What the bundle's lists say otherwise than the sources: pods, identities, rules and nodes.
pub(crate) fn faults(bundle: &Bundle<'_>, sources: &Sources<'_>) -> Vec<Diagnostic> {
    let mut found = lists(bundle, sources);
    let wanted = wanted(sources);
    for endpoint in bundle.endpoints() {
        let (name, universe) = (endpoint.name, sources.universe);
        let known = universe.find(name).and_then(|id| universe.endpoint(id));
        let Some((known, (node, addresses))) = known.zip(wanted.get(name)) else {
            found.push(fault(&format!("no pod `{name}` belongs into the bundle")));
            continue;
        };
        if known.identity.0 != endpoint.identity {
            let message = format!(
                "pod `{name}` has identity {} in the bundle, but its labels are those of identity {}",
                endpoint.identity, known.identity.0
            );
            found.push(fault(&message));
        }
        let v4 = endpoint.ipv4.map(IpAddr::V4);
        let own: Vec<_> = v4
            .into_iter()
            .chain(endpoint.ipv6.map(IpAddr::V6))
            .collect();
        let name_of = |at: u32| universe.nodes().get(at as usize).map(|name| &**name);
        if own != *addresses || endpoint.node.and_then(name_of) != *node {
            let message = format!("pod `{name}` has other addresses or another node in the bundle");
            found.push(fault(&message));
        }
    }
    for name in wanted.keys() {
        if bundle.endpoint(name).is_none() {
            found.push(fault(&format!("pod `{name}` is missing from the bundle")));
        }
    }
    found.extend(hosts::faults(bundle, sources));
    found
}

/// Pods that belong into the bundle: their node and their addresses, IPv4 first.
type Pods<'a> = BTreeMap<String, (Option<&'a str>, Vec<IpAddr>)>;

fn wanted<'a>(sources: &Sources<'a>) -> Pods<'a> {
    let here = |node: Option<&str>| sources.node.is_none_or(|wanted| node == Some(wanted));
    let known = |node: &&str| sources.universe.nodes().iter().any(|name| **name == **node);
    let pods = sources.inventory.pods.iter();
    let pods = pods.filter(|(_, pod)| !pod.host_network && !pod.addresses.is_empty());
    let pods = pods.map(|((namespace, name), pod)| {
        let last = |v4: bool| {
            let mut of = pod.addresses.iter().rev();
            of.find(|address| address.is_ipv4() == v4).copied()
        };
        let addresses = [true, false].into_iter().filter_map(last).collect();
        let node = pod.node.as_deref().filter(known);
        (format!("{namespace}/{name}"), (node, addresses))
    });
    pods.filter(|(_, (node, _))| here(*node)).collect()
}

fn lists(bundle: &Bundle<'_>, sources: &Sources<'_>) -> Vec<Diagnostic> {
    let rules = sources.rules;
    let names: Vec<_> = rules.iter().map(|(id, _)| rules.name(id)).collect();
    let extended = bundle.arena().u32(header::FLAGS) & header::FLAG_EXTENDED_PROTOCOLS != 0;
    let nodes = sources.universe.nodes().iter().map(|name| &**name);
    let told = [
        (
            bundle
                .rules()
                .map(|rule| rule.name)
                .eq(names.iter().map(String::as_str)),
            "the bundle lists other rules than the policies have",
        ),
        (
            services::has_all(bundle, sources),
            "the bundle has another number of identities and services than the inventory",
        ),
        (
            bundle.nodes().eq(nodes),
            "the bundle lists other nodes than the inventory",
        ),
        (
            bundle.host_identity() == IdentityId::HOST.0,
            "the bundle gives a node's own addresses another identity than the host's",
        ),
        (
            extended == sources.settings.extended_protocols,
            "the tables and the cluster differ on whether other protocols are judged",
        ),
    ];
    let wrong = told.into_iter().filter(|(right, _)| !right);
    wrong.map(|(_, message)| fault(message)).collect()
}
