//! What HTTP rules look at.

use regex::bytes::RegexBuilder;

use super::Answer;
use crate::l7::{self, HeaderMatch};

/// Bytes that a compiled expression may take.
const REGEX_SIZE: usize = 1 << 20;

/// An HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// The method, as sent.
    pub method: String,
    /// The path with its query, after normalisation.
    pub path: String,
    /// The authority, with its port if it is sent.
    pub host: String,
    /// Headers: name and value.
    pub headers: Vec<(String, String)>,
    /// The server name of the TLS session it comes in, if it comes in one.
    pub server_name: Option<String>,
}

impl Http {
    /// Values of a header, joined as Envoy joins them.
    fn header(&self, name: &str) -> Option<String> {
        let same = self
            .headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let values: Vec<_> = same.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// Whether some rule matches.
pub(super) fn any(rules: &[l7::Http], request: &Http) -> Answer {
    let mut unknown = Answer::Refused;
    for rule in rules {
        match matches(rule, request) {
            Answer::Passed => return Answer::Passed,
            Answer::Refused => {}
            answer @ Answer::Unknown(_) => unknown = answer,
        }
    }
    unknown
}

/// Whether all that a rule gives matches (Cilium's getHTTPRule).
fn matches(rule: &l7::Http, request: &Http) -> Answer {
    let texts = [
        (&rule.path, &request.path),
        (&rule.method, &request.method),
        (&rule.host, &request.host),
    ];
    for (expression, text) in texts {
        let Some(expression) = expression else {
            continue;
        };
        match whole(expression, text) {
            Some(true) => {}
            Some(false) => return Answer::Refused,
            None => return Answer::Unknown(format!("what `{expression}` matches")),
        }
    }
    if !rule.headers.iter().all(|header| has(header, request)) {
        return Answer::Refused;
    }
    let matched = rule
        .header_matches
        .iter()
        .map(|one| header_matches(one, request));
    matched.fold(Answer::Passed, |all, one| match (all, one) {
        (Answer::Refused, _) | (_, Answer::Refused) => Answer::Refused,
        (Answer::Passed, one) => one,
        (all, _) => all,
    })
}

/// Whether an RE2 expression matches a text as a whole; `None` if it cannot be compiled within the limits.
fn whole(expression: &str, text: &str) -> Option<bool> {
    let anchored = format!("^(?:{expression})$");
    let mut builder = RegexBuilder::new(&anchored);
    let regex = builder.unicode(false).size_limit(REGEX_SIZE).build();
    regex.ok().map(|regex| regex.is_match(text.as_bytes()))
}

/// `Name: value`, parted at the first blank; without one the whole text is the name of a header that must be there.
fn has(header: &str, request: &Http) -> bool {
    match header.split_once(' ') {
        None => request.header(header).is_some(),
        Some((name, value)) => {
            let name = name.trim_end_matches(':');
            request.header(name).is_some_and(|own| own == value)
        }
    }
}

/// With an action for those that differ, every request matches; what is in a secret is not known here.
fn header_matches(header: &HeaderMatch, request: &Http) -> Answer {
    let own = request.header(&header.name);
    let matches = match (&header.mismatch, &header.value, &header.secret) {
        (Some(_), ..) => true,
        (None, _, Some(_)) => {
            return Answer::Unknown(format!("the secret value of header `{}`", header.name));
        }
        (None, None, None) => own.is_some(),
        (None, Some(value), None) => own.is_some_and(|own| *own == **value),
    };
    if matches {
        Answer::Passed
    } else {
        Answer::Refused
    }
}
