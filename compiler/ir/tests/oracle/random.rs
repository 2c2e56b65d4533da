//! Random cases, and every flow of one.

use policyc_diag::SourceMap;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::{Flow, Model};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::Direction;
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, IdentityId};
use policyc_syntax::ast::Document;
use proptest::prelude::prop_oneof;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::answer::answer;
use crate::generate::{self, ADDRESSES, Case, Cluster, Language};
use crate::naive::Answer;

/// Ports on both sides of every bound that policies are drawn with; they serve as ICMP types as well.
const PORTS: &[(u8, &[u16])] = &[
    (6, &[0, 8, 9, 10, 53, 79, 80, 81, 443, 444, 8080, 65535]),
    (17, &[0, 8, 53, 79, 80, 91, 445, 8080]),
    (132, &[1, 53, 80, 65535]),
    (1, &[0, 3, 8, 9]),
    (58, &[0, 8, 128, 129]),
    (47, &[0]),
];

/// Draws cases and checks each.
pub(crate) fn run(cases: u32, check: impl Fn(&Case)) {
    let given = Config::default();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        // The same cases on every run, unless `PROPTEST_RNG_SEED` asks for others.
        rng_seed: match given.rng_seed {
            RngSeed::Random => RngSeed::Fixed(1),
            fixed @ RngSeed::Fixed(_) => fixed,
        },
        ..given
    });
    // Where less of the language is drawn, fewer policies end in conflicts.
    let cases = prop_oneof![3 => generate::case(Language::WHOLE), 1 => generate::lowerable()];
    let ran = runner.run(&cases, |case| {
        check(&case);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

/// Parses files; a document that the syntax does not take is a fault of the generator.
pub(crate) fn parse(files: &[String]) -> Vec<Document> {
    let mut sources = SourceMap::new();
    let mut documents = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let parsed = policyc_syntax::parse(&sources.add(format!("{at}.yaml"), file.as_str()));
        assert!(
            parsed.diagnostics.is_empty(),
            "{file}\n{:#?}",
            parsed.diagnostics
        );
        documents.extend(parsed.documents);
    }
    documents
}

/// Puts every flow to the model.
pub(crate) fn with_model<T>(
    case: &Case,
    documents: &[Document],
    then: impl FnOnce(&Model<'_>, &PolicySet) -> T,
) -> T {
    let (policies, _) = PolicySet::admit(documents, &case.settings);
    let (inventory, faults) = Inventory::read(&parse(&[case.cluster.yaml()]));
    assert!(faults.is_empty(), "{faults:#?}");
    let rules = normalise::normalise(&policies, &inventory, &case.settings);
    let universe = inventory::universe(&inventory, &rules, &case.settings, None);
    let resolved = Resolved::new(&rules, &universe);
    then(&Model::build(&resolved, &case.settings), &policies)
}

/// The answers to every flow, in order.
pub(crate) fn verdicts(case: &Case, documents: &[Document]) -> Vec<Answer> {
    with_model(case, documents, |model, _| {
        let mut answers = Vec::new();
        each_pair(case, model.universe(), |_, _, flow| {
            for direction in Direction::BOTH {
                answers.extend(ports().map(|(protocol, port)| {
                    let flow = Flow {
                        direction,
                        protocol: Protocol(protocol),
                        port,
                        ..flow
                    };
                    answer(&model.eval(&flow))
                }));
            }
        });
        answers
    })
}

/// Every protocol and port that is asked.
pub(crate) fn ports() -> impl Iterator<Item = (u8, u16)> {
    PORTS
        .iter()
        .flat_map(|(protocol, ports)| ports.iter().map(|port| (*protocol, *port)))
}

/// Every endpoint with every other side, by name and as the model has them.
pub(crate) fn each_pair(case: &Case, universe: &Universe, mut then: impl FnMut(&str, &str, Flow)) {
    let others = others(&case.cluster, universe);
    for (subject, endpoint) in subjects(&case.cluster, universe) {
        for (other, peer) in &others {
            let flow = Flow {
                subject: endpoint,
                direction: Direction::Ingress,
                peer: *peer,
                protocol: Protocol(0),
                port: 0,
            };
            then(&subject, other, flow);
        }
    }
}

fn subjects(cluster: &Cluster, universe: &Universe) -> Vec<(String, EndpointId)> {
    let pods = cluster
        .pods
        .iter()
        .enumerate()
        .map(|(at, pod)| format!("{}/p{at}", pod.namespace));
    let names = pods.chain(["host".to_owned()]);
    names
        .map(|name| (name.clone(), universe.find(&name).unwrap()))
        .collect()
}

fn others(cluster: &Cluster, universe: &Universe) -> Vec<(String, IdentityId)> {
    let of = |text: &str| universe.identity_of(text.parse().unwrap());
    let mut others = vec![("unknown".to_owned(), IdentityId::UNKNOWN)];
    for (at, pod) in cluster.pods.iter().enumerate() {
        others.push((
            format!("{}/p{at}", pod.namespace),
            of(&Cluster::address(at)),
        ));
    }
    for address in ADDRESSES {
        others.push((format!("ip:{address}"), of(address)));
    }
    for name in [
        "world",
        "world-ipv4",
        "world-ipv6",
        "unmanaged",
        "health",
        "init",
        "ingress",
    ] {
        others.push((
            format!("entity:{name}"),
            IdentityId::reserved(name).unwrap(),
        ));
    }
    for node in 0..2 {
        others.push((
            format!("node:node-{node}"),
            of(&Cluster::node_address(node)),
        ));
    }
    others
}
