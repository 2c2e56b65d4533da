//! ClusterNetworkPolicy.

use super::scalar::list;
use super::{Context, Decode, Field, Table};
use crate::ast::List;
use crate::ast::kcnp::{Peer, Pods, Policy, Port, Protocol, Range, Rule, Subject, Transport};
use crate::tree::Node;

/// Reads `spec`, which must be there.
pub(super) fn policy(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Policy {
    table.required("spec", cx).unwrap_or(Policy {
        span: None,
        tier: None,
        priority: None,
        subject: None,
        ingress: None,
        egress: None,
    })
}

impl Decode for Policy {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let policy = Self {
            span: Some(table.span),
            tier: table.required("tier", cx),
            priority: table.required("priority", cx),
            subject: table.required("subject", cx),
            ingress: rules("ingress", ingress, &mut table, cx),
            egress: rules("egress", egress, &mut table, cx),
        };
        table.finish(cx);
        Some(policy)
    }
}

impl Decode for Subject {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let subject = Self {
            span: table.span,
            namespaces: table.optional("namespaces", cx),
            pods: table.optional("pods", cx),
        };
        table.finish(cx);
        Some(subject)
    }
}

impl Decode for Pods {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let pods = Self {
            span: table.span,
            namespace_selector: table.optional("namespaceSelector", cx),
            pod_selector: table.required("podSelector", cx),
        };
        table.finish(cx);
        Some(pods)
    }
}

/// Reads one direction's rules.
fn rules(
    name: &'static str,
    read: fn(&Node<'_>, Field<'_>, &mut Context<'_>) -> Option<Rule>,
    table: &mut Table<'_, '_>,
    cx: &mut Context<'_>,
) -> Option<List<Rule>> {
    list(table.node(name, cx, "a list")?, Field::new(name), cx, read)
}

fn ingress(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Rule> {
    rule(node, field, cx, "from", |node, field, cx| {
        let mut table = Table::open(node, field, cx)?;
        let peer = Peer {
            span: table.span,
            namespaces: table.optional("namespaces", cx),
            pods: table.optional("pods", cx),
            // Validation says that these are for egress, which helps more than calling them unknown.
            nodes: table.unlisted("nodes", cx),
            networks: table.unlisted("networks", cx),
            domain_names: table.unlisted("domainNames", cx),
        };
        table.finish(cx);
        Some(peer)
    })
}

fn egress(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Rule> {
    rule(node, field, cx, "to", |node, field, cx| {
        let mut table = Table::open(node, field, cx)?;
        let peer = Peer {
            span: table.span,
            namespaces: table.optional("namespaces", cx),
            pods: table.optional("pods", cx),
            nodes: table.optional("nodes", cx),
            networks: table.optional("networks", cx),
            domain_names: table.optional("domainNames", cx),
        };
        table.finish(cx);
        Some(peer)
    })
}

fn rule(
    node: &Node<'_>,
    field: Field<'_>,
    cx: &mut Context<'_>,
    peers: &'static str,
    peer: fn(&Node<'_>, Field<'_>, &mut Context<'_>) -> Option<Peer>,
) -> Option<Rule> {
    let mut table = Table::open(node, field, cx)?;
    let name = table.optional("name", cx);
    let action = table.required("action", cx);
    let peers = table
        .present(peers, cx)
        .and_then(|node| list(node, Field::new(peers), cx, peer));
    let rule = Rule {
        span: table.span,
        name,
        action,
        peers,
        protocols: table.optional("protocols", cx),
    };
    table.finish(cx);
    Some(rule)
}

impl Decode for Protocol {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let protocol = Self {
            span: table.span,
            tcp: table.optional("tcp", cx),
            udp: table.optional("udp", cx),
            sctp: table.optional("sctp", cx),
            named_port: table.optional("destinationNamedPort", cx),
        };
        table.finish(cx);
        Some(protocol)
    }
}

impl Decode for Transport {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let transport = Self {
            span: table.span,
            port: table.optional("destinationPort", cx),
        };
        table.finish(cx);
        Some(transport)
    }
}

impl Decode for Port {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let port = Self {
            span: table.span,
            number: table.optional("number", cx),
            range: table.optional("range", cx),
        };
        table.finish(cx);
        Some(port)
    }
}

impl Decode for Range {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let range = Self {
            span: table.span,
            start: table.required("start", cx),
            end: table.required("end", cx),
        };
        table.finish(cx);
        Some(range)
    }
}
