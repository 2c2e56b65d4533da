//! The model against a second, naive evaluator, and that one against Cilium.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// The model against the naive evaluator, on random clusters and policies.
mod agreement;
/// The naive evaluator against Cilium's verdicts.
mod conformance;
/// Random clusters, settings and policies.
mod generate;
/// The second evaluator.
mod naive;
<<<<<<< HEAD

use policyc_diag::SourceMap;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::{Flow, Model, Verdict};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::Direction;
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, IdentityId};
use policyc_syntax::ast::Document;
use proptest::test_runner::{Config, TestRunner};

use generate::{ADDRESSES, Case, Cluster};
use naive::{Other, Question, World};

/// Flows that a run compares at least.
const FLOWS_MIN: usize = 100_000;

/// Ports on both sides of every bound that policies are drawn with; they serve as ICMP types as well.
const PORTS: &[(u8, &[u16])] = &[
    (6, &[0, 8, 9, 10, 79, 80, 81, 443, 444, 8080, 65535]),
    (17, &[0, 8, 79, 80, 91, 445, 8080]),
    (132, &[1, 80, 65535]),
    (1, &[0, 3, 8, 9]),
    (58, &[0, 8, 128, 129]),
    (47, &[0]),
];

#[test]
fn the_model_agrees_with_a_naive_evaluator() {
    let mut runner = TestRunner::new(Config {
        // `PROPTEST_CASES` asks for more.
        cases: Config::default().cases / 4,
        failure_persistence: None,
        ..Config::default()
    });
    let flows = std::cell::Cell::new(0);
    let written = std::cell::Cell::new(0);
    let in_force = std::cell::Cell::new(0);
    let ran = runner.run(&generate::case(), |case| {
        let (asked, admitted) = compare(&case);
        flows.set(flows.get() + asked);
        written.set(written.get() + case.policies.len());
        in_force.set(in_force.get() + admitted);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    let (flows, written, in_force) = (flows.get(), written.get(), in_force.get());
    println!("{flows} flows, {in_force} of {written} policies in force");
    assert!(flows >= FLOWS_MIN, "only {flows} flows were compared");
    assert!(
        in_force * 10 >= written * 8,
        "only {in_force} of {written} random policies are valid: the comparison means little"
    );
}

#[test]
fn the_order_of_documents_and_files_has_no_effect() {
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases / 8,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&generate::case(), |case| {
        let mut reversed = case.policies.clone();
        reversed.reverse();
        let in_one_file = [case.policies.join("---\n")];
        assert_eq!(verdicts(&case, &in_one_file), verdicts(&case, &reversed));
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

/// Parses files; a document that the syntax does not take is a fault of the generator.
fn parse(files: &[String]) -> Vec<Document> {
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
fn with_model<T>(
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

/// Compares all flows of a case; returns how many, and how many policies are in force.
fn compare(case: &Case) -> (usize, usize) {
    let documents = parse(&case.policies);
    with_model(case, &documents, |model, policies| {
        let names: Vec<_> = policies
            .policies()
            .iter()
            .map(|policy| policy.info.span)
            .collect();
        let in_force = documents.iter().filter(|document| {
            let name = document.meta.name.as_ref().map(|name| name.span);
            name.is_some_and(|span| names.contains(&span))
        });
        let world = World {
            cluster: &case.cluster,
            settings: &case.settings,
            documents: in_force.collect(),
        };
        let flows = flows(&case.cluster, model.universe());
        for (question, flow) in &flows {
            let verdict = model.eval(flow);
            let wanted = world.ask(question);
            assert_eq!(
                (verdict.allowed, verdict.enforced),
                wanted,
                "{question:?}: {verdict:?}"
            );
        }
        (flows.len(), names.len())
    })
}

fn verdicts(case: &Case, files: &[String]) -> Vec<Verdict> {
    with_model(case, &parse(files), |model, _| {
        let flows = flows(&case.cluster, model.universe());
        flows.iter().map(|(_, flow)| model.eval(flow)).collect()
    })
}

/// Every endpoint × direction × other side × protocol and port, as either evaluator wants it.
fn flows(cluster: &Cluster, universe: &Universe) -> Vec<(Question, Flow)> {
    let mut flows = Vec::new();
    let others = others(cluster, universe);
    for (subject, endpoint) in subjects(cluster, universe) {
        for direction in Direction::BOTH {
            for (other, peer) in &others {
                for (protocol, port) in PORTS
                    .iter()
                    .flat_map(|(protocol, ports)| ports.iter().map(|port| (*protocol, *port)))
                {
                    let question = Question {
                        subject,
                        direction,
                        other: other.clone(),
                        protocol,
                        port,
                    };
                    let flow = Flow {
                        subject: endpoint,
                        direction,
                        peer: *peer,
                        protocol: Protocol(protocol),
                        port,
                    };
                    flows.push((question, flow));
                }
            }
        }
    }
    flows
}

fn subjects(cluster: &Cluster, universe: &Universe) -> Vec<(Option<usize>, EndpointId)> {
    let pods = cluster.pods.iter().enumerate().map(|(at, pod)| {
        let name = format!("{}/p{at}", pod.namespace);
        (Some(at), universe.find(&name).unwrap())
    });
    pods.chain([(None, universe.find("host").unwrap())])
        .collect()
}

fn others(cluster: &Cluster, universe: &Universe) -> Vec<(Other, IdentityId)> {
    let of = |text: &str| universe.identity_of(text.parse().unwrap());
    let mut others = vec![(Other::Unknown, IdentityId::UNKNOWN)];
    for pod in 0..cluster.pods.len() {
        others.push((Other::Pod(pod), of(&Cluster::address(pod))));
    }
    for address in ADDRESSES {
        others.push((Other::Address(address.parse().unwrap()), of(address)));
    }
    for name in ["world", "unmanaged", "health", "init", "ingress"] {
        others.push((
            Other::Reserved(vec![name]),
            IdentityId::reserved(name).unwrap(),
        ));
    }
    for (node, own) in [(0, "host"), (1, "remote-node")] {
        let mut labels = vec![own];
        labels.extend((cluster.api == Some(node)).then_some("kube-apiserver"));
        others.push((Other::Reserved(labels), of(&Cluster::node_address(node))));
    }
    others
}
=======
>>>>>>> oracle
