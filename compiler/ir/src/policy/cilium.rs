//! From the syntax tree of Cilium's kinds. Validation has passed, so `None` here means a fault in this tool.

use std::sync::Arc;

use policyc_diag::Spanned;
use policyc_syntax::ast::{self, cilium};

use super::{Entry, Policy, Rule};
use crate::l7::Auth;
use crate::label::{Key, NAMESPACE, Source};
use crate::rule::{self, Action, Direction, Kind, Level};
use crate::selector::{Operator, Requirement, Selector};

/// Layer 7 of an element of `toPorts`.
mod l7;
/// The other side of an entry.
mod peers;
/// Layer 4 of an entry.
mod ports;

pub(super) use peers::block;

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
    let info = super::info(document, kind)?;
    let rules = all
        .map(|(path, written)| rule(&path, written, &info))
        .collect::<Option<_>>()?;
    Some(Policy { info, rules })
}

fn rule(path: &str, rule: &cilium::Rule, policy: &rule::Policy) -> Option<Rule> {
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
            entries.push(ingress(super::path(path, name, at), entry, action, policy)?);
        }
    }
    for (name, section, action) in [
        ("egress", &rule.egress, Action::Allow),
        ("egressDeny", &rule.egress_deny, Action::Deny),
    ] {
        for (at, entry) in section.iter().flat_map(|list| list.iter()).enumerate() {
            entries.push(egress(super::path(path, name, at), entry, action, policy)?);
        }
    }
    Some(Rule {
        subject: Spanned::new(subject(written, policy.kind)?, written.span),
        node,
        default_deny: default_deny(rule, &entries),
        log: rule.log.as_ref().map(|log| log.value.as_str().into()),
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

fn ingress(
    path: Arc<str>,
    entry: &cilium::Ingress,
    action: Action,
    policy: &rule::Policy,
) -> Option<Entry> {
    Some(Entry {
        path,
        span: entry.span,
        direction: Direction::Ingress,
        action,
        level: Level::NORMAL,
        peers: peers::ingress(entry)?,
        traffic: ports::traffic(entry.to_ports.as_ref(), entry.icmps.as_ref(), policy)?,
        auth: auth(entry.authentication.as_ref()),
    })
}

fn egress(
    path: Arc<str>,
    entry: &cilium::Egress,
    action: Action,
    policy: &rule::Policy,
) -> Option<Entry> {
    Some(Entry {
        path,
        span: entry.span,
        direction: Direction::Egress,
        action,
        level: Level::NORMAL,
        peers: peers::egress(entry)?,
        traffic: ports::traffic(entry.to_ports.as_ref(), entry.icmps.as_ref(), policy)?,
        auth: auth(entry.authentication.as_ref()),
    })
}

/// Validation has seen to it that the mode is one of the three.
fn auth(written: Option<&cilium::Authentication>) -> Option<Auth> {
    match written?.mode.as_ref()?.value.as_str() {
        "required" => Some(Auth::Required),
        "disabled" => Some(Auth::Disabled),
        "test-always-fail" => Some(Auth::AlwaysFail),
        _ => None,
    }
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
