//! From the syntax tree of Kubernetes NetworkPolicy. Validation has passed, so `None` here means a fault in this
//! tool.

use std::sync::Arc;

use policyc_diag::Spanned;
use policyc_syntax::ast::{self, List, netpol};

use super::cilium::{block, selector};
use super::{Element, Entry, KubernetesPeer, Peers, Policy, Rule, Traffic};
use crate::label::{Key, Source};
use crate::port::{L4, Ports, Protocol};
use crate::rule::{Action, Direction, Kind, Level};
use crate::selector::Selector;

pub(super) fn policy(document: &ast::Document, policy: &netpol::Policy) -> Option<Policy> {
    let span = policy.span.unwrap_or(document.span);
    let subject = match &policy.pod_selector {
        Some(written) => Spanned::new(selector(written, k8s)?, written.span),
        None => Spanned::new(Selector::EMPTY, span),
    };
    let mut entries = Vec::new();
    for (direction, section) in [
        (Direction::Ingress, &policy.ingress),
        (Direction::Egress, &policy.egress),
    ] {
        for (at, rule) in section.iter().flat_map(|list| list.iter()).enumerate() {
            entries.push(entry(direction, at, rule)?);
        }
        if isolates(policy, direction) && !entries.iter().any(|entry| entry.direction == direction)
        {
            let path: Arc<str> = format!("spec.policyTypes ({})", direction.name()).into();
            let nobody = Peers::Endpoints(Vec::new());
            entries.push(Entry {
                path,
                span,
                direction,
                action: Action::Allow,
                level: Level::NORMAL,
                peers: nobody,
                traffic: Traffic::Any,
                auth: None,
            });
        }
    }
    let default_deny = [true, true];
    let rule = Rule {
        subject,
        node: false,
        default_deny,
        log: None,
        entries,
    };
    Some(Policy {
        info: super::info(document, Kind::Knp)?,
        rules: vec![rule],
    })
}

/// Whether `policyTypes` isolates a direction that has no rules. Cilium isolates ingress unless only Egress is
/// named; rules in a direction that is not named count all the same.
fn isolates(policy: &netpol::Policy, direction: Direction) -> bool {
    let named = |name| {
        policy
            .policy_types
            .iter()
            .flat_map(|list| list.iter())
            .any(|text| text.value == name)
    };
    match direction {
        Direction::Ingress => named("Ingress") || !named("Egress"),
        Direction::Egress => named("Egress"),
    }
}

fn entry(direction: Direction, at: usize, rule: &netpol::Rule) -> Option<Entry> {
    let traffic = match rule.ports.as_ref().filter(|list| !list.is_empty()) {
        Some(list) => Traffic::Of(vec![Element {
            path: "ports".into(),
            span: list.span,
            l4: list.iter().map(l4).collect::<Option<_>>()?,
            l7: None,
        }]),
        None => Traffic::Any,
    };
    let peers = match rule
        .peers
        .as_ref()
        .filter(|list: &&List<netpol::Peer>| !list.is_empty())
    {
        Some(list) => Peers::Kubernetes(list.iter().map(peer).collect::<Option<_>>()?),
        None => Peers::Absent,
    };
    let path = super::path("spec", direction.name(), at);
    Some(Entry {
        path,
        span: rule.span,
        direction,
        action: Action::Allow,
        level: Level::NORMAL,
        peers,
        traffic,
        auth: None,
    })
}

fn peer(written: &netpol::Peer) -> Option<KubernetesPeer> {
    if let Some(ip_block) = &written.ip_block {
        let (cidr, except) = block(ip_block.cidr.as_ref()?, ip_block.except.as_ref())?;
        return Some(KubernetesPeer::Block(cidr, except));
    }
    let pods = match &written.pod_selector {
        Some(written) => selector(written, k8s)?,
        None => Selector::EMPTY,
    };
    let namespaces = match &written.namespace_selector {
        Some(written) => Some(selector(written, k8s)?),
        None => None,
    };
    Some(KubernetesPeer::Pods { pods, namespaces })
}

/// The protocol is TCP if absent; no port means every port of it. Names are taken as they are.
fn l4(port: &netpol::Port) -> Option<L4> {
    let protocol = port
        .protocol
        .as_ref()
        .map_or(Some(Protocol::TCP), |text| Protocol::parse(&text.value))?;
    let ports = match port.port.as_ref().map(|spanned| &spanned.value) {
        None => Ports::All,
        // Digits in quotes are a number to Cilium, though Kubernetes would have no such name.
        Some(netpol::PortValue::Name(name)) => match name.parse::<u16>() {
            Ok(number) => Ports::Range(number, number),
            Err(_) => Ports::Named(name.as_str().into(), None),
        },
        Some(netpol::PortValue::Number(first)) => {
            let first = u16::try_from(*first).ok()?;
            let last = port
                .end_port
                .as_ref()
                .and_then(|end| u16::try_from(end.value).ok());
            Ports::Range(first, last.unwrap_or(first).max(first))
        }
    };
    Some(L4 { protocol, ports })
}

fn k8s(name: &str) -> Key {
    Key::new(Source::K8s, name)
}
