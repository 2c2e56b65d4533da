//! A universe with just the parties of an example, in which the model judges it.
//!
//! The model sees the rules that select one of the parties, since no other rule has a say in their flows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::label::{
    CLUSTER, Key, Labels, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source,
};
use policyc_ir::model::request::{Answer, Request};
use policyc_ir::model::{Conflict, Flow, Model, Verdict};
use policyc_ir::resolve::{Resolved, selects};
use policyc_ir::rule::{Builder, Direction, Peer, Peers, Rule, RuleSet, Subject};
use policyc_ir::settings::Settings;
use policyc_ir::universe::{Endpoint, Identity, NamedPorts, Owner, Universe};
use policyc_ir::{EndpointId, IdentityId, PeerId, RuleId};

use crate::algebra::kind::Kind;
use crate::encode::Seat;
use crate::witness::{Address, Label, Party, Witness};

/// The rules of a run, by the namespace their subjects are in.
#[derive(Debug)]
pub(crate) struct Library<'a> {
    rules: &'a RuleSet,
    settings: &'a Settings,
    by_namespace: BTreeMap<Option<&'a str>, Vec<Class>>,
    /// Directions in which no two rules can exclude each other.
    harmonious: Vec<Direction>,
}

/// What alone is asked of a stage.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    direction: Direction,
    /// Rules that are left out.
    without: &'a [RuleId],
}

/// Rules of one subject. The first stands for all where a subject is asked for.
type Class = Vec<RuleId>;

impl<'a> Library<'a> {
    /// Sorts the rules once for all examples.
    pub(crate) fn new(rules: &'a RuleSet, settings: &'a Settings) -> Self {
        let mut by_subject: BTreeMap<&Subject, Class> = BTreeMap::new();
        for (id, rule) in rules.iter() {
            by_subject.entry(&rule.subject).or_default().push(id);
        }
        let mut by_namespace: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (subject, class) in by_subject {
            let namespace = subject.namespace.as_deref();
            by_namespace.entry(namespace).or_default().push(class);
        }
        Self {
            rules,
            settings,
            by_namespace,
            harmonious: Vec::new(),
        }
    }

    /// Says in which directions no two rules can exclude each other, so that they have no say beyond their own.
    pub(crate) fn set_harmonious(&mut self, directions: Vec<Direction>) {
        self.harmonious = directions;
    }

    /// The rules that select one of these endpoints, as a set of their own, and their ids in this one. Given a
    /// direction, those of the other one only if they may leave the endpoint without a policy.
    fn of(&self, endpoints: &[Endpoint], asked: Option<Asked<'_>>) -> (RuleSet, Vec<RuleId>) {
        let counts = |id: &RuleId| {
            let direction = self.rules.rule(*id).map(|rule| rule.direction);
            let idle = |direction| self.harmonious.contains(&direction);
            asked.is_none_or(|asked| {
                (direction == Some(asked.direction) || !direction.is_some_and(idle))
                    && !asked.without.contains(id)
            })
        };
        let key = Key::new(Source::K8s, NAMESPACE);
        let mut ids = Vec::new();
        for endpoint in endpoints {
            let namespace = endpoint.labels.get(&key).map(|namespace| &**namespace);
            let own = namespace.and_then(|name| self.by_namespace.get(&Some(name)));
            let wide = self.by_namespace.get(&None);
            let near = own.into_iter().chain(wide).flatten();
            let selecting = near.filter(|class| {
                let rule = class.first().and_then(|id| self.rules.rule(*id));
                rule.is_some_and(|rule| selects(self.rules, rule, endpoint))
            });
            ids.extend(selecting.flatten().copied().filter(counts));
        }
        ids.sort_unstable();
        ids.dedup();
        let mut builder = Builder::new();
        let mut policies = BTreeMap::new();
        for rule in ids.iter().filter_map(|id| self.rules.rule(*id)) {
            let mut copy = transplant(self.rules, &mut builder, rule);
            // The names of policies decide the order in which their rules are merged.
            let policy = rule.origin.policy;
            if let Some(known) = self.rules.policies().get(policy.index()) {
                let add = || builder.policy(known.clone());
                copy.origin.policy = *policies.entry(policy).or_insert_with(add);
            }
            builder.rule(copy);
        }
        (builder.finish(), ids)
    }
}

/// A rule with the ids of another set's selectors and peers, not yet added to it.
pub(crate) fn transplant(rules: &RuleSet, builder: &mut Builder, rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    rule.subject.selector = builder.selector(rules.selector(rule.subject.selector).clone());
    let mut peers = |list: &mut Vec<PeerId>| {
        let copied = list.iter().filter_map(|id| {
            let peer = match rules.peer(*id)? {
                Peer::Labels(selector) => {
                    Peer::Labels(builder.selector(rules.selector(*selector).clone()))
                }
                other => other.clone(),
            };
            Some(builder.peer(peer))
        });
        *list = copied.collect();
    };
    if let Peers::Of(list) = &mut rule.peers {
        peers(list);
    }
    peers(&mut rule.beside);
    rule
}

/// An example placed in a universe.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    settings: &'a Settings,
    /// The rules that matter for the parties.
    rules: RuleSet,
    /// What they are called outside.
    ids: Vec<RuleId>,
    universe: Universe,
    identities: [IdentityId; 2],
    endpoints: [Option<EndpointId>; 2],
}

/// What the model says of an example at one end.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Every rule that matches the flow, in order.
    pub(crate) matching: Vec<RuleId>,
    /// Rules of the subject that exclude each other, so that it has no policy.
    pub(crate) conflict: Option<Conflict>,
    /// Every rule that selects the party, in order.
    pub(crate) selecting: Vec<RuleId>,
}

impl<'a> Stage<'a> {
    /// Puts an example's parties into a universe. The destination of the flow declares the named ports.
    pub(crate) fn new(library: &Library<'a>, witness: &Witness, destination: Seat) -> Self {
        Self::set(library, witness, destination, None)
    }

    /// The same where only the policy of the first side in a direction will be asked, some rules left out.
    pub(crate) fn of_subject(
        library: &Library<'a>,
        witness: &Witness,
        direction: Direction,
        without: &[RuleId],
    ) -> Self {
        let destination = match direction {
            Direction::Ingress => Seat::First,
            Direction::Egress => Seat::Second,
        };
        let asked = Asked { direction, without };
        Self::set(library, witness, destination, Some(asked))
    }

    fn set(
        library: &Library<'a>,
        witness: &Witness,
        destination: Seat,
        asked: Option<Asked<'_>>,
    ) -> Self {
        let mut stage = Self {
            settings: library.settings,
            rules: RuleSet::default(),
            ids: Vec::new(),
            universe: Universe::new(),
            identities: [IdentityId::UNKNOWN; 2],
            endpoints: [None; 2],
        };
        let ports: NamedPorts = witness
            .names
            .iter()
            .map(|(name, number)| ((name.clone(), witness.protocol), *number))
            .collect();
        let [first, second] = &witness.sides;
        let of = |seat| {
            if seat == destination {
                ports.clone()
            } else {
                NamedPorts::new()
            }
        };
        let endpoints = [(Seat::First, first), (Seat::Second, second)]
            .map(|(seat, party)| stage.endpoint(party, of(seat)));
        let known = endpoints.iter().take(if asked.is_some() { 1 } else { 2 });
        let known: Vec<_> = known.flatten().cloned().collect();
        (stage.rules, stage.ids) = library.of(&known, asked);
        let [first_endpoint, second_endpoint] = endpoints;
        let (identity, endpoint) = stage.place(first, first_endpoint);
        // Who is not asked needs no policy, and is there for its identity, and for the names it gives to ports.
        let named = destination == Seat::Second && !witness.names.is_empty();
        let idle = asked.is_some() && !named && matches!(second, Party::Pod(_));
        let (other_identity, other_endpoint) = match second_endpoint {
            Some(endpoint) if idle => (endpoint.identity, None),
            endpoint => stage.place(second, endpoint),
        };
        stage.identities = [identity, other_identity];
        stage.endpoints = [endpoint, other_endpoint];
        stage
    }

    /// The endpoint of a party that policies can apply to.
    fn endpoint(&mut self, party: &Party, ports: NamedPorts) -> Option<Endpoint> {
        let (identity, labels, host) = match party {
            Party::Pod(labels) => {
                let labels = pod_labels(labels);
                (self.pod_identity(&labels), labels, false)
            }
            Party::Node(kind, labels)
                if Kind::HOSTS.contains(kind) && self.settings.host_firewall =>
            {
                let own = labels.iter().map(|label| {
                    let key = Key::new(Source::K8s, label.name.clone());
                    (key, label.value.clone())
                });
                let host = Kind::HOST.labels();
                let labels = Labels::new(host.iter().cloned().chain(own));
                (IdentityId::HOST, labels, true)
            }
            Party::Reserved(kind) if Kind::SUBJECTS.contains(kind) => {
                (kind.identity(), kind.labels(), false)
            }
            _ => return None,
        };
        Some(Endpoint {
            name: "example".into(),
            identity,
            labels,
            host,
            node: None,
            addresses: Vec::new(),
            ports: if host { NamedPorts::new() } else { ports },
        })
    }

    fn place(
        &mut self,
        party: &Party,
        endpoint: Option<Endpoint>,
    ) -> (IdentityId, Option<EndpointId>) {
        if let Party::Node(Kind::HOST_API, _) | Party::Reserved(Kind::HOST_API) = party {
            self.universe.host_serves_api();
        }
        if let Some(mut endpoint) = endpoint {
            let number = self.universe.endpoints().len();
            endpoint.name = format!("example/{number}").into();
            return (
                endpoint.identity,
                Some(self.universe.add_endpoint(endpoint)),
            );
        }
        let identity = match party {
            Party::Address(address) => self.world(address),
            Party::Node(kind, labels) if !labels.is_empty() => self.node(*kind, labels),
            Party::Node(kind, _) | Party::Reserved(kind) => kind.identity(),
            Party::Pod(_) => IdentityId::UNKNOWN,
        };
        (identity, None)
    }

    /// Pods of equal labels are one identity, as in a cluster.
    fn pod_identity(&mut self, labels: &Labels) -> IdentityId {
        let known = self
            .universe
            .identities()
            .iter()
            .position(|identity| identity.labels == *labels && identity.cidr.is_none());
        known.map_or_else(
            || {
                self.universe.add_identity(Identity {
                    labels: labels.clone(),
                    ..Identity::default()
                })
            },
            IdentityId::at,
        )
    }

    /// Another node with labels of its own.
    fn node(&mut self, kind: Kind, labels: &[Label]) -> IdentityId {
        let own = labels.iter().map(|label| {
            let source = if &*label.name == CLUSTER {
                Source::K8s
            } else {
                Source::Node
            };
            (Key::new(source, label.name.clone()), label.value.clone())
        });
        let reserved = kind.labels();
        let labels = Labels::new(own.chain(reserved.iter().cloned()));
        self.universe.add_identity(Identity {
            labels,
            ..Identity::default()
        })
    }

    /// The identity of an address: that of the longest prefix that rules mention and it lies in.
    fn world(&mut self, party: &Address) -> IdentityId {
        let address = party.ip;
        let blocks = self.rules.peers().iter().flat_map(Peer::blocks);
        let longest = blocks
            .flat_map(|(cidr, except)| std::iter::once(cidr).chain(except))
            .filter(|cidr| cidr.contains(address) && !cidr.is_all())
            .max_by_key(|cidr| cidr.bits())
            .copied();
        let (kind, whole) = match (address, party.api) {
            (IpAddr::V4(_), false) => (Kind::WORLD_V4, Cidr::ALL_V4),
            (IpAddr::V4(_), true) => (Kind::API_V4, Cidr::ALL_V4),
            (IpAddr::V6(_), false) => (Kind::WORLD_V6, Cidr::ALL_V6),
            (IpAddr::V6(_), true) => (Kind::API_V6, Cidr::ALL_V6),
        };
        if longest.is_none() && party.names.is_empty() && !party.api {
            return kind.identity();
        }
        let identity = self.universe.add_identity(Identity {
            labels: kind.labels(),
            cidr: Some(longest.unwrap_or(whole)),
            names: party.names.clone(),
        });
        let owner = Owner {
            identity,
            node: None,
        };
        self.universe.own(Cidr::host(address), owner);
        identity
    }

    fn flow(&self, witness: &Witness, seat: Seat, direction: Direction) -> Option<Flow> {
        let [first, second] = self.endpoints;
        let [first_identity, second_identity] = self.identities;
        let (subject, peer) = match seat {
            Seat::First => (first?, second_identity),
            Seat::Second => (second?, first_identity),
        };
        Some(Flow {
            subject,
            direction,
            peer,
            protocol: witness.protocol,
            port: witness.port,
        })
    }

    /// Whether requests over the flow get past the policy of the first party. `None` if that party has no policy.
    pub(crate) fn requests(
        &self,
        witness: &Witness,
        direction: Direction,
        requests: &[Request],
    ) -> Option<Vec<Answer>> {
        let flow = self.flow(witness, Seat::First, direction)?;
        let resolved = Resolved::new(&self.rules, &self.universe);
        let model = Model::build(&resolved, self.settings);
        let conflict = model.policy_of(flow.subject)?.conflict;
        let answers = requests.iter().map(|request| model.request(&flow, request));
        conflict.is_none().then(|| answers.collect())
    }

    /// Whether the proxies of the party in a seat let a request through.
    pub(crate) fn answer(
        &self,
        witness: &Witness,
        seat: Seat,
        direction: Direction,
        request: &Request,
    ) -> Answer {
        let Some(flow) = self.flow(witness, seat, direction) else {
            return Answer::Passed;
        };
        let resolved = Resolved::new(&self.rules, &self.universe);
        Model::build(&resolved, self.settings).request(&flow, request)
    }

    /// What the policy of the party in a seat says of the flow. `None` if that party has no policy.
    pub(crate) fn judge(
        &self,
        witness: &Witness,
        seat: Seat,
        direction: Direction,
    ) -> Option<Judgement> {
        let flow = self.flow(witness, seat, direction)?;
        let subject = flow.subject;
        let resolved = Resolved::new(&self.rules, &self.universe);
        let model = Model::build(&resolved, self.settings);
        let ports = &self.universe.endpoint(subject)?.ports;
        let policy = model.policy_of(subject)?;
        let applied = policy.direction(direction);
        let outside = |id: &RuleId| self.ids.get(id.index()).copied();
        let conflict = policy.conflict.and_then(|conflict| {
            Some(Conflict {
                first: outside(&conflict.first)?,
                second: outside(&conflict.second)?,
                ..conflict
            })
        });
        let matching = applied.rules.iter().filter(|id| {
            let rule = self.rules.rule(**id);
            rule.is_some_and(|rule| model.matches(rule, ports, &flow))
        });
        let selecting = applied.rules.iter();
        let mut verdict = model.eval(&flow);
        verdict.rules = verdict.rules.iter().filter_map(outside).collect();
        Some(Judgement {
            matching: matching.filter_map(outside).collect(),
            selecting: selecting.filter_map(outside).collect(),
            verdict,
            conflict,
        })
    }
}

/// The labels that a cluster would give such a pod.
fn pod_labels(labels: &[Label]) -> Labels {
    let key = |name: &str| Key::new(Source::K8s, name);
    let own = labels
        .iter()
        .map(|label| (key(&label.name), label.value.clone()));
    let namespace = labels.iter().find(|label| &*label.name == NAMESPACE);
    let named = namespace.map(|label| {
        let name = format!("{NAMESPACE_LABELS}kubernetes.io/metadata.name");
        (key(&name), label.value.clone())
    });
    let account = (key(SERVICE_ACCOUNT), Arc::from("default"));
    Labels::new(std::iter::once(account).chain(own).chain(named))
}
