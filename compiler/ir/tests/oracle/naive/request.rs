//! What proxies make of a request.

use std::cmp::Reverse;

use policyc_ir::model::request::{Answer as Told, Http, Request};
use serde_json::Value;

use super::World;
use super::decide::{Facing, Key};
use super::entry::Act;
use super::l7::Proxy;
use super::text;

impl World<'_> {
    /// Whether a request over TCP, or a query over any protocol, gets through.
    pub(crate) fn request(
        &self,
        facing: &Facing<'_>,
        protocol: u8,
        port: u16,
        request: &Request,
    ) -> Told {
        let answer = self.ask(facing, protocol, port);
        match (answer.verdict, &answer.shown, request) {
            ("allow", ..) => Told::Passed,
            ("redirect", Some(shown), Request::Dns(name)) if shown.parser == "dns" => {
                self.query(facing, protocol, port, &text::dns(name))
            }
            ("redirect", Some(shown), Request::Http(_) | Request::Tls(_))
                if shown.parser != "dns" =>
            {
                self.envoy(facing, protocol, port, request)
            }
            _ => Told::Refused,
        }
    }

    /// The DNS proxy knows the filter that redirected to it, with all of its selectors.
    fn query(&self, facing: &Facing<'_>, protocol: u8, port: u16, name: &str) -> Told {
        let (winner, filter) = self.redirecting(facing, protocol, port);
        let passes = filter.iter().any(|key| {
            let rules = &key.given.proxy.dns;
            key.given.act == Act::Allow
                && key.level.0 == winner.level.0
                && (rules.is_empty() || rules.iter().any(|rule| asks_for(rule, name)))
        });
        if passes { Told::Passed } else { Told::Refused }
    }

    /// Envoy has the rules of every filter that the connection matches and asks them in the order of precedence. One
    /// whose server names or requests do not match has no say.
    fn envoy(&self, facing: &Facing<'_>, protocol: u8, port: u16, request: &Request) -> Told {
        let mut keys = self.every_key(facing, protocol, port);
        keys.retain(|key| key.given.proxy.dns.is_empty());
        keys.sort_by_key(|key| Reverse((key.precedence(), key.given.act == Act::Deny)));
        let mut unknown = Told::Refused;
        let mut skipped = None;
        for key in keys {
            if skipped == Some(key.level.0) {
                continue;
            }
            match (key.given.act, says(&key.given.proxy, request)) {
                (Act::Deny, _) => return unknown,
                (Act::Pass, _) => skipped = Some(key.level.0),
                (Act::Allow, Told::Passed) => return Told::Passed,
                (Act::Allow, Told::Refused) => {}
                (Act::Allow, told) => unknown = told,
            }
        }
        unknown
    }
}

/// What one allow says; `Refused` is to have no say.
fn says(proxy: &Proxy, request: &Request) -> Told {
    let (server_name, http) = match request {
        Request::Http(http) => (http.server_name.as_ref(), Some(http)),
        Request::Tls(name) => (name.as_ref(), None),
        Request::Dns(_) => return Told::Refused,
    };
    let named = |pattern: &String| server_name.is_some_and(|name| server(pattern, name));
    if !proxy.server_names.is_empty() && !proxy.server_names.iter().any(named) {
        return Told::Refused;
    }
    if proxy.http.is_empty() {
        return Told::Passed;
    }
    let Some(http) = http else {
        return Told::Refused;
    };
    let told = proxy.http.iter().map(|rule| rule_matches(rule, http));
    told.fold(Told::Refused, |all, one| match (&all, &one) {
        (Told::Passed, _) | (_, Told::Refused) => all,
        _ => one,
    })
}

fn asks_for(rule: &str, name: &str) -> bool {
    let rule: Value = serde_json::from_str(rule).unwrap();
    let exact = rule["matchName"].as_str().map(text::dns);
    let pattern = rule["matchPattern"].as_str().map(text::dns);
    exact.as_deref() == Some(name)
        || pattern.is_some_and(|pattern| text::pattern_selects(&pattern, name))
}

/// A pattern of a server name: a star alone is any name, two are one label or more, others are within a label.
fn server(pattern: &str, name: &str) -> bool {
    if pattern == "*" {
        return !name.is_empty();
    }
    text::pattern_selects(&text::dns(pattern), &text::dns(name))
}

/// Whether all members of an HTTP rule match.
fn rule_matches(rule: &str, request: &Http) -> Told {
    let rule: Value = serde_json::from_str(rule).unwrap();
    let texts = [
        ("path", &request.path),
        ("method", &request.method),
        ("host", &request.host),
    ];
    let whole = texts.iter().all(|(name, text)| {
        let expression = rule[*name].as_str();
        expression.is_none_or(|expression| expression_matches(expression, text))
    });
    let list = |name: &str| rule[name].as_array().cloned().unwrap_or_default();
    let headers = list("headers")
        .iter()
        .all(|header| header_is(header.as_str().unwrap(), request));
    if !whole || !headers {
        return Told::Refused;
    }
    let mut told = Told::Passed;
    for header in list("headerMatches") {
        if header.get("mismatch").is_some() {
            continue;
        }
        if header.get("secret").is_some() {
            told = Told::Unknown(String::new());
            continue;
        }
        let given = value(request, header["name"].as_str().unwrap());
        if given.is_none()
            || header["value"]
                .as_str()
                .is_some_and(|wanted| given != Some(wanted))
        {
            return Told::Refused;
        }
    }
    told
}

fn value<'a>(request: &'a Http, name: &str) -> Option<&'a str> {
    let own = request
        .headers
        .iter()
        .find(|(own, _)| own.eq_ignore_ascii_case(name));
    own.map(|(_, value)| value.as_str())
}

/// `Name: value`, or a name alone.
fn header_is(header: &str, request: &Http) -> bool {
    match header.split_once(' ') {
        Some((name, wanted)) => value(request, name.trim_end_matches(':')) == Some(wanted),
        None => value(request, header).is_some(),
    }
}

/// Whether an expression matches a text as a whole: literals, `.`, `.*`, `[.]` and alternatives are all that is used.
fn expression_matches(expression: &str, text: &str) -> bool {
    let plain = expression.replace("[.]", "\u{1}");
    plain
        .split('|')
        .any(|one| piece_matches(one.as_bytes(), text.as_bytes()))
}

fn piece_matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'.', b'*', rest @ ..], _) => (0..=text.len()).any(|at| piece_matches(rest, &text[at..])),
        ([one, rest @ ..], [letter, tail @ ..]) => {
            let same = match one {
                b'.' => true,
                1 => *letter == b'.',
                one => one == letter,
            };
            same && piece_matches(rest, tail)
        }
        ([], []) => true,
        _ => false,
    }
}

/// A key that decides, and all of its filter.
type Filter<'a> = (Key<'a>, Vec<Key<'a>>);

impl World<'_> {
    fn redirecting<'a>(&self, facing: &Facing<'a>, protocol: u8, port: u16) -> Filter<'a> {
        let winner = self.winner(facing, protocol, port).unwrap();
        let all = self.every_key(facing, protocol, port);
        let same = all.into_iter().filter(|key| key.service == winner.service);
        (winner, same.collect())
    }
}
