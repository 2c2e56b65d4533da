//! Domain names and patterns.

use std::collections::BTreeMap;

use policyc_diag::{Span, codes};
use policyc_syntax::ast::cilium::Fqdn;
use policyc_syntax::ast::{List, Text};

use super::Check;
use super::text::shown;

/// `toFQDNs`, or `rules.dns`.
pub(super) fn list(list: Option<&List<Fqdn>>, check: &mut Check<'_>) {
    for fqdn in list.iter().flat_map(|list| &list.items) {
        match (&fqdn.match_name, &fqdn.match_pattern) {
            (None, None) => {
                let message = "the entry names no domain";
                check
                    .missing(
                        codes::INVALID_VALUE,
                        message,
                        fqdn.span,
                        "neither `matchName` nor `matchPattern`",
                    )
                    .help("`matchPattern: \"*\"` is every name");
            }
            (Some(name), Some(pattern)) => {
                let message = "`matchName` and `matchPattern` cannot stand in one entry";
                check
                    .fault(
                        codes::INVALID_VALUE,
                        message,
                        pattern.span,
                        "a second way to name domains",
                    )
                    .label(name.span, "the first one")
                    .help("make an entry of each");
            }
            _ => {}
        }
        if let Some(name) = fqdn
            .match_name
            .as_ref()
            .filter(|name| !is_name(name, false))
        {
            let star = name
                .contains('*')
                .then(|| "wildcards belong into `matchPattern`".to_owned());
            let message = format!("`{}` is no domain name", shown(name));
            check
                .fault(
                    codes::INVALID_VALUE,
                    message,
                    name.span,
                    "not a domain name",
                )
                .maybe_help(star);
        }
        if let Some(pattern) = fqdn
            .match_pattern
            .as_ref()
            .filter(|pattern| !is_name(pattern, true))
        {
            let message = format!("`{}` is no domain pattern", shown(pattern));
            check.fault(
                codes::INVALID_VALUE,
                message,
                pattern.span,
                "not a domain name with `*`",
            );
        }
    }
}

/// `serverNames`: at least one, each once.
pub(super) fn server_names(list: &List<Text>, check: &mut Check<'_>) {
    if list.is_empty() {
        let message = "`serverNames` must not be empty";
        check
            .missing(codes::INVALID_VALUE, message, list.span, "no name")
            .help("leave the field out, or add a name");
    }
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for name in &list.items {
        if !is_name(name, true) {
            let message = format!("`{}` is no server name", shown(name));
            check.fault(
                codes::INVALID_VALUE,
                message,
                name.span,
                "not a domain name with `*`",
            );
        } else if let Some(first) = seen.get(name.value.as_str()) {
            let message = format!("the server name `{}` stands twice", shown(name));
            check
                .fault(codes::INVALID_VALUE, message, name.span, "again")
                .label(*first, "first");
        } else {
            seen.insert(&name.value, name.span);
        }
    }
}

/// Parts of letters, digits, `-` and `_` (and `*`) between single dots; a last dot is allowed.
fn is_name(text: &str, wildcards: bool) -> bool {
    let inner = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (wildcards && byte == b'*')
    };
    let part = |part: &str| !part.is_empty() && part.bytes().all(inner);
    text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(part)
}
