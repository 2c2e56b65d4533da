//! Which rules can concern one flow.

use std::collections::{BTreeMap, BTreeSet};

use policyc_ir::cidr::Cidr;
use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Direction, Peer, Peers, Rule, RuleSet, Services};
use policyc_ir::settings::Settings;
use policyc_ir::{PeerId, RuleId, SelectorId};

use super::kind::Kind;
use super::prefix;
use super::selector::{Asked, Reach, compatible, on_host, on_kind, table};
use super::subjects::Subjects;

/// Answers "may they meet" for the rules of a set.
#[derive(Debug)]
pub(crate) struct Algebra<'a> {
    pub(crate) rules: &'a RuleSet,
    /// Those of the cluster.
    pub(crate) settings: &'a Settings,
    reach: Vec<Reach>,
    /// For selectors of nodes as subjects: what they ask of the node's labels, `None` if no node can match.
    hosts: BTreeMap<SelectorId, Option<Asked>>,
    subjects: Subjects,
}

impl<'a> Algebra<'a> {
    /// Reads every selector once.
    pub(crate) fn new(rules: &'a RuleSet, settings: &'a Settings) -> Self {
        let filter = &settings.labels;
        let nodes = rules.rules().iter().filter(|rule| rule.subject.node);
        let hosts = nodes.map(|rule| {
            let id = rule.subject.selector;
            let asked = on_kind(rules.selector(id), &Kind::HOST.labels(), |key| {
                on_host(key, filter)
            });
            (id, asked)
        });
        let mut algebra = Self {
            rules,
            settings,
            reach: table(rules, filter),
            hosts: hosts.collect(),
            subjects: Subjects::default(),
        };
        algebra.subjects = Subjects::new(&algebra);
        algebra
    }

    /// The reach of a rule's subject, which is no node.
    pub(crate) fn subject(&self, rule: &Rule) -> Option<&Reach> {
        self.reach.get(rule.subject.selector.index())
    }

    /// Whether some endpoint can be the rule's subject.
    pub(crate) fn has_subject(&self, rule: &Rule) -> bool {
        if rule.subject.node {
            return self.host(rule).is_some();
        }
        self.subject(rule).is_some_and(Reach::is_possible)
    }

    /// What a rule asks of the node that is its subject.
    pub(crate) fn host(&self, rule: &Rule) -> Option<&Asked> {
        self.hosts.get(&rule.subject.selector)?.as_ref()
    }

    /// Whether a rule can match any flow of any subject it speaks of.
    pub(crate) fn is_live(&self, rule: &Rule) -> bool {
        let subject = self.has_subject(rule);
        let peers = match &rule.peers {
            Peers::Any => true,
            Peers::Of(list) => list.iter().any(|peer| self.peer_is_possible(*peer)),
        };
        let services = rule.services != Services::Of(Vec::new());
        subject && peers && services && !self.names_ports_of_no_pod(rule)
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
        if left.subject.node || right.subject.node {
            let asked = self.host(left).zip(self.host(right));
            return left.subject.node == right.subject.node
                && asked.is_some_and(|(left, right)| compatible(left, right));
        }
        let reach = self.subject(left).zip(self.subject(right));
        namespaces && reach.is_some_and(|(left, right)| left.meets(right))
    }

    /// Whether one flow may match both, given that their subjects and directions meet.
    pub(crate) fn flows_meet(&self, left: &Rule, right: &Rule) -> bool {
        if !services_meet(&left.services, &right.services, true)
            || !self.peers_meet(&left.peers, &right.peers, false)
        {
            return false;
        }
        // Only pods give names to ports, so where nothing but names meets, the destination is a pod.
        left.direction == Direction::Ingress
            || services_meet(&left.services, &right.services, false)
            || self.peers_meet(&left.peers, &right.peers, true)
    }

    fn peers_meet(&self, left: &Peers, right: &Peers, pods: bool) -> bool {
        let counts = |peer: &&PeerId| !pods || self.may_be_pod(**peer);
        match (left, right) {
            (Peers::Any, Peers::Any) => true,
            (Peers::Any, Peers::Of(list)) | (Peers::Of(list), Peers::Any) => {
                list.iter().any(|peer| counts(&peer))
            }
            (Peers::Of(left), Peers::Of(right)) => left.iter().filter(counts).any(|left| {
                let mut right = right.iter().filter(counts);
                right.any(|right| self.pair_meets(*left, *right))
            }),
        }
    }

    fn may_be_pod(&self, peer: PeerId) -> bool {
        match self.rules.peer(peer) {
            Some(Peer::Labels(selector)) => {
                let reach = self.reach(*selector);
                reach.is_some_and(|reach| reach.pod.is_some())
            }
            _ => false,
        }
    }

    /// Whether one party may be both peers.
    pub(crate) fn pair_meets(&self, left: PeerId, right: PeerId) -> bool {
        let (Some(left), Some(right)) = (self.rules.peer(left), self.rules.peer(right)) else {
            return false;
        };
        match (left, right) {
            (Peer::Labels(left), Peer::Labels(right)) => {
                let pair = self.reach(*left).zip(self.reach(*right));
                pair.is_some_and(|(left, right)| left.meets(right))
            }
            (Peer::Labels(selector), other) | (other, Peer::Labels(selector)) => {
                let kinds = families(other);
                self.reach(*selector)
                    .is_some_and(|reach| reach.kinds & kinds != 0)
            }
            // An address in any prefix may have learned any name.
            (Peer::Fqdn(_), other) | (other, Peer::Fqdn(_)) => families(other) != 0,
            (left, right) => left
                .blocks()
                .any(|left| right.blocks().any(|right| blocks_meet(left, right))),
        }
    }

    /// The reach of a selector.
    pub(crate) fn reach(&self, selector: SelectorId) -> Option<&Reach> {
        self.reach.get(selector.index())
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

    /// The other rules of its direction whose subjects may be a rule's subject, without those that are `gone`.
    pub(crate) fn slice(&self, id: RuleId, gone: &BTreeSet<RuleId>) -> Vec<RuleId> {
        let mut slice = self.subjects.near(id, self.rules);
        slice.retain(|other| *other != id && !gone.contains(other));
        slice
    }

    /// Rules of the direction of `own` whose subjects may be subjects of one of them, in order.
    pub(crate) fn near(&self, own: &[RuleId]) -> Vec<RuleId> {
        let mut seen = BTreeSet::new();
        let mut near = BTreeSet::new();
        for id in own {
            if seen.insert(self.subjects.class(*id)) {
                near.extend(self.subjects.near(*id, self.rules));
            }
        }
        near.into_iter().collect()
    }
}

/// The kinds that a peer made of prefixes or names can match, as bits.
pub(super) fn families(peer: &Peer) -> u16 {
    let of = |kinds: [Kind; 2]| kinds.iter().fold(0, |set, kind| set | kind.bit());
    match peer {
        Peer::Fqdn(_) => of(Kind::V4) | of(Kind::V6),
        peer => peer.blocks().fold(0, |set, (cidr, _)| {
            set | of(if cidr.is_ipv4() { Kind::V4 } else { Kind::V6 })
        }),
    }
}

type Block<'a> = (&'a Cidr, &'a [Cidr]);

/// Whether some address is in both prefixes and in no exception of either.
fn blocks_meet((left, holes): Block<'_>, (right, others): Block<'_>) -> bool {
    let inner = match (left.covers(right), right.covers(left)) {
        (true, _) => right,
        (false, true) => left,
        (false, false) => return false,
    };
    if holes.is_empty() && others.is_empty() {
        return true;
    }
    !prefix::is_covered(inner, &[holes, others].concat())
}

/// Whether one flow may be on services of both. `names`: names of ports count.
fn services_meet(left: &Services, right: &Services, names: bool) -> bool {
    let counts = |l4: &&L4| names || !matches!(l4.ports, Ports::Named(..));
    match (left, right) {
        (Services::All, Services::All) => true,
        (Services::All, Services::Of(list)) | (Services::Of(list), Services::All) => {
            list.iter().any(|l4| counts(&l4))
        }
        (Services::Of(left), Services::Of(right)) => left.iter().filter(counts).any(|left| {
            let mut right = right.iter().filter(counts);
            right.any(|right| ports_meet(left, right))
        }),
    }
}

/// Whether one flow may be on both.
pub(crate) fn ports_meet(left: &L4, right: &L4) -> bool {
    left.protocol == right.protocol
        && match (&left.ports, &right.ports) {
            (Ports::Range(first, last), Ports::Range(other_first, other_last)) => {
                first <= other_last && other_first <= last
            }
            _ => true,
        }
}
