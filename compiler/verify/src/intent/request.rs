//! Requests that an intent is about.
//!
//! Rules look at requests by regular expressions and patterns, so all requests that none of them tells apart are as good
//! as one. The intent's question is asked for one of each kind.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use policyc_diag::{Diagnostic, Span, codes};
use policyc_ir::fqdn::Fqdn;
use policyc_ir::l7::{self, Content, Parser};
use policyc_ir::model::request::{Answer, Http, Request, says};
use policyc_ir::rule::{Action, Rule};
use policyc_syntax::grammar::intent as written;

/// One text of each kind that expressions tell apart.
mod atoms;

use atoms::{atoms, glob, labels, literal};

/// Requests that are asked about one by one; more kinds are left undecided.
const KINDS_MAX: usize = 256;
/// Length of a text with stars.
const TEXT_MAX: usize = 512;

/// Requests as an intent gives them: expressions for the texts, which may be anything where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// HTTP requests.
    Http {
        /// Of the method.
        method: Option<String>,
        /// Of the path with its query.
        path: Option<String>,
        /// Of the authority.
        host: Option<String>,
    },
    /// DNS queries for names.
    Dns(String),
    /// TLS sessions with server names.
    Tls(String),
}

impl Asked {
    /// Reads what is written.
    ///
    /// # Errors
    /// Texts that are too long, and methods in lower case, which no rule that means one matches.
    pub(super) fn read(written: &written::Request, span: Span) -> Result<Self, Diagnostic> {
        let texts = match written {
            written::Request::Http { method, path, host } => {
                let upper = method.to_ascii_uppercase();
                if *method != upper {
                    let message = format!("`{method}` is no method: methods are upper case");
                    return Err(Diagnostic::new(codes::INTENT_SYNTAX, message)
                        .label(span, "methods are compared letter by letter")
                        .help(format!("did you mean `{upper}`?")));
                }
                [Some(method), path.as_ref(), host.as_ref()]
            }
            written::Request::Dns(name) | written::Request::Tls(name) => [Some(name), None, None],
        };
        if texts.iter().flatten().any(|text| text.len() > TEXT_MAX) {
            let message = format!("a request's text is longer than {TEXT_MAX} bytes");
            return Err(Diagnostic::new(codes::INPUT_LIMIT, message).label(span, ""));
        }
        Ok(match written {
            written::Request::Http { method, path, host } => Self::Http {
                method: (method != "*").then(|| glob(method)),
                path: path.as_deref().map(glob),
                host: host.as_deref().map(glob),
            },
            written::Request::Dns(name) => Self::Dns(labels(name)),
            written::Request::Tls(name) => Self::Tls(labels(name)),
        })
    }

    /// One request of each kind that rules tell apart.
    ///
    /// # Errors
    /// Why there are too many, or why an expression cannot be read.
    pub(super) fn kinds<'a>(
        &self,
        rules: impl Iterator<Item = &'a Rule>,
    ) -> Result<Vec<Request>, String> {
        let allows = rules.filter(|rule| rule.action == Action::Allow);
        let l7: BTreeSet<&l7::Rules> = allows.filter_map(|rule| rule.l7.as_deref()).collect();
        let kinds = match self {
            Self::Http { method, path, host } => http(&l7, [method, path, host])?,
            Self::Dns(name) => {
                let names = l7.iter().filter_map(|rules| match &rules.content {
                    Content::Dns(names) => Some(names),
                    _ => None,
                });
                let others: BTreeSet<String> = names.flatten().flat_map(dns).collect();
                let names = atoms(&[name, &labels("**")], &others, KINDS_MAX)?;
                names.into_iter().map(Request::Dns).collect()
            }
            Self::Tls(name) => {
                let names = atoms(&[name, &labels("**")], &server_names(&l7), KINDS_MAX)?;
                let names = names.into_iter().map(Some);
                names.map(Request::Tls).collect()
            }
        };
        if kinds.len() > KINDS_MAX {
            return Err(format!(
                "rules tell {} kinds of requests apart",
                kinds.len()
            ));
        }
        Ok(kinds)
    }
}

/// The texts that rules' HTTP elements ask for.
type Text = fn(&l7::Http) -> Option<&str>;

fn http(l7: &BTreeSet<&l7::Rules>, asked: [&Option<String>; 3]) -> Result<Vec<Request>, String> {
    let elements = l7.iter().filter_map(|rules| match &rules.content {
        Content::Http(elements) => Some(elements),
        _ => None,
    });
    let elements: Vec<&l7::Http> = elements.flatten().collect();
    let texts: [(Text, &str); 3] = [
        (|one| one.method.as_deref(), "[A-Z]+"),
        (|one| one.path.as_deref(), "/.*"),
        (|one| one.host.as_deref(), ".+"),
    ];
    let mut found = Vec::new();
    for ((text, any), own) in texts.into_iter().zip(asked) {
        let others = elements.iter().filter_map(|one| text(one));
        let others: BTreeSet<String> = others.map(str::to_owned).collect();
        // A host that nothing is asked of gets a name that can be read.
        let free = own.is_none() && others.is_empty() && any == ".+";
        let own = own.as_deref().unwrap_or(if free { "example" } else { any });
        found.push(atoms(&[own, any], &others, KINDS_MAX)?);
    }
    let mut names = vec![None];
    let patterns = server_names(l7);
    if !patterns.is_empty() {
        let some = atoms(&[&labels("**")], &patterns, KINDS_MAX)?;
        names.extend(some.into_iter().map(Some));
    }
    let headers = headers(&elements);
    let [methods, paths, hosts] = found.as_slice() else {
        return Ok(Vec::new());
    };
    let mut kinds = Vec::new();
    let count = [
        methods.len(),
        paths.len(),
        hosts.len(),
        names.len(),
        headers.len(),
    ];
    if count.iter().product::<usize>() > KINDS_MAX {
        return Err("rules tell too many kinds of requests apart".to_owned());
    }
    for method in methods {
        for path in paths {
            for host in hosts {
                for server_name in &names {
                    kinds.extend(headers.iter().map(|headers| {
                        Request::Http(Http {
                            method: method.clone(),
                            path: path.clone(),
                            host: host.clone(),
                            headers: headers.clone(),
                            server_name: server_name.clone(),
                        })
                    }));
                }
            }
        }
    }
    Ok(kinds)
}

/// Headers that a request may have: none, or just those that an element asks for. An element asks for headers to be
/// there and never for them to be missing, so no other choice of headers gets more through, or less.
fn headers(elements: &[&l7::Http]) -> Vec<Vec<(String, String)>> {
    let mut all = BTreeSet::from([Vec::new()]);
    for element in elements {
        let plain = element.headers.iter().map(|header| {
            let (name, value) = header.split_once(' ').unwrap_or((header, "any"));
            (name.trim_end_matches(':').to_owned(), value.to_owned())
        });
        let matched = element.header_matches.iter().map(|header| {
            let value = header.value.as_deref().unwrap_or("any");
            (header.name.to_string(), value.to_owned())
        });
        all.insert(plain.chain(matched).collect());
    }
    all.into_iter().collect()
}

fn server_names(l7: &BTreeSet<&l7::Rules>) -> BTreeSet<String> {
    let names = l7.iter().flat_map(|rules| &rules.server_names);
    names.map(|name| labels(name)).collect()
}

/// The expressions of a DNS rule.
fn dns(fqdn: &Fqdn) -> Vec<String> {
    let name = fqdn.name.as_deref().map(|name| literal(&canonical(name)));
    let pattern = fqdn
        .pattern
        .as_deref()
        .map(|pattern| labels(&canonical(pattern)));
    name.into_iter().chain(pattern).collect()
}

fn canonical(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    lower.strip_suffix('.').unwrap_or(&lower).to_owned()
}

/// What an allow makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It may let it through.
    Lets,
    /// It does not.
    Not,
    /// It may keep it from getting through where another rule would let it.
    Stops,
}

/// The part that an allow may have in what becomes of a request.
pub(super) fn part(rule: &Rule, request: &Request) -> Part {
    let Some(l7) = rule.l7.as_deref() else {
        return Part::Lets;
    };
    let own = match l7.parser() {
        Some(Parser::Dns) => matches!(request, Request::Dns(_)),
        Some(Parser::Kafka | Parser::Generic) | None => return Part::Lets,
        Some(Parser::Http | Parser::Tls | Parser::Crd) => !matches!(request, Request::Dns(_)),
    };
    match says(Some(l7), request) {
        _ if !own => Part::Stops,
        Answer::Refused if matches!(request, Request::Dns(_)) => Part::Stops,
        Answer::Refused => Part::Not,
        Answer::Passed | Answer::Unknown(_) => Part::Lets,
    }
}

/// A request in words.
pub(super) fn show(request: &Request) -> String {
    match request {
        Request::Http(http) => {
            let mut text = format!("{} http://{}{}", http.method, http.host, http.path);
            for (name, value) in &http.headers {
                let _ = write!(text, ", {name}: {value}");
            }
            if let Some(name) = &http.server_name {
                let _ = write!(text, ", over TLS to {name}");
            }
            text
        }
        Request::Dns(name) => format!("a query for {name}"),
        Request::Tls(Some(name)) => format!("TLS to {name}"),
        Request::Tls(None) => "TLS".to_owned(),
    }
}
