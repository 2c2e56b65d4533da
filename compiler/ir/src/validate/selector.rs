//! Label selectors.

use policyc_diag::{codes, suggest};
use policyc_syntax::ast::{Requirement, Selector, Text};

use super::Check;
use super::text::{is_label_key, is_label_value, shown};

const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// Whose label keys a selector has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// `[source:]key`, or `$key` for a reserved one.
    Cilium,
    /// Plain keys.
    Kubernetes,
}

/// A selector.
pub(super) fn check(selector: &Selector, keys: Keys, check: &mut Check<'_>) {
    for (label, text) in &selector.match_labels {
        key(label, keys, check);
        value(text, check);
    }
    for requirement in &selector.match_expressions {
        key(&requirement.key, keys, check);
        operator(requirement, check);
        requirement
            .values
            .iter()
            .flat_map(|values| &values.items)
            .for_each(|text| value(text, check));
    }
}

/// A label of an object.
pub(super) fn label(name: &Text, text: &Text, check: &mut Check<'_>) {
    key(name, Keys::Kubernetes, check);
    value(text, check);
}

fn key(text: &Text, keys: Keys, check: &mut Check<'_>) {
    let valid = match keys {
        Keys::Kubernetes => is_label_key(text),
        Keys::Cilium => is_cilium_key(text),
    };
    if valid {
        return;
    }
    let message = format!("`{}` is no label key", shown(text));
    let help = match keys {
        Keys::Kubernetes if text.contains(':') => {
            "label sources belong into Cilium's selectors only: leave out what is before `:`"
        }
        Keys::Kubernetes => "a key is `name` or `dns.prefix/name`, the name at most 63 characters",
        Keys::Cilium => {
            "a key is `name` or `dns.prefix/name`, with an optional source before it: `k8s:name`"
        }
    };
    check
        .fault(
            codes::INVALID_LABEL,
            message,
            text.span,
            "Kubernetes does not allow this key",
        )
        .help(help);
}

fn is_cilium_key(text: &str) -> bool {
    if let Some(name) = text.strip_prefix('$') {
        return is_label_key(name);
    }
    match text.split_once(':') {
        Some((source, name)) => {
            !source.is_empty()
                && source.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && is_label_key(name)
        }
        None => is_label_key(text),
    }
}

fn value(text: &Text, check: &mut Check<'_>) {
    if is_label_value(text) {
        return;
    }
    let message = format!("`{}` is no label value", shown(text));
    check
        .fault(codes::INVALID_LABEL, message, text.span, "no label can have this value")
        .help("a value has at most 63 letters, digits, `-`, `_` and `.`, and starts and ends alphanumeric");
}

fn operator(requirement: &Requirement, check: &mut Check<'_>) {
    let Requirement {
        operator, values, ..
    } = requirement;
    let some = values.as_ref().is_some_and(|values| !values.is_empty());
    match operator.value.as_str() {
        "In" | "NotIn" if !some => {
            let message = format!("operator `{}` needs at least one value", operator.value);
            let span = values
                .as_ref()
                .map_or(requirement.span, |values| values.span);
            check.missing(codes::INVALID_SELECTOR, message, span, "no `values`");
        }
        "Exists" | "DoesNotExist" if some => {
            let message = format!("operator `{}` takes no values", operator.value);
            let span = values
                .as_ref()
                .map_or(requirement.span, |values| values.span);
            check
                .fault(
                    codes::INVALID_SELECTOR,
                    message,
                    span,
                    "values that would be ignored",
                )
                .help("leave `values` out, or use `In` or `NotIn`");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            let message = format!("`{}` is no selector operator", shown(other));
            let help = suggest::did_you_mean(other, OPERATORS).unwrap_or_else(|| {
                format!(
                    "operators are {}",
                    OPERATORS.map(|name| format!("`{name}`")).join(", ")
                )
            });
            check
                .fault(
                    codes::INVALID_SELECTOR,
                    message,
                    operator.span,
                    "unknown operator",
                )
                .help(help);
        }
    }
}
