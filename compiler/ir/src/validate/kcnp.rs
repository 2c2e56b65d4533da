//! Kubernetes ClusterNetworkPolicy: what its schema takes, and what Cilium takes of that.

use std::collections::BTreeMap;

use policyc_diag::{Span, Spanned, codes, suggest};
use policyc_syntax::ast::kcnp::{Peer, Pods, Policy, Rule, Subject};
use policyc_syntax::ast::{Document, List, Text};

use super::selector::{self, Keys};
use super::text::shown;
use super::{Check, cidr};
use crate::settings::Version;

/// Ports of a rule.
mod protocols;

/// The first release that reads the kind.
const SINCE: Version = Version::new(1, 19);
/// Elements that the schema takes in any list.
const MOST: usize = 25;
/// Characters in a rule's name.
const LONGEST_NAME: usize = 100;
/// Bytes in a network, and in a domain name.
const LONGEST_NETWORK: usize = 43;
const LONGEST_DOMAIN: usize = 255;

const TIERS: [&str; 2] = ["Admin", "Baseline"];
const ACTIONS: [&str; 3] = ["Accept", "Deny", "Pass"];

/// `spec` of a ClusterNetworkPolicy.
pub(super) fn policy(policy: &Policy, document: &Document, check: &mut Check<'_>) {
    let version = check.settings.version;
    if version < SINCE {
        let message = format!("Cilium {version} does not read ClusterNetworkPolicy");
        let label = format!("from Cilium {SINCE} on");
        check
            .fault(codes::NEWER_FIELD, message, document.kind.span, label)
            .help("a CiliumClusterwideNetworkPolicy is read by every version, but it has no tiers");
    }
    one_of("tier", policy.tier.as_ref(), &TIERS, check);
    let outside = |priority: &&Spanned<i64>| !(0..=1000).contains(&priority.value);
    if let Some(priority) = policy.priority.as_ref().filter(outside) {
        let message = format!("{} is no priority", priority.value);
        check.fault(
            codes::INVALID_VALUE,
            message,
            priority.span,
            "not in 0 to 1000",
        );
    }
    if let Some(written) = &policy.subject {
        subject(written, check);
    }
    for (section, ingress) in [(&policy.ingress, true), (&policy.egress, false)] {
        let name = if ingress { "ingress" } else { "egress" };
        most(name, section.as_ref(), check);
        for one in section.iter().flat_map(|list| &list.items) {
            rule(one, ingress, check);
        }
    }
}

/// A word out of a few.
fn one_of(field: &str, text: Option<&Text>, known: &[&'static str], check: &mut Check<'_>) {
    let Some(text) = text.filter(|text| !known.contains(&text.value.as_str())) else {
        return;
    };
    let message = format!("`{}` is no {field}", shown(text));
    let help = match text.value.as_str() {
        "Allow" => "write `Accept`".to_owned(),
        other => suggest::did_you_mean(other, known.iter().copied()).unwrap_or_else(|| {
            let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("write one of {}", names.join(", "))
        }),
    };
    check
        .fault(codes::INVALID_VALUE, message, text.span, "unknown")
        .help(help);
}

fn most<T>(field: &str, list: Option<&List<T>>, check: &mut Check<'_>) {
    if let Some(list) = list.filter(|list| list.len() > MOST) {
        let message = format!("{} elements in `{field}`, which takes {MOST}", list.len());
        check.fault(codes::TOO_MANY_ITEMS, message, list.span, "too many");
    }
}

fn subject(subject: &Subject, check: &mut Check<'_>) {
    match (&subject.namespaces, &subject.pods) {
        (None, None) => {
            let message = "the subject selects no one";
            check
                .missing(
                    codes::SUBJECT_SELECTOR,
                    message,
                    subject.span,
                    "an empty subject",
                )
                .help("add `namespaces` or `pods`; `namespaces: {}` is every pod of the cluster");
        }
        (Some(namespaces), Some(pods)) => {
            let message = "the policy has two subjects";
            check
                .fault(
                    codes::SUBJECT_SELECTOR,
                    message,
                    pods.span,
                    "this selects pods",
                )
                .label(namespaces.span, "this selects whole namespaces")
                .help("`pods` alone takes a `namespaceSelector` too");
        }
        _ => {}
    }
    if let Some(namespaces) = &subject.namespaces {
        selector::check(namespaces, Keys::Kubernetes, check);
    }
    subject.pods.iter().for_each(|pods| both(pods, check));
}

fn both(pods: &Pods, check: &mut Check<'_>) {
    for one in pods.namespace_selector.iter().chain(&pods.pod_selector) {
        selector::check(one, Keys::Kubernetes, check);
    }
}

fn rule(rule: &Rule, ingress: bool, check: &mut Check<'_>) {
    let long = |name: &&Text| name.chars().count() > LONGEST_NAME;
    if let Some(name) = rule.name.as_ref().filter(long) {
        let message = format!("a rule's name has at most {LONGEST_NAME} characters");
        check.fault(codes::INVALID_VALUE, message, name.span, "too long");
    }
    one_of("action", rule.action.as_ref(), &ACTIONS, check);
    if let Some(peers) = &rule.peers {
        let field = if ingress { "from" } else { "to" };
        if peers.is_empty() {
            let message = format!("`{field}` names no one");
            check
                .missing(codes::INVALID_PEER, message, peers.span, "an empty list")
                .help("every pod of the cluster is `namespaces: {}`");
        }
        most(field, Some(peers), check);
        for one in &peers.items {
            peer(one, rule, ingress, check);
        }
    }
    protocols::check(rule, check);
}

fn peer(peer: &Peer, rule: &Rule, ingress: bool, check: &mut Check<'_>) {
    let members = [
        ("namespaces", peer.namespaces.as_ref().map(|one| one.span)),
        ("pods", peer.pods.as_ref().map(|one| one.span)),
        ("nodes", peer.nodes.as_ref().map(|one| one.span)),
        ("networks", peer.networks.as_ref().map(|one| one.span)),
        (
            "domainNames",
            peer.domain_names.as_ref().map(|one| one.span),
        ),
    ];
    let present = members
        .iter()
        .filter_map(|(name, span)| Some((*name, (*span)?)));
    kinds(present.clone(), peer, ingress, check);
    if ingress {
        for (name, span) in present.filter(|(name, _)| !matches!(*name, "namespaces" | "pods")) {
            let message = format!("`{name}` peers are for egress only");
            check.fault(codes::INVALID_PEER, message, span, "in ingress");
        }
    }
    for one in peer.namespaces.iter().chain(&peer.nodes) {
        selector::check(one, Keys::Kubernetes, check);
    }
    peer.pods.iter().for_each(|pods| both(pods, check));
    if let (Some(nodes), false, false) = (&peer.nodes, ingress, check.settings.node_selector_labels)
    {
        let message = "`nodes` needs the agent's `enable-node-selector-labels`, which is off";
        check
            .fault(
                codes::FEATURE_DISABLED,
                message,
                nodes.span,
                "rejected by the agent",
            )
            .help("switch it on in the cluster and in the settings file");
    }
    if let Some(list) = &peer.networks {
        networks(list, check);
    }
    if let Some(list) = &peer.domain_names {
        domains(list, rule, check);
    }
}

/// Exactly one member.
fn kinds(
    mut present: impl Iterator<Item = (&'static str, Span)>,
    peer: &Peer,
    ingress: bool,
    check: &mut Check<'_>,
) {
    match (present.next(), present.next()) {
        (None, _) => {
            let help = if ingress {
                "add `namespaces` or `pods`"
            } else {
                "add one of `namespaces`, `pods`, `nodes`, `networks` and `domainNames`"
            };
            check
                .missing(
                    codes::INVALID_PEER,
                    "the peer names no one",
                    peer.span,
                    "an empty peer",
                )
                .help(help);
        }
        (Some((first, span)), Some((second, other))) => {
            let message = format!("`{first}` and `{second}` cannot stand in one peer");
            check
                .fault(codes::INVALID_PEER, message, other, "a second kind of peer")
                .label(span, "the first one")
                .help("make a peer of each");
        }
        (Some(_), None) => {}
    }
}

fn networks(list: &List<Text>, check: &mut Check<'_>) {
    members("networks", list, check);
    for text in &list.items {
        if text.len() > LONGEST_NETWORK {
            let message = format!("`{}` is longer than any prefix", shown(text));
            check.fault(codes::INVALID_CIDR, message, text.span, "too long");
        } else {
            cidr::prefix(text, check);
        }
    }
}

/// What both lists of text have in common: something in them, not too much, nothing twice.
fn members(field: &str, list: &List<Text>, check: &mut Check<'_>) {
    if list.is_empty() {
        let message = format!("`{field}` names no one");
        check.missing(codes::INVALID_PEER, message, list.span, "an empty list");
    }
    most(field, Some(list), check);
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for text in &list.items {
        if let Some(first) = seen.insert(&text.value, text.span) {
            let message = format!("`{}` stands twice in `{field}`", shown(text));
            check
                .fault(codes::INVALID_VALUE, message, text.span, "again")
                .label(first, "before");
        }
    }
}

fn domains(list: &List<Text>, rule: &Rule, check: &mut Check<'_>) {
    members("domainNames", list, check);
    if !check.settings.l7_proxy {
        let message = "`domainNames` needs the agent's `enable-l7-proxy`, which is off";
        check.fault(
            codes::FEATURE_DISABLED,
            message,
            list.span,
            "rejected by the agent",
        );
    }
    let refused = |action: &&Text| matches!(action.value.as_str(), "Deny" | "Pass");
    if let Some(action) = rule.action.as_ref().filter(refused) {
        let message = format!(
            "`domainNames` goes with `Accept` only, not `{}`",
            action.value
        );
        check
            .fault(
                codes::INVALID_PEER,
                message,
                list.span,
                "names are known once asked for",
            )
            .label(action.span, "the action")
            .help("accept the names wanted, and deny everything in a later rule");
    }
    for name in list.items.iter().filter(|name| !is_domain(name)) {
        let message = format!("`{}` is no domain name", shown(name));
        let help = if name.contains('*') {
            "a wildcard is one `*.` in front of at least two labels; it stands for one label or more"
        } else {
            "a name has at least two labels of letters, digits, `-` and `_`"
        };
        check
            .fault(
                codes::INVALID_VALUE,
                message,
                name.span,
                "not a domain name",
            )
            .help(help);
    }
}

/// At least two labels, perhaps a `*.` before them and a dot after.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        bytes.iter().copied().all(inner) && ends(bytes.first()) && ends(bytes.last())
    };
    let name = text.strip_prefix("*.").unwrap_or(text);
    let name = name.strip_suffix('.').unwrap_or(name);
    text.len() <= LONGEST_DOMAIN && name.contains('.') && name.split('.').all(label)
}
