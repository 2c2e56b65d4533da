//! What a policy's text says.

use policyc_diag::{Diagnostic, Span, codes};
use policyc_syntax::ast::{Document, List, Object, cilium, netpol};

use crate::icmp;
use crate::port::{self, PortText};

/// Lints of one document, in writing order.
pub fn written(document: &Document) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    match &document.object {
        Object::CiliumNetworkPolicy(policy) | Object::CiliumClusterwideNetworkPolicy(policy) => {
            let rules = policy
                .spec
                .iter()
                .chain(policy.specs.iter().flat_map(|list| list.iter()));
            rules.for_each(|rule| cilium_rule(rule, &mut found));
        }
        Object::NetworkPolicy(policy) => unlisted_directions(policy, &mut found),
        Object::ClusterNetworkPolicy(_) | Object::CidrGroup(_) | Object::Inventory(_) => {}
    }
    found
}

fn cilium_rule(rule: &cilium::Rule, found: &mut Vec<Diagnostic>) {
    for entry in [&rule.ingress, &rule.ingress_deny]
        .into_iter()
        .flatten()
        .flat_map(|list| list.iter())
    {
        empty("fromEndpoints", entry.from_endpoints.as_ref(), found);
        empty("fromNodes", entry.from_nodes.as_ref(), found);
        empty("fromEntities", entry.from_entities.as_ref(), found);
        empty("fromCIDR", entry.from_cidr.as_ref(), found);
        empty("fromCIDRSet", entry.from_cidr_set.as_ref(), found);
        services(entry.to_ports.as_ref(), entry.icmps.as_ref(), found);
    }
    for entry in [&rule.egress, &rule.egress_deny]
        .into_iter()
        .flatten()
        .flat_map(|list| list.iter())
    {
        empty("toEndpoints", entry.to_endpoints.as_ref(), found);
        empty("toNodes", entry.to_nodes.as_ref(), found);
        empty("toEntities", entry.to_entities.as_ref(), found);
        empty("toCIDR", entry.to_cidr.as_ref(), found);
        empty("toCIDRSet", entry.to_cidr_set.as_ref(), found);
        services(entry.to_ports.as_ref(), entry.icmps.as_ref(), found);
    }
    let defaults = rule.enable_default_deny.as_ref();
    let written = defaults
        .and_then(|defaults| defaults.ingress.as_ref())
        .is_some();
    deny_only(
        "ingress",
        rule.ingress.is_some(),
        rule.ingress_deny.as_ref(),
        written,
        found,
    );
    let written = defaults
        .and_then(|defaults| defaults.egress.as_ref())
        .is_some();
    deny_only(
        "egress",
        rule.egress.is_some(),
        rule.egress_deny.as_ref(),
        written,
        found,
    );
}

/// A member that is there but lists nothing selects nobody, while one that is absent does not restrict.
fn empty<T>(name: &str, list: Option<&List<T>>, found: &mut Vec<Diagnostic>) {
    if let Some(list) = list.filter(|list| list.is_empty()) {
        let message = format!("`{name}: []` matches nobody");
        let diagnostic = Diagnostic::new(codes::EMPTY_MATCH, message)
            .label(list.span, "an empty list, not an absent one");
        found.push(diagnostic.help(format!(
            "remove `{name}` to match any peer, or list the peers you mean"
        )));
    }
}

fn services(
    ports: Option<&List<cilium::PortRule>>,
    icmps: Option<&List<cilium::IcmpRule>>,
    found: &mut Vec<Diagnostic>,
) {
    for rule in ports.iter().flat_map(|list| list.iter()) {
        match rule.ports.as_ref().filter(|list| !list.is_empty()) {
            Some(list) => list.iter().for_each(|port| port_lints(port, found)),
            None => nothing("toPorts", "ports", rule.span, found),
        }
    }
    for rule in icmps.iter().flat_map(|list| list.iter()) {
        match rule.fields.as_ref().filter(|list| !list.is_empty()) {
            Some(list) => list.iter().for_each(|field| type_zero(field, found)),
            None => nothing("icmps", "fields", rule.span, found),
        }
    }
}

fn nothing(list: &str, member: &str, span: Span, found: &mut Vec<Diagnostic>) {
    let message = format!("this element of `{list}` has no `{member}`, so it matches nothing");
    let diagnostic =
        Diagnostic::new(codes::EMPTY_MATCH, message).label(span, format!("no `{member}`"));
    found.push(diagnostic.help(format!(
        "leave `{list}` out to match every port, or name the {member} you mean"
    )));
}

fn port_lints(port: &cilium::Port, found: &mut Vec<Diagnostic>) {
    let Some(text) = &port.port else { return };
    let Some(PortText::Number(first)) = port::parse(&text.value) else {
        return;
    };
    if (text.value.len() > 1 && text.value.starts_with('0')) || text.value.contains('_') {
        let message = format!("port `{}` is read as {first}", text.value);
        let diagnostic = Diagnostic::new(codes::PORT_NOTATION, message)
            .label(text.span, "octal, or with separators");
        found.push(diagnostic.help(format!("write `\"{first}\"` if that is what you mean")));
    }
    let Some(end) = &port.end_port else { return };
    if first == 0 && end.value > 0 {
        let message = format!(
            "a range from port 0 means every port, not 0 to {}",
            end.value
        );
        let diagnostic = Diagnostic::new(codes::PORT_ZERO_RANGE, message)
            .label(text.span, "0 stands for all ports");
        found.push(
            diagnostic
                .label(end.span, "has no effect")
                .help("start the range at \"1\""),
        );
    } else if end.value < i64::from(first) && end.value != 0 {
        let message = format!(
            "`endPort` {} is below `port` {first} and has no effect",
            end.value
        );
        let diagnostic = Diagnostic::new(codes::END_PORT_BELOW, message).label(end.span, "ignored");
        found.push(
            diagnostic
                .label(text.span, "only this port matches")
                .help("swap the two, or remove `endPort`"),
        );
    }
}

/// Cilium writes the type where ports stand, and 0 is the wildcard there.
fn type_zero(field: &cilium::IcmpField, found: &mut Vec<Diagnostic>) {
    let Some(kind) = &field.kind else { return };
    let family = icmp::family(field.family.as_ref().map(|text| text.value.as_str()));
    let zero = match &kind.value {
        cilium::IcmpType::Number(number) => *number == 0,
        cilium::IcmpType::Name(name) => {
            family.and_then(|family| icmp::type_number(family, name)) == Some(0)
        }
    };
    if zero {
        let message = "an ICMP rule for type 0 covers every ICMP type";
        let diagnostic = Diagnostic::new(codes::ICMP_TYPE_ZERO, message)
            .label(kind.span, "matches all types of the family");
        found.push(diagnostic.help(
            "replies to allowed echo requests pass without a rule: allow `EchoRequest` instead",
        ));
    }
}

fn deny_only<T>(
    direction: &str,
    allows: bool,
    denies: Option<&List<T>>,
    written: bool,
    found: &mut Vec<Diagnostic>,
) {
    let Some(denies) = denies.filter(|list| !list.is_empty() && !allows && !written) else {
        return;
    };
    let message = format!("these denies also put their subjects into default deny for {direction}");
    let diagnostic = Diagnostic::new(codes::DENY_ONLY, message).label(denies.span, "denies only");
    found.push(diagnostic.help(format!(
        "to deny these and keep the rest as it is, add `enableDefaultDeny: {{{direction}: false}}`"
    )));
}

fn unlisted_directions(policy: &netpol::Policy, found: &mut Vec<Diagnostic>) {
    let Some(types) = policy
        .policy_types
        .as_ref()
        .filter(|types| !types.is_empty())
    else {
        return;
    };
    for (name, section) in [("Ingress", &policy.ingress), ("Egress", &policy.egress)] {
        let listed = types.iter().any(|text| text.value == name);
        let Some(rules) = section
            .as_ref()
            .filter(|rules| !rules.is_empty() && !listed)
        else {
            continue;
        };
        let message =
            format!("`policyTypes` does not list {name}, yet Cilium enforces these rules");
        let diagnostic = Diagnostic::new(codes::UNLISTED_DIRECTION, message)
            .label(
                rules.span,
                "enforced by Cilium, ignored by the Kubernetes specification",
            )
            .label(types.span, format!("{name} is not listed"));
        found.push(diagnostic.help(format!("add {name} to `policyTypes`, or remove the rules")));
    }
}
