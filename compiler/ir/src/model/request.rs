//! Layer 7: whether a proxy lets a request through.
//!
//! Envoy looks at every rule that matches the connection, level by level and in the order of precedence. A rule whose
//! server names or HTTP rules do not match has no say, and the next one is asked, lower tiers and the default included
//! (proxy: `network_policy.cc`). So any plain allow that matches the connection makes HTTP rules let everything pass.
//! The DNS proxy knows only the rules of the ports that redirect to it: other allows make no difference there
//! (`pkg/fqdn/dnsproxy`).

use super::judge::Hit;
use super::{Enforced, Filter, Flow, Model, Parser, Reason};
use crate::l7::{Content, Rules};
use crate::rule::{Action, Tier};
use crate::universe::NamedPorts;

/// What HTTP rules look at.
mod http;
/// Server names of TLS clients.
mod sni;

pub use http::Http;

/// What a client asks once it is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// An HTTP request.
    Http(Http),
    /// A DNS query for a name.
    Dns(String),
    /// The start of a TLS session, with the server name that the client gives.
    Tls(Option<String>),
}

/// Whether a request gets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Passed,
    /// It does not.
    Refused,
    /// It depends on what is not known here, such as the contents of a secret.
    Unknown(String),
}

impl Model<'_> {
    /// Whether a request over an allowed connection gets through. A flow that is denied, or that authentication holds
    /// up for good, refuses every request; one that no proxy looks at passes them all.
    pub fn request(&self, flow: &Flow, request: &Request) -> Answer {
        let verdict = self.eval(flow);
        let known = self
            .universe()
            .endpoint(flow.subject)
            .zip(self.policy_of(flow.subject));
        let Some((endpoint, policy)) = known.filter(|_| verdict.reason != Reason::Conflict) else {
            return Answer::Refused;
        };
        if !verdict.allowed {
            return Answer::Refused;
        }
        let Some(redirect) = &verdict.redirect else {
            return Answer::Passed;
        };
        let enforced = policy.direction(flow.direction);
        match (redirect.parser, request) {
            (Parser::Dns, Request::Dns(name)) => self.query(enforced, &endpoint.ports, flow, name),
            (Parser::Http | Parser::Tls | Parser::Crd, Request::Http(_) | Request::Tls(_)) => {
                self.envoy(enforced, &endpoint.ports, flow, request)
            }
            (Parser::Kafka | Parser::Generic, _) => {
                Answer::Unknown(format!("requests of the {} proxy", redirect.parser.name()))
            }
            _ => Answer::Refused,
        }
    }

    fn query(&self, enforced: &Enforced, ports: &NamedPorts, flow: &Flow, name: &str) -> Answer {
        let hits = self.hits(enforced, ports, flow);
        let allows = hits.iter().filter(|hit| hit.filter.action == Action::Allow);
        let allows: Vec<_> = allows.collect();
        let Some(deciding) = allows
            .iter()
            .max_by_key(|hit| (std::cmp::Reverse(hit.filter.level), hit.rank()))
        else {
            return Answer::Refused;
        };
        let key = |filter: &Filter| (filter.level.tier, filter.l4.clone());
        let same = allows
            .iter()
            .filter(|hit| key(hit.filter) == key(deciding.filter));
        let mut same = same.map(|hit| hit.filter.l7.as_deref());
        let passes = same.any(|l7| match l7.map(|l7| &l7.content) {
            None | Some(Content::None) => true,
            Some(Content::Dns(names)) => names.iter().any(|fqdn| fqdn.matches(name)),
            Some(_) => false,
        });
        if passes {
            Answer::Passed
        } else {
            Answer::Refused
        }
    }

    fn envoy(
        &self,
        enforced: &Enforced,
        ports: &NamedPorts,
        flow: &Flow,
        request: &Request,
    ) -> Answer {
        let mut hits = self.hits(enforced, ports, flow);
        hits.sort_by_key(|hit| (hit.filter.level, std::cmp::Reverse(order(hit))));
        let mut skipped: Option<Tier> = None;
        let mut unknown = None;
        for hit in hits {
            let filter = hit.filter;
            if skipped == Some(filter.level.tier) || filter.parser() == Some(Parser::Dns) {
                continue;
            }
            match filter.action {
                Action::Deny => return unknown.unwrap_or(Answer::Refused),
                Action::Pass => skipped = Some(filter.level.tier),
                Action::Allow => match says(filter.l7.as_deref(), request) {
                    Answer::Passed => return Answer::Passed,
                    Answer::Refused => {}
                    answer @ Answer::Unknown(_) => unknown = Some(answer),
                },
            }
        }
        let host = enforced.localhost && self.universe().is_host(flow.peer);
        if !enforced.default_deny || host {
            return Answer::Passed;
        }
        unknown.unwrap_or(Answer::Refused)
    }

    /// The merged rules that match a flow.
    fn hits<'a>(&self, enforced: &'a Enforced, ports: &NamedPorts, flow: &Flow) -> Vec<Hit<'a>> {
        let filters = enforced.filters.iter().flat_map(|filters| &filters.0);
        filters
            .filter_map(|filter| self.hit(filter, ports, flow))
            .collect()
    }
}

/// Within a level: denies, then redirects by priority, then plain allows, then passes.
fn order(hit: &Hit<'_>) -> (u8, u8) {
    match hit.filter.action {
        Action::Deny => (2, 0),
        Action::Allow => (1, hit.precedence()),
        Action::Pass => (0, 0),
    }
}

/// What an allow with these layer 7 rules says of a request: `Refused` means that it has no say.
pub fn says(l7: Option<&Rules>, request: &Request) -> Answer {
    let Some(l7) = l7 else {
        return Answer::Passed;
    };
    let (server_name, http) = match request {
        Request::Tls(name) => (name.as_deref(), None),
        Request::Http(http) => (http.server_name.as_deref(), Some(http)),
        Request::Dns(name) => {
            return match &l7.content {
                Content::Dns(names) if names.iter().any(|fqdn| fqdn.matches(name)) => {
                    Answer::Passed
                }
                Content::None if l7.is_empty() => Answer::Passed,
                _ => Answer::Refused,
            };
        }
    };
    let named = l7.server_names.is_empty()
        || server_name
            .is_some_and(|name| l7.server_names.iter().any(|one| sni::matches(one, name)));
    if !named {
        return Answer::Refused;
    }
    match (&l7.content, http) {
        (Content::Http(rules), Some(http)) => http::any(rules, http),
        (Content::Http(_), None) => Answer::Refused,
        _ => Answer::Passed,
    }
}
