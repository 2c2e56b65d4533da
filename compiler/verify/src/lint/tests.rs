//! The solver's answers against trying every flow of tiny universes.
//!
//! Rules are made at random from a small vocabulary; the universes hold every pod, address and port that it tells
//! apart, so a rule that changes no verdict there changes none anywhere.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use policyc_diag::{SourceMap, Span, codes};
use policyc_ir::cidr::Cidr;
use policyc_ir::label::{CLUSTER, Key, Labels, NAMESPACE, NAMESPACE_LABELS, Source};
use policyc_ir::model::{Flow, Model};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{
    Action, Builder, Direction, Kind, Level, Origin, Peer, Peers, Policy, Rule, RuleSet, Services,
    Subject,
};
use policyc_ir::selector::{Operator, Requirement, Selector};
use policyc_ir::settings::Settings;
use policyc_ir::universe::{Endpoint, Identity, NamedPorts, RESERVED, Universe};
use policyc_ir::{EndpointId, IdentityId, RuleId};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::asker::{Asker, removal};
use super::{Context, Group};
use crate::Options;
use crate::algebra::overlap::Algebra;
use crate::encode::mutant::{self, Mutant};
use crate::solver::Answer;

/// A rule before its selectors have ids.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    namespace: Option<&'static str>,
    subject: Vec<Requirement>,
    peers: Option<Vec<DraftPeer>>,
    services: Services,
    action: Action,
    default_deny: bool,
}

#[derive(Clone, Debug)]
enum DraftPeer {
    Labels(Vec<Requirement>),
    Entity(&'static str),
    Cidr(&'static str, Vec<&'static str>),
}

fn key(name: &str) -> Key {
    Key::new(Source::K8s, name)
}

fn team() -> Key {
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
        1 => prop_oneof![Just("host"), Just("world-ipv4"), Just("health")].prop_map(DraftPeer::Entity),
        2 => prop_oneof![
            Just(DraftPeer::Cidr("10.0.0.0/8", vec!["10.1.0.0/16"])),
            Just(DraftPeer::Cidr("10.0.0.0/8", vec![])),
            Just(DraftPeer::Cidr("10.1.0.0/16", vec![])),
            Just(DraftPeer::Cidr("::/0", vec![])),
        ],
    ]
}

pub(crate) fn services() -> impl Strategy<Value = Services> {
    let ports = |protocol, ports| L4 { protocol, ports };
    let l4 = prop_oneof![
        Just(ports(Protocol::TCP, Ports::Range(80, 80))),
        Just(ports(Protocol::TCP, Ports::Range(80, 90))),
        Just(ports(Protocol::TCP, Ports::All)),
        Just(ports(Protocol::TCP, Ports::Named("web".into(), None))),
        Just(ports(Protocol::UDP, Ports::All)),
        Just(ports(Protocol::ICMP, Ports::Range(8, 8))),
    ];
    prop_oneof![
        2 => Just(Services::All),
        3 => prop::collection::vec(l4, 1..3).prop_map(Services::Of),
    ]
}

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
            },
        )
}

fn build(drafts: &[Draft], direction: Direction, without: &BTreeSet<RuleId>) -> RuleSet {
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
            level: Level::NORMAL,
            beside: Vec::new(),
            l7: None,
            auth: None,
            log: None,
            unresolved: false,
            subject: Subject {
                selector,
                namespace: draft.namespace.map(Arc::from),
                node: false,
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
    };
    builder.peer(peer)
}

/// Every pod the vocabulary tells apart, with one choice of namespace labels and of the port named `web`.
fn universe(red: [bool; 2], web: Option<u16>) -> Universe {
    let mut universe = Universe::new();
    for text in ["10.0.0.0/8", "10.1.0.0/16"] {
        universe.add_cidr(Cidr::parse(text).unwrap());
    }
    let ports: NamedPorts = web
        .map(|port| ((Arc::from("web"), Protocol::TCP), port))
        .into_iter()
        .collect();
    let mut namespaces = vec![("x", red[0]), ("y", red[1])];
    namespaces.extend([("elsewhere", false), ("elsewhere-red", true)]);
    for (namespace, red) in namespaces {
        for app in [None, Some("a"), Some("b"), Some("other")] {
            {
                let label = |name: &str, value: &str| (key(name), Arc::from(value));
                let labels = [label(NAMESPACE, namespace), label(CLUSTER, "default")];
                let team = red.then(|| (team(), Arc::from("red")));
                let app = app.map(|value| label("app", value));
                let labels = Labels::new(labels.into_iter().chain(team).chain(app));
                let identity = universe.add_identity(Identity {
                    labels: labels.clone(),
                    ..Identity::default()
                });
                add(&mut universe, identity, labels, ports.clone());
            }
        }
    }
    for entity in ["health", "init", "ingress"] {
        let id = IdentityId::reserved(entity).unwrap();
        add(
            &mut universe,
            id,
            Labels::reserved(&[entity]),
            NamedPorts::new(),
        );
    }
    universe
}

fn add(universe: &mut Universe, identity: IdentityId, labels: Labels, ports: NamedPorts) {
    universe.add_endpoint(Endpoint {
        name: format!("pod/{}", universe.endpoints().len()).into(),
        identity,
        labels,
        host: false,
        node: None,
        addresses: Vec::<IpAddr>::new(),
        ports,
    });
}

/// Protocols and ports at which some verdict can change.
pub(crate) const POINTS: &[(u8, u16)] = &[
    (6, 80),
    (6, 90),
    (6, 91),
    (6, 443),
    (17, 5),
    (1, 8),
    (1, 0),
    (58, 8),
    (47, 0),
];

/// Every verdict of a set in a direction.
fn verdicts(rules: &RuleSet, universe: &Universe, direction: Direction) -> Vec<bool> {
    let resolved = Resolved::new(rules, universe);
    let model = Model::build(&resolved, &Settings::default());
    let mut all = Vec::new();
    for subject in 0..universe.endpoints().len() {
        for (peer, identity) in universe.identities().iter().enumerate() {
            if peer == IdentityId::WORLD.index()
                || peer <= RESERVED.len() && peer == 0 && identity.cidr.is_some()
            {
                continue;
            }
            let v4 = identity.cidr.map(|cidr| cidr.is_ipv4());
            for (protocol, port) in POINTS {
                // ICMP stays within its family.
                if v4 == Some(true) && *protocol == 58 || v4 == Some(false) && *protocol == 1 {
                    continue;
                }
                let flow = Flow {
                    subject: EndpointId::at(subject),
                    direction,
                    peer: IdentityId::at(peer),
                    protocol: Protocol(*protocol),
                    port: *port,
                };
                all.push(model.eval(&flow).allowed);
            }
        }
    }
    all
}

fn all_verdicts(rules: &RuleSet, universes: &[Universe], direction: Direction) -> Vec<bool> {
    let each = universes
        .iter()
        .map(|universe| verdicts(rules, universe, direction));
    each.flatten().collect()
}

/// Every combination of namespace labels with every number that pods give the named port, or none.
pub(crate) fn universes() -> Vec<Universe> {
    let mut all = Vec::new();
    for red in [[false, false], [true, false], [false, true], [true, true]] {
        for web in [None, Some(80), Some(90), Some(443)] {
            all.push(universe(red, web));
        }
    }
    all
}

/// Whether solver and enumeration agree on which rules matter, one by one.
fn agrees(drafts: &[Draft], direction: Direction, universes: &[Universe]) -> Result<(), String> {
    let rules = build(drafts, direction, &BTreeSet::new());
    let algebra = Algebra::new(&rules);
    let options = Options::default();
    let settings = Settings::default();
    let context = Context {
        rules: &rules,
        algebra: &algebra,
        settings: &settings,
        options: &options,
        deadline: None,
    };
    let own: Vec<_> = rules.iter().map(|(id, _)| id).collect();
    let group = Group {
        own: own.clone(),
        others: Vec::new(),
    };
    let mut asker = Asker::new(&context, &group);
    let before = all_verdicts(&rules, universes, direction);
    for id in &own {
        let slice = algebra.slice(*id, &own);
        let question = removal(
            &asker.frame,
            &asker.rules,
            *id,
            direction,
            &slice,
            &settings,
        );
        let matters = asker.ask(&question) == Answer::Sat;
        let removed = build(drafts, direction, &BTreeSet::from([*id]));
        let changed = all_verdicts(&removed, universes, direction) != before;
        if matters != changed {
            return Err(format!(
                "rule {}: solver {matters}, enumeration {changed}",
                id.0
            ));
        }
    }
    Ok(())
}

pub(crate) fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn solver_and_enumeration_agree_on_what_matters(
        drafts in prop::collection::vec(draft(), 1..6),
        direction in direction(),
    ) {
        let agreed = agrees(&drafts, direction, &universes());
        prop_assert!(agreed.is_ok(), "{agreed:?}");
    }

    /// What is reported can be removed, all at once, and what an allow is said to lose it does lose.
    #[test]
    fn findings_hold_in_every_tiny_universe(
        drafts in prop::collection::vec(draft(), 2..7),
        direction in direction(),
    ) {
        let rules = build(&drafts, direction, &BTreeSet::new());
        let settings = Settings::default();
        let report = super::run(&rules, &settings, &Options::default(), None);
        let of = |code| -> BTreeSet<RuleId> {
            let found = report.findings.iter().filter(|finding| finding.code == code);
            found.map(|finding| RuleId(finding.span().unwrap().start)).collect()
        };
        prop_assert!(of(codes::COUNTEREXAMPLE).is_empty(), "the model confirms every example");
        prop_assert_eq!(report.stats.undecided, 0);
        let universes = universes();
        let before = all_verdicts(&rules, &universes, direction);
        let gone = of(codes::SHADOWED_RULE);
        let after = all_verdicts(&build(&drafts, direction, &gone), &universes, direction);
        prop_assert_eq!(before, after, "removing {:?} changes nothing", gone);
        for id in of(codes::DENIED_RULE) {
            for universe in &universes {
                prop_assert!(!ever_allows(&rules, universe, direction, id));
            }
        }
    }
}

fn ever_allows(rules: &RuleSet, universe: &Universe, direction: Direction, id: RuleId) -> bool {
    let resolved = Resolved::new(rules, universe);
    let model = Model::build(&resolved, &Settings::default());
    let subjects = (0..universe.endpoints().len()).map(EndpointId::at);
    subjects.into_iter().any(|subject| {
        (1..universe.identities().len()).any(|peer| {
            POINTS.iter().any(|(protocol, port)| {
                let v4 = universe.identities()[peer].cidr.map(|cidr| cidr.is_ipv4());
                let foreign =
                    v4 == Some(true) && *protocol == 58 || v4 == Some(false) && *protocol == 1;
                let verdict = model.eval(&Flow {
                    subject,
                    direction,
                    peer: IdentityId::at(peer),
                    protocol: Protocol(*protocol),
                    port: *port,
                });
                !foreign
                    && peer != IdentityId::WORLD.index()
                    && verdict.allowed
                    && verdict.rules.contains(&id)
            })
        })
    })
}

/// The second rule matches nothing, because pods of one namespace share its labels; it takes that fact to see it, and
/// random rules seldom ask for it.
fn one_namespace_two_teams() -> [Draft; 2] {
    let red = || vec![Arc::from("red")];
    let isolate = Draft {
        namespace: Some("x"),
        subject: vec![],
        peers: Some(vec![]),
        services: Services::All,
        action: Action::Allow,
        default_deny: true,
    };
    let within = Requirement::new(key(NAMESPACE), Operator::In(vec![Arc::from("x")]));
    let other_team = Requirement::new(team(), Operator::NotIn(red()));
    let crossing = Draft {
        subject: vec![Requirement::new(team(), Operator::In(red()))],
        peers: Some(vec![DraftPeer::Labels(vec![within, other_team])]),
        ..isolate.clone()
    };
    [isolate, crossing]
}

/// Agreement is worth something only if a wrong encoding breaks it.
#[test]
fn every_mutant_of_the_encoding_is_caught() {
    let universes = universes();
    for fault in Mutant::ALL {
        let mut runner = TestRunner::deterministic();
        let strategy = (prop::collection::vec(draft(), 2..6), direction());
        let notices = |drafts: &[Draft], direction| {
            mutant::set(Some(fault));
            let agreed = agrees(drafts, direction, &universes);
            mutant::set(None);
            agreed.is_err()
        };
        let caught = notices(&one_namespace_two_teams(), Direction::Ingress)
            || (0..400).any(|_| {
                let (drafts, direction) = strategy.new_tree(&mut runner).unwrap().current();
                notices(&drafts, direction)
            });
        assert!(caught, "{fault:?} goes unnoticed");
    }
}
