//! What tables say about services.
//!
//! A service must be decided as its backends are, by the very same table: so nothing is taken from what made its row.
//! What stands behind a service comes from the inventory.

use std::collections::BTreeSet;

use policy_abi::reason::Reason;
use policy_bundle::Bundle;
use policyc_diag::Diagnostic;
use policyc_ir::IdentityId;
use policyc_ir::frontend::{Backends, Frontend, frontends};
use policyc_ir::rule::Direction;
use rayon::prelude::*;

use crate::decide::Wanted;
use crate::tables::{Arena, Table, Users};
use crate::{Sources, fault};

/// The services that a bundle must know, in the order of their identities, which follow those of the universe.
pub(crate) fn known(sources: &Sources<'_>) -> Vec<Frontend> {
    let Sources {
        inventory,
        universe,
        pod_ranges,
        ..
    } = sources;
    frontends(inventory, universe, pod_ranges)
}

/// What tables say otherwise about services than about their backends, one for each table and service at most.
pub(crate) fn compare(
    tables: &[(&Table, &Users<'_>)],
    arena: &Arena<'_>,
    sources: &Sources<'_>,
) -> Vec<Diagnostic> {
    let services = known(sources);
    let first = sources.universe.identities().len();
    let differing = tables.par_iter().flat_map_iter(|(table, users)| {
        let services = services.iter().enumerate();
        services.filter_map(move |(at, service)| {
            let identity = IdentityId::at(first + at);
            let (protocol, port) = View { table, users, arena }.differs(identity, service)?;
            Some(fault(&format!(
                "{} of `{}`: service `{}` ({}) is not decided as its backends are on protocol {protocol}, port {port}",
                table.direction.name(),
                users.subject,
                service.service,
                service.address
            )))
        })
    });
    differing.collect()
}

/// Whether the bundle has as many identities as sources and services ask for.
pub(crate) fn has_all(bundle: &Bundle<'_>, sources: &Sources<'_>) -> bool {
    let wanted = sources.universe.identities().len() + known(sources).len();
    bundle.identities().len() == wanted
}

struct View<'a, 'b> {
    table: &'a Table,
    users: &'a Users<'b>,
    arena: &'a Arena<'b>,
}

impl View<'_, '_> {
    fn answer(&self, peer: IdentityId, protocol: u8, port: u16) -> Wanted {
        self.arena.answer(self.table.image, peer, protocol, port)
    }

    /// The first protocol and port at which a service is not decided as it must be.
    fn differs(&self, identity: IdentityId, service: &Frontend) -> Option<(u8, u16)> {
        let selective = self.table.direction == Direction::Egress
            && (self.table.stance.default_deny || !self.table.rules.is_empty());
        let rest = selective.then(|| self.rest(service));
        (0..=u8::MAX).find_map(|protocol| {
            let mut ports = self.arena.cuts(self.table.image, protocol, &[]);
            for (_, port) in service.ports.keys().filter(|(of, _)| of.0 == protocol) {
                ports.insert(*port);
                ports.extend(port.checked_add(1));
            }
            let wrong = ports.into_iter().find(|port| {
                let wanted = match rest {
                    Some(rest) => self.backends(service, protocol, *port).unwrap_or(rest),
                    None => self.answer(IdentityId::UNKNOWN, protocol, *port),
                };
                self.answer(identity, protocol, *port) != wanted
            });
            wrong.map(|port| (protocol, port))
        })
    }

    /// What holds at a port of a service that has backends, `None` at others.
    fn backends(&self, service: &Frontend, protocol: u8, port: u16) -> Option<Wanted> {
        let mut all = service.ports.iter();
        let ((_, _), backends) = all.find(|((of, at), _)| (of.0, *at) == (protocol, port))?;
        let answers = self.seen(backends);
        let answers = answers.map(|(peer, target)| self.answer(peer, protocol, target));
        let answers: Vec<_> = answers.collect();
        let first = answers.first()?;
        Some(if answers.iter().all(|other| alike(other, first)) {
            *first
        } else {
            dropped(Reason::MixedService)
        })
    }

    /// What holds at ports without backends: a drop, unless it makes no difference which port it is.
    fn rest(&self, service: &Frontend) -> Wanted {
        let ports = service.ports.keys();
        let at: Vec<Wanted> = ports
            .filter_map(|(protocol, port)| self.backends(service, protocol.0, *port))
            .collect();
        let backends = service.ports.values();
        let peers: BTreeSet<_> = backends.flat_map(|all| self.seen(all)).collect();
        let all = || peers.iter().all(|(peer, _)| self.is_open(*peer));
        match at.first() {
            Some(first) if at.iter().all(|one| one == first) && (is_no(first) || all()) => *first,
            _ => dropped(Reason::NoBackend),
        }
    }

    /// What backends are to the pods that use the table.
    fn seen<'s>(&'s self, backends: &'s Backends) -> impl Iterator<Item = (IdentityId, u16)> + 's {
        let nodes = &self.users.nodes;
        backends.iter().flat_map(|backend| backend.seen_from(nodes))
    }

    /// Whether a peer may be reached on every port of every protocol.
    fn is_open(&self, peer: IdentityId) -> bool {
        (0..=u8::MAX).all(|protocol| {
            let cuts = self.arena.cuts(self.table.image, protocol, &[]);
            cuts.into_iter()
                .all(|port| self.answer(peer, protocol, port).passes())
        })
    }
}

/// Whether packets of either go the same way: on, to the same proxy, or nowhere.
fn alike(one: &Wanted, other: &Wanted) -> bool {
    (one.passes(), one.proxy) == (other.passes(), other.proxy)
}

/// Whether nothing can make it pass.
fn is_no(answer: &Wanted) -> bool {
    !answer.passes() && answer.proxy == 0
}

fn dropped(reason: Reason) -> Wanted {
    Wanted {
        reason: reason as u8,
        ..Wanted::without_rule(false)
    }
}
