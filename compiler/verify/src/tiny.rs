//! Tiny universes: rules made at random from a small vocabulary, and every party and port that it tells apart.
//!
//! A rule that changes no verdict in these universes changes none anywhere, so trying all of their flows judges the
//! solver.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::l7::{Auth, Content, Http, Parser};
use policyc_ir::label::{CLUSTER, Key, Labels, NAMESPACE, Source};
use policyc_ir::model::{Flow, Model, Reason, Verdict};
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction, Level, Rule, RuleSet};
use policyc_ir::universe::{Endpoint, Identity, NamedPorts, Universe};
use policyc_ir::{EndpointId, IdentityId, NodeId};

/// Rules made at random from a small vocabulary.
pub(crate) mod draft;

pub(crate) use draft::{
    Draft, DraftPeer, build, build_mixed, demanding, direction, doubtful, draft, key, leveled,
    of_nodes, requirement, services, settings, team,
};

/// Every party the vocabulary tells apart, with one choice of namespace labels and of the port named `web`.
fn universe(red: [bool; 2], web: Option<u16>) -> Universe {
    let mut universe = Universe::new();
    add_addresses(&mut universe);
    add_nodes(&mut universe);
    // Some pods are on nodes that run the API server: these see another host.
    universe.hosts_serve_api(BTreeSet::from([NodeId::at(0)]));
    let ports: NamedPorts = web
        .map(|port| ((Arc::from("web"), Protocol::TCP), port))
        .into_iter()
        .collect();
    let mut namespaces = vec![("x", red[0]), ("y", red[1])];
    namespaces.extend([("elsewhere", false), ("elsewhere-red", true)]);
    for (namespace, red) in namespaces {
        for app in [None, Some("a"), Some("b"), Some("other")] {
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

/// Addresses outside the cluster: by prefix, by what they have learned, and whether the API server listens there.
fn add_addresses(universe: &mut Universe) {
    for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "::/0"] {
        let cidr = Cidr::parse(text).unwrap();
        let family = if cidr.is_ipv4() {
            "world-ipv4"
        } else {
            "world-ipv6"
        };
        for names in [&[][..], &["a.example.com"], &["c.example.com"]] {
            for api in [&[family][..], &[family, "kube-apiserver"]] {
                universe.add_identity(Identity {
                    labels: Labels::reserved(api),
                    cidr: Some(cidr),
                    names: names.iter().map(|name| Arc::from(*name)).collect(),
                });
            }
        }
    }
}

/// Other nodes, and the local one in every guise, by the label `zone`.
fn add_nodes(universe: &mut Universe) {
    for zone in [None, Some("a"), Some("b"), Some("other")] {
        let label = |source| zone.map(|zone| (Key::new(source, "zone"), Arc::from(zone)));
        for reserved in [&["remote-node"][..], &["remote-node", "kube-apiserver"]] {
            for cluster in [None, Some((key(CLUSTER), Arc::from("default")))] {
                let own = Labels::reserved(reserved);
                let labels = own
                    .iter()
                    .cloned()
                    .chain(cluster)
                    .chain(label(Source::Node));
                universe.add_identity(Identity {
                    labels: Labels::new(labels),
                    ..Identity::default()
                });
            }
        }
        let host = Labels::reserved(&["host"]);
        let labels = host.iter().cloned().chain(label(Source::K8s));
        universe.add_endpoint(Endpoint {
            name: format!("host/{zone:?}").into(),
            identity: IdentityId::HOST,
            labels: Labels::new(labels),
            host: true,
            node: None,
            addresses: Vec::new(),
            ports: NamedPorts::new(),
        });
    }
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
    (6, 79),
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

/// Every verdict of a set in a direction, by a walk of its own.
fn verdicts(rules: &RuleSet, universe: &Universe, direction: Direction) -> Vec<bool> {
    let resolved = Resolved::new(rules, universe);
    let model = Model::build(&resolved, &settings());
    let mut all = Vec::new();
    for subject in 0..universe.endpoints().len() {
        flows(universe, EndpointId::at(subject), direction, |flow| {
            let verdict = model.eval(flow);
            let walked = walk(&model, rules, flow);
            if verdict.reason != Reason::Conflict {
                assert_eq!(verdict.allowed, walked, "the model agrees on {flow:?}");
            }
            all.push(walked);
        });
    }
    all
}

/// What becomes of every flow of a set in a direction, proxies and authentication included.
pub(crate) fn outcomes(
    rules: &RuleSet,
    universes: &[Universe],
    direction: Direction,
) -> Vec<Outcome> {
    let mut all = Vec::new();
    for universe in universes {
        let resolved = Resolved::new(rules, universe);
        let model = Model::build(&resolved, &settings());
        for subject in 0..universe.endpoints().len() {
            flows(universe, EndpointId::at(subject), direction, |flow| {
                all.push(outcome(&model.eval(flow)));
            });
        }
    }
    all
}

/// Whether there is a policy, whether a flow passes, what a proxy lets through, and the authentication demanded.
pub(crate) type Outcome = (
    bool,
    bool,
    Option<(Parser, bool, Vec<String>)>,
    Option<Auth>,
);

fn outcome(verdict: &Verdict) -> Outcome {
    let redirect = verdict.redirect.as_ref().map(|redirect| {
        let mut requests = match &redirect.l7.content {
            // An HTTP proxy lets everything through where anything does.
            Content::Http(list) if redirect.plain || list.contains(&Http::default()) => vec![],
            Content::Http(list) => list.iter().map(ToString::to_string).collect(),
            Content::Dns(list) if list.iter().any(|name| name.matches("any.thing")) => vec![],
            Content::Dns(list) => list.iter().map(ToString::to_string).collect(),
            other => vec![format!("{other:?}")],
        };
        requests.sort();
        (redirect.parser, redirect.plain, requests)
    });
    let auth = verdict.auth.map(|demand| demand.mode);
    let auth = auth.filter(|mode| *mode != Auth::Disabled);
    let conflict = verdict.reason == Reason::Conflict;
    (conflict, verdict.allowed, redirect, auth)
}

/// Calls a function with every flow of a subject that can exist.
pub(crate) fn flows(
    universe: &Universe,
    subject: EndpointId,
    direction: Direction,
    mut with: impl FnMut(&Flow),
) {
    for (peer, identity) in universe.identities().iter().enumerate() {
        let peer = IdentityId::at(peer);
        if peer == IdentityId::WORLD {
            continue;
        }
        let v4 = identity.cidr.map(|cidr| cidr.is_ipv4());
        for (protocol, port) in POINTS {
            // ICMP stays within its family.
            if v4 == Some(true) && *protocol == 58 || v4 == Some(false) && *protocol == 1 {
                continue;
            }
            with(&Flow {
                subject,
                direction,
                peer,
                protocol: Protocol(*protocol),
                port: *port,
            });
        }
    }
}

/// The verdict of a flow, level by level and without haste.
fn walk(model: &Model<'_>, rules: &RuleSet, flow: &Flow) -> bool {
    let endpoint = model.universe().endpoint(flow.subject).unwrap();
    let policy = model.policy_of(flow.subject).unwrap();
    let policy = policy.direction(flow.direction);
    let matching: Vec<&Rule> = policy
        .rules
        .iter()
        .map(|id| rules.rule(*id).unwrap())
        .filter(|rule| model.matches(rule, &endpoint.ports, flow))
        .collect();
    let mut levels: Vec<Level> = matching.iter().map(|rule| rule.level).collect();
    levels.sort();
    levels.dedup();
    let mut passed = None;
    for level in levels {
        if passed == Some(level.tier) {
            continue;
        }
        let has = |action| {
            let mut here = matching.iter().filter(|rule| rule.level == level);
            here.any(|rule| rule.action == action)
        };
        if has(Action::Deny) {
            return false;
        }
        if has(Action::Allow) {
            return true;
        }
        passed = Some(level.tier);
    }
    !policy.default_deny || policy.localhost && model.universe().is_host(flow.peer)
}

pub(crate) fn all_verdicts(
    rules: &RuleSet,
    universes: &[Universe],
    direction: Direction,
) -> Vec<bool> {
    let each = universes
        .iter()
        .map(|universe| verdicts(rules, universe, direction));
    each.flatten().collect()
}

/// Every combination of namespace labels with every number that pods give the named port, or none.
pub(crate) fn universes() -> Vec<Universe> {
    let mut all = Vec::new();
    for red in [[false, false], [true, false], [false, true], [true, true]] {
        for web in [None, Some(78), Some(79), Some(80), Some(90), Some(443)] {
            all.push(universe(red, web));
        }
    }
    all
}
