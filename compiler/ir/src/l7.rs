//! Layer 7 of a rule: what a proxy has to look at once layers 3 and 4 have let a connection through.

use std::fmt;
use std::sync::Arc;

use crate::fqdn::Fqdn;

/// What a proxy does with the connections of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rules {
    /// The requests it lets through.
    pub content: Content,
    /// `serverNames`: names a TLS client may ask for. Empty means any.
    pub server_names: Vec<Arc<str>>,
    /// `listener`: the Envoy listener that takes the connections.
    pub listener: Option<Listener>,
    /// `terminatingTLS`.
    pub terminating: Option<Tls>,
    /// `originatingTLS`.
    pub originating: Option<Tls>,
}

/// Requests by protocol; one of the alternatives has to match.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// The rule does not speak of requests.
    #[default]
    None,
    /// HTTP requests.
    Http(Vec<Http>),
    /// DNS queries by name.
    Dns(Vec<Fqdn>),
    /// Kafka requests (Cilium up to 1.19).
    Kafka(Vec<Kafka>),
    /// Requests of a protocol that a proxylib parser reads (Cilium up to 1.19).
    Generic(Generic),
}

/// Which proxy takes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Parser {
    /// Envoy's HTTP filters.
    Http,
    /// The DNS proxy.
    Dns,
    /// Envoy, looking at the TLS server name alone.
    Tls,
    /// A listener of a CiliumEnvoyConfig.
    Crd,
    /// The Kafka proxy.
    Kafka,
    /// A proxylib parser.
    Generic,
}

impl Parser {
    /// Cilium's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Crd => "crd",
            Self::Kafka => "kafka",
            Self::Generic => "generic",
        }
    }

    /// The listener priority of redirects that name none: the lower wins (Cilium's ListenerPriority constants).
    pub const fn priority(self) -> u8 {
        match self {
            Self::Http => 101,
            Self::Kafka => 106,
            Self::Generic => 111,
            Self::Tls => 116,
            Self::Dns => 121,
            Self::Crd => 126,
        }
    }
}

/// An element of `rules.http`: all that is given has to match. Texts other than header names are RE2 expressions
/// that match as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Http {
    /// On the path with its query.
    pub path: Option<Arc<str>>,
    /// On the method.
    pub method: Option<Arc<str>>,
    /// On the authority, port included.
    pub host: Option<Arc<str>>,
    /// `Name: value`, or a name that has to be present.
    pub headers: Vec<Arc<str>>,
    /// Headers with an action for those that do not match.
    pub header_matches: Vec<HeaderMatch>,
}

/// An element of `headerMatches`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderMatch {
    /// The header.
    pub name: Arc<str>,
    /// Its value.
    pub value: Option<Arc<str>>,
    /// Where its value is kept instead: namespace (may be empty) and name.
    pub secret: Option<(Arc<str>, Arc<str>)>,
    /// `LOG`, `ADD`, `DELETE` or `REPLACE`; without one a mismatch means that the rule does not match.
    pub mismatch: Option<Arc<str>>,
}

/// An element of `rules.kafka`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kafka {
    /// `role`: `produce` or `consume`.
    pub role: Option<Arc<str>>,
    /// `apiKey`, lower case.
    pub api_key: Option<Arc<str>>,
    /// `apiVersion`.
    pub api_version: Option<Arc<str>>,
    /// `clientID`.
    pub client: Option<Arc<str>>,
    /// `topic`.
    pub topic: Option<Arc<str>>,
}

/// `l7proto` and `l7`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generic {
    /// The protocol.
    pub protocol: Arc<str>,
    /// Alternatives, each pairs that the protocol's parser understands, by key.
    pub rules: Vec<Vec<(Arc<str>, Arc<str>)>>,
}

/// `listener`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    /// `namespace/config/name`; without a namespace for cluster-wide configurations.
    pub name: Arc<str>,
    /// 1 to 100, lower wins; the parser's own if not given.
    pub priority: Option<u8>,
    /// Whether a cluster-wide policy names a configuration of a namespace: Cilium then computes no policy at all for
    /// its subjects.
    pub unusable: bool,
}

/// A TLS context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tls {
    /// Namespace (may be empty) and name of the secret.
    pub secret: (Arc<str>, Arc<str>),
    /// Key of the trusted authority within it.
    pub trusted_ca: Option<Arc<str>>,
    /// Key of the certificate.
    pub certificate: Option<Arc<str>>,
    /// Key of the private key.
    pub private_key: Option<Arc<str>>,
}

impl Rules {
    /// The proxy these rules call for, if any (Cilium's createL4Filter).
    pub fn parser(&self) -> Option<Parser> {
        if self.listener.is_some() {
            return Some(Parser::Crd);
        }
        match &self.content {
            Content::Http(_) => Some(Parser::Http),
            Content::Dns(_) => Some(Parser::Dns),
            Content::Kafka(_) => Some(Parser::Kafka),
            Content::Generic(_) => Some(Parser::Generic),
            Content::None => {
                let tls = !self.server_names.is_empty()
                    || self.terminating.is_some()
                    || self.originating.is_some();
                tls.then_some(Parser::Tls)
            }
        }
    }

    /// The name of that proxy: its parser's, or `listener` and the listener's name.
    pub fn proxy(&self) -> Option<String> {
        let parser = self.parser()?;
        Some(match &self.listener {
            Some(listener) => format!("listener {}", listener.name),
            None => parser.name().to_owned(),
        })
    }

    /// Whether these rules leave every connection alone.
    pub fn is_empty(&self) -> bool {
        self.parser().is_none()
    }
}

/// `authentication.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Auth {
    /// None, whatever broader rules demand.
    Disabled,
    /// Mutual authentication of the workloads.
    Required,
    /// Always fails; for tests.
    AlwaysFail,
}

impl Auth {
    /// Cilium's name of what the datapath is told to demand.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Required => "spire",
            Self::AlwaysFail => "test-always-fail",
        }
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("method", &self.method),
            ("path", &self.path),
            ("host", &self.host),
        ];
        let mut first = true;
        let mut part = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            let space = if std::mem::take(&mut first) { "" } else { " " };
            write!(f, "{space}{text}")
        };
        for (name, value) in parts {
            if let Some(value) = value {
                part(f, format_args!("{name} {value}"))?;
            }
        }
        for header in &self.headers {
            part(f, format_args!("header {header}"))?;
        }
        for header in &self.header_matches {
            part(f, format_args!("header {}", header.name))?;
        }
        if first {
            f.write_str("any request")
        } else {
            Ok(())
        }
    }
}
