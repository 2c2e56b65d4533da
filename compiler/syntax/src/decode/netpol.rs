//! NetworkPolicy.

use super::{Context, Decode, Field, Table};
use crate::ast::netpol::{IpBlock, Peer, Policy, Port, Rule};
use crate::ast::{List, Text};
use crate::decode::scalar::list;
use crate::tree::Node;

/// Reads `spec`, `None` if the object has none.
pub(super) fn policy(spec: Option<&Node<'_>>, cx: &mut Context<'_>) -> Policy {
    let absent = Policy {
        span: None,
        pod_selector: None,
        policy_types: None,
        ingress: None,
        egress: None,
    };
    let Some(mut table) = spec.and_then(|node| Table::open(node, Field::new("spec"), cx)) else {
        return absent;
    };
    let pod_selector = table.optional("podSelector", cx);
    let policy_types = table.optional::<List<Text>>("policyTypes", cx);
    let ingress = rules("ingress", "from", &mut table, cx);
    let egress = rules("egress", "to", &mut table, cx);
    let span = Some(table.span);
    table.finish(cx);
    Policy {
        span,
        pod_selector,
        policy_types,
        ingress,
        egress,
    }
}

fn rules(
    name: &'static str,
    peers: &'static str,
    table: &mut Table<'_, '_>,
    cx: &mut Context<'_>,
) -> Option<List<Rule>> {
    let node = table.node(name, cx, "a list")?;
    list(node, Field::new(name), cx, |node, field, cx| {
        let mut table = Table::open(node, field, cx)?;
        let rule = Rule {
            span: table.span,
            peers: table.optional(peers, cx),
            ports: table.optional("ports", cx),
        };
        table.finish(cx);
        Some(rule)
    })
}

impl Decode for Peer {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let peer = Self {
            span: table.span,
            pod_selector: table.optional("podSelector", cx),
            namespace_selector: table.optional("namespaceSelector", cx),
            ip_block: table.optional("ipBlock", cx),
        };
        table.finish(cx);
        Some(peer)
    }
}

impl Decode for IpBlock {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let cidr = table.optional("cidr", cx);
        let block = Self {
            span: table.span,
            cidr,
            except: table.optional("except", cx),
        };
        table.finish(cx);
        Some(block)
    }
}

impl Decode for Port {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let port = Self {
            span: table.span,
            port: table.optional("port", cx),
            end_port: table.optional("endPort", cx),
            protocol: table.optional("protocol", cx),
        };
        table.finish(cx);
        Some(port)
    }
}
