//! The other side of an entry.

use policyc_syntax::ast::{self, List, Text, cilium};

use super::selector;
use crate::cidr::Cidr;
use crate::fqdn::Fqdn;
use crate::label::Key;
use crate::policy::{Block, Peers, Service, Which};

/// Members of both directions, as they are written.
struct Members<'a> {
    endpoints: Option<&'a List<ast::Selector>>,
    nodes: Option<&'a List<ast::Selector>>,
    entities: Option<&'a List<Text>>,
    cidrs: Option<&'a List<Text>>,
    cidr_set: Option<&'a List<cilium::CidrRule>>,
    groups: Option<&'a List<cilium::Group>>,
}

pub(super) fn ingress(entry: &cilium::Ingress) -> Option<Peers> {
    let members = Members {
        endpoints: entry.from_endpoints.as_ref(),
        nodes: entry.from_nodes.as_ref(),
        entities: entry.from_entities.as_ref(),
        cidrs: entry.from_cidr.as_ref(),
        cidr_set: entry.from_cidr_set.as_ref(),
        groups: entry.from_groups.as_ref(),
    };
    members.peers()
}

pub(super) fn egress(entry: &cilium::Egress) -> Option<Peers> {
    let members = Members {
        endpoints: entry.to_endpoints.as_ref(),
        nodes: entry.to_nodes.as_ref(),
        entities: entry.to_entities.as_ref(),
        cidrs: entry.to_cidr.as_ref(),
        cidr_set: entry.to_cidr_set.as_ref(),
        groups: entry.to_groups.as_ref(),
    };
    match members.peers()? {
        Peers::Absent => {}
        found => return Some(found),
    }
    // Of these an empty list is the same to Cilium as none.
    if let Some(list) = entry.to_services.as_ref().filter(|list| !list.is_empty()) {
        let services = list.iter().map(service);
        return services.collect::<Option<_>>().map(Peers::Services);
    }
    if let Some(list) = entry.to_fqdns.as_ref().filter(|list| !list.is_empty()) {
        return Some(Peers::Fqdns(list.iter().map(fqdn).collect()));
    }
    Some(Peers::Absent)
}

impl Members<'_> {
    /// A member that is present and empty selects nobody, even beside a non-empty one; validation has seen to it
    /// that at most one is non-empty (Cilium's mergeEndpointSelectors).
    fn peers(&self) -> Option<Peers> {
        let empty = self.endpoints.is_some_and(|list| list.is_empty())
            || self.nodes.is_some_and(|list| list.is_empty())
            || self.entities.is_some_and(|list| list.is_empty())
            || self.cidrs.is_some_and(|list| list.is_empty())
            || self.cidr_set.is_some_and(|list| list.is_empty());
        if empty {
            return Some(Peers::Endpoints(Vec::new()));
        }
        if let Some(list) = self.endpoints {
            return selectors(list).map(Peers::Endpoints);
        }
        if let Some(list) = self.nodes {
            return selectors(list).map(Peers::Nodes);
        }
        if let Some(list) = self.entities {
            let names = list.iter().map(|entity| entity.value.as_str().into());
            return Some(Peers::Entities(names.collect()));
        }
        if let Some(list) = self.cidrs {
            let plain =
                |text: &Text| Cidr::parse(&text.value).map(|cidr| Block::Cidr(cidr, Vec::new()));
            return list
                .iter()
                .map(plain)
                .collect::<Option<_>>()
                .map(Peers::Cidrs);
        }
        if let Some(list) = self.cidr_set {
            return list
                .iter()
                .map(cidr_rule)
                .collect::<Option<_>>()
                .map(Peers::Cidrs);
        }
        match self.groups.filter(|list| !list.is_empty()) {
            Some(list) => Some(Peers::Groups(list.iter().map(group).collect())),
            None => Some(Peers::Absent),
        }
    }
}

/// An operator of Cilium's turns groups into prefixes; without its answer they match nothing.
fn group(written: &cilium::Group) -> std::sync::Arc<str> {
    let Some(aws) = &written.aws else {
        return "cloud group".into();
    };
    let list = |list: &Option<List<Text>>| {
        let texts = list.iter().flat_map(|list| list.iter());
        let mut texts: Vec<_> = texts.map(|text| text.value.as_str()).collect();
        texts.sort_unstable();
        texts.join(",")
    };
    let mut labels: Vec<_> = aws
        .labels
        .iter()
        .map(|(key, value)| format!("{}={}", key.value, value.value))
        .collect();
    labels.sort_unstable();
    let region = aws.region.as_ref().map_or("", |text| &text.value);
    let (ids, names) = (list(&aws.ids), list(&aws.names));
    format!(
        "aws group region {region} ids {ids} names {names} labels {}",
        labels.join(",")
    )
    .into()
}

fn selectors(list: &List<ast::Selector>) -> Option<Vec<crate::selector::Selector>> {
    let each = list.iter().map(|written| selector(written, Key::parse));
    each.collect()
}

fn cidr_rule(rule: &cilium::CidrRule) -> Option<Block> {
    let except = exceptions(rule.except.as_ref())?;
    if let Some(cidr) = &rule.cidr {
        return Some(Block::Cidr(Cidr::parse(&cidr.value)?, except));
    }
    if let Some(name) = &rule.group_ref {
        return Some(Block::Group(name.value.as_str().into(), except));
    }
    let labels = selector(rule.group_selector.as_ref()?, Key::parse)?;
    Some(Block::Groups(labels, except))
}

/// A prefix with its exceptions, sorted.
pub(in crate::policy) fn block(
    cidr: &Text,
    except: Option<&List<Text>>,
) -> Option<(Cidr, Vec<Cidr>)> {
    Some((Cidr::parse(&cidr.value)?, exceptions(except)?))
}

fn exceptions(list: Option<&List<Text>>) -> Option<Vec<Cidr>> {
    let except = list.into_iter().flat_map(|list| list.iter());
    let mut except: Vec<_> = except
        .map(|text| Cidr::parse(&text.value))
        .collect::<Option<_>>()?;
    except.sort_unstable();
    except.dedup();
    Some(except)
}

fn service(written: &cilium::Service) -> Option<Service> {
    let namespace = |text: Option<&Text>| {
        let text = text.map(|text| text.value.as_str());
        text.filter(|text| !text.is_empty()).map(Into::into)
    };
    if let Some(by_name) = &written.by_name {
        let name = by_name.name.as_ref().map_or("", |text| text.value.as_str());
        return Some(Service {
            namespace: namespace(by_name.namespace.as_ref()),
            which: Which::Named(name.into()),
        });
    }
    let by_selector = written.by_selector.as_ref()?;
    // Cilium compares service labels by name alone, whatever source a key is written with.
    let sourceless = |text: &str| {
        let key = Key::parse(text);
        Key::new(crate::label::Source::Any, key.name)
    };
    Some(Service {
        namespace: namespace(by_selector.namespace.as_ref()),
        which: Which::Labelled(selector(by_selector.selector.as_ref()?, sourceless)?),
    })
}

pub(super) fn fqdn(written: &cilium::Fqdn) -> Fqdn {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.value.clone());
    Fqdn::new(
        text(&written.match_name).as_deref(),
        text(&written.match_pattern).as_deref(),
    )
}
