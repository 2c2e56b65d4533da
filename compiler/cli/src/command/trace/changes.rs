//! What would have to be different, in words.

use std::sync::Arc;

use policyc_ir::explain::Change;
use policyc_ir::label::{CLUSTER, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source};
use policyc_ir::port::Protocol;
use policyc_ir::selector::{Operator, Requirement};

use super::{Side, Told, ends};

/// What would have to be different, each to go behind "if".
pub(super) fn each(told: &Told<'_>, side: &Side<'_>, changes: &[Change]) -> Vec<String> {
    let other = changes.iter().find_map(|change| match change {
        Change::Protocol(protocol) => Some(*protocol),
        _ => None,
    });
    let protocol = other.unwrap_or(side.flow.protocol);
    let each = changes
        .iter()
        .map(|change| one(told, side, change, protocol));
    each.collect()
}

/// All of it.
pub(super) fn all(told: &Told<'_>, side: &Side<'_>, changes: &[Change]) -> String {
    each(told, side, changes).join(" and ")
}

fn one(told: &Told<'_>, side: &Side<'_>, change: &Change, protocol: Protocol) -> String {
    let who = ends::peer(side.flow.direction);
    match change {
        Change::Label(requirement) => label(who, requirement),
        Change::Pod(selector) => format!("the {who} were {}", ends::pods(told, selector, "a pod")),
        Change::Prefix(cidr, except) if except.is_empty() => format!("the {who} were in {cidr}"),
        Change::Prefix(cidr, except) => {
            let except: Vec<_> = except.iter().map(ToString::to_string).collect();
            format!(
                "the {who} were in {cidr}, but not in {}",
                except.join(" or ")
            )
        }
        Change::Name(fqdn) => format!("a DNS answer for `{fqdn}` had given the {who}'s address"),
        Change::Protocol(protocol) => format!("the protocol were {protocol}"),
        Change::Port(first, last) => {
            let port = if protocol.is_icmp() { "type" } else { "port" };
            if first == last {
                format!("the {port} were {first}")
            } else {
                format!("the {port} were in {first}-{last}")
            }
        }
    }
}

fn label(who: &str, requirement: &Requirement) -> String {
    let name = &*requirement.key.name;
    if requirement.key.source == Source::Reserved {
        let not = if matches!(
            requirement.operator,
            Operator::DoesNotExist | Operator::NotIn(_)
        ) {
            "not "
        } else {
            ""
        };
        return format!("the {who} were {not}`{name}`");
    }
    let what = match name {
        NAMESPACE => format!("the {who}'s namespace"),
        CLUSTER => format!("the {who}'s cluster"),
        SERVICE_ACCOUNT => format!("the {who}'s service account"),
        _ => match name.strip_prefix(NAMESPACE_LABELS) {
            Some(name) => format!("the label `{name}` of the {who}'s namespace"),
            None => format!("the {who}'s label `{}`", ends::bare_key(&requirement.key)),
        },
    };
    let quoted = |values: &[Arc<str>]| {
        let each = values.iter().map(|value| format!("`{value}`"));
        each.collect::<Vec<_>>().join(" or ")
    };
    match &requirement.operator {
        Operator::In(values) => format!("{what} were {}", quoted(values)),
        Operator::NotIn(values) => format!("{what} were not {}", quoted(values)),
        Operator::Exists => format!("{what} existed"),
        Operator::DoesNotExist => format!("{what} did not exist"),
    }
}
