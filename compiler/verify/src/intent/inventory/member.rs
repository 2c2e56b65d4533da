//! Who is in an end.

use policyc_ir::IdentityId;
use policyc_ir::cidr::Cidr;
use policyc_ir::label::{Key, Labels, NAMESPACE, Source};
use policyc_ir::reach::{self, Party};
use policyc_ir::universe::Identity;

use super::Ground;
use crate::intent::End;
use crate::intent::end::{Parties, speaks_of_reserved};

/// Whether a party is in an end; `source`: it opens the connection. An identity outside the cluster is in it if some of
/// its addresses may be, and is excepted if all of them are.
pub(super) fn is_in(ground: &Ground<'_>, end: &End, party: Party, source: bool) -> bool {
    let any = |parties: &[Parties], whole| {
        let mut each = parties.iter();
        each.any(|one| is_one(ground, one, party, source, whole))
    };
    any(&end.parties, false) && !any(&end.except, true)
}

fn is_one(ground: &Ground<'_>, parties: &Parties, party: Party, source: bool, whole: bool) -> bool {
    let universe = ground.model.universe();
    let id = identity(ground, party);
    let identity = universe.identity(id);
    let own = match party {
        Party::Endpoint(at) => universe.endpoint(at).map(|endpoint| &endpoint.labels),
        Party::Outside(_) => identity.map(|identity| &identity.labels),
    };
    let Some(labels) = own else { return false };
    let host = universe.is_host(id);
    let is_pod = labels.get(&Key::new(Source::K8s, NAMESPACE)).is_some() && !host;
    let world = identity.filter(|_| matches!(party, Party::Outside(_)) && is_world(labels));
    match parties {
        Parties::Any => is_pod || world.is_some(),
        Parties::Everyone => !(host && source && ground.settings.allow_localhost),
        Parties::Pods(selector) => {
            (is_pod || speaks_of_reserved(selector)) && selector.matches(labels)
        }
        Parties::Entity(name) => match name.as_str() {
            "all" => true,
            "cluster" => world.is_none(),
            "world" => world.is_some(),
            name => labels.get(&Key::new(Source::Reserved, name)).is_some(),
        },
        Parties::Cidr(cidr) => world.is_some_and(|identity| {
            let own = block(identity);
            cidr.covers(&own) || !whole && own.covers(cidr) && !is_elsewhere(ground, &own, cidr)
        }),
        Parties::Internet => world.is_some_and(|identity| {
            let own = block(identity);
            let mut private = reach::private();
            !private.any(|private| private.covers(&own) || whole && own.covers(&private))
        }),
        Parties::Dns(fqdn) => world.is_some_and(|identity| {
            let mut names = identity.names.iter();
            names.any(|name| fqdn.matches(name))
        }),
    }
}

/// Whether all of a prefix belongs to a longer one than the block of an identity.
fn is_elsewhere(ground: &Ground<'_>, own: &Cidr, prefix: &Cidr) -> bool {
    let mut known = ground.model.universe().addresses();
    known.any(|(one, _)| one != own && own.covers(one) && one.covers(prefix))
}

/// The identity of a party as a peer.
pub(super) fn identity(ground: &Ground<'_>, party: Party) -> IdentityId {
    match party {
        Party::Outside(id) => id,
        Party::Endpoint(at) => {
            let endpoint = ground.model.universe().endpoint(at);
            endpoint.map_or(IdentityId::UNKNOWN, |endpoint| endpoint.identity)
        }
    }
}

fn is_world(labels: &Labels) -> bool {
    let mut names = ["world", "world-ipv4", "world-ipv6"].into_iter();
    names.any(|name| labels.has_name(name))
}

/// The addresses of an identity of the world.
fn block(identity: &Identity) -> Cidr {
    let whole = if identity.labels.has_name("world-ipv6") {
        Cidr::ALL_V6
    } else {
        Cidr::ALL_V4
    };
    identity.cidr.unwrap_or(whole)
}
