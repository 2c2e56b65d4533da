//! One rule: `spec`, or an element of `specs`.

use policyc_diag::codes;
use policyc_syntax::ast::Document;
use policyc_syntax::ast::cilium::{Policy, Rule};

use super::selector::{self, Keys};
use super::{Check, peers};

/// Where a policy's subjects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// CiliumNetworkPolicy.
    Namespaced,
    /// CiliumClusterwideNetworkPolicy.
    Cluster,
}

/// Where an entry stands; it decides what layer 7 can be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) ingress: bool,
    /// Whether the subjects are nodes.
    pub(super) node: bool,
}

/// Both members of a policy.
pub(super) fn policy(policy: &Policy, document: &Document, scope: Scope, check: &mut Check<'_>) {
    if policy.spec.is_none() && policy.specs.is_none() {
        let message = format!("the {} has neither `spec` nor `specs`", document.kind.value);
        check
            .missing(codes::EMPTY_POLICY, message, document.kind.span, "it has no rules")
            .help("add a `spec` with `endpointSelector` and at least one of `ingress`, `egress` and their denies");
    }
    let listed = policy.specs.iter().flat_map(|specs| &specs.items);
    policy
        .spec
        .iter()
        .chain(listed)
        .for_each(|spec| rule(spec, scope, check));
}

fn rule(rule: &Rule, scope: Scope, check: &mut Check<'_>) {
    subject(rule, scope, check);
    sections(rule, check);
    for text in rule
        .log
        .iter()
        .filter(|text| text.chars().count() > 32 || text.chars().any(char::is_control))
    {
        let message = "`log.value` takes at most 32 printable characters";
        check.fault(
            codes::INVALID_VALUE,
            message,
            text.span,
            "longer, or not printable",
        );
    }
    let node = rule.node_selector.is_some();
    let allowed = rule.ingress.iter().flat_map(|list| &list.items);
    for entry in allowed.chain(rule.ingress_deny.iter().flat_map(|list| &list.items)) {
        peers::ingress(
            entry,
            Place {
                ingress: true,
                node,
            },
            check,
        );
    }
    let allowed = rule.egress.iter().flat_map(|list| &list.items);
    for entry in allowed.chain(rule.egress_deny.iter().flat_map(|list| &list.items)) {
        peers::egress(
            entry,
            Place {
                ingress: false,
                node,
            },
            check,
        );
    }
}

fn subject(rule: &Rule, scope: Scope, check: &mut Check<'_>) {
    match (&rule.endpoint_selector, &rule.node_selector) {
        (None, None) => {
            check
                .missing(
                    codes::SUBJECT_SELECTOR,
                    "the rule has no subject",
                    rule.span,
                    "whom does it apply to?",
                )
                .help("add `endpointSelector`; `endpointSelector: {}` is every pod in scope");
        }
        (Some(endpoints), Some(nodes)) => {
            check
                .fault(
                    codes::SUBJECT_SELECTOR,
                    "the rule has two subjects",
                    nodes.span,
                    "this selects nodes",
                )
                .label(endpoints.span, "this selects endpoints")
                .help("make two rules of it");
        }
        _ => {}
    }
    if let (Some(nodes), Scope::Namespaced) = (&rule.node_selector, scope) {
        let message = "a CiliumNetworkPolicy cannot select nodes";
        check
            .fault(
                codes::NODE_SELECTOR_IN_CNP,
                message,
                nodes.span,
                "nodes are not in a namespace",
            )
            .help("use a CiliumClusterwideNetworkPolicy, or `endpointSelector`");
    }
    for selector in rule.endpoint_selector.iter().chain(&rule.node_selector) {
        selector::check(selector, Keys::Cilium, check);
    }
}

fn sections(rule: &Rule, check: &mut Check<'_>) {
    let filled = [
        rule.ingress.as_ref().is_some_and(|list| !list.is_empty()),
        rule.ingress_deny
            .as_ref()
            .is_some_and(|list| !list.is_empty()),
        rule.egress.as_ref().is_some_and(|list| !list.is_empty()),
        rule.egress_deny
            .as_ref()
            .is_some_and(|list| !list.is_empty()),
    ];
    if filled.contains(&true) {
        return;
    }
    let empty = [
        rule.ingress.as_ref().map(|list| list.span),
        rule.ingress_deny.as_ref().map(|list| list.span),
        rule.egress.as_ref().map(|list| list.span),
        rule.egress_deny.as_ref().map(|list| list.span),
    ];
    let place = empty.into_iter().flatten().next();
    let label = if place.is_some() {
        "an empty list is not enough"
    } else {
        "no section at all"
    };
    check
        .missing(
            codes::NO_RULES,
            "the rule allows and denies nothing",
            place.unwrap_or(rule.span),
            label,
        )
        .help(
            "to deny everything that nothing else allows, write `ingress: [{}]` or `egress: [{}]`",
        );
}
