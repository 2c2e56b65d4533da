//! A universe with just the parties of an example, in which the model judges it.

use std::net::IpAddr;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::label::{Key, Labels, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source};
use policyc_ir::model::{Flow, Model, Verdict};
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Direction, Peer, RuleSet};
use policyc_ir::settings::Settings;
use policyc_ir::universe::{Endpoint, Identity, NamedPorts, Universe};
use policyc_ir::{EndpointId, IdentityId, RuleId};

use crate::algebra::kind::Kind;
use crate::encode::Seat;
use crate::witness::{Label, Party, Witness};

/// An example placed in a universe.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    rules: &'a RuleSet,
    settings: &'a Settings,
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
}

impl<'a> Stage<'a> {
    /// Puts an example's parties into a universe. The destination of the flow declares the named ports.
    pub(crate) fn new(
        rules: &'a RuleSet,
        settings: &'a Settings,
        witness: &Witness,
        destination: Seat,
    ) -> Self {
        let mut stage = Self {
            rules,
            settings,
            universe: Universe::new(),
            identities: [IdentityId::UNKNOWN; 2],
            endpoints: [None; 2],
        };
        let ports: NamedPorts = witness
            .names
            .iter()
            .map(|name| ((name.clone(), witness.protocol), witness.port))
            .collect();
        let [first, second] = &witness.sides;
        for (at, seat, party) in [(0, Seat::First, first), (1, Seat::Second, second)] {
            let ports = if seat == destination {
                ports.clone()
            } else {
                NamedPorts::new()
            };
            let (identity, endpoint) = stage.place(party, ports);
            if let (Some(identities), Some(endpoints)) =
                (stage.identities.get_mut(at), stage.endpoints.get_mut(at))
            {
                *identities = identity;
                *endpoints = endpoint;
            }
        }
        stage
    }

    fn place(&mut self, party: &Party, ports: NamedPorts) -> (IdentityId, Option<EndpointId>) {
        match party {
            Party::Pod(labels) => {
                let labels = pod_labels(labels);
                let identity = self.pod_identity(&labels);
                let endpoint = self.endpoint(identity, labels, ports);
                (identity, Some(endpoint))
            }
            Party::Address(address) => (self.world(*address), None),
            Party::Reserved(kind) => {
                if *kind == Kind::HOST_API {
                    self.universe.host_serves_api();
                }
                let identity = kind.identity();
                let endpoint = Kind::SUBJECTS
                    .contains(kind)
                    .then(|| self.endpoint(identity, kind.labels(), ports));
                (identity, endpoint)
            }
        }
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

    fn endpoint(&mut self, identity: IdentityId, labels: Labels, ports: NamedPorts) -> EndpointId {
        let number = self.universe.endpoints().len();
        self.universe.add_endpoint(Endpoint {
            name: format!("example/{number}").into(),
            identity,
            labels,
            host: false,
            node: None,
            addresses: Vec::new(),
            ports,
        })
    }

    /// The identity of an address: that of the longest prefix that rules mention and it lies in.
    fn world(&mut self, address: IpAddr) -> IdentityId {
        let blocks = self.rules.peers().iter().flat_map(Peer::blocks);
        let longest = blocks
            .flat_map(|(cidr, except)| std::iter::once(cidr).chain(except))
            .filter(|cidr| cidr.contains(address) && !cidr.is_all())
            .max_by_key(|cidr| cidr.bits())
            .copied();
        let found = longest.map(|cidr: Cidr| self.universe.add_cidr(cidr));
        found.unwrap_or(if address.is_ipv4() {
            IdentityId::WORLD_V4
        } else {
            IdentityId::WORLD_V6
        })
    }

    /// What the policy of the party in a seat says of the flow. `None` if that party has no policy.
    pub(crate) fn judge(
        &self,
        witness: &Witness,
        seat: Seat,
        direction: Direction,
    ) -> Option<Judgement> {
        let [first, second] = self.endpoints;
        let [first_identity, second_identity] = self.identities;
        let (subject, peer) = match seat {
            Seat::First => (first?, second_identity),
            Seat::Second => (second?, first_identity),
        };
        let flow = Flow {
            subject,
            direction,
            peer,
            protocol: witness.protocol,
            port: witness.port,
        };
        let resolved = Resolved::new(self.rules, &self.universe);
        let model = Model::build(&resolved, self.settings);
        let ports = &self.universe.endpoint(subject)?.ports;
        let applied = model.policy_of(subject)?.direction(direction);
        let matching = applied.rules.iter().copied().filter(|id| {
            let rule = self.rules.rule(*id);
            rule.is_some_and(|rule| model.matches(rule, ports, &flow))
        });
        Some(Judgement {
            matching: matching.collect(),
            verdict: model.eval(&flow),
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
