//! Layer 4 of an entry.

use std::sync::Arc;

use policyc_syntax::ast::{List, cilium};

use crate::icmp;
use crate::policy::{Element, Traffic};
use crate::port::{self, L4, PortText, Ports, Protocol};
use crate::rule;

/// A list that is absent or empty does not speak of layer 4. An element without ports matches nothing.
pub(super) fn traffic(
    ports: Option<&List<cilium::PortRule>>,
    icmps: Option<&List<cilium::IcmpRule>>,
    policy: &rule::Policy,
) -> Option<Traffic> {
    if let Some(list) = ports.filter(|list| !list.is_empty()) {
        let elements = list.iter().enumerate();
        let elements = elements.map(|(at, written)| element(at, written, policy));
        return elements.collect::<Option<_>>().map(Traffic::Of);
    }
    let Some(list) = icmps.filter(|list| !list.is_empty()) else {
        return Some(Traffic::Any);
    };
    let fields = list
        .iter()
        .flat_map(|rule| rule.fields.iter().flat_map(|fields| fields.iter()));
    let l4 = fields.map(icmp_l4).collect::<Option<_>>()?;
    Some(Traffic::Of(vec![Element {
        path: "icmps".into(),
        span: list.span,
        l4,
        l7: None,
    }]))
}

fn element(at: usize, written: &cilium::PortRule, policy: &rule::Policy) -> Option<Element> {
    let ports = written.ports.iter().flat_map(|ports| ports.iter());
    let l4 = ports.map(port_l4).collect::<Option<Vec<_>>>()?.concat();
    let l7 = super::l7::rules(written, policy)?;
    // Without ports there is nothing that a proxy could be given.
    let l7 = Some(l7).filter(|rules| !rules.is_empty() && !l4.is_empty());
    Some(Element {
        path: format!("toPorts[{at}]").into(),
        span: written.span,
        l4,
        l7: l7.map(Arc::new),
    })
}

/// `ANY` stands for TCP, UDP and SCTP. Port 0 means every port, whatever `endPort` says; an `endPort` that is not
/// above the port is ignored. It counts for a named port too, from the number that the name stands for.
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
    let last = port
        .end_port
        .as_ref()
        .and_then(|end| u16::try_from(end.value).ok());
    let text = port.port.as_ref().map_or("", |text| text.value.as_str());
    let ports = match port::parse(text) {
        Some(PortText::Number(0)) => Ports::All,
        Some(PortText::Number(first)) => Ports::Range(first, last.unwrap_or(first).max(first)),
        Some(PortText::Name(name)) => Ports::Named(name, last.filter(|last| *last > 0)),
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
