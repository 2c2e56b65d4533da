//! What is asked of a flow beyond layer 4, in a form in which equal demands are equal.

use std::fmt;
use std::sync::Arc;

use policyc_ir::fqdn::Fqdn;
use policyc_ir::l7::{self, Auth, Content, Http, Parser};
use policyc_ir::model::Redirect;
use policyc_ir::rule::{Action, Rule, RuleSet};

use crate::replay::Judgement;

/// What a proxy and authentication ask of an allowed flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    proxy: Option<Proxy>,
    auth: Option<Auth>,
}

/// What a proxy does with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Proxy {
    parser: Parser,
    listener: Option<Arc<str>>,
    tls: [Option<l7::Tls>; 2],
    /// What gets through, sorted, without what others include; everything if `None`.
    passes: Option<Vec<String>>,
}

impl Asks {
    /// What the rules that match a flow ask of it.
    pub(super) fn new(rules: &RuleSet, judgement: &Judgement) -> Self {
        let verdict = &judgement.verdict;
        if !verdict.allowed {
            return Self::default();
        }
        let demand = verdict.auth.map(|demand| demand.mode);
        let matching = judgement.matching.iter().filter_map(|id| rules.rule(*id));
        let allows: Vec<_> = matching
            .filter(|rule| rule.action == Action::Allow)
            .collect();
        Self {
            proxy: verdict
                .redirect
                .as_ref()
                .map(|redirect| proxy(redirect, &allows)),
            auth: demand.filter(|mode| *mode != Auth::Disabled),
        }
    }
}

fn proxy(redirect: &Redirect, allows: &[&Rule]) -> Proxy {
    let l7 = &redirect.l7;
    let passes = match redirect.parser {
        Parser::Http | Parser::Tls | Parser::Crd => {
            let open = redirect.plain || allows.iter().any(|rule| rule.l7.is_none());
            if open { None } else { envoy(redirect, allows) }
        }
        Parser::Dns => dns(redirect, allows),
        Parser::Kafka | Parser::Generic => {
            Some(vec![format!("{:?} {}", l7.content, redirect.plain)])
        }
    };
    Proxy {
        parser: redirect.parser,
        listener: l7.listener.as_ref().map(|listener| listener.name.clone()),
        tls: [l7.terminating.clone(), l7.originating.clone()],
        passes,
    }
}

/// Envoy asks every rule that matches the connection, and one that lets a request through is enough.
fn envoy(redirect: &Redirect, allows: &[&Rule]) -> Option<Vec<String>> {
    let each = allows.iter().filter_map(|rule| rule.l7.as_deref());
    let each = each.filter(|l7| !matches!(l7.content, Content::Dns(_)));
    let mut all: Vec<(Vec<Arc<str>>, Http)> = Vec::new();
    for l7 in each.chain([&redirect.l7]) {
        let mut names = l7.server_names.clone();
        names.sort();
        names.dedup();
        match &l7.content {
            Content::Http(list) => {
                all.extend(list.iter().map(|http| (names.clone(), http.clone())));
            }

            _ => all.push((names, Http::default())),
        }
    }
    all.sort();
    all.dedup();
    let needed = |(at, one): &(usize, &(Vec<Arc<str>>, Http))| {
        let others = all.iter().enumerate();
        !others
            .into_iter()
            .any(|(other, wide)| other != *at && includes(wide, one))
    };
    let needed = all.iter().enumerate().filter(needed);
    let needed: Vec<_> = needed.map(|(_, one)| one).collect();
    let any = |(names, http): &&(Vec<Arc<str>>, Http)| names.is_empty() && *http == Http::default();
    if needed.iter().any(any) {
        return None;
    }
    Some(needed.into_iter().map(written).collect())
}

fn written((names, http): &(Vec<Arc<str>>, Http)) -> String {
    // The text of a rule leaves out what a header is compared with.
    let headers = http.header_matches.iter().map(|header| {
        let value = header.value.as_deref().unwrap_or("from a secret");
        let action = header.mismatch.as_deref().unwrap_or("required");
        format!(" ({}: {value}, {action})", header.name)
    });
    let headers: String = headers.collect();
    let request = format!("{http}{headers}");
    if names.is_empty() {
        return request;
    }
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    format!("{request} to server names {}", names.join(", "))
}

/// Whether every request of one alternative is one of the other, as far as texts tell.
fn includes(wide: &(Vec<Arc<str>>, Http), narrow: &(Vec<Arc<str>>, Http)) -> bool {
    fn wider(wide: Option<&Arc<str>>, narrow: Option<&Arc<str>>) -> bool {
        wide.is_none() || wide == narrow
    }
    let names = wide.0.is_empty()
        || !narrow.0.is_empty() && narrow.0.iter().all(|name| wide.0.contains(name));
    let (wide, narrow) = (&wide.1, &narrow.1);
    names
        && wider(wide.path.as_ref(), narrow.path.as_ref())
        && wider(wide.method.as_ref(), narrow.method.as_ref())
        && wider(wide.host.as_ref(), narrow.host.as_ref())
        && wide
            .headers
            .iter()
            .all(|header| narrow.headers.contains(header))
        && wide.header_matches == narrow.header_matches
}

/// The DNS proxy looks at the names of the deciding port; those of other rules are kept beside them.
fn dns(redirect: &Redirect, allows: &[&Rule]) -> Option<Vec<String>> {
    let own = names(&redirect.l7);
    let every = |fqdn: &Fqdn| {
        let pattern = fqdn.pattern.as_deref();
        pattern.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte == b'*'))
    };
    if own.iter().any(every) {
        return None;
    }
    let others = allows.iter().filter_map(|rule| rule.l7.as_deref());
    let others = others.flat_map(names);
    let mut all: Vec<_> = own.iter().map(ToString::to_string).collect();
    all.sort();
    all.dedup();
    let mut beside: Vec<_> = others.map(|name| name.to_string()).collect();
    beside.retain(|name| !all.contains(name));
    beside.sort();
    beside.dedup();
    if !beside.is_empty() {
        all.push(format!("beside rules for {}", beside.join(", ")));
    }
    if redirect.plain {
        all.push("beside a rule that asks for nothing".to_owned());
    }
    Some(all)
}

fn names(l7: &l7::Rules) -> Vec<Fqdn> {
    match &l7.content {
        Content::Dns(list) => list.clone(),
        _ => Vec::new(),
    }
}

impl fmt::Display for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comma = if self.proxy.is_some() && self.auth.is_some() {
            ", after "
        } else {
            ""
        };
        if let Some(proxy) = &self.proxy {
            write!(f, "{proxy}{comma}")?;
        }
        match self.auth {
            None | Some(Auth::Disabled) => Ok(()),
            Some(Auth::Required) => f.write_str("mutual authentication"),
            Some(Auth::AlwaysFail) => f.write_str("authentication that always fails"),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} proxy", self.parser.name())?;
        if let Some(listener) = &self.listener {
            write!(f, " at listener {listener}")?;
        }
        for (what, tls) in ["terminating", "originating"].iter().zip(&self.tls) {
            if let Some(tls) = tls {
                write!(f, ", {what} TLS with {}/{}", tls.secret.0, tls.secret.1)?;
            }
        }
        match &self.passes {
            None => f.write_str(", everything"),
            Some(list) if list.is_empty() => f.write_str(", nothing"),
            Some(list) => write!(f, ": {}", list.join("; ")),
        }
    }
}
