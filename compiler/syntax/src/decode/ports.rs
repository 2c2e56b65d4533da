//! Layer 4 and layer 7 parts of Cilium's rules.

use super::cilium::Section;
use super::meta::Pairs;
use super::{Context, Decode, Field, Table};
use crate::ast::Text;
use crate::ast::cilium::{
    Generic, HeaderMatch, Http, Kafka, L7, Listener, Port, PortRule, Secret, Tls,
};
use crate::tree::Node;

/// Reads an element of `toPorts`; where a section denies, it has only `ports`.
pub(super) fn rule(
    node: &Node<'_>,
    field: Field<'_>,
    cx: &mut Context<'_>,
    kind: Section,
) -> Option<PortRule> {
    let mut table = Table::open(node, field, cx)?;
    let ports = table.optional("ports", cx);
    let span = table.span;
    let mut rule = PortRule {
        span,
        ports,
        rules: None,
        server_names: None,
        listener: None,
        terminating_tls: None,
        originating_tls: None,
    };
    if kind == Section::Allow {
        rule.rules = table.optional("rules", cx);
        rule.server_names = table.optional("serverNames", cx);
        rule.listener = table.optional("listener", cx);
        rule.terminating_tls = table.optional("terminatingTLS", cx);
        rule.originating_tls = table.optional("originatingTLS", cx);
    }
    table.finish(cx);
    Some(rule)
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

impl Decode for L7 {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let http = table.optional("http", cx);
        let dns = table.optional("dns", cx);
        let rules = Self {
            span: table.span,
            http,
            dns,
            kafka: table.unlisted("kafka", cx),
            l7proto: table.unlisted("l7proto", cx),
            l7: table.unlisted("l7", cx),
        };
        table.finish(cx);
        Some(rules)
    }
}

impl Decode for Kafka {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let kafka = Self {
            span: table.span,
            role: table.optional("role", cx),
            api_key: table.optional("apiKey", cx),
            api_version: table.optional("apiVersion", cx),
            client_id: table.optional("clientID", cx),
            topic: table.optional("topic", cx),
        };
        table.finish(cx);
        Some(kafka)
    }
}

impl Decode for Generic {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        Some(Self {
            span: node.span,
            pairs: Pairs::decode(node, field, cx)?.0,
        })
    }
}

impl Decode for Http {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let http = Self {
            span: table.span,
            path: table.optional("path", cx),
            method: table.optional("method", cx),
            host: table.optional("host", cx),
            headers: table.optional("headers", cx),
            header_matches: table.optional("headerMatches", cx),
        };
        table.finish(cx);
        Some(http)
    }
}

impl Decode for HeaderMatch {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let header = Self {
            span: table.span,
            mismatch: table.optional("mismatch", cx),
            name: table.required("name", cx),
            value: table.optional("value", cx),
            secret: table.optional("secret", cx),
        };
        table.finish(cx);
        Some(header)
    }
}

impl Decode for Secret {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let namespace = table.optional("namespace", cx);
        let secret = Self {
            span: table.span,
            namespace,
            name: table.required("name", cx),
        };
        table.finish(cx);
        Some(secret)
    }
}

impl Decode for Listener {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let config = table.required::<EnvoyConfig>("envoyConfig", cx);
        let (config_kind, config_name) =
            config.map_or((None, None), |config| (config.kind, config.name));
        let name = table.required("name", cx);
        let priority = table.optional("priority", cx);
        let listener = Self {
            span: table.span,
            config_kind,
            config_name,
            name,
            priority,
        };
        table.finish(cx);
        Some(listener)
    }
}

struct EnvoyConfig {
    kind: Option<Text>,
    name: Option<Text>,
}

impl Decode for EnvoyConfig {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let config = Self {
            kind: table.optional("kind", cx),
            name: table.required("name", cx),
        };
        table.finish(cx);
        Some(config)
    }
}

impl Decode for Tls {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let tls = Self {
            span: table.span,
            secret: table.required("secret", cx),
            trusted_ca: table.optional("trustedCA", cx),
            certificate: table.optional("certificate", cx),
            private_key: table.optional("privateKey", cx),
        };
        table.finish(cx);
        Some(tls)
    }
}
