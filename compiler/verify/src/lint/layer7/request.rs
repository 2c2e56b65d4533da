//! Requests that a rule is likely to refuse.
//!
//! They are only suggestions: the model has the last word on each. Those that differ least from what the rule lets
//! through come first.

use policyc_ir::l7::{Content, Http as Allowed, Rules};
use policyc_ir::model::request::{Http, Request};

/// How many alternatives of a rule suggestions are made from.
const ALTERNATIVES: usize = 3;

const NAME: &str = "other.example";

/// Suggestions, none if the rule lets every request through or nothing is known of its protocol.
pub(super) fn refused(rules: &Rules) -> Vec<Request> {
    let mut requests = match &rules.content {
        Content::Http(list) if list.contains(&Allowed::default()) => Vec::new(),
        Content::Http(list) => {
            let name = rules.server_names.first();
            let name = name.map(|name| name.replace('*', "x"));
            let few = list.iter().take(ALTERNATIVES);
            few.flat_map(|one| variations(one, name.as_deref()))
                .collect()
        }
        Content::Dns(_) => {
            let names = [NAME, "www.other.example", "other"];
            names.map(|name| Request::Dns(name.to_owned())).to_vec()
        }
        Content::None | Content::Kafka(_) | Content::Generic(_) => Vec::new(),
    };
    if !rules.server_names.is_empty() {
        requests.push(match &rules.content {
            Content::Http(_) => Request::Http(Http {
                server_name: Some(NAME.to_owned()),
                ..base(&Allowed::default())
            }),
            _ => Request::Tls(Some(NAME.to_owned())),
        });
    }
    requests
}

/// Requests that miss one of the things that a rule asks for.
fn variations(allowed: &Allowed, server_name: Option<&str>) -> Vec<Request> {
    let base = Http {
        server_name: server_name.map(str::to_owned),
        ..base(allowed)
    };
    let mut all = Vec::new();
    if allowed.path.is_some() {
        for path in ["/other", "/", "/other/path?query"] {
            let path = path.to_owned();
            all.push(Http {
                path,
                ..base.clone()
            });
        }
    }
    if allowed.method.is_some() {
        for method in ["DELETE", "POST", "PUT", "GET", "PATCH"] {
            let method = method.to_owned();
            all.push(Http {
                method,
                ..base.clone()
            });
        }
    }
    if allowed.host.is_some() {
        let host = NAME.to_owned();
        all.push(Http {
            host,
            ..base.clone()
        });
    }
    if !allowed.headers.is_empty() || !allowed.header_matches.is_empty() {
        let headers = Vec::new();
        all.push(Http {
            headers,
            ..base.clone()
        });
    }
    // Where there are several alternatives, what misses one may fit another.
    all.push(Http {
        method: "DELETE".to_owned(),
        path: "/other".to_owned(),
        host: NAME.to_owned(),
        headers: Vec::new(),
        ..base
    });
    all.into_iter().map(Request::Http).collect()
}

/// A request that a rule of plain texts lets through.
fn base(allowed: &Allowed) -> Http {
    let literal = |text: &Option<std::sync::Arc<str>>, otherwise: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:".contains(c);
        let text = text.as_deref().filter(|text| text.chars().all(plain));
        text.unwrap_or(otherwise).to_owned()
    };
    let headers = allowed.headers.iter().map(|header| {
        let (name, value) = header.split_once(' ').unwrap_or((header, "x"));
        (name.trim_end_matches(':').to_owned(), value.to_owned())
    });
    let matches = allowed.header_matches.iter().map(|header| {
        let value = header.value.as_deref().unwrap_or("x");
        (header.name.to_string(), value.to_owned())
    });
    Http {
        method: literal(&allowed.method, "GET"),
        path: literal(&allowed.path, "/"),
        host: literal(&allowed.host, "example.com"),
        headers: headers.chain(matches).collect(),
        server_name: None,
    }
}

/// What people read.
pub(in super::super) fn show(request: &Request) -> String {
    match request {
        Request::Http(http) => {
            let name = http.server_name.as_ref();
            let name = name.map(|name| format!(" in a TLS session with `{name}`"));
            let host = format!(" for host `{}`", http.host);
            let host = if http.host == "example.com" {
                ""
            } else {
                &host
            };
            let headers: Vec<_> = http
                .headers
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            let headers = match headers.as_slice() {
                [] => String::new(),
                some => format!(" with {}", some.join(" and ")),
            };
            let name = name.unwrap_or_default();
            format!("`{} {}`{host}{headers}{name}", http.method, http.path)
        }
        Request::Dns(name) => format!("a query for `{name}`"),
        Request::Tls(Some(name)) => format!("a TLS session with `{name}`"),
        Request::Tls(None) => "a TLS session without a server name".to_owned(),
    }
}
