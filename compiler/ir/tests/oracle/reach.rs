//! Openings against the model, and components against `petgraph`, on random clusters.

use std::cell::Cell;
use std::collections::BTreeSet;

use petgraph::graph::{DiGraph, NodeIndex};
use policyc_ir::l7::Auth;
use policyc_ir::model::{Flow, Model, Verdict};
use policyc_ir::port::Protocol;
use policyc_ir::reach::{Closure, Matrix, Party, Ports, Reach};
use policyc_ir::rule::Direction;
use policyc_ir::{EndpointId, IdentityId};

use crate::random::{parse, ports, run, with_model};

/// Clusters whose openings are compared.
const CASES: u32 = 60;
/// Questions that a run compares at least, by whether the port is open.
const ASKED_MIN: [usize; 2] = [20_000, 20_000];

/// One end, and its identity.
type End = (Party, IdentityId);

#[test]
fn openings_are_what_both_ends_let_pass() {
    let asked = [Cell::new(0), Cell::new(0)];
    run(CASES, |case| {
        with_model(case, &parse(&case.policies), |model, _| {
            let reach = Reach::new(model).unwrap();
            let ends = ends(model, &reach);
            let matrix = reach.matrix();
            for (from, sender) in &ends {
                let openings = reach.openings(*from);
                for (to, receiver) in &ends {
                    if sender == receiver {
                        continue;
                    }
                    let opening = reach.opening(*from, *to);
                    assert_eq!(opening, &reach.sets()[openings[*to]]);
                    assert_eq!(matrix.has(*from, *to), !opening.is_empty());
                    let [closed, open] = compare(model, sender, receiver, opening);
                    asked[0].set(asked[0].get() + closed);
                    asked[1].set(asked[1].get() + open);
                }
            }
        });
    });
    let asked = asked.map(Cell::into_inner);
    assert!(
        asked[0] >= ASKED_MIN[0] && asked[1] >= ASKED_MIN[1],
        "only {asked:?}"
    );
}

/// Every party with its class; there is none that is in no class.
fn ends(model: &Model<'_>, reach: &Reach) -> Vec<(usize, End)> {
    let universe = model.universe();
    let mut ends = Vec::new();
    for (at, class) in reach.classes().iter().enumerate() {
        ends.extend(class.parties.iter().map(|party| {
            let identity = match party {
                Party::Endpoint(id) => universe.endpoint(*id).unwrap().identity,
                Party::Outside(id) => *id,
            };
            (at, (*party, identity))
        }));
    }
    let endpoints: BTreeSet<_> = ends
        .iter()
        .filter(|(_, (party, _))| matches!(party, Party::Endpoint(_)))
        .map(|(_, (party, _))| *party)
        .collect();
    assert_eq!(endpoints.len(), universe.endpoints().len());
    let identities: BTreeSet<_> = ends.iter().map(|(_, (_, identity))| *identity).collect();
    let owners = universe
        .addresses()
        .map(|(cidr, _)| universe.identity_of(cidr.address()));
    for owner in owners {
        assert!(
            owner == IdentityId::UNKNOWN || identities.contains(&owner),
            "{owner:?}"
        );
    }
    ends
}

/// Asks the model about every port around a bound; returns how many were closed and open.
fn compare(model: &Model<'_>, sender: &End, receiver: &End, opening: &Ports) -> [usize; 2] {
    let mut asked = [0; 2];
    let outside = |end: &End| matches!(end.0, Party::Outside(_));
    if outside(sender) && outside(receiver) {
        assert!(opening.is_empty());
        return asked;
    }
    let spoken_of: BTreeSet<_> = opening
        .spans()
        .iter()
        .filter_map(|span| span.protocol)
        .collect();
    let around = opening.spans().iter().flat_map(|span| {
        let protocol = span.protocol.map_or(255, |protocol| protocol.0);
        [
            span.first.saturating_sub(1),
            span.first,
            span.last,
            span.last.saturating_add(1),
        ]
        .map(|port| (protocol, port))
    });
    for (protocol, port) in ports().chain(around).chain([(255, 0), (255, 9)]) {
        let known = protocols(model).contains(&Protocol(protocol));
        let slot = known.then_some(Protocol(protocol));
        assert!(known || !spoken_of.contains(&Protocol(protocol)));
        let span = opening
            .spans()
            .iter()
            .find(|span| span.protocol == slot && (span.first..=span.last).contains(&port));
        let given = if opening.is_any() {
            Some((false, false))
        } else {
            span.map(|span| (span.proxied, span.authenticated))
        };
        let wanted = both(model, sender, receiver, Protocol(protocol), port);
        assert_eq!(
            given, wanted,
            "{sender:?} {receiver:?} {protocol}/{port} {opening}"
        );
        asked[usize::from(wanted.is_some())] += 1;
    }
    asked
}

/// Protocols that rules speak of.
fn protocols(model: &Model<'_>) -> BTreeSet<Protocol> {
    let rules = model.resolved.rules.iter().map(|(_, rule)| rule);
    let services = rules.map(|rule| &rule.services);
    let lists = services.filter_map(|services| match services {
        policyc_ir::rule::Services::Of(list) => Some(list),
        policyc_ir::rule::Services::All => None,
    });
    lists.flatten().map(|l4| l4.protocol).collect()
}

/// Whether both ends let a port pass, and on which terms.
fn both(
    model: &Model<'_>,
    sender: &End,
    receiver: &End,
    protocol: Protocol,
    port: u16,
) -> Option<(bool, bool)> {
    let ask = |end: &End, peer: IdentityId, direction| -> Option<Verdict> {
        let Party::Endpoint(subject) = end.0 else {
            return None;
        };
        let flow = Flow {
            subject,
            direction,
            peer,
            protocol,
            port,
        };
        Some(model.eval(&flow))
    };
    let verdicts = [
        ask(sender, receiver.1, Direction::Egress),
        ask(receiver, sender.1, Direction::Ingress),
    ];
    let mut verdicts = verdicts.iter().flatten();
    let terms = |verdict: &Verdict| {
        let auth = verdict
            .auth
            .is_some_and(|demand| demand.mode != Auth::Disabled);
        (verdict.redirect.is_some(), auth)
    };
    verdicts.try_fold((false, false), |(proxied, auth), verdict| {
        let (more, also) = terms(verdict);
        verdict.allowed.then_some((proxied || more, auth || also))
    })
}

#[test]
fn every_port_of_some_pairs() {
    let open = Cell::new(0);
    run(12, |case| {
        with_model(case, &parse(&case.policies), |model, _| {
            let reach = Reach::new(model).unwrap();
            let ends = ends(model, &reach);
            let pods = ends
                .iter()
                .filter(|(_, (party, _))| *party == Party::Endpoint(EndpointId(0)));
            let spoken_of = protocols(model).contains(&Protocol::TCP);
            for ((from, sender), (to, receiver)) in pods.zip(ends.iter().rev()) {
                let opening = reach.opening(*from, *to);
                for port in 0..=u16::MAX {
                    let slot = spoken_of.then_some(Protocol::TCP);
                    let mut spans = opening.spans().iter();
                    let given = opening.is_any()
                        || spans.any(|span| {
                            span.protocol == slot && (span.first..=span.last).contains(&port)
                        });
                    let wanted = both(model, sender, receiver, Protocol::TCP, port);
                    assert_eq!(given, wanted.is_some(), "{port} {opening}");
                    open.set(open.get() + usize::from(given));
                }
            }
        });
    });
    assert!(open.get() > 0);
}

#[test]
fn components_and_distances_are_those_of_petgraph() {
    run(CASES, |case| {
        with_model(case, &parse(&case.policies), |model, _| {
            let matrix = Reach::new(model).unwrap().matrix();
            agree(&matrix);
            agree(&matrix.reversed());
        });
    });
}

/// Compares all that is known of a matrix with what `petgraph` finds.
fn agree(matrix: &Matrix) {
    let mut graph = DiGraph::<(), ()>::new();
    let nodes: Vec<_> = (0..matrix.len()).map(|_| graph.add_node(())).collect();
    for from in 0..matrix.len() {
        for to in (0..matrix.len()).filter(|to| matrix.has(from, *to)) {
            graph.add_edge(nodes[from], nodes[to], ());
        }
    }
    let closure = Closure::new(matrix);
    let mut wanted: Vec<BTreeSet<usize>> = petgraph::algo::kosaraju_scc(&graph)
        .into_iter()
        .map(|things| things.into_iter().map(NodeIndex::index).collect())
        .collect();
    wanted.sort();
    let mut given: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); matrix.len()];
    for (thing, component) in closure.components().iter().enumerate() {
        given[*component].insert(thing);
    }
    given.retain(|things| !things.is_empty());
    given.sort();
    assert_eq!(given, wanted);
    for from in 0..matrix.len() {
        let steps = petgraph::algo::dijkstra(&graph, nodes[from], None, |_| 1_u32);
        let step = |to: usize| steps.get(&nodes[to]).copied();
        let distances = matrix.distances([from], u32::MAX);
        let near = matrix.distances([from], 2);
        for to in 0..matrix.len() {
            assert_eq!(distances[to], step(to));
            assert_eq!(near[to], step(to).filter(|steps| *steps <= 2));
            let mut next = (0..matrix.len()).filter(|at| matrix.has(from, *at));
            let reached = next
                .any(|at| petgraph::algo::has_path_connecting(&graph, nodes[at], nodes[to], None));
            assert_eq!(closure.has(from, to), reached);
        }
    }
}
