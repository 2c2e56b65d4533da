//! What this version refuses, and how it says so.
//!
//! Each construct is valid for Cilium; leaving it out would widen or narrow the policy without a word, so the whole
//! policy is refused instead.

use policyc_diag::{Diagnostic, Span, codes};
use policyc_syntax::ast::{Document, Object, cilium};

/// A diagnostic for each construct that cannot be compiled yet.
pub(super) fn refuse(document: &Document) -> Vec<Diagnostic> {
    let (Object::CiliumNetworkPolicy(policy) | Object::CiliumClusterwideNetworkPolicy(policy)) =
        &document.object
    else {
        return Vec::new();
    };
    let rules = policy
        .spec
        .iter()
        .chain(policy.specs.iter().flat_map(|list| list.iter()));
    rules.flat_map(rule).collect()
}

fn rule(rule: &cilium::Rule) -> Vec<Diagnostic> {
    let ingress = rule.ingress.iter().flat_map(|list| list.iter());
    let egress = rule.egress.iter().flat_map(|list| list.iter());
    let ports = ingress
        .map(|entry| entry.to_ports.as_ref())
        .chain(egress.map(|entry| entry.to_ports.as_ref()));
    let ports = ports.flatten().flat_map(|list| list.iter());
    let l7 = ports.filter_map(|rule| rule.rules.as_ref());
    let places = l7.flat_map(|rules| {
        [
            ("kafka", rules.kafka),
            ("l7proto", rules.l7proto),
            ("l7", rules.l7),
        ]
    });
    places
        .filter_map(|(name, span)| span.map(|span| unsupported(name, span)))
        .collect()
}

fn unsupported(name: &str, span: Span) -> Diagnostic {
    let message = format!("`{name}` is valid for Cilium but not supported yet");
    Diagnostic::new(codes::NOT_SUPPORTED, message)
        .label(span, "cannot be compiled")
        .help("the whole policy is refused, because leaving this out would change what the policy means")
}
