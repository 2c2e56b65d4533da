//! Rules made at random from a small vocabulary.

use std::collections::BTreeSet;
use std::sync::Arc;

use policyc_diag::{SourceMap, Span};
use policyc_ir::RuleId;
use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::l7::{self, Auth, Content, Http};
use policyc_ir::label::{CLUSTER, Key, NAMESPACE, NAMESPACE_LABELS, Source};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::rule::{
    Action, Builder, Direction, Kind, Level, Origin, Peer, Peers, Policy, Rule, RuleSet, Services,
    Subject, Tier,
};
use policyc_ir::selector::{Operator, Requirement, Selector};
use policyc_ir::settings::Settings;
use proptest::prelude::*;

/// A rule before its selectors have ids.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) namespace: Option<&'static str>,
    /// The subject is the local node.
    pub(crate) node: bool,
    pub(crate) subject: Vec<Requirement>,
    pub(crate) peers: Option<Vec<DraftPeer>>,
    pub(crate) services: Services,
    pub(crate) action: Action,
    pub(crate) level: Level,
    pub(crate) l7: Option<Arc<l7::Rules>>,
    pub(crate) auth: Option<Auth>,
    pub(crate) unresolved: bool,
    pub(crate) default_deny: bool,
}

impl Draft {
    /// A rule of namespace `x` that allows everyone everything.
    pub(crate) fn plain() -> Self {
        Self {
            namespace: Some("x"),
            node: false,
            subject: vec![],
            peers: None,
            services: Services::All,
            action: Action::Allow,
            level: Level::NORMAL,
            l7: None,
            auth: None,
            unresolved: false,
            default_deny: true,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DraftPeer {
    Labels(Vec<Requirement>),
    Entity(&'static str),
    Cidr(&'static str, Vec<&'static str>),
    Group(Vec<(&'static str, Vec<&'static str>)>),
    Name(&'static str),
    Pattern(&'static str),
    /// Other nodes of this cluster with a label.
    Nodes(Operator),
}

/// Settings under which node policies and labels of nodes count.
pub(crate) fn settings() -> Settings {
    Settings {
        host_firewall: true,
        node_selector_labels: true,
        ..Settings::default()
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(Source::K8s, name)
}

pub(crate) fn team() -> Key {
    key(&format!("{NAMESPACE_LABELS}team"))
}

fn operator(values: &'static [&'static str]) -> impl Strategy<Value = Operator> {
    let some = proptest::sample::subsequence(values.to_vec(), 1..=values.len());
    let some = some.prop_map(|values| values.into_iter().map(Arc::from).collect::<Vec<_>>());
    prop_oneof![
        3 => some.clone().prop_map(Operator::In),
        2 => some.prop_map(Operator::NotIn),
        1 => Just(Operator::Exists),
        1 => Just(Operator::DoesNotExist),
    ]
}

pub(crate) fn requirement() -> impl Strategy<Value = Requirement> {
    prop_oneof![
        4 => operator(&["a", "b"]).prop_map(|op| Requirement::new(key("app"), op)),
        1 => operator(&["x", "y"]).prop_map(|op| Requirement::new(key(NAMESPACE), op)),
        1 => any::<bool>().prop_map(|red| {
            let red_team = vec![Arc::from("red")];
            let op = if red { Operator::In(red_team) } else { Operator::NotIn(red_team) };
            Requirement::new(team(), op)
        }),
    ]
}

fn peer() -> impl Strategy<Value = DraftPeer> {
    prop_oneof![
        5 => prop::collection::vec(requirement(), 1..3).prop_map(DraftPeer::Labels),
        1 => prop_oneof![
            Just("host"),
            Just("world-ipv4"),
            Just("health"),
            Just("remote-node"),
            Just("kube-apiserver"),
        ]
        .prop_map(DraftPeer::Entity),
        2 => prop_oneof![
            Just(DraftPeer::Cidr("10.0.0.0/8", vec!["10.1.0.0/16"])),
            Just(DraftPeer::Cidr("10.0.0.0/8", vec![])),
            Just(DraftPeer::Cidr("10.1.0.0/16", vec![])),
            Just(DraftPeer::Cidr("::/0", vec![])),
        ],
        1 => prop_oneof![
            Just(DraftPeer::Group(vec![("10.0.0.0/8", vec!["10.1.0.0/16"]), ("::/0", vec![])])),
            Just(DraftPeer::Group(vec![("10.1.0.0/16", vec![]), ("10.0.0.0/8", vec![])])),
            Just(DraftPeer::Group(vec![])),
        ],
        1 => prop_oneof![
            Just(DraftPeer::Name("a.example.com")),
            Just(DraftPeer::Pattern("*.example.com")),
        ],
        1 => operator(&["a", "b"]).prop_map(DraftPeer::Nodes),
    ]
}

/// The levels of normal rules, and some around them.
fn level() -> impl Strategy<Value = Level> {
    let level = |tier, priority| Level { tier, priority };
    prop_oneof![
        5 => Just(Level::NORMAL),
        1 => Just(level(Tier::Admin, 100)),
        1 => Just(level(Tier::Admin, 101)),
        1 => Just(level(Tier::Baseline, 0)),
    ]
}

/// Layer 7: HTTP, DNS, or nothing.
fn l7() -> impl Strategy<Value = Option<Arc<l7::Rules>>> {
    let rules = |content| {
        Some(Arc::new(l7::Rules {
            content,
            ..l7::Rules::default()
        }))
    };
    let get = Http {
        method: Some("GET".into()),
        ..Http::default()
    };
    let names = Fqdn::new(None, Some("*.example.com"));
    prop_oneof![
        2 => Just(None),
        1 => Just(rules(Content::Http(vec![get]))),
        1 => Just(rules(Content::Dns(vec![names]))),
    ]
}

pub(crate) fn services() -> impl Strategy<Value = Services> {
    let ports = |protocol, ports| L4 { protocol, ports };
    let l4 = prop_oneof![
        Just(ports(Protocol::TCP, Ports::Range(80, 80))),
        Just(ports(Protocol::TCP, Ports::Range(80, 90))),
        Just(ports(Protocol::TCP, Ports::All)),
        Just(ports(Protocol::TCP, Ports::Named("web".into(), None))),
        Just(ports(Protocol::TCP, Ports::Named("web".into(), Some(90)))),
        Just(ports(Protocol::UDP, Ports::All)),
        Just(ports(Protocol::ICMP, Ports::Range(8, 8))),
    ];
    prop_oneof![
        2 => Just(Services::All),
        3 => prop::collection::vec(l4, 1..3).prop_map(Services::Of),
    ]
}

/// Rules of one level that leave flows to layers 3 and 4.
pub(crate) fn draft() -> impl Strategy<Value = Draft> {
    (
        prop_oneof![3 => Just(Some("x")), 1 => Just(None)],
        prop_oneof![1 => Just(vec![]), 1 => prop::collection::vec(requirement(), 1..2)],
        prop_oneof![1 => Just(None), 4 => prop::collection::vec(peer(), 0..3).prop_map(Some)],
        services(),
        prop_oneof![2 => Just(Action::Allow), 1 => Just(Action::Deny)],
        prop_oneof![3 => Just(true), 1 => Just(false)],
    )
        .prop_map(
            |(namespace, subject, peers, services, action, default_deny)| Draft {
                namespace,
                subject,
                peers,
                services,
                action,
                default_deny,
                ..Draft::plain()
            },
        )
}

/// The same at all levels. Passes come with others of their tier, so that where they lead to makes a difference.
pub(crate) fn leveled() -> impl Strategy<Value = Draft> {
    (draft(), level(), prop::bool::weighted(0.4)).prop_map(|(mut draft, level, pass)| {
        draft.level = level;
        if level.tier != Tier::Normal {
            draft.namespace = None;
            draft.default_deny = false;
            if pass {
                draft.action = Action::Pass;
            }
        }
        draft
    })
}

/// Rules about the local node.
pub(crate) fn of_nodes() -> impl Strategy<Value = Draft> {
    let zone = operator(&["a", "b"]).prop_map(|op| Requirement::new(key("zone"), op));
    (draft(), prop::collection::vec(zone, 0..2)).prop_map(|(draft, subject)| Draft {
        namespace: None,
        node: true,
        subject,
        ..draft
    })
}

/// Rules some of which name a service that may not exist.
pub(crate) fn doubtful() -> impl Strategy<Value = Draft> {
    (draft(), any::<bool>()).prop_map(|(mut draft, unresolved)| {
        if unresolved {
            draft.peers = None;
            draft.unresolved = true;
        }
        draft
    })
}

/// Rules some of which ask for more than layers 3 and 4.
pub(crate) fn demanding() -> impl Strategy<Value = Draft> {
    let auth = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Auth::Required)),
        1 => Just(Some(Auth::Disabled)),
    ];
    (draft(), l7(), auth).prop_map(|(mut draft, l7, auth)| {
        if draft.action == Action::Allow {
            draft.l7 = l7.filter(|_| has_ports(&draft.services));
            draft.auth = auth;
        }
        draft
    })
}

/// Whether layer 7 can be asked for: validation lets nothing pass that asks for it without ports (Cilium's
/// `PortRule.sanitize`).
fn has_ports(services: &Services) -> bool {
    let Services::Of(list) = services else {
        return false;
    };
    list.iter()
        .all(|l4| l4.protocol == Protocol::TCP && l4.ports != Ports::All)
}

pub(crate) fn build(drafts: &[Draft], direction: Direction, without: &BTreeSet<RuleId>) -> RuleSet {
    let drafts: Vec<_> = drafts
        .iter()
        .map(|draft| (direction, draft.clone()))
        .collect();
    build_mixed(&drafts, without)
}

/// Rules of both directions; `without` names positions that are left out.
pub(crate) fn build_mixed(drafts: &[(Direction, Draft)], without: &BTreeSet<RuleId>) -> RuleSet {
    let mut sources = SourceMap::new();
    let file = sources.add("random", "").id;
    let mut builder = Builder::new();
    let span = Span::new(file, 0, 0);
    let policy = builder.policy(Policy {
        kind: Kind::Ccnp,
        namespace: None,
        name: "random".into(),
        span,
    });
    for (at, (direction, draft)) in drafts.iter().enumerate() {
        if without.contains(&RuleId::at(at)) {
            continue;
        }
        let mut subject = draft.subject.clone();
        if let Some(namespace) = draft.namespace {
            subject.push(Requirement::equals(key(NAMESPACE), namespace));
        }
        let selector = builder.selector(Selector::new(subject));
        let peers = match &draft.peers {
            None => Peers::Any,
            Some(list) => Peers::Of(
                list.iter()
                    .map(|peer| add_peer(&mut builder, peer))
                    .collect(),
            ),
        };
        builder.rule(Rule {
            origin: Origin {
                policy,
                path: format!("spec.rule[{at}]").into(),
                span: Span::new(file, u32::try_from(at).unwrap(), 0),
                subject: span,
            },
            direction: *direction,
            action: draft.action,
            level: draft.level,
            beside: Vec::new(),
            l7: draft.l7.clone(),
            auth: draft.auth,
            log: None,
            unresolved: draft.unresolved,
            subject: Subject {
                selector,
                namespace: draft.namespace.map(Arc::from),
                node: draft.node,
            },
            peers,
            services: draft.services.clone(),
            default_deny: draft.default_deny,
        });
    }
    builder.finish()
}

fn add_peer(builder: &mut Builder, peer: &DraftPeer) -> policyc_ir::PeerId {
    let cidr = |text: &str| Cidr::parse(text).unwrap();
    let peer = match peer {
        DraftPeer::Labels(requirements) => {
            Peer::Labels(builder.selector(Selector::new(requirements.clone())))
        }
        DraftPeer::Entity(name) => Peer::Labels(builder.selector(Selector::reserved(name))),
        DraftPeer::Cidr(text, except) => {
            Peer::Cidr(cidr(text), except.iter().map(|text| cidr(text)).collect())
        }
        DraftPeer::Group(blocks) => {
            let blocks = blocks
                .iter()
                .map(|(text, except)| (cidr(text), except.iter().map(|text| cidr(text)).collect()));
            Peer::Group("group".into(), blocks.collect())
        }
        DraftPeer::Name(name) => Peer::Fqdn(Fqdn::new(Some(name), None)),
        DraftPeer::Pattern(pattern) => Peer::Fqdn(Fqdn::new(None, Some(pattern))),
        DraftPeer::Nodes(operator) => {
            let zone = Requirement::new(Key::new(Source::Any, "zone"), operator.clone());
            let cluster = Requirement::equals(key(CLUSTER), "default");
            let node = Requirement::exists(Key::new(Source::Reserved, "remote-node"));
            Peer::Labels(builder.selector(Selector::new([zone, cluster, node])))
        }
    };
    builder.peer(peer)
}

pub(crate) fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)]
}
