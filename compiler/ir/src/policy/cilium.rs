//! From the syntax tree of Cilium's kinds. Validation has passed, so `None` here means a fault in this tool.

use std::sync::Arc;

use policyc_diag::Spanned;
use policyc_syntax::ast::{self, List, Text, cilium};

use super::{Entry, Peers, Policy, Rule};
use crate::cidr::Cidr;
use crate::icmp;
use crate::label::{Key, NAMESPACE, Source};
use crate::port::{self, L4, PortText, Ports, Protocol};
use crate::rule::{Action, Direction, Kind, Services};
use crate::selector::{Operator, Requirement, Selector};

pub(super) fn policy(
    document: &ast::Document,
    policy: &cilium::Policy,
    kind: Kind,
) -> Option<Policy> {
    let spec = policy.spec.iter().map(|rule| ("spec".to_owned(), rule));
    let specs = policy.specs.iter().flat_map(|list| list.iter());
    let all = spec.chain(
        specs
            .enumerate()
            .map(|(at, rule)| (format!("specs[{at}]"), rule)),
    );
    let rules = all
        .map(|(path, written)| rule(&path, written, kind))
        .collect::<Option<_>>()?;
    Some(Policy {
        info: super::info(document, kind)?,
        rules,
    })
}

fn rule(path: &str, rule: &cilium::Rule, kind: Kind) -> Option<Rule> {
    let node = rule.node_selector.is_some();
    let written = rule
        .endpoint_selector
        .as_ref()
        .or(rule.node_selector.as_ref())?;
    let mut entries = Vec::new();
    for (name, section, action) in [
        ("ingress", &rule.ingress, Action::Allow),
        ("ingressDeny", &rule.ingress_deny, Action::Deny),
    ] {
        for (at, entry) in section.iter().flat_map(|list| list.iter()).enumerate() {
            entries.push(ingress(super::path(path, name, at), entry, action)?);
        }
    }
    for (name, section, action) in [
        ("egress", &rule.egress, Action::Allow),
        ("egressDeny", &rule.egress_deny, Action::Deny),
    ] {
        for (at, entry) in section.iter().flat_map(|list| list.iter()).enumerate() {
            entries.push(egress(super::path(path, name, at), entry, action)?);
        }
    }
    Some(Rule {
        subject: Spanned::new(subject(written, kind)?, written.span),
        node,
        default_deny: default_deny(rule, &entries),
        entries,
    })
}

/// A namespaced policy's own namespace takes the place of a label written with that very key; an expression on it, or
/// a label without the source, stays and has to hold as well.
fn subject(written: &ast::Selector, kind: Kind) -> Option<Selector> {
    let mut written = written.clone();
    if kind == Kind::Cnp {
        let own = Key::new(Source::K8s, NAMESPACE);
        written
            .match_labels
            .retain(|(key, _)| Key::parse(&key.value) != own);
    }
    selector(&written, Key::parse)
}

/// Unset means: yes if the direction has any entry (Cilium's Rule.Sanitize).
fn default_deny(rule: &cilium::Rule, entries: &[Entry]) -> [bool; 2] {
    let written = rule.enable_default_deny.as_ref();
    let has = |direction| entries.iter().any(|entry| entry.direction == direction);
    let settle = |written: Option<&Spanned<bool>>, direction| {
        written.map_or_else(|| has(direction), |spanned| spanned.value)
    };
    [
        settle(
            written.and_then(|written| written.ingress.as_ref()),
            Direction::Ingress,
        ),
        settle(
            written.and_then(|written| written.egress.as_ref()),
            Direction::Egress,
        ),
    ]
}

fn ingress(path: Arc<str>, entry: &cilium::Ingress, action: Action) -> Option<Entry> {
    let peers = peers(
        entry.from_endpoints.as_ref(),
        entry.from_entities.as_ref(),
        entry.from_cidr.as_ref(),
        entry.from_cidr_set.as_ref(),
    )?;
    let services = services(entry.to_ports.as_ref(), entry.icmps.as_ref())?;
    Some(Entry {
        path,
        span: entry.span,
        direction: Direction::Ingress,
        action,
        peers,
        services,
    })
}

fn egress(path: Arc<str>, entry: &cilium::Egress, action: Action) -> Option<Entry> {
    let peers = peers(
        entry.to_endpoints.as_ref(),
        entry.to_entities.as_ref(),
        entry.to_cidr.as_ref(),
        entry.to_cidr_set.as_ref(),
    )?;
    let services = services(entry.to_ports.as_ref(), entry.icmps.as_ref())?;
    Some(Entry {
        path,
        span: entry.span,
        direction: Direction::Egress,
        action,
        peers,
        services,
    })
}

/// A member that is present and empty selects nobody, even beside a non-empty one; validation has seen to it that
/// at most one is non-empty.
fn peers(
    endpoints: Option<&List<ast::Selector>>,
    entities: Option<&List<Text>>,
    cidrs: Option<&List<Text>>,
    cidr_set: Option<&List<cilium::CidrRule>>,
) -> Option<Peers> {
    let empty = endpoints.is_some_and(|list| list.is_empty())
        || entities.is_some_and(|list| list.is_empty())
        || cidrs.is_some_and(|list| list.is_empty())
        || cidr_set.is_some_and(|list| list.is_empty());
    if empty {
        return Some(Peers::Endpoints(Vec::new()));
    }
    if let Some(list) = endpoints {
        return list
            .iter()
            .map(|written| selector(written, Key::parse))
            .collect::<Option<_>>()
            .map(Peers::Endpoints);
    }
    if let Some(list) = entities {
        return Some(Peers::Entities(
            list.iter()
                .map(|entity| entity.value.as_str().into())
                .collect(),
        ));
    }
    if let Some(list) = cidrs {
        let plain = |text: &Text| Cidr::parse(&text.value).map(|cidr| (cidr, Vec::new()));
        return list
            .iter()
            .map(plain)
            .collect::<Option<_>>()
            .map(Peers::Cidrs);
    }
    match cidr_set {
        Some(list) => list
            .iter()
            .map(|rule| block(rule.cidr.as_ref()?, rule.except.as_ref()))
            .collect::<Option<_>>()
            .map(Peers::Cidrs),
        None => Some(Peers::Absent),
    }
}

/// A prefix with its exceptions, sorted.
pub(super) fn block(cidr: &Text, except: Option<&List<Text>>) -> Option<(Cidr, Vec<Cidr>)> {
    let except = except
        .iter()
        .flat_map(|list| list.iter())
        .map(|text| Cidr::parse(&text.value));
    let mut except: Vec<_> = except.collect::<Option<_>>()?;
    except.sort_unstable();
    except.dedup();
    Some((Cidr::parse(&cidr.value)?, except))
}

/// A list that is absent or empty does not speak of layer 4. An element without ports matches nothing.
fn services(
    ports: Option<&List<cilium::PortRule>>,
    icmps: Option<&List<cilium::IcmpRule>>,
) -> Option<Services> {
    if let Some(list) = ports.filter(|list| !list.is_empty()) {
        let ports = list
            .iter()
            .flat_map(|rule| rule.ports.iter().flat_map(|ports| ports.iter()));
        let l4 = ports.map(port_l4).collect::<Option<Vec<_>>>()?;
        return Some(Services::Of(l4.into_iter().flatten().collect()));
    }
    if let Some(list) = icmps.filter(|list| !list.is_empty()) {
        let fields = list
            .iter()
            .flat_map(|rule| rule.fields.iter().flat_map(|fields| fields.iter()));
        return fields.map(icmp_l4).collect::<Option<_>>().map(Services::Of);
    }
    Some(Services::All)
}

/// `ANY` stands for TCP, UDP and SCTP. Port 0 means every port, whatever `endPort` says; an `endPort` that is not
/// above the port is ignored.
fn port_l4(port: &cilium::Port) -> Option<Vec<L4>> {
    let written = port
        .protocol
        .as_ref()
        .map_or("ANY", |text| text.value.as_str());
    let protocols = match written {
        "" => Protocol::WITH_PORTS.to_vec(),
        any if any.eq_ignore_ascii_case("any") => Protocol::WITH_PORTS.to_vec(),
        one => vec![Protocol::parse(one)?],
    };
    let text = port.port.as_ref().map_or("", |text| text.value.as_str());
    let ports = match port::parse(text) {
        Some(PortText::Number(0)) => Ports::All,
        Some(PortText::Number(first)) => {
            let last = port
                .end_port
                .as_ref()
                .and_then(|end| u16::try_from(end.value).ok());
            Ports::Range(first, last.unwrap_or(first).max(first))
        }
        Some(PortText::Name(name)) => Ports::Named(name),
        // Protocols without ports of their own leave the field out.
        None if text.is_empty() => Ports::All,
        None => return None,
    };
    Some(
        protocols
            .into_iter()
            .map(|protocol| L4 {
                protocol,
                ports: ports.clone(),
            })
            .collect(),
    )
}

/// Type 0 covers every type: Cilium writes the type where ports stand, and port 0 is its wildcard.
fn icmp_l4(field: &cilium::IcmpField) -> Option<L4> {
    let protocol = icmp::family(field.family.as_ref().map(|text| text.value.as_str()))?;
    let number = match &field.kind.as_ref()?.value {
        cilium::IcmpType::Number(number) => u16::try_from(*number).ok()?,
        cilium::IcmpType::Name(name) => u16::from(icmp::type_number(protocol, name)?),
    };
    let ports = if number == 0 {
        Ports::All
    } else {
        Ports::Range(number, number)
    };
    Some(L4 { protocol, ports })
}

/// A selector with its keys read by `key`.
pub(super) fn selector(written: &ast::Selector, key: impl Fn(&str) -> Key) -> Option<Selector> {
    let labels = written.match_labels.iter();
    let equal = labels
        .map(|(name, value)| Some(Requirement::equals(key(&name.value), value.value.as_str())));
    let expressions = written.match_expressions.iter().map(|requirement| {
        let values = requirement
            .values
            .iter()
            .flat_map(|list| list.iter())
            .map(|text| text.value.as_str().into());
        let operator = match requirement.operator.value.as_str() {
            "In" => Operator::In(values.collect()),
            "NotIn" => Operator::NotIn(values.collect()),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return None,
        };
        Some(Requirement::new(key(&requirement.key.value), operator))
    });
    equal
        .chain(expressions)
        .collect::<Option<Vec<_>>>()
        .map(Selector::new)
}
