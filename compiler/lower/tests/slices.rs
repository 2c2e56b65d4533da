//! A bundle for all nodes decides on each of them what a bundle for that node alone decides, and what the model of that
//! node does. Only services that a node stands behind may be decided for some nodes' pods and denied for all.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// Random clusters, settings and policies.
#[path = "../../ir/tests/oracle/generate.rs"]
#[expect(dead_code, reason = "tables do not hold all of the language")]
mod generate;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::IpAddr;

use policy_abi::arena::{Read as _, record};
use policy_abi::lookup;
use policy_abi::reason::Reason;
use policyc_diag::SourceMap;
use policyc_ir::cidr::Cidr;
use policyc_ir::frontend::{Frontend, frontends};
use policyc_ir::ids::{EndpointId, IdentityId};
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::{Flow, Model};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Direction, RuleSet};
use policyc_ir::universe::{Endpoint, Universe};
use policyc_lower::{Image, Target, lower};
use policyc_syntax::ast::Document;
use proptest::test_runner::{Config, TestRunner};

use generate::{ADDRESSES, Case, Cluster};

/// How often more cases are drawn while some kind of answer has not been seen.
const ROUNDS: usize = 8;

/// Answers that a run compares at least.
const ANSWERS_MIN: usize = 20_000;

const NODES: [&str; 2] = ["node-0", "node-1"];
const PORTS: &[u16] = &[8, 53, 80, 81, 443, 8080];
const PROTOCOLS: &[u8] = &[1, 6, 17];

/// How much was compared.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    answers: usize,
    /// Whole bundles.
    whole: usize,
    /// Whole bundles in which some nodes' own addresses are more than the host: an API server's.
    api_hosts: usize,
    /// Answers about the addresses of the pod's own node.
    own_node: usize,
    /// Answers about services.
    services: usize,
    /// Answers that name a proxy.
    proxied: usize,
    /// Answers about what nodes themselves may do.
    nodes: usize,
}

impl Found {
    /// Whether every kind of answer was seen: what is never drawn is not tested.
    fn is_complete(&self) -> bool {
        let each = [
            self.api_hosts,
            self.own_node,
            self.services,
            self.nodes,
            self.proxied,
        ];
        each.iter().all(|count| *count > 0)
    }
}

#[test]
fn slices_together_equal_the_whole() {
    let found = Cell::new(Found::default());
    for _ in 0..ROUNDS {
        draw(&found);
        if found.get().is_complete() {
            break;
        }
    }
    let found = found.get();
    println!("{found:?}");
    assert!(found.answers >= ANSWERS_MIN, "{found:?}");
    assert!(found.is_complete(), "{found:?}");
}

fn draw(found: &Cell<Found>) {
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases / 4,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&generate::lowerable(), |mut case| {
        // An API server on one node of two makes that node's host different.
        if found.get().whole.is_multiple_of(2) {
            case.cluster.api = Some("172.18.0.3");
        }
        found.set(compare(&case, found.get()));
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

/// Tables, and the universe they are about.
struct Built {
    universe: Universe,
    image: Image,
    services: Vec<Frontend>,
}

impl Built {
    fn new(
        rules: &RuleSet,
        inventory: &Inventory,
        universe: Universe,
        case: &Case,
        node: Option<&str>,
    ) -> Option<Self> {
        let pod_ranges = vec![Cidr::parse("10.77.0.0/16").unwrap()];
        let target = Target {
            node: node.map(str::to_owned),
            services: frontends(inventory, &universe, &pod_ranges),
            pod_ranges,
            extended_protocols: false,
            without_proxy: true,
        };
        let resolved = Resolved::new(rules, &universe);
        let model = Model::build(&resolved, &case.settings);
        // Rules that exclude each other are refused in either.
        let image = lower(&model, &target).ok()?;
        let services = target.services;
        Some(Self {
            universe,
            image,
            services,
        })
    }

    /// Whether a service has backends at a port.
    fn is_used(&self, address: IpAddr, (protocol, port): (u8, u16)) -> bool {
        let mut services = self.services.iter();
        let service = services.find(|service| service.address == address);
        service.is_some_and(|service| service.ports.contains_key(&(Protocol(protocol), port)))
    }

    fn pods(&self) -> BTreeSet<String> {
        let bound = self.image.endpoints.iter();
        let names = bound.map(|bound| self.universe.endpoint(bound.endpoint).unwrap());
        names.map(|endpoint| self.name(endpoint)).collect()
    }

    /// The name of an endpoint of a bundle for all nodes.
    fn name(&self, endpoint: &Endpoint) -> String {
        match endpoint.node {
            Some(node) if endpoint.host => {
                format!("node:{}", self.universe.nodes()[node.0 as usize])
            }
            _ => endpoint.name.to_string(),
        }
    }

    fn find(&self, name: &str) -> EndpointId {
        let mut endpoints = self.universe.endpoints().iter();
        EndpointId::at(endpoints.position(|one| self.name(one) == name).unwrap())
    }

    /// What a node takes an address for, as the daemon reads the addresses of a bundle.
    fn identity(&self, node: &str, address: IpAddr) -> u32 {
        let here = self.universe.nodes().iter().position(|one| **one == *node);
        let holding = self.image.ipcache.iter().filter(|entry| {
            let cidr = Cidr::new(entry.address, entry.prefix_len).unwrap();
            cidr.contains(address)
        });
        let entry = holding.max_by_key(|entry| entry.prefix_len).unwrap();
        if entry.node.map(|node| node as usize) == here {
            entry.own.unwrap_or(IdentityId::HOST.0)
        } else {
            entry.identity
        }
    }

    /// What a pod's tables hold.
    fn answer(
        &self,
        pod: &str,
        direction: Direction,
        identity: u32,
        (protocol, port): (u8, u16),
    ) -> Answer {
        let id = self.find(pod);
        let mut bound = self.image.endpoints.iter();
        let bound = bound.find(|bound| bound.endpoint == id).unwrap();
        let table = match direction {
            Direction::Ingress => bound.ingress,
            Direction::Egress => bound.egress,
        };
        let arena = self.image.arena.as_slice();
        let verdict = lookup::verdict(arena, table, identity, protocol, port);
        let at = lookup::record_at(arena, verdict.record);
        assert_eq!(verdict.passes, lookup::passes(arena, at));
        let text = |list: &[String], field| match arena.u32(at + field) as usize {
            0 => String::new(),
            number => list[number - 1].clone(),
        };
        Answer {
            action: lookup::action(arena, at),
            reason: lookup::reason(arena, at),
            auth: lookup::auth(arena, at),
            rule: arena.u32(at + record::RULE),
            log: text(&self.image.logs, record::COOKIE),
            proxy: text(&self.image.proxies, record::PROXY),
        }
    }
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    action: u8,
    reason: u8,
    auth: u8,
    rule: u32,
    log: String,
    proxy: String,
}

impl Answer {
    /// Whether packets pass, and the proxy that they go to otherwise.
    fn way(&self) -> (bool, &str) {
        let passes = self.action == record::ALLOW && self.auth == record::AUTH_NONE;
        (passes, &self.proxy)
    }
}

fn parse(files: &[String]) -> Vec<Document> {
    let mut sources = SourceMap::new();
    let parsed = files
        .iter()
        .map(|file| policyc_syntax::parse(&sources.add("file", file.as_str())));
    parsed.flat_map(|parsed| parsed.documents).collect()
}

fn compare(case: &Case, mut found: Found) -> Found {
    let settings = &case.settings;
    let (policies, _) = PolicySet::admit(&parse(&case.policies), settings);
    let (inventory, _) = Inventory::read(&parse(&[case.cluster.yaml()]));
    let rules = normalise::normalise(&policies, &inventory, settings);
    let all = inventory::cluster(&inventory, &rules, settings);
    let Some(whole) = Built::new(&rules, &inventory, all, case, None) else {
        return found;
    };
    let api_host = |entry: &policy_bundle::write::Ipcache| entry.own.is_some();
    found.whole += 1;
    found.api_hosts += usize::from(whole.image.ipcache.iter().any(api_host));
    let mut pods = BTreeSet::new();
    let (mut images, mut bytes) = (0, 0);
    for node in NODES {
        let universe = inventory::universe(&inventory, &rules, settings, Some(node));
        let slice = Built::new(&rules, &inventory, universe, case, Some(node)).unwrap();
        for pod in slice.pods() {
            assert!(pods.insert(pod.clone()), "`{pod}` is in two slices");
            same_answers(&rules, case, node, &pod, (&whole, &slice), &mut found);
        }
        images += slice.image.sizes.images;
        bytes += slice.image.sizes.bytes;
    }
    assert_eq!(pods, whole.pods());
    // What slices have in common is there once.
    assert!(whole.image.sizes.images <= images && whole.image.sizes.bytes <= bytes);
    found
}

fn same_answers(
    rules: &RuleSet,
    case: &Case,
    node: &str,
    pod: &str,
    (whole, slice): (&Built, &Built),
    found: &mut Found,
) {
    let resolved = Resolved::new(rules, &slice.universe);
    let model = Model::build(&resolved, &case.settings);
    let subject = slice.find(pod);
    let own = Cluster::node_address(usize::from(node == NODES[1]));
    let pods = (0..=case.cluster.pods.len()).map(Cluster::address);
    let nodes = [0, 1].map(Cluster::node_address);
    let all = ADDRESSES.iter().map(|text| (*text).to_owned());
    let services = (0..case.cluster.services.len()).map(|at| format!("10.96.0.{at}"));
    for text in all.chain(pods).chain(nodes).chain(services) {
        let address: IpAddr = text.parse().unwrap();
        let seen = [whole, slice].map(|built| built.identity(node, address));
        for direction in Direction::BOTH {
            for flow in PROTOCOLS
                .iter()
                .flat_map(|of| PORTS.iter().map(|port| (*of, *port)))
            {
                let one = whole.answer(pod, direction, seen[0], flow);
                let other = slice.answer(pod, direction, seen[1], flow);
                let peer = IdentityId(seen[1]);
                let is_service = slice.universe.identity(peer).is_none();
                // To pods on some nodes a node behind it is their own, to others it is not; other rules may say the same.
                // Where not both may be reached at every port, ports of the service that are not in use are denied.
                let alike = one.way() == other.way();
                let unused = one.reason == Reason::NoBackend as u8 && !whole.is_used(address, flow);
                let mixed = one.reason == Reason::MixedService as u8;
                let denied = one.action == record::DENY && (mixed || unused);
                assert!(
                    one == other || is_service && (alike || denied),
                    "{pod} {direction:?} {address} {flow:?}: {one:?} {other:?}"
                );
                if !is_service {
                    let wanted = of_model(&model, subject, direction, peer, flow);
                    let given = one.action != record::DENY;
                    assert_eq!(given, wanted, "{pod} {address} {flow:?}");
                }
                found.answers += 1;
                found.proxied += usize::from(!one.proxy.is_empty());
                found.services += usize::from(is_service);
                found.own_node += usize::from(text == own);
                found.nodes += usize::from(pod.starts_with("node:"));
            }
        }
    }
}

fn of_model(
    model: &Model<'_>,
    subject: EndpointId,
    direction: Direction,
    peer: IdentityId,
    (protocol, port): (u8, u16),
) -> bool {
    let flow = Flow {
        subject,
        direction,
        peer,
        protocol: Protocol(protocol),
        port,
    };
    model.eval(&flow).allowed
}
