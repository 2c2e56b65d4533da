//! Layer 7: what one rule asks of a proxy, and what Cilium makes of several for one selector.

use std::collections::BTreeSet;

use policyc_syntax::ast::{List, Text, cilium};

/// What a proxy is asked to do, by one rule or by several merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proxy {
    /// HTTP rules as JSON.
    pub(super) http: BTreeSet<String>,
    /// DNS rules as JSON.
    pub(super) dns: BTreeSet<String>,
    /// TLS server names.
    pub(super) server_names: BTreeSet<String>,
    /// Listener and its priority.
    pub(super) listener: Option<(String, u8)>,
    /// `terminatingTLS`.
    pub(super) terminating: Option<String>,
    /// `originatingTLS`.
    pub(super) originating: Option<String>,
    /// Whether its listener is one of a namespace that the policy has none of.
    pub(super) unusable: bool,
}

/// A rule that no proxy can keep together with another.
#[derive(Debug)]
pub(super) struct Conflict;

impl Proxy {
    /// What an element of `toPorts` asks. Empty lists ask nothing.
    pub(super) fn of(rule: &cilium::PortRule, home: Option<&str>) -> Self {
        let rules = rule.rules.as_ref();
        let http = rules.and_then(|rules| rules.http.as_ref());
        let dns = rules.and_then(|rules| rules.dns.as_ref());
        let names = rule.server_names.iter().flat_map(|list| list.iter());
        Self {
            http: http
                .iter()
                .flat_map(|list| list.iter())
                .map(show_http)
                .collect(),
            dns: dns
                .iter()
                .flat_map(|list| list.iter())
                .map(show_dns)
                .collect(),
            server_names: names.map(|name| name.value.clone()).collect(),
            listener: rule
                .listener
                .as_ref()
                .map(|listener| read_listener(listener, home)),
            terminating: rule.terminating_tls.as_ref().map(show_tls),
            originating: rule.originating_tls.as_ref().map(show_tls),
            unusable: home.is_none() && rule.listener.as_ref().is_some_and(of_namespace),
        }
    }

    /// A DNS proxy that looks for these names.
    pub(super) fn for_dns(names: impl Iterator<Item = String>) -> Self {
        Self {
            dns: names.collect(),
            ..Self::default()
        }
    }

    /// Which proxy.
    pub(super) fn parser(&self) -> Option<&'static str> {
        if self.listener.is_some() {
            Some("crd")
        } else if !self.http.is_empty() {
            Some("http")
        } else if !self.dns.is_empty() {
            Some("dns")
        } else {
            let tls = !self.server_names.is_empty()
                || self.terminating.is_some()
                || self.originating.is_some();
            tls.then_some("tls")
        }
    }

    /// Listener priority: the lower wins among redirects.
    pub(super) fn priority(&self) -> Option<u8> {
        Some(match (self.parser()?, &self.listener) {
            (_, Some((_, priority))) => *priority,
            ("http", _) => 101,
            ("tls", _) => 116,
            _ => 121,
        })
    }

    /// Adds the rule that matches every request, where requests are looked at.
    pub(super) fn add_wildcard(&mut self) {
        if !self.http.is_empty() {
            self.http.insert("{}".to_owned());
        }
        if !self.dns.is_empty() {
            self.dns.insert(r#"{"matchPattern":"*"}"#.to_owned());
        }
    }

    /// What comes of this, merged so far, and the next, for one selector, port and level.
    pub(super) fn merge(&self, other: &Self) -> Result<Self, Conflict> {
        match (self.parser(), other.parser()) {
            (None, _) | (_, None) | (Some("tls"), Some("http")) | (Some("http"), Some("tls")) => {}
            (Some(one), Some(two)) if one == two => {}
            _ => return Err(Conflict),
        }
        let union = |one: &BTreeSet<String>, two: &BTreeSet<String>| {
            one.union(two).cloned().collect::<BTreeSet<_>>()
        };
        let mut merged = Self {
            http: union(&self.http, &other.http),
            dns: union(&self.dns, &other.dns),
            server_names: union(&self.server_names, &other.server_names),
            listener: better(self.listener.as_ref(), other.listener.as_ref())?,
            terminating: same(self.terminating.as_ref(), other.terminating.as_ref())?,
            originating: same(self.originating.as_ref(), other.originating.as_ref())?,
            unusable: false,
        };
        let lists = |one: &Self| one.http.len() + one.dns.len();
        if lists(self) == 0 || lists(other) == 0 {
            merged.add_wildcard();
        }
        // Server names for requests that stay encrypted. Cilium only looks at what it has so far: the other order
        // passes.
        let blind = lists(self) > 0 && !other.server_names.is_empty();
        if blind && merged.terminating.is_none() {
            Err(Conflict)
        } else {
            Ok(merged)
        }
    }
}

fn better(
    one: Option<&(String, u8)>,
    two: Option<&(String, u8)>,
) -> Result<Option<(String, u8)>, Conflict> {
    match (one, two) {
        (Some(one), Some(two)) if one.1 == two.1 && one.0 != two.0 => Err(Conflict),
        (Some(one), Some(two)) => Ok(Some(if one.1 <= two.1 { one } else { two }.clone())),
        (one, two) => Ok(one.or(two).cloned()),
    }
}

/// What both give, if they do not differ.
pub(super) fn same(one: Option<&String>, two: Option<&String>) -> Result<Option<String>, Conflict> {
    match (one, two) {
        (Some(one), Some(two)) if one != two => Err(Conflict),
        (one, two) => Ok(one.or(two).cloned()),
    }
}

fn of_namespace(listener: &cilium::Listener) -> bool {
    listener
        .config_kind
        .as_ref()
        .is_some_and(|kind| kind.value == "CiliumEnvoyConfig")
}

fn read_listener(listener: &cilium::Listener, home: Option<&str>) -> (String, u8) {
    let text = |text: &Option<Text>| {
        text.as_ref()
            .map_or("", |text| text.value.as_str())
            .to_owned()
    };
    let home = home.filter(|_| of_namespace(listener));
    let parts = [
        home.unwrap_or_default(),
        &text(&listener.config_name),
        &text(&listener.name),
    ]
    .join("/");
    let priority = listener
        .priority
        .as_ref()
        .map_or(0, |priority| priority.value);
    let priority = if priority == 0 {
        126
    } else {
        u8::try_from(priority).unwrap()
    };
    (parts, priority)
}

fn show_tls(tls: &cilium::Tls) -> String {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.value.clone());
    let secret = tls
        .secret
        .as_ref()
        .map(|secret| (text(&secret.namespace), text(&secret.name)));
    format!(
        "{secret:?} {:?} {:?} {:?}",
        text(&tls.trusted_ca),
        text(&tls.certificate),
        text(&tls.private_key)
    )
}

/// A JSON object of the members that are there.
fn object(members: &[(&str, Option<String>)]) -> String {
    let given = members.iter().filter_map(|(name, value)| {
        value
            .as_ref()
            .map(|value| format!("{}:{value}", quoted(name)))
    });
    format!("{{{}}}", given.collect::<Vec<_>>().join(","))
}

fn list<T>(list: Option<&List<T>>, show: impl Fn(&T) -> String) -> Option<String> {
    let list = list.filter(|list| !list.is_empty())?;
    Some(format!(
        "[{}]",
        list.iter().map(show).collect::<Vec<_>>().join(",")
    ))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn member(text: Option<&Text>) -> Option<String> {
    text.filter(|text| !text.value.is_empty())
        .map(|text| quoted(&text.value))
}

fn show_http(rule: &cilium::Http) -> String {
    object(&[
        ("path", member(rule.path.as_ref())),
        ("method", member(rule.method.as_ref())),
        ("host", member(rule.host.as_ref())),
        (
            "headers",
            list(rule.headers.as_ref(), |header| quoted(&header.value)),
        ),
        (
            "headerMatches",
            list(rule.header_matches.as_ref(), show_header),
        ),
    ])
}

fn show_header(header: &cilium::HeaderMatch) -> String {
    let secret = header.secret.as_ref().map(|secret| {
        object(&[
            ("namespace", member(secret.namespace.as_ref())),
            ("name", member(secret.name.as_ref())),
        ])
    });
    object(&[
        ("mismatch", member(header.mismatch.as_ref())),
        ("name", member(header.name.as_ref())),
        ("secret", secret),
        ("value", member(header.value.as_ref())),
    ])
}

fn show_dns(rule: &cilium::Fqdn) -> String {
    let text = |text: &Option<Text>| {
        text.as_ref()
            .map(|text| text.value.clone())
            .filter(|text| !text.is_empty())
    };
    dns_rule(
        text(&rule.match_name).as_deref(),
        text(&rule.match_pattern).as_deref(),
    )
}

/// A DNS rule as JSON.
pub(super) fn dns_rule(name: Option<&str>, pattern: Option<&str>) -> String {
    object(&[
        ("matchName", name.map(quoted)),
        ("matchPattern", pattern.map(quoted)),
    ])
}
