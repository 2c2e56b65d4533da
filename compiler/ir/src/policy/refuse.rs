//! What this version refuses, and how it says so.
//!
//! Each construct is valid for Cilium; leaving it out would widen or narrow the policy without a word, so the whole
//! policy is refused instead.

use policyc_diag::{Diagnostic, codes};
use policyc_syntax::ast::{Document, List, Object, cilium};

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
    rules.flat_map(requires).collect()
}

/// `fromRequires` and `toRequires`, which versions of Cilium before 1.19 have.
fn requires(rule: &cilium::Rule) -> Vec<Diagnostic> {
    let ingress = [&rule.ingress, &rule.ingress_deny];
    let ingress = ingress.into_iter().flatten().flat_map(|list| list.iter());
    let egress = [&rule.egress, &rule.egress_deny];
    let egress = egress.into_iter().flatten().flat_map(|list| list.iter());
    let from =
        ingress.filter_map(|entry| unsupported("fromRequires", entry.from_requires.as_ref()));
    let to = egress.filter_map(|entry| unsupported("toRequires", entry.to_requires.as_ref()));
    from.chain(to).collect()
}

/// An empty list is the same to Cilium as none at all.
fn unsupported<T>(name: &str, list: Option<&List<T>>) -> Option<Diagnostic> {
    let span = list.filter(|list| !list.is_empty())?.span;
    let message = format!("`{name}` is valid for this version of Cilium but not supported");
    let diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, message)
        .label(span, "cannot be compiled")
        .help("the whole policy is refused, because leaving this out would change what the policy means");
    Some(diagnostic)
}
