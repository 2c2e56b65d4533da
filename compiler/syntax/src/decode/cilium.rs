//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

use policyc_diag::Span;

use super::meta::Pairs;
use super::scalar::list;
use super::{Context, Decode, Field, Table};
use crate::ast::cilium::{
    Authentication, Aws, CidrRule, DefaultDeny, Egress, Fqdn, Group, IcmpField, IcmpRule, Ingress,
    Policy, Rule, Service, ServiceName, ServiceSelector,
};
use crate::ast::{List, Text};
use crate::tree::Node;

/// Whether a section allows or denies; the latter has fewer fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Allow,
    Deny,
}

/// Reads `spec` and `specs`.
pub(super) fn policy(table: &mut Table<'_, '_>, cx: &mut Context<'_>) -> Policy {
    Policy {
        spec: table.optional("spec", cx),
        specs: table.optional("specs", cx),
    }
}

impl Decode for Rule {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let rule = Self {
            span: table.span,
            endpoint_selector: table.optional("endpointSelector", cx),
            node_selector: table.optional("nodeSelector", cx),
            ingress: section("ingress", Section::Allow, ingress, &mut table, cx),
            ingress_deny: section("ingressDeny", Section::Deny, ingress, &mut table, cx),
            egress: section("egress", Section::Allow, egress, &mut table, cx),
            egress_deny: section("egressDeny", Section::Deny, egress, &mut table, cx),
            enable_default_deny: table.optional("enableDefaultDeny", cx),
            description: table.optional("description", cx),
            labels: table
                .optional::<List<Label>>("labels", cx)
                .map(|list| list.span),
            log: table.optional::<Log>("log", cx).and_then(|log| log.0),
        };
        table.finish(cx);
        Some(rule)
    }
}

fn section<T>(
    name: &'static str,
    kind: Section,
    read: impl Fn(&Node<'_>, Field<'_>, &mut Context<'_>, Section) -> Option<T>,
    table: &mut Table<'_, '_>,
    cx: &mut Context<'_>,
) -> Option<List<T>> {
    let node = table.node(name, cx, "a list")?;
    list(node, Field::new(name), cx, |node, field, cx| {
        read(node, field, cx, kind)
    })
}

fn ingress(
    node: &Node<'_>,
    field: Field<'_>,
    cx: &mut Context<'_>,
    kind: Section,
) -> Option<Ingress> {
    let mut table = Table::open(node, field, cx)?;
    let entry = Ingress {
        span: table.span,
        from_endpoints: table.optional("fromEndpoints", cx),
        from_nodes: table.optional("fromNodes", cx),
        from_entities: table.optional("fromEntities", cx),
        from_cidr: table.optional("fromCIDR", cx),
        from_cidr_set: table.optional("fromCIDRSet", cx),
        from_groups: table.optional("fromGroups", cx),
        from_requires: removed("fromRequires", &mut table, cx),
        to_ports: section("toPorts", kind, super::ports::rule, &mut table, cx),
        icmps: table.optional("icmps", cx),
        authentication: if kind == Section::Allow {
            table.optional("authentication", cx)
        } else {
            None
        },
    };
    table.finish(cx);
    Some(entry)
}

fn egress(
    node: &Node<'_>,
    field: Field<'_>,
    cx: &mut Context<'_>,
    kind: Section,
) -> Option<Egress> {
    let mut table = Table::open(node, field, cx)?;
    let entry = Egress {
        span: table.span,
        to_endpoints: table.optional("toEndpoints", cx),
        to_nodes: table.optional("toNodes", cx),
        to_entities: table.optional("toEntities", cx),
        to_cidr: table.optional("toCIDR", cx),
        to_cidr_set: table.optional("toCIDRSet", cx),
        to_services: table.optional("toServices", cx),
        to_groups: table.optional("toGroups", cx),
        to_requires: removed("toRequires", &mut table, cx),
        to_fqdns: if kind == Section::Allow {
            table.optional("toFQDNs", cx)
        } else {
            None
        },
        to_ports: section("toPorts", kind, super::ports::rule, &mut table, cx),
        icmps: table.optional("icmps", cx),
        authentication: if kind == Section::Allow {
            table.optional("authentication", cx)
        } else {
            None
        },
    };
    table.finish(cx);
    Some(entry)
}

/// A list that Cilium no longer has; validation says so, and no message offers it.
fn removed(
    name: &'static str,
    table: &mut Table<'_, '_>,
    cx: &mut Context<'_>,
) -> Option<List<Span>> {
    let node = table.hidden(name).filter(|node| !node.is_null())?;
    List::decode(node, Field::new(name), cx)
}

impl Decode for Group {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let group = Self {
            span: table.span,
            aws: table.optional("aws", cx),
        };
        table.finish(cx);
        Some(group)
    }
}

impl Decode for Aws {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let labels = table.optional::<Pairs>("labels", cx);
        let aws = Self {
            span: table.span,
            labels: labels.unwrap_or_default().0,
            region: table.optional("region", cx),
            ids: table.optional("securityGroupsIds", cx),
            names: table.optional("securityGroupsNames", cx),
        };
        table.finish(cx);
        Some(aws)
    }
}

/// An element of a rule's `labels`: read for its shape only.
struct Label;

impl Decode for Label {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        table.required::<Text>("key", cx);
        table.optional::<Text>("value", cx);
        table.optional::<Text>("source", cx);
        table.finish(cx);
        Some(Self)
    }
}

struct Log(Option<Text>);

impl Decode for Log {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let value = table.optional("value", cx);
        table.finish(cx);
        Some(Self(value))
    }
}

impl Decode for DefaultDeny {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let ingress = table.optional("ingress", cx);
        let value = Self {
            span: table.span,
            ingress,
            egress: table.optional("egress", cx),
        };
        table.finish(cx);
        Some(value)
    }
}

impl Decode for CidrRule {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let rule = Self {
            span: table.span,
            cidr: table.optional("cidr", cx),
            group_ref: table.optional("cidrGroupRef", cx),
            group_selector: table.optional("cidrGroupSelector", cx),
            except: table.optional("except", cx),
        };
        table.finish(cx);
        Some(rule)
    }
}

impl Decode for Service {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let by_name = table.optional("k8sService", cx);
        let service = Self {
            span: table.span,
            by_name,
            by_selector: table.optional("k8sServiceSelector", cx),
        };
        table.finish(cx);
        Some(service)
    }
}

impl Decode for ServiceName {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let name = table.optional("serviceName", cx);
        let service = Self {
            span: table.span,
            name,
            namespace: table.optional("namespace", cx),
        };
        table.finish(cx);
        Some(service)
    }
}

impl Decode for ServiceSelector {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let selector = table.required("selector", cx);
        let service = Self {
            span: table.span,
            selector,
            namespace: table.optional("namespace", cx),
        };
        table.finish(cx);
        Some(service)
    }
}

impl Decode for Fqdn {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let match_name = table.optional("matchName", cx);
        let fqdn = Self {
            span: table.span,
            match_name,
            match_pattern: table.optional("matchPattern", cx),
        };
        table.finish(cx);
        Some(fqdn)
    }
}

impl Decode for IcmpRule {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let rule = Self {
            span: table.span,
            fields: table.optional("fields", cx),
        };
        table.finish(cx);
        Some(rule)
    }
}

impl Decode for IcmpField {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let family = table.optional("family", cx);
        let icmp = Self {
            span: table.span,
            family,
            kind: table.required("type", cx),
        };
        table.finish(cx);
        Some(icmp)
    }
}

impl Decode for Authentication {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let authentication = Self {
            span: table.span,
            mode: table.required("mode", cx),
        };
        table.finish(cx);
        Some(authentication)
    }
}
