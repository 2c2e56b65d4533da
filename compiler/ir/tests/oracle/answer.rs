//! Verdicts of the model in the words of the naive evaluator.

use std::collections::BTreeSet;

use policyc_ir::fqdn::Fqdn;
use policyc_ir::l7::{self, Content};
use policyc_ir::model::{Reason, Redirect, Verdict};
use policyc_ir::rule::Action;

use crate::naive::{Answer, Shown};

/// A verdict of the model in the words of the naive evaluator.
pub(crate) fn answer(verdict: &Verdict) -> Answer {
    let conflict = verdict.reason == Reason::Conflict;
    let shown = verdict.redirect.as_deref().map(shown);
    Answer {
        verdict: match (conflict, verdict.allowed, &shown) {
            (true, ..) => "error",
            (_, false, _) => "deny",
            (_, true, None) => "allow",
            (_, true, Some(_)) => "redirect",
        },
        enforced: verdict.enforced && !conflict,
        reason: match verdict.reason {
            Reason::Rule(Action::Deny) => "policy",
            Reason::DefaultDeny => "default",
            _ => "",
        },
        auth: verdict
            .auth
            .map_or_else(String::new, |demand| match (demand.mode, demand.derived) {
                (l7::Auth::Disabled, _) => String::new(),
                (mode, false) => mode.name().to_owned(),
                (mode, true) => format!("{} (derived)", mode.name()),
            }),
        shown,
    }
}

fn shown(redirect: &Redirect) -> Shown {
    let texts = |list: &[std::sync::Arc<str>]| list.iter().map(ToString::to_string).collect();
    let mut shown = Shown {
        parser: redirect.parser.name(),
        http: BTreeSet::new(),
        dns: BTreeSet::new(),
        server_names: texts(&redirect.l7.server_names),
        listener: redirect
            .l7
            .listener
            .as_ref()
            .map(|listener| listener.name.to_string()),
        plain: redirect.plain,
    };
    match &redirect.l7.content {
        Content::Http(rules) => shown.http = rules.iter().map(http).collect(),
        Content::Dns(rules) => shown.dns = rules.iter().map(dns).collect(),
        _ => {}
    }
    shown
}

/// The members that are given, as a JSON object.
fn object(members: &[Option<String>]) -> String {
    format!(
        "{{{}}}",
        members
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(",")
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn text(name: &str, value: Option<&std::sync::Arc<str>>) -> Option<String> {
    value.map(|value| format!("{}:{}", quoted(name), quoted(value)))
}

fn dns(rule: &Fqdn) -> String {
    object(&[
        text("matchName", rule.name.as_ref()),
        text("matchPattern", rule.pattern.as_ref()),
    ])
}

fn http(rule: &l7::Http) -> String {
    let list = |name: &str, items: Vec<String>| {
        (!items.is_empty()).then(|| format!("{}:[{}]", quoted(name), items.join(",")))
    };
    object(&[
        text("path", rule.path.as_ref()),
        text("method", rule.method.as_ref()),
        text("host", rule.host.as_ref()),
        list(
            "headers",
            rule.headers.iter().map(|header| quoted(header)).collect(),
        ),
        list(
            "headerMatches",
            rule.header_matches.iter().map(header).collect(),
        ),
    ])
}

fn header(header: &l7::HeaderMatch) -> String {
    let secret = header.secret.as_ref().map(|(namespace, name)| {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        format!(
            "\"secret\":{}",
            object(&[text("namespace", namespace), text("name", Some(name))])
        )
    });
    object(&[
        text("mismatch", header.mismatch.as_ref()),
        text("name", Some(&header.name)),
        secret,
        text("value", header.value.as_ref()),
    ])
}
