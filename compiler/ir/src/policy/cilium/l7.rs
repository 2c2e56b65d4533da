//! Layer 7 of an element of `toPorts`.

use std::sync::Arc;

use policyc_syntax::ast::{List, Text, cilium};

use crate::l7::{Content, Generic, HeaderMatch, Http, Kafka, Listener, Rules, Tls};
use crate::rule::{Kind, Policy};

/// What a proxy is to look at; [`Rules::is_empty`] if nothing. Lists that are empty are the same as none.
pub(super) fn rules(written: &cilium::PortRule, policy: &Policy) -> Option<Rules> {
    let mut server_names: Vec<Arc<str>> = some(written.server_names.as_ref())
        .map(|name| name.value.as_str().into())
        .collect();
    server_names.sort();
    server_names.dedup();
    Some(Rules {
        content: content(written.rules.as_ref()),
        server_names,
        listener: match &written.listener {
            Some(listener) => Some(self::listener(listener, policy)?),
            None => None,
        },
        terminating: tls(written.terminating_tls.as_ref()),
        originating: tls(written.originating_tls.as_ref()),
    })
}

fn some<T>(list: Option<&List<T>>) -> impl Iterator<Item = &T> {
    list.into_iter().flat_map(|list| list.iter())
}

fn content(written: Option<&cilium::L7>) -> Content {
    let Some(written) = written else {
        return Content::None;
    };
    let http = distinct(some(written.http.as_ref()).map(http));
    let dns = distinct(some(written.dns.as_ref()).map(super::peers::fqdn));
    let kafka = distinct(some(written.kafka.as_ref()).map(kafka));
    if !http.is_empty() {
        Content::Http(http)
    } else if !dns.is_empty() {
        Content::Dns(dns)
    } else if !kafka.is_empty() {
        Content::Kafka(kafka)
    } else if let Some(protocol) = text(written.l7proto.as_ref()) {
        let rules = distinct(some(written.l7.as_ref()).map(pairs));
        Content::Generic(Generic { protocol, rules })
    } else {
        Content::None
    }
}

fn kafka(written: &cilium::Kafka) -> Kafka {
    Kafka {
        role: text(written.role.as_ref()),
        api_key: text(written.api_key.as_ref()).map(|key| key.to_ascii_lowercase().into()),
        api_version: text(written.api_version.as_ref()),
        client: text(written.client_id.as_ref()),
        topic: text(written.topic.as_ref()),
    }
}

fn pairs(written: &cilium::Generic) -> Vec<(Arc<str>, Arc<str>)> {
    let pairs = written.pairs.iter();
    let mut pairs: Vec<_> = pairs
        .map(|(key, value)| (key.value.as_str().into(), value.value.as_str().into()))
        .collect();
    pairs.sort();
    pairs
}

/// Rules that are written twice count once.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    for item in items {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list
}

fn text(text: Option<&Text>) -> Option<Arc<str>> {
    text.filter(|text| !text.value.is_empty())
        .map(|text| text.value.as_str().into())
}

fn http(written: &cilium::Http) -> Http {
    let headers = some(written.headers.as_ref()).map(|header| header.value.as_str().into());
    Http {
        path: text(written.path.as_ref()),
        method: text(written.method.as_ref()),
        host: text(written.host.as_ref()),
        headers: headers.collect(),
        header_matches: some(written.header_matches.as_ref()).map(header).collect(),
    }
}

fn header(written: &cilium::HeaderMatch) -> HeaderMatch {
    HeaderMatch {
        name: text(written.name.as_ref()).unwrap_or_default(),
        value: text(written.value.as_ref()),
        secret: written.secret.as_ref().map(secret),
        mismatch: text(written.mismatch.as_ref()),
    }
}

fn secret(written: &cilium::Secret) -> (Arc<str>, Arc<str>) {
    (
        text(written.namespace.as_ref()).unwrap_or_default(),
        text(written.name.as_ref()).unwrap_or_default(),
    )
}

fn tls(written: Option<&cilium::Tls>) -> Option<Tls> {
    let written = written?;
    Some(Tls {
        secret: written.secret.as_ref().map(secret).unwrap_or_default(),
        trusted_ca: text(written.trusted_ca.as_ref()),
        certificate: text(written.certificate.as_ref()),
        private_key: text(written.private_key.as_ref()),
    })
}

/// A configuration is looked up in the policy's namespace unless it is a cluster-wide one; a name that is already
/// qualified stays as it is (Cilium's createL4Filter and ResourceQualifiedName).
fn listener(written: &cilium::Listener, policy: &Policy) -> Option<Listener> {
    let kind = written.config_kind.as_ref().map(|text| text.value.as_str());
    let name = text(written.name.as_ref())?;
    let config = text(written.config_name.as_ref())?;
    let namespace = match kind {
        Some("CiliumClusterwideEnvoyConfig") => "",
        _ => policy.namespace.as_deref().unwrap_or_default(),
    };
    let name = if name.contains('/') {
        name
    } else {
        format!("{namespace}/{config}/{name}").into()
    };
    let priority = written.priority.as_ref();
    Some(Listener {
        name,
        priority: priority.and_then(|priority| u8::try_from(priority.value).ok()),
        unusable: policy.kind == Kind::Ccnp && kind == Some("CiliumEnvoyConfig"),
    })
}
