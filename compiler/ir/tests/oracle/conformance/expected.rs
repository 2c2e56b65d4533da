//! Lines of `expected.jsonl` in the words of the naive evaluator.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::naive::{Answer, Shown};

/// Words that answers are made of.
const WORDS: [&str; 10] = [
    "allow", "deny", "redirect", "error", "policy", "default", "http", "dns", "tls", "crd",
];
/// Members of HTTP and DNS rules, in the order they are printed.
const MEMBERS: [&str; 7] = [
    "path",
    "method",
    "host",
    "headers",
    "headerMatches",
    "matchName",
    "matchPattern",
];

pub(super) fn answer(line: &Value) -> Answer {
    Answer {
        verdict: word(&line["verdict"]),
        enforced: line["enforced"] == true,
        reason: word(&line["deny_reason"]),
        auth: line["auth"].as_str().unwrap_or_default().to_owned(),
        shown: line.get("l7").map(shown),
    }
}

fn shown(l7: &Value) -> Shown {
    Shown {
        parser: word(&l7["parser"]),
        http: rules(&l7["http"]),
        dns: rules(&l7["dns"]),
        server_names: rules(&l7["server_names"]),
        listener: l7["listener"].as_str().map(str::to_owned),
        plain: l7["plain_allow_also_matches"] == true,
    }
}

/// A word as the evaluator has it; what is absent is empty.
fn word(value: &Value) -> &'static str {
    let Some(text) = value.as_str() else {
        return "";
    };
    let known = WORDS.into_iter().find(|word| *word == text);
    known.unwrap_or_else(|| panic!("no answer has the word {text}"))
}

fn rules(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|rule| match rule {
        Value::String(text) => text.clone(),
        rule => {
            let member = |name: &str| rule.get(name).map(|value| format!("\"{name}\":{value}"));
            let members: Vec<_> = MEMBERS.into_iter().filter_map(member).collect();
            format!("{{{}}}", members.join(","))
        }
    })
    .collect()
}
