//! Step two: from policies to flat rules with explicit defaults.

use crate::cidr::Cidr;
use crate::label::{self, Key, Source};
use crate::policy::{self, KubernetesPeer, PolicySet};
use crate::rule::{Builder, Kind, Level, Origin, Peer, Peers, Rule, RuleSet, Services, Subject};
use crate::selector::{Operator, Requirement, Selector};
use crate::settings::Settings;

/// Which pods a selector can mean: namespace and cluster requirements that policies leave out.
mod scope;

/// Flattens policies into rules: scopes selectors, spells out entities and defaults.
pub fn normalise(policies: &PolicySet, settings: &Settings) -> RuleSet {
    let mut pass = Pass {
        builder: Builder::new(),
        settings,
    };
    for policy in policies.policies() {
        pass.policy(policy);
    }
    pass.builder.finish()
}

struct Pass<'a> {
    builder: Builder,
    settings: &'a Settings,
}

impl Pass<'_> {
    fn policy(&mut self, policy: &policy::Policy) {
        let id = self.builder.policy(policy.info.clone());
        for rule in &policy.rules {
            let selector = scope::subject(&rule.subject.value, &policy.info);
            let initial = scope::speaks_of_init(&rule.subject.value);
            let subject = Subject {
                selector: self.builder.selector(selector),
                namespace: policy.info.namespace.clone(),
                node: rule.node,
            };
            for entry in &rule.entries {
                let peers = self.peers(entry, &policy.info, initial);
                let services = entry.services.clone();
                let origin = Origin {
                    policy: id,
                    path: entry.path.clone(),
                    span: entry.span,
                    subject: rule.subject.span,
                };
                let [ingress, egress] = rule.default_deny;
                let written = if entry.direction == crate::rule::Direction::Ingress {
                    ingress
                } else {
                    egress
                };
                self.builder.rule(Rule {
                    origin,
                    direction: entry.direction,
                    action: entry.action,
                    subject: subject.clone(),
                    level: Level::NORMAL,
                    peers,
                    beside: Vec::new(),
                    services,
                    l7: None,
                    auth: None,
                    log: None,
                    unresolved: false,
                    default_deny: written || !self.settings.non_default_deny,
                });
            }
        }
    }

    /// In Cilium's kinds an entry that speaks of neither peers nor layer 4 matches nothing; in Kubernetes' it
    /// matches everything.
    fn peers(
        &mut self,
        entry: &policy::Entry,
        policy: &crate::rule::Policy,
        initial: bool,
    ) -> Peers {
        match &entry.peers {
            policy::Peers::Absent
                if entry.services == Services::All && policy.kind != Kind::Knp =>
            {
                Peers::Of(Vec::new())
            }
            policy::Peers::Absent => Peers::Any,
            policy::Peers::Endpoints(list) => {
                let scoped = list
                    .iter()
                    .map(|selector| scope::peer(selector, policy, initial, self.settings));
                self.selectors(scoped.collect())
            }
            policy::Peers::Entities(list) => {
                if list.iter().any(|entity| &**entity == "all") {
                    return Peers::Any;
                }
                let settings = self.settings;
                self.selectors(
                    list.iter()
                        .flat_map(|entity| entity_selectors(entity, settings))
                        .collect(),
                )
            }
            policy::Peers::Cidrs(list) => Peers::Of(
                list.iter()
                    .map(|(cidr, except)| self.block(*cidr, except))
                    .collect(),
            ),
            policy::Peers::Kubernetes(list) => {
                let peers = list.iter().map(|peer| match peer {
                    KubernetesPeer::Block(cidr, except) => self.block(*cidr, except),
                    KubernetesPeer::Pods { pods, namespaces } => {
                        let selector =
                            scope::kubernetes(pods, namespaces.as_ref(), policy, self.settings);
                        let id = self.builder.selector(selector);
                        self.builder.peer(Peer::Labels(id))
                    }
                });
                Peers::Of(peers.collect())
            }
        }
    }

    fn selectors(&mut self, selectors: Vec<Selector>) -> Peers {
        if selectors.iter().any(Selector::is_wildcard) {
            return Peers::Any;
        }
        let ids = selectors.into_iter().map(|selector| {
            let id = self.builder.selector(selector);
            self.builder.peer(Peer::Labels(id))
        });
        Peers::Of(ids.collect())
    }

    fn block(&mut self, cidr: Cidr, except: &[Cidr]) -> crate::ids::PeerId {
        self.builder.peer(Peer::Cidr(cidr, except.to_vec()))
    }
}

/// The selectors an entity stands for (Cilium's entity table). `all` is handled by the caller.
fn entity_selectors(entity: &str, settings: &Settings) -> Vec<Selector> {
    let reserved = |names: &[&str]| {
        names
            .iter()
            .map(|name| Selector::reserved(name))
            .collect::<Vec<_>>()
    };
    match entity {
        "world" => reserved(&["world", "world-ipv4", "world-ipv6"]),
        "cluster" => {
            let mut all = reserved(&[
                "host",
                "remote-node",
                "init",
                "ingress",
                "health",
                "unmanaged",
                "kube-apiserver",
            ]);
            let key = Key::new(Source::K8s, label::CLUSTER);
            all.push(Selector::new([Requirement::equals(
                key,
                settings.cluster.clone(),
            )]));
            all
        }
        one => reserved(&[one]),
    }
}

/// `key = value` on a Kubernetes label.
fn k8s_equals(name: &str, value: &str) -> Requirement {
    Requirement {
        key: Key::new(Source::K8s, name),
        operator: Operator::In(vec![value.into()]),
    }
}
