//! What applies to an endpoint, and whom each rule matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policyc_ir::label::{Key, Labels, Source};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::resolve::selects;
use policyc_ir::rule::{Direction, Peer, Peers, Rule, RuleSet, Services};
use policyc_ir::settings::{Enforcement, Settings};
use policyc_ir::universe::{Endpoint, Identity, NamedPorts, Universe};
use policyc_ir::{IdentityId, PeerId, RuleId};
use rayon::prelude::*;

use crate::decide::{Applied, Wanted};
use crate::terms::Asking;

/// What holds where no rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stance {
    /// Whether flows that no rule matches are dropped.
    pub(crate) default_deny: bool,
    /// Whether the local node is let in all the same.
    pub(crate) localhost: bool,
}

impl Stance {
    pub(crate) fn default(self, peer: &Identity) -> Wanted {
        let entity = Key::new(Source::Reserved, "host");
        let host = self.localhost && peer.labels.get(&entity).is_some();
        Wanted::without_rule(!self.default_deny || host)
    }
}

/// The rules in force for an endpoint in a direction, and what holds where none decides.
pub(crate) fn in_force(
    rules: &RuleSet,
    settings: &Settings,
    endpoint: &Endpoint,
    selecting: &[RuleId],
    direction: Direction,
) -> (Stance, Vec<RuleId>) {
    let host = !settings.host_firewall && endpoint.labels.has_name("host");
    if host || settings.enforcement == Enforcement::Never {
        let open = Stance {
            default_deny: false,
            localhost: false,
        };
        return (open, Vec::new());
    }
    let rule = |id: &RuleId| rules.rule(*id);
    let here = |id: &&RuleId| rule(id).is_some_and(|rule| rule.direction == direction);
    let own: Vec<_> = selecting.iter().filter(here).copied().collect();
    let forced = settings.enforcement == Enforcement::Always || endpoint.labels.has_name("init");
    let default_deny = forced || own.iter().filter_map(rule).any(|rule| rule.default_deny);
    let ingress = direction == Direction::Ingress && !endpoint.host;
    let localhost = default_deny && ingress && settings.allow_localhost && !own.is_empty();
    let stance = Stance {
        default_deny,
        localhost,
    };
    (stance, own)
}

/// The rules that select endpoints, by the endpoints' labels.
pub(crate) fn selecting<'a>(
    rules: &RuleSet,
    endpoints: impl Iterator<Item = &'a Endpoint>,
) -> BTreeMap<&'a Labels, Vec<RuleId>> {
    let distinct: BTreeMap<&Labels, &Endpoint> = endpoints
        .map(|endpoint| (&endpoint.labels, endpoint))
        .collect();
    let found = distinct.into_par_iter().map(|(labels, endpoint)| {
        let own = rules
            .iter()
            .filter(|(_, rule)| selects(rules, rule, endpoint));
        (labels, own.map(|(id, _)| id).collect())
    });
    found.collect()
}

/// Whom rules match, identity by identity.
#[derive(Debug)]
pub(crate) struct Matches<'a> {
    rules: &'a RuleSet,
    /// Whether some rule asks for authentication.
    asks: bool,
    /// A bit for each identity, by peer.
    members: Vec<Vec<u64>>,
    /// What all pods of an identity call a port, by identity, name and protocol; of more than one number none counts.
    named: BTreeMap<(IdentityId, Arc<str>, Protocol), BTreeSet<u16>>,
}

impl<'a> Matches<'a> {
    /// Compares every identity with every peer of the rules.
    pub(crate) fn new(rules: &'a RuleSet, universe: &Universe) -> Self {
        let identities = universe.identities();
        let of = |peer: &Peer| {
            let mut bits = vec![0; identities.len().div_ceil(64)];
            // Only rules for anyone match the identity of addresses that nobody knows.
            for (at, identity) in identities.iter().enumerate().skip(1) {
                if let Some(word) = bits.get_mut(at / 64)
                    && is_peer(rules, peer, identity)
                {
                    *word |= 1_u64 << (at % 64);
                }
            }
            bits
        };
        let mut named: BTreeMap<_, BTreeSet<u16>> = BTreeMap::new();
        for endpoint in universe.endpoints().iter().filter(|one| !one.host) {
            for ((name, protocol), number) in &endpoint.ports {
                let key = (endpoint.identity, name.clone(), *protocol);
                named.entry(key).or_default().insert(*number);
            }
        }
        Self {
            rules,
            asks: rules.rules().iter().any(|rule| rule.auth.is_some()),
            members: rules.peers().par_iter().map(of).collect(),
            named,
        }
    }

    /// Whether a rule's peers include an identity.
    pub(crate) fn has(&self, rule: &Rule, identity: IdentityId) -> bool {
        let Peers::Of(peers) = &rule.peers else {
            return true;
        };
        peers.iter().any(|peer| self.is(*peer, identity))
    }

    /// Whether an identity is a peer.
    fn is(&self, peer: PeerId, identity: IdentityId) -> bool {
        let members = self.members.get(peer.index());
        let word = members.and_then(|bits| bits.get(identity.index() / 64));
        word.is_some_and(|word| word >> (identity.index() % 64) & 1 == 1)
    }

    /// A rule for flows with a peer, if it matches the peer. `own` are the subject's ports.
    pub(crate) fn applied(
        &self,
        id: RuleId,
        peer: IdentityId,
        own: &NamedPorts,
    ) -> Option<Applied> {
        let rule = self.rules.rule(id).filter(|rule| self.has(rule, peer))?;
        let (mut spans, mut kinds) = (None, Vec::new());
        if let Services::Of(list) = &rule.services {
            let own = list.iter().filter_map(|l4| {
                let span = self.span(rule.direction, l4, peer, own)?;
                let by_name = matches!(l4.ports, Ports::Named(..));
                let by_peer = by_name && rule.direction == Direction::Egress;
                Some((span, (l4.clone(), by_peer)))
            });
            let (found, of): (Vec<_>, Vec<_>) = own.unzip();
            (spans, kinds) = (Some(found), of);
        }
        let beside = rule.beside.iter().any(|beside| self.is(*beside, peer));
        let named = match &rule.peers {
            Peers::Of(list) => list,
            Peers::Any => &rule.beside,
        };
        let named = named.iter().filter(|one| self.asks && self.is(**one, peer));
        let peers = named.copied().collect();
        Some(Applied {
            rule: id,
            level: rule.level,
            action: rule.action,
            spans,
            asking: Asking::new(rule, beside, peers, kinds),
        })
    }

    fn span(
        &self,
        direction: Direction,
        l4: &L4,
        peer: IdentityId,
        own: &NamedPorts,
    ) -> Option<(u8, u16, u16)> {
        let (first, last) = match &l4.ports {
            Ports::All => (0, u16::MAX),
            Ports::Range(first, last) => (*first, *last),
            Ports::Named(name, last) => {
                let number = match direction {
                    Direction::Ingress => own.get(&(name.clone(), l4.protocol)).copied()?,
                    Direction::Egress => self.number(peer, name, l4.protocol)?,
                };
                (number, last.map_or(number, |last| last.max(number)))
            }
        };
        Some((l4.protocol.0, first, last))
    }

    fn number(&self, peer: IdentityId, name: &Arc<str>, protocol: Protocol) -> Option<u16> {
        let given = self.named.get(&(peer, name.clone(), protocol))?;
        given.first().copied().filter(|_| given.len() == 1)
    }
}

/// Whether any of these rules names a port.
pub(crate) fn names_ports(rules: &RuleSet, ids: &[RuleId]) -> bool {
    let services = ids.iter().filter_map(|id| rules.rule(*id));
    services.into_iter().any(|rule| match &rule.services {
        Services::All => false,
        Services::Of(list) => list.iter().any(|l4| matches!(l4.ports, Ports::Named(..))),
    })
}

/// Whether an identity is a peer, by its labels or its prefix.
pub(crate) fn is_peer(rules: &RuleSet, peer: &Peer, identity: &Identity) -> bool {
    match peer {
        Peer::Labels(selector) => rules.selector(*selector).matches(&identity.labels),
        Peer::Cidr(..) | Peer::Group(..) => identity.cidr.is_some_and(|own| {
            peer.blocks().any(|(block, except)| {
                block.covers(&own) && !except.iter().any(|one| one.covers(&own))
            })
        }),
        // No address has a name, or nothing is compared.
        Peer::Fqdn(_) => false,
    }
}
