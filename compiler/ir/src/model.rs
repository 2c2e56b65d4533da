//! Step four: the total function from flow to verdict.
//!
//! The order of judgement, for one endpoint and direction:
//! 1. Nothing is enforced: allow.
//! 2. Levels in order ([`crate::rule::Level`]). Within one, some deny matches: deny; else some allow matches: allow; else
//!    some pass matches: go on with the next tier; else go on with the next level.
//! 3. No rule decided: deny if in default deny (ingress from the host is allowed before that), else allow.
//!
//! An allow may be on terms: a proxy that has the last word, or authentication. [`filter`] merges rules as Cilium does
//! to find them, and [`judge`] walks the levels.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::ids::{EndpointId, IdentityId, RuleId};
use crate::l7::{self, Auth, Parser};
use crate::port::{L4, Ports, Protocol};
use crate::resolve::Resolved;
use crate::rule::{Action, Direction, Peers, Rule, Services};
use crate::settings::Settings;
use crate::universe::{NamedPorts, Universe};

/// The authentication an allow demands.
mod authentication;
/// Default deny and localhost.
mod enforce;
/// Rules merged as Cilium merges them.
mod filter;
/// The walk over the levels.
mod judge;
/// Layer 7: whether a proxy lets a request through.
pub mod request;

pub use filter::{Conflict, Facts, Filter, Filters};

/// A question: may this packet open a connection?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Whose policy is asked.
    pub subject: EndpointId,
    /// Which way, as the subject sees it.
    pub direction: Direction,
    /// The other side.
    pub peer: IdentityId,
    /// IP protocol.
    pub protocol: Protocol,
    /// Destination port, ICMP type, or 0 for protocols without either.
    pub port: u16,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Verdict {
    /// Whether the packet passes.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// Whether the subject is in default deny in this direction.
    pub enforced: bool,
    /// The rules that decided, in order; for a deny the denies, for an allow the allows, for a conflict the two.
    pub rules: Vec<RuleId>,
    /// For an allow: the proxy that has the last word.
    pub redirect: Option<Arc<Redirect>>,
    /// For an allow: the authentication demanded before it.
    pub auth: Option<Demand>,
}

impl Verdict {
    /// A verdict that no rule decided.
    fn new(allowed: bool, reason: Reason, enforced: bool) -> Self {
        Self {
            allowed,
            reason,
            enforced,
            rules: Vec::new(),
            redirect: None,
            auth: None,
        }
    }
}

/// Where an allowed connection goes before it may go on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redirect {
    /// Which proxy.
    pub parser: Parser,
    /// What it looks at, over all rules that Cilium merges with the deciding one.
    pub l7: l7::Rules,
    /// Whether an allow without layer 7 matches as well: an HTTP proxy then lets every request through.
    pub plain: bool,
}

/// Authentication that an allow demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    /// The mode; `Disabled` is spoken of, but demands nothing.
    pub mode: Auth,
    /// Whether the deciding rule has it from a broader one instead of asking itself.
    pub derived: bool,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A rule of that action.
    Rule(Action),
    /// No rule, and the subject is in default deny.
    DefaultDeny,
    /// No rule, and the subject is not in default deny.
    NotEnforced,
    /// No rule, but the local node may always reach its pods (`allow-localhost`).
    Localhost,
    /// Cilium cannot compute a policy for the subject: some of its rules ask for things that exclude each other.
    Conflict,
}

/// What applies to an endpoint in one direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Enforced {
    /// Whether flows that no rule matches are dropped.
    pub default_deny: bool,
    /// Whether the local node is let in where no rule matches.
    pub localhost: bool,
    /// The rules, in order.
    pub rules: Vec<RuleId>,
    /// The rules as Cilium merges them, if any speaks of layer 7 or authentication.
    pub filters: Option<Arc<Filters>>,
}

/// What applies to an endpoint. Endpoints with equal policy share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubjectPolicy {
    /// Rules of either direction that exclude each other: then Cilium has no policy for the endpoint at all.
    pub conflict: Option<Conflict>,
    /// To the endpoint.
    pub ingress: Enforced,
    /// From the endpoint.
    pub egress: Enforced,
}

impl SubjectPolicy {
    /// Merges the rules of both directions where layer 7 or authentication needs it.
    fn merge(&mut self, facts: &filter::Facts<'_>) {
        for enforced in [&mut self.ingress, &mut self.egress] {
            match Filters::merge(facts, &enforced.rules, enforced.default_deny) {
                Ok(filters) => enforced.filters = filters.map(Arc::new),
                Err(conflict) => self.conflict = self.conflict.or(Some(conflict)),
            }
        }
    }

    /// What applies in a direction.
    pub const fn direction(&self, direction: Direction) -> &Enforced {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// The total function from flow to verdict.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    /// The rules and sets it stands on.
    pub resolved: &'a Resolved<'a>,
    policies: Vec<SubjectPolicy>,
    by_endpoint: Vec<usize>,
}

impl<'a> Model<'a> {
    /// Settles default deny for every endpoint and shares equal policies.
    pub fn build(resolved: &'a Resolved<'a>, settings: &Settings) -> Self {
        let endpoints = resolved.universe.endpoints();
        let settled: Vec<_> = endpoints
            .par_iter()
            .enumerate()
            .map(|(at, endpoint)| enforce::settle(resolved, endpoint, EndpointId::at(at), settings))
            .collect();
        let mut known: BTreeMap<SubjectPolicy, usize> = BTreeMap::new();
        let mut policies = Vec::new();
        let mut by_endpoint = Vec::with_capacity(settled.len());
        for policy in settled {
            let at = *known.entry(policy).or_insert_with_key(|policy| {
                policies.push(policy.clone());
                policies.len() - 1
            });
            by_endpoint.push(at);
        }
        let facts = filter::Facts::new(resolved.rules);
        policies
            .par_iter_mut()
            .for_each(|policy| policy.merge(&facts));
        Self {
            resolved,
            policies,
            by_endpoint,
        }
    }

    /// The universe it is about.
    pub fn universe(&self) -> &'a Universe {
        self.resolved.universe
    }

    /// Distinct subject policies.
    pub fn policies(&self) -> &[SubjectPolicy] {
        &self.policies
    }

    /// The policy of an endpoint.
    pub fn policy_of(&self, endpoint: EndpointId) -> Option<&SubjectPolicy> {
        self.policy_index(endpoint)
            .and_then(|at| self.policies.get(at))
    }

    /// The position of an endpoint's policy among the distinct ones.
    pub fn policy_index(&self, endpoint: EndpointId) -> Option<usize> {
        self.by_endpoint.get(endpoint.index()).copied()
    }

    /// The verdict of a flow; an endpoint outside the universe is denied.
    pub fn eval(&self, flow: &Flow) -> Verdict {
        let denied = Verdict::new(false, Reason::DefaultDeny, true);
        let Some(endpoint) = self.universe().endpoint(flow.subject) else {
            return denied;
        };
        let Some(policy) = self.policy_of(flow.subject) else {
            return denied;
        };
        if let Some(conflict) = policy.conflict {
            let mut rules = vec![conflict.first, conflict.second];
            rules.dedup();
            return Verdict {
                rules,
                ..Verdict::new(false, Reason::Conflict, false)
            };
        }
        self.judge(policy.direction(flow.direction), &endpoint.ports, flow)
    }

    /// Whether a rule's peers and layer 4 match a flow (its subject is taken as given).
    pub fn matches(&self, rule: &Rule, ports: &NamedPorts, flow: &Flow) -> bool {
        self.peers_match(&rule.peers, flow.peer) && self.services_match(&rule.services, ports, flow)
    }

    fn peers_match(&self, peers: &Peers, identity: IdentityId) -> bool {
        match peers {
            Peers::Any => true,
            Peers::Of(list) => list
                .iter()
                .any(|peer| self.resolved.peer(*peer).contains(identity)),
        }
    }

    fn services_match(&self, services: &Services, ports: &NamedPorts, flow: &Flow) -> bool {
        match services {
            Services::All => true,
            Services::Of(list) => list.iter().any(|l4| self.l4_matches(l4, ports, flow)),
        }
    }

    fn l4_matches(&self, l4: &L4, ports: &NamedPorts, flow: &Flow) -> bool {
        l4.protocol == flow.protocol
            && self
                .range(l4, ports, flow)
                .is_some_and(|(first, last)| (first..=last).contains(&flow.port))
    }

    /// The ports that a rule means for a flow's destination; `None` for a name that it does not have.
    fn range(&self, l4: &L4, ports: &NamedPorts, flow: &Flow) -> Option<(u16, u16)> {
        match &l4.ports {
            Ports::All => Some((0, u16::MAX)),
            Ports::Range(first, last) => Some((*first, *last)),
            Ports::Named(name, last) => {
                let first = self.named(name, ports, flow)?;
                Some((first, last.unwrap_or(first).max(first)))
            }
        }
    }

    /// A named port is the destination's: the subject's own on ingress, the peer identity's on egress.
    fn named(&self, name: &std::sync::Arc<str>, ports: &NamedPorts, flow: &Flow) -> Option<u16> {
        match flow.direction {
            Direction::Ingress => ports.get(&(name.clone(), flow.protocol)).copied(),
            Direction::Egress => self.universe().named_port(flow.peer, name, flow.protocol),
        }
    }
}
