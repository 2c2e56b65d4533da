//! Whether parties of a universe are in a region.

use policyc_ir::label::{CLUSTER, Key, NAMESPACE, Source};
use policyc_ir::model::Flow;
use policyc_ir::universe::Identity;

use super::{Party, Service};
use crate::algebra::kind::Kind;

/// The kind of an identity of the tiny universes.
fn kind(identity: &Identity) -> Kind {
    let has = |name: &str| identity.labels.has_name(name);
    if identity
        .labels
        .get(&Key::new(Source::K8s, NAMESPACE))
        .is_some()
    {
        return Kind::POD;
    }
    match () {
        () if has("host") && has("kube-apiserver") => Kind::HOST_API,
        () if has("host") => Kind::HOST,
        () if has("remote-node") && has("kube-apiserver") => Kind::NODE_API,
        () if has("remote-node") => Kind::NODE,
        () if has("world-ipv4") && has("kube-apiserver") => Kind::API_V4,
        () if has("world-ipv6") && has("kube-apiserver") => Kind::API_V6,
        () if has("world-ipv4") => Kind::WORLD_V4,
        () if has("world-ipv6") => Kind::WORLD_V6,
        () if has("kube-apiserver") => Kind::NODE_API,
        () => {
            let mut others = Kind::OTHERS.into_iter();
            let found =
                others.find(|kind| *kind != Kind::UNKNOWN && kind.labels() == identity.labels);
            found.unwrap_or(Kind::UNKNOWN)
        }
    }
}

/// Whether an identity is a party's, as far as the text of the party says.
pub(in crate::diff) fn has_party(party: &Party, identity: &Identity) -> bool {
    let kind = kind(identity);
    let value = |name: &str| {
        let mut labels = identity.labels.iter();
        let found = labels.find(|(key, _)| *key.name == *name);
        found.map(|(_, value)| &**value)
    };
    let nodes = Kind::HOSTS.into_iter().chain(Kind::NODES);
    let world = Kind::V4.contains(&kind) || Kind::V6.contains(&kind);
    let own = |name: &str| if kind == Kind::POD { value(name) } else { None };
    let of_node = |name: &str| {
        let is_node = nodes.clone().any(|one| one == kind);
        value(name).filter(|_| is_node && (name != CLUSTER || !Kind::HOSTS.contains(&kind)))
    };
    let inside =
        |cidr: &policyc_ir::cidr::Cidr| world && identity.cidr.is_some_and(|own| cidr.covers(&own));
    party.kinds & kind.bit() != 0
        && party
            .labels
            .iter()
            .all(|(name, values)| values.has(own(name)))
        && party
            .nodes
            .iter()
            .all(|(name, values)| values.has(of_node(name)))
        && party.inside.iter().all(inside)
        && !party.outside.iter().any(inside)
        && party.names.iter().all(|(fqdn, holds)| {
            let mut names = identity.names.iter();
            names.any(|name| fqdn.matches(name)) == *holds
        })
}

/// Whether a flow is a service's, given the numbers of the destination's named ports.
pub(in crate::diff) fn has_service(
    service: &Service,
    flow: &Flow,
    named: &dyn Fn(&str) -> Option<u16>,
) -> bool {
    let protocol = flow.protocol.0;
    service.protocol.is_none_or(|own| own == protocol)
        && !service.not.contains(&protocol)
        && (service.first..=service.last).contains(&flow.port)
        && service
            .names
            .iter()
            .all(|(name, holds)| (named(name) == Some(flow.port)) == *holds)
        && service
            .below
            .iter()
            .all(|(name, holds)| named(name).is_some_and(|number| number < flow.port) == *holds)
}
