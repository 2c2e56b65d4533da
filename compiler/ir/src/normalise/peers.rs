//! The other side of an entry.

use super::{Context, Pass, group, k8s_equals, scope, service};
use crate::cidr::Cidr;
use crate::fqdn::Fqdn;
use crate::ids::PeerId;
use crate::label;
use crate::policy::{self, Block, KubernetesPeer, Traffic};
use crate::rule::{Action, Direction, Kind, Peer, Peers};
use crate::selector::Selector;
use crate::settings::Settings;

/// The peers of an entry.
pub(super) struct Resolved {
    pub(super) peers: Peers,
    /// Peers named beside one that means anyone.
    pub(super) beside: Vec<PeerId>,
    pub(super) unresolved: bool,
}

impl From<Peers> for Resolved {
    fn from(peers: Peers) -> Self {
        Self {
            peers,
            beside: Vec::new(),
            unresolved: false,
        }
    }
}

impl Pass<'_> {
    /// In Cilium's kinds an entry that speaks of neither peers nor layer 4 matches nothing; in Kubernetes' it
    /// matches everything.
    pub(super) fn peers(&mut self, context: &Context<'_>, entry: &policy::Entry) -> Resolved {
        let cilium = matches!(context.info.kind, Kind::Cnp | Kind::Ccnp);
        let silent = matches!(entry.traffic, Traffic::Any);
        match &entry.peers {
            policy::Peers::Absent if silent && cilium => Peers::Of(Vec::new()).into(),
            policy::Peers::Absent => Peers::Any.into(),
            policy::Peers::Endpoints(list) => {
                let scoped = list.iter().map(|selector| {
                    scope::peer(selector, context.info, context.initial, self.settings)
                });
                self.selectors(scoped.collect())
            }
            policy::Peers::Nodes(list) => {
                let scoped = list
                    .iter()
                    .map(|selector| scope::node(selector, self.settings));
                self.selectors(scoped.collect())
            }
            policy::Peers::Entities(list) => {
                let settings = self.settings;
                let selectors = list
                    .iter()
                    .flat_map(|entity| entity_selectors(entity, settings));
                self.selectors(selectors.collect())
            }
            policy::Peers::Cidrs(list) => {
                let peers = list.iter().map(|block| self.block(block)).collect();
                Peers::Of(peers).into()
            }
            policy::Peers::Groups(list) => {
                let none = |name: &std::sync::Arc<str>| Peer::Group(name.clone(), Vec::new());
                let peers = list.iter().map(|name| self.builder.peer(none(name)));
                Peers::Of(peers.collect()).into()
            }
            policy::Peers::Fqdns(list) => {
                let peers = list.iter().map(|fqdn| self.fqdn(fqdn)).collect();
                Peers::Of(peers).into()
            }
            policy::Peers::Services(list) => self.services(list, entry, silent),
            policy::Peers::Kubernetes(list) => self.kubernetes(context, list),
        }
    }

    /// Services that do not exist leave an entry without peers, and with ports Cilium takes that for anyone. In a deny
    /// section it never looks services up (Cilium's resolution of `toServices`).
    fn services(
        &mut self,
        list: &[policy::Service],
        entry: &policy::Entry,
        silent: bool,
    ) -> Resolved {
        let found: Vec<_> = match entry.action {
            Action::Allow if entry.direction == Direction::Egress => list
                .iter()
                .flat_map(|one| service::peers(one, self.inventory, self.settings))
                .collect(),
            _ => Vec::new(),
        };
        if found.is_empty() && !silent {
            return Resolved {
                peers: Peers::Any,
                beside: Vec::new(),
                unresolved: true,
            };
        }
        let peers = found.into_iter().map(|backend| match backend {
            service::Backend::Pods(selector) => {
                let id = self.builder.selector(selector);
                self.builder.peer(Peer::Labels(id))
            }
            service::Backend::Address(cidr) => self.cidr(cidr, &[]),
        });
        Peers::Of(peers.collect()).into()
    }

    fn kubernetes(&mut self, context: &Context<'_>, list: &[KubernetesPeer]) -> Resolved {
        let mut all = Vec::new();
        let mut anyone = false;
        for peer in list {
            let id = match peer {
                KubernetesPeer::Everyone => {
                    anyone = true;
                    continue;
                }
                KubernetesPeer::Block(cidr, except) => self.cidr(*cidr, except),
                KubernetesPeer::Fqdn(fqdn) => self.fqdn(fqdn),
                KubernetesPeer::Pods { pods, namespaces } => self.labels(scope::kubernetes(
                    pods,
                    namespaces.as_ref(),
                    context.info,
                    self.settings,
                )),
                KubernetesPeer::Namespaces(selector) => {
                    self.labels(scope::in_namespaces(Selector::EMPTY, selector))
                }
                KubernetesPeer::Labels(selector) => self.labels(selector.clone()),
                KubernetesPeer::Nodes(selector) => {
                    self.labels(scope::node(selector, self.settings))
                }
            };
            all.push(id);
        }
        Self::listed(all, anyone)
    }

    fn selectors(&mut self, selectors: Vec<Selector>) -> Resolved {
        let anyone = selectors.iter().any(Selector::is_wildcard);
        let named = selectors
            .into_iter()
            .filter(|selector| !selector.is_wildcard());
        let ids = named.map(|selector| self.labels(selector)).collect();
        Self::listed(ids, anyone)
    }

    fn listed(ids: Vec<PeerId>, anyone: bool) -> Resolved {
        if !anyone {
            return Peers::Of(ids).into();
        }
        Resolved {
            beside: ids,
            ..Peers::Any.into()
        }
    }

    fn labels(&mut self, selector: Selector) -> PeerId {
        let id = self.builder.selector(selector);
        self.builder.peer(Peer::Labels(id))
    }

    fn fqdn(&mut self, fqdn: &Fqdn) -> PeerId {
        self.builder.peer(Peer::Fqdn(fqdn.clone()))
    }

    fn cidr(&mut self, cidr: Cidr, except: &[Cidr]) -> PeerId {
        self.builder.peer(Peer::Cidr(cidr, except.to_vec()))
    }

    fn block(&mut self, block: &Block) -> PeerId {
        match block {
            Block::Cidr(cidr, except) => self.cidr(*cidr, except),
            Block::Group(name, except) => {
                let peer = group::named(name, except, self.inventory);
                self.builder.peer(peer)
            }
            Block::Groups(labels, except) => {
                let peer = self.groups.labelled(labels, except);
                self.builder.peer(peer)
            }
        }
    }
}

/// The selectors an entity stands for (Cilium's entity table).
fn entity_selectors(entity: &str, settings: &Settings) -> Vec<Selector> {
    let reserved = |names: &[&str]| {
        let each = names.iter().map(|name| Selector::reserved(name));
        each.collect::<Vec<_>>()
    };
    match entity {
        "all" => vec![Selector::EMPTY],
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
            all.push(Selector::new([k8s_equals(
                label::CLUSTER,
                &settings.cluster,
            )]));
            all
        }
        one => reserved(&[one]),
    }
}
