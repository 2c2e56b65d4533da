//! The flat rules that every later stage works on.
//!
//! A [`RuleSet`] holds one [`Rule`] per entry of each policy's sections, with every default made explicit:
//! scoping requirements are in the selectors, `ANY` is spelt out, host bits are cleared. Selectors and peers are
//! interned, so equal ones have one id.
//!
//! Port ranges stand as written, sorted: Cilium's layer 7 merging and its map entries depend on the exact bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_diag::Span;

use crate::cidr::Cidr;
use crate::fqdn::Fqdn;
use crate::ids::{PeerId, PolicyId, RuleId, SelectorId};
use crate::l7::{self, Auth};
use crate::port::L4;
use crate::selector::Selector;

/// Which way a rule's flows go, as its subject sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the subject.
    Ingress,
    /// From the subject.
    Egress,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// What a rule does with the flows it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Lets them pass.
    Allow,
    /// Drops them; beats every allow of the same level.
    Deny,
    /// Leaves them to the next tier; only ClusterNetworkPolicy has it, and any allow of the same level beats it.
    Pass,
}

/// Where a rule stands in the order of judgement: lower levels are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level {
    /// The tier.
    pub tier: Tier,
    /// Within the tier, in hundredths: a ClusterNetworkPolicy's priority counts hundreds, the rule's position ones.
    pub priority: u32,
}

impl Level {
    /// The level of every rule of CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and NetworkPolicy.
    pub const NORMAL: Self = Self {
        tier: Tier::Normal,
        priority: 0,
    };
}

/// A tier of levels, in the order of judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// ClusterNetworkPolicy of tier `Admin`.
    Admin,
    /// Every policy that has no tier.
    Normal,
    /// ClusterNetworkPolicy of tier `Baseline`; asked where no rule of the others matches.
    Baseline,
}

impl Tier {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Normal => "normal",
            Self::Baseline => "baseline",
        }
    }
}

/// The kind of object a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// CiliumNetworkPolicy.
    Cnp,
    /// CiliumClusterwideNetworkPolicy.
    Ccnp,
    /// Kubernetes NetworkPolicy.
    Knp,
    /// Kubernetes ClusterNetworkPolicy.
    Kcnp,
}

impl Kind {
    /// Short lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cnp => "cnp",
            Self::Ccnp => "ccnp",
            Self::Knp => "knp",
            Self::Kcnp => "kcnp",
        }
    }

    /// How Cilium names objects of this kind among its resources.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Cnp => "cnp",
            Self::Ccnp => "ccnp",
            Self::Knp => "netpol",
            Self::Kcnp => "clusternetpol",
        }
    }

    /// Whether its rules have tiers and priorities.
    pub const fn has_levels(self) -> bool {
        matches!(self, Self::Kcnp)
    }

    /// The Kubernetes kind.
    pub const fn object(self) -> &'static str {
        match self {
            Self::Cnp => "CiliumNetworkPolicy",
            Self::Ccnp => "CiliumClusterwideNetworkPolicy",
            Self::Knp => "NetworkPolicy",
            Self::Kcnp => "ClusterNetworkPolicy",
        }
    }
}

/// A policy object, as far as messages need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, `None` for cluster-wide kinds.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
    /// Where its name (or the document) stands.
    pub span: Span,
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.name())?;
        match &self.namespace {
            Some(namespace) => write!(f, " {namespace}/{}", self.name),
            None => write!(f, " {}", self.name),
        }
    }
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The policy.
    pub policy: PolicyId,
    /// Path within it, e.g. `spec.ingress[0]` or `specs[1].egressDeny[2]`.
    pub path: Arc<str>,
    /// The entry.
    pub span: Span,
    /// The subject selector.
    pub subject: Span,
}

/// What a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Labels of the endpoint. For namespaced policies the namespace requirement is part of it.
    pub selector: SelectorId,
    /// Namespace of the policy: only endpoints of this namespace are considered. `None` for cluster-wide policies.
    pub namespace: Option<Arc<str>>,
    /// Whether it selects nodes (the host endpoint) instead of pods.
    pub node: bool,
}

/// The other side of a rule's flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peers {
    /// Anyone, identities unknown to the datapath included.
    Any,
    /// Any of these; nobody if the list is empty.
    Of(Vec<PeerId>),
}

/// One alternative of [`Peers`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Identities by label: pods, and reserved identities through their `reserved:` label.
    Labels(SelectorId),
    /// Addresses outside the cluster: in the prefix and in none of the exceptions (sorted). Never pods or nodes.
    Cidr(Cidr, Vec<Cidr>),
    /// A group of prefixes under one name, as they stand in the inventory: in any of the blocks.
    Group(Arc<str>, Vec<(Cidr, Vec<Cidr>)>),
    /// Addresses outside the cluster that a DNS answer gave for such a name.
    Fqdn(Fqdn),
}

impl Peer {
    /// Prefixes and their exceptions; none for peers that are not made of prefixes.
    pub fn blocks(&self) -> impl Iterator<Item = (&Cidr, &[Cidr])> {
        let (one, many) = match self {
            Self::Cidr(cidr, except) => (Some((cidr, except.as_slice())), &[][..]),
            Self::Group(_, blocks) => (None, blocks.as_slice()),
            Self::Labels(_) | Self::Fqdn(_) => (None, &[][..]),
        };
        let many = many.iter().map(|(cidr, except)| (cidr, except.as_slice()));
        one.into_iter().chain(many)
    }
}

/// Layer 4 of a rule's flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Services {
    /// Every IP protocol and port.
    All,
    /// Any of these (sorted, without repeats); nothing if the list is empty.
    Of(Vec<L4>),
}

/// One entry of a policy's section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it was written.
    pub origin: Origin,
    /// Which way.
    pub direction: Direction,
    /// What it does.
    pub action: Action,
    /// When it is asked.
    pub level: Level,
    /// What it applies to.
    pub subject: Subject,
    /// The other side.
    pub peers: Peers,
    /// Peers written beside one that means anyone. They change no flow; Cilium merges layer 7 with them.
    pub beside: Vec<PeerId>,
    /// Layer 4.
    pub services: Services,
    /// Layer 7, for allows.
    pub l7: Option<Arc<l7::Rules>>,
    /// The authentication it demands or waives, for allows.
    pub auth: Option<Auth>,
    /// `log.value` of its policy.
    pub log: Option<Arc<str>>,
    /// Whether its peers are anyone only because what it names could not be resolved (`toServices` with ports and
    /// no such service): so Cilium reads it, and nobody means it.
    pub unresolved: bool,
    /// Whether it puts its subjects into default deny in its direction.
    pub default_deny: bool,
}

/// All rules of a run, in the order of their policies (kind, namespace, name) and of writing within them.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub(crate) policies: Vec<Policy>,
    pub(crate) selectors: Vec<Selector>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) rules: Vec<Rule>,
}

impl RuleSet {
    /// All policies.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// All selectors.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// All peers.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// All rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// All rules with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.rules
            .iter()
            .enumerate()
            .map(|(at, rule)| (RuleId::at(at), rule))
    }

    /// A rule of this set.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id.index())
    }

    /// A selector of this set.
    pub fn selector(&self, id: SelectorId) -> &Selector {
        const NONE: &Selector = &Selector::EMPTY;
        self.selectors.get(id.index()).unwrap_or(NONE)
    }

    /// A peer of this set.
    pub fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(id.index())
    }

    /// A rule's policy and path, e.g. `cnp shop/web spec.ingress[0]`.
    pub fn name(&self, id: RuleId) -> String {
        let Some(rule) = self.rule(id) else {
            return String::new();
        };
        match self.policies.get(rule.origin.policy.index()) {
            Some(policy) => format!("{policy} {}", rule.origin.path),
            None => rule.origin.path.to_string(),
        }
    }
}

/// Puts a [`RuleSet`] together; equal selectors and peers get one id.
#[derive(Debug, Default)]
pub struct Builder {
    set: RuleSet,
    selectors: BTreeMap<Selector, SelectorId>,
    peers: BTreeMap<Peer, PeerId>,
}

impl Builder {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a policy; its rules follow.
    pub fn policy(&mut self, policy: Policy) -> PolicyId {
        self.set.policies.push(policy);
        PolicyId::at(self.set.policies.len() - 1)
    }

    /// The id of a selector.
    pub fn selector(&mut self, selector: Selector) -> SelectorId {
        *self
            .selectors
            .entry(selector)
            .or_insert_with_key(|selector| {
                self.set.selectors.push(selector.clone());
                SelectorId::at(self.set.selectors.len() - 1)
            })
    }

    /// The id of a peer.
    pub fn peer(&mut self, peer: Peer) -> PeerId {
        *self.peers.entry(peer).or_insert_with_key(|peer| {
            self.set.peers.push(peer.clone());
            PeerId::at(self.set.peers.len() - 1)
        })
    }

    /// Adds a rule. Lists of peers and services are sorted and repeats dropped.
    pub fn rule(&mut self, mut rule: Rule) -> RuleId {
        if let Peers::Of(peers) = &mut rule.peers {
            peers.sort_unstable();
            peers.dedup();
        }
        if let Services::Of(services) = &mut rule.services {
            services.sort();
            services.dedup();
        }
        self.set.rules.push(rule);
        RuleId::at(self.set.rules.len() - 1)
    }

    /// The finished set.
    pub fn finish(self) -> RuleSet {
        self.set
    }
}
