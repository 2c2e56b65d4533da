//! Policies as they were written.

use std::fmt::Write as _;

use policyc_diag::SourceMap;

use super::{action_name, block, joined, layer7, level, place, ports};
use crate::policy::{Block, Entry, KubernetesPeer, Peers, PolicySet, Service, Traffic, Which};

/// Policies after validation.
pub fn policies(set: &PolicySet, sources: &SourceMap) -> String {
    let mut out = String::new();
    for policy in set.policies() {
        let at = place(sources, policy.info.span);
        let _ = writeln!(out, "{} @ {at}", policy.info);
        for rule in &policy.rules {
            let kind = if rule.node { "nodes" } else { "endpoints" };
            let [ingress, egress] = rule.default_deny;
            let subject = &rule.subject.value;
            let _ = writeln!(
                out,
                "  {kind} {subject} (default deny: ingress {ingress}, egress {egress})"
            );
            for entry in &rule.entries {
                self::entry(&mut out, entry);
            }
        }
    }
    out
}

fn entry(out: &mut String, entry: &Entry) {
    let (path, action) = (&entry.path, action_name(entry.action));
    let (level, peers) = (level(entry.level), peers(&entry.peers));
    let auth = entry
        .auth
        .map(|auth| format!(", authentication {}", auth.name()));
    let auth = auth.unwrap_or_default();
    match &entry.traffic {
        Traffic::Any => {
            let _ = writeln!(
                out,
                "    {path} {action}{level} {peers} on any protocol{auth}"
            );
        }
        Traffic::Of(elements) => {
            for element in elements {
                let l7 = element.l7.as_ref();
                let l7 = l7.map(|l7| format!(" through {}", layer7(l7)));
                let _ = writeln!(
                    out,
                    "    {path} {action}{level} {peers} on {}{}{auth}",
                    ports(&element.l4),
                    l7.unwrap_or_default()
                );
            }
        }
    }
}

fn peers(peers: &Peers) -> String {
    match peers {
        Peers::Absent => "unspecified".to_owned(),
        Peers::Endpoints(list) => format!("[{}]", joined(list)),
        Peers::Nodes(list) => format!("nodes [{}]", joined(list)),
        Peers::Entities(list) => format!("entities [{}]", joined(list)),
        Peers::Groups(list) => format!("groups [{}]", joined(list)),
        Peers::Fqdns(list) => format!("names [{}]", joined(list)),
        Peers::Cidrs(list) => format!("[{}]", each(list, addresses)),
        Peers::Services(list) => format!("services [{}]", each(list, service)),
        Peers::Kubernetes(list) => format!("[{}]", each(list, kubernetes)),
    }
}

fn each<T>(list: &[T], text: impl Fn(&T) -> String) -> String {
    let texts: Vec<_> = list.iter().map(text).collect();
    texts.join("; ")
}

fn addresses(written: &Block) -> String {
    match written {
        Block::Cidr(cidr, except) => block(cidr, except),
        Block::Group(name, except) => block(&format!("group {name}"), except),
        Block::Groups(selector, except) => block(&format!("groups {selector}"), except),
    }
}

fn service(service: &Service) -> String {
    let namespace = service.namespace.as_deref().unwrap_or("*");
    match &service.which {
        Which::Named(name) => format!("{namespace}/{name}"),
        Which::Labelled(selector) => format!("{namespace}/{selector}"),
    }
}

fn kubernetes(peer: &KubernetesPeer) -> String {
    match peer {
        KubernetesPeer::Block(cidr, except) => block(cidr, except),
        KubernetesPeer::Pods {
            pods,
            namespaces: None,
        } => pods.to_string(),
        KubernetesPeer::Pods {
            pods,
            namespaces: Some(namespaces),
        } => format!("{pods} in namespaces {namespaces}"),
        KubernetesPeer::Namespaces(selector) => format!("namespaces {selector}"),
        KubernetesPeer::Nodes(selector) => format!("nodes {selector}"),
        KubernetesPeer::Labels(selector) => format!("labels {selector}"),
        KubernetesPeer::Fqdn(fqdn) => fqdn.to_string(),
        KubernetesPeer::Everyone => "everyone".to_owned(),
    }
}
