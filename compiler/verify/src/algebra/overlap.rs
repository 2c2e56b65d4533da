//! Which rules can concern one flow.

use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Direction, Peer, Peers, Rule, RuleSet, Services};
use policyc_ir::{PeerId, RuleId};

use super::kind::Kind;
use super::prefix;
use super::selector::{Reach, table};

/// Answers "may they meet" for the rules of a set.
#[derive(Debug)]
pub(crate) struct Algebra<'a> {
    pub(crate) rules: &'a RuleSet,
    reach: Vec<Reach>,
}

impl<'a> Algebra<'a> {
    /// Reads every selector once.
    pub(crate) fn new(rules: &'a RuleSet) -> Self {
        Self {
            rules,
            reach: table(rules),
        }
    }

    /// The reach of a rule's subject.
    pub(crate) fn subject(&self, rule: &Rule) -> Option<&Reach> {
        self.reach.get(rule.subject.selector.index())
    }

    /// Whether a rule can match any flow of any subject it speaks of.
    pub(crate) fn is_live(&self, rule: &Rule) -> bool {
        let subject = self.subject(rule).is_some_and(Reach::is_possible);
        let peers = match &rule.peers {
            Peers::Any => true,
            Peers::Of(list) => list.iter().any(|peer| self.peer_is_possible(*peer)),
        };
        let services = rule.services != Services::Of(Vec::new());
        subject && peers && services && !rule.subject.node && !self.names_ports_of_no_pod(rule)
    }

    /// Whether every port is given by name while no destination is a pod, which alone gives names.
    pub(crate) fn names_ports_of_no_pod(&self, rule: &Rule) -> bool {
        let (Peers::Of(peers), Services::Of(services)) = (&rule.peers, &rule.services) else {
            return false;
        };
        let named = |l4: &L4| matches!(l4.ports, Ports::Named(..));
        let no_pod = |peer: &PeerId| match self.rules.peer(*peer) {
            Some(Peer::Labels(selector)) => self
                .reach
                .get(selector.index())
                .is_none_or(|reach| reach.pod.is_none()),
            _ => true,
        };
        let written = !peers.is_empty() && !services.is_empty();
        rule.direction == Direction::Egress
            && written
            && services.iter().all(named)
            && peers.iter().all(no_pod)
    }

    /// Whether a peer matches anything.
    pub(crate) fn peer_is_possible(&self, peer: PeerId) -> bool {
        match self.rules.peer(peer) {
            Some(Peer::Labels(selector)) => self
                .reach
                .get(selector.index())
                .is_some_and(Reach::is_possible),
            Some(Peer::Fqdn(_)) => true,
            Some(peer) => peer
                .blocks()
                .any(|(cidr, except)| !prefix::is_covered(cidr, except)),
            None => false,
        }
    }

    /// Whether one endpoint may be the subject of both.
    pub(crate) fn subjects_meet(&self, left: &Rule, right: &Rule) -> bool {
        let namespaces = match (&left.subject.namespace, &right.subject.namespace) {
            (Some(left), Some(right)) => left == right,
            _ => true,
        };
        let reach = self.subject(left).zip(self.subject(right));
        namespaces
            && left.subject.node == right.subject.node
            && reach.is_some_and(|(left, right)| left.meets(right))
    }

    /// Whether one flow may match both.
    pub(crate) fn rules_meet(&self, left: &Rule, right: &Rule) -> bool {
        left.direction == right.direction
            && services_meet(&left.services, &right.services)
            && self.subjects_meet(left, right)
            && self.peers_meet(&left.peers, &right.peers)
    }

    fn peers_meet(&self, left: &Peers, right: &Peers) -> bool {
        match (left, right) {
            (Peers::Any, Peers::Any) => true,
            (Peers::Any, Peers::Of(list)) | (Peers::Of(list), Peers::Any) => !list.is_empty(),
            (Peers::Of(left), Peers::Of(right)) => left
                .iter()
                .any(|left| right.iter().any(|right| self.pair_meets(*left, *right))),
        }
    }

    fn pair_meets(&self, left: PeerId, right: PeerId) -> bool {
        let (Some(left), Some(right)) = (self.rules.peer(left), self.rules.peer(right)) else {
            return false;
        };
        match (left, right) {
            (Peer::Fqdn(_) | Peer::Group(..), _) | (_, Peer::Fqdn(_) | Peer::Group(..)) => true,
            (Peer::Labels(left), Peer::Labels(right)) => {
                let pair = self
                    .reach
                    .get(left.index())
                    .zip(self.reach.get(right.index()));
                pair.is_some_and(|(left, right)| left.meets(right))
            }
            (Peer::Cidr(left, _), Peer::Cidr(right, _)) => left.covers(right) || right.covers(left),
            (Peer::Labels(selector), Peer::Cidr(cidr, _))
            | (Peer::Cidr(cidr, _), Peer::Labels(selector)) => {
                let kind = if cidr.is_ipv4() {
                    Kind::WORLD_V4
                } else {
                    Kind::WORLD_V6
                };
                let reach = self.reach.get(selector.index());
                reach.is_some_and(|reach| reach.kinds & kind.bit() != 0)
            }
        }
    }

    /// Whether the local node is the only party a rule's peers can match.
    pub(crate) fn only_host(&self, rule: &Rule) -> bool {
        let host = Kind::HOST.bit() | Kind::HOST_API.bit();
        let Peers::Of(list) = &rule.peers else {
            return false;
        };
        list.iter().all(|peer| match self.rules.peer(*peer) {
            Some(Peer::Labels(selector)) => self
                .reach
                .get(selector.index())
                .is_some_and(|reach| reach.pod.is_none() && reach.kinds & !host == 0),
            _ => false,
        })
    }

    /// The others among `of` whose subjects may be a rule's subject, in the same direction.
    pub(crate) fn slice(&self, id: RuleId, of: &[RuleId]) -> Vec<RuleId> {
        let Some(rule) = self.rules.rule(id) else {
            return Vec::new();
        };
        let near = |other: &&RuleId| {
            **other != id
                && self.rules.rule(**other).is_some_and(|other| {
                    other.direction == rule.direction && self.subjects_meet(rule, other)
                })
        };
        of.iter().filter(near).copied().collect()
    }
}

fn services_meet(left: &Services, right: &Services) -> bool {
    match (left, right) {
        (Services::All, Services::All) => true,
        (Services::All, Services::Of(list)) | (Services::Of(list), Services::All) => {
            !list.is_empty()
        }
        (Services::Of(left), Services::Of(right)) => left
            .iter()
            .any(|left| right.iter().any(|right| ports_meet(left, right))),
    }
}

fn ports_meet(left: &L4, right: &L4) -> bool {
    left.protocol == right.protocol
        && match (&left.ports, &right.ports) {
            (Ports::Range(first, last), Ports::Range(other_first, other_last)) => {
                first <= other_last && other_first <= last
            }
            _ => true,
        }
}
