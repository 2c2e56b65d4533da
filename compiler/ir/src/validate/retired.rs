//! Layer 7 protocols that Cilium had until 1.19: Kafka, and those of proxylib's parsers.

use policyc_diag::{Span, codes, suggest};
use policyc_syntax::ast::Text;
use policyc_syntax::ast::cilium::{Generic, Kafka, L7};

use super::Check;
use super::text::shown;
use crate::settings::Version;

/// The first release without them.
const GONE: Version = Version::new(1, 20);

const ROLES: [&str; 2] = ["produce", "consume"];

/// Names of Kafka's API keys, by number (kafka.apache.org, protocol guide), as far as Cilium knew them.
const API_KEYS: [&str; 34] = [
    "produce",
    "fetch",
    "offsets",
    "metadata",
    "leaderandisr",
    "stopreplica",
    "updatemetadata",
    "controlledshutdown",
    "offsetcommit",
    "offsetfetch",
    "findcoordinator",
    "joingroup",
    "heartbeat",
    "leavegroup",
    "syncgroup",
    "describegroups",
    "listgroups",
    "saslhandshake",
    "apiversions",
    "createtopics",
    "deletetopics",
    "deleterecords",
    "initproducerid",
    "offsetforleaderepoch",
    "addpartitionstotxn",
    "addoffsetstotxn",
    "endtxn",
    "writetxnmarkers",
    "txnoffsetcommit",
    "describeacls",
    "createacls",
    "deleteacls",
    "describeconfigs",
    "alterconfigs",
];

/// Each of the old members that is there, with its place.
pub(super) fn present(rules: &L7) -> impl Iterator<Item = (&'static str, Span)> {
    let members = [
        ("kafka", rules.kafka.as_ref().map(|list| list.span)),
        ("l7proto", rules.l7proto.as_ref().map(|text| text.span)),
        ("l7", rules.l7.as_ref().map(|list| list.span)),
    ];
    members
        .into_iter()
        .filter_map(|(name, span)| Some((name, span?)))
}

/// Whether the old members ask for anything: a parser alone does, since it reads every request.
pub(super) fn filled(rules: &L7) -> bool {
    rules.kafka.as_ref().is_some_and(|list| !list.is_empty())
        || rules.l7proto.as_ref().is_some_and(|text| !text.is_empty())
        || rules.l7.as_ref().is_some_and(|list| !list.is_empty())
}

/// The members where Cilium still has them, and that they are gone where it has not.
pub(super) fn members(rules: &L7, check: &mut Check<'_>) {
    if check.settings.version >= GONE {
        for (name, span) in present(rules) {
            let message = format!("Cilium no longer has layer 7 rules of `{name}`");
            let label = format!("removed in Cilium {GONE}");
            check
                .fault(codes::REMOVED_FIELD, message, span, label)
                .help("an agent that reads the stored policy would allow the whole port: remove or rewrite the rule");
        }
        return;
    }
    rules
        .kafka
        .iter()
        .flat_map(|list| &list.items)
        .for_each(|request| kafka(request, check));
    generic(rules, check);
}

/// One request; empty text is text that was not given.
fn kafka(request: &Kafka, check: &mut Check<'_>) {
    let filled = |text: &&Text| !text.is_empty();
    let key = request.api_key.as_ref().filter(filled);
    if let (Some(role), Some(key)) = (&request.role, key) {
        let message = "`role` and `apiKey` cannot stand in one Kafka rule";
        check
            .fault(
                codes::INVALID_VALUE,
                message,
                key.span,
                "one kind of request",
            )
            .label(role.span, "all that a role takes")
            .help("make a rule of each");
    }
    if let Some(role) = &request.role {
        known("Kafka role", role, role, &ROLES, check);
    }
    if let Some(key) = key {
        known(
            "Kafka API key",
            key,
            &key.to_ascii_lowercase(),
            &API_KEYS,
            check,
        );
    }
    let number = |text: &&Text| !text.is_empty() && text.parse::<i16>().is_err();
    if let Some(version) = request.api_version.as_ref().filter(number) {
        let message = format!("`{}` is no version of a Kafka API", shown(version));
        let label = "not a whole number of 16 bits";
        check.fault(codes::INVALID_VALUE, message, version.span, label);
    }
    if let Some(topic) = request
        .topic
        .as_ref()
        .filter(|topic| !topic.is_empty() && !is_topic(topic))
    {
        let message = format!("`{}` is no Kafka topic", shown(topic));
        check
            .fault(
                codes::INVALID_VALUE,
                message,
                topic.span,
                "no topic can have this name",
            )
            .help("a topic has at most 255 letters, digits, `.`, `_` and `-`, and no wildcards");
    }
}

fn known(what: &str, text: &Text, word: &str, all: &[&'static str], check: &mut Check<'_>) {
    if all.contains(&word) {
        return;
    }
    let message = format!("`{}` is no {what}", shown(text));
    check
        .fault(codes::INVALID_VALUE, message, text.span, "unknown")
        .maybe_help(suggest::did_you_mean(word, all.iter().copied()));
}

fn is_topic(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= 255 && text.bytes().all(inner)
}

fn generic(rules: &L7, check: &mut Check<'_>) {
    match (&rules.l7proto, &rules.l7) {
        (None, Some(list)) => {
            let message = "`l7` needs `l7proto` beside it";
            check.missing(
                codes::L7_PROTOCOL,
                message,
                list.span,
                "rules of which protocol?",
            );
        }
        (Some(name), _) if name.is_empty() => {
            let message = "`l7proto` must not be empty";
            check.fault(codes::L7_PROTOCOL, message, name.span, "empty");
        }
        _ => {}
    }
    let all = rules.l7.iter().flat_map(|list| &list.items);
    let keys = all.flat_map(|Generic { pairs, .. }| pairs.iter().map(|(key, _)| key));
    for key in keys.filter(|key| key.is_empty()) {
        let message = "a key of `l7` must not be empty";
        check.fault(codes::INVALID_VALUE, message, key.span, "empty");
    }
}
