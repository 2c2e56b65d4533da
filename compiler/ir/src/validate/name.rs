//! Object names and labels.

use policyc_diag::codes;
use policyc_syntax::ast::Meta;

use super::text::{is_dns_label, is_dns_name, shown};
use super::{Check, selector};

/// `metadata`: `name`, `namespace` and `labels`.
pub(super) fn check(meta: &Meta, check: &mut Check<'_>) {
    for (key, value) in &meta.labels {
        selector::label(key, value, check);
    }
    match &meta.name {
        None => {
            check
                .missing(
                    codes::INVALID_NAME,
                    "the object has no name",
                    meta.span,
                    "`metadata.name` is missing",
                )
                .help("add `name` under `metadata`");
        }
        Some(name) if !is_dns_name(name) => {
            let message = format!("`{}` is no object name", shown(name));
            check
                .fault(codes::INVALID_NAME, message, name.span, "not a DNS name")
                .help("use lower-case letters, digits, `-` and `.`, at most 253 characters, ends alphanumeric");
        }
        Some(_) => {}
    }
    if let Some(namespace) = meta
        .namespace
        .as_ref()
        .filter(|namespace| !is_dns_label(namespace))
    {
        let message = format!("`{}` is no namespace name", shown(namespace));
        check
            .fault(
                codes::INVALID_NAME,
                message,
                namespace.span,
                "not a DNS label",
            )
            .help(
                "use lower-case letters, digits and `-`, at most 63 characters, ends alphanumeric",
            );
    }
}
