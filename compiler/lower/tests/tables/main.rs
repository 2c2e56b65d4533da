//! The tables against the model, on random clusters and policies.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is a failure"
)]

/// What tables and the model say.
mod answer;
/// Random clusters, settings and policies.
#[path = "../../../ir/tests/oracle/generate.rs"]
#[expect(dead_code, reason = "tables do not hold all of the language")]
mod generate;

use std::fmt::Write as _;
use std::net::IpAddr;

use policyc_diag::{Diagnostic, SourceMap};
use policyc_ir::cidr::Cidr;
use policyc_ir::frontend::{Backends, Frontend, Nodes, frontends};
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::{Flow, Model};
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::Direction;
use policyc_ir::settings::Settings;
use policyc_ir::{IdentityId, normalise};
use policyc_lower::{Image, Target, lower};
use policyc_syntax::ast::Document;
use proptest::test_runner::{Config, TestRunner};

use answer::{answer, wanted};
use generate::{ADDRESSES, Case, Cluster};

/// How often more cases are drawn while some kind of answer has not been seen.
const ROUNDS: usize = 8;

/// Lookups that a run compares at least.
const LOOKUPS_MIN: usize = 100_000;

/// Ports on both sides of every bound that policies are drawn with, and of the pages of tables.
const PORTS: &[u16] = &[
    0, 1, 7, 8, 9, 10, 79, 80, 81, 90, 91, 127, 128, 129, 255, 256, 443, 444, 445, 8079, 8080,
    8081, 65_534, 65_535,
];

#[test]
fn lookups_agree_with_the_model() {
    let found = std::cell::Cell::new(Found::default());
    for _ in 0..ROUNDS {
        run(2, |case| {
            let mut now = found.get();
            with_model(&case, &case.policies, target(), |model, target| {
                compare(model, target, &mut now);
            });
            found.set(now);
        });
        if found.get().is_complete() {
            break;
        }
    }
    let found = found.get();
    println!("{found:?}");
    assert!(found.lookups >= LOOKUPS_MIN, "{found:?}");
    assert!(found.is_complete(), "{found:?}");
}

/// How often each kind of answer was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    lookups: usize,
    /// Allowed on the condition of authentication.
    authenticated: usize,
    /// Left to a proxy.
    proxied: usize,
    /// With a text for logs.
    logged: usize,
    /// About nodes that are subjects of a policy.
    nodes: usize,
}

impl Found {
    /// Whether every kind of answer was seen: what is never drawn is not tested.
    fn is_complete(&self) -> bool {
        let each = [self.authenticated, self.proxied, self.logged, self.nodes];
        each.iter().all(|count| *count > 0)
    }
}

#[test]
fn bytes_depend_neither_on_order_nor_on_threads() {
    run(16, |case| {
        let mut reversed = case.policies.clone();
        reversed.reverse();
        let make = |policies: &[String], threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                with_model(&case, policies, target(), |model, target| {
                    let image = lower(model, target);
                    image
                        .map(|image| (image.arena, image.endpoints, image.logs))
                        .ok()
                })
            })
        };
        let first = make(&case.policies, 1);
        assert!(first == make(&case.policies, 4), "threads matter");
        assert!(first == make(&reversed, 4), "the order of files matters");
    });
}

#[test]
fn missing_pod_ranges_are_an_error() {
    let fault = lower_one("", &[], &Target::default()).unwrap_err();
    assert_eq!(codes(&fault), ["E0502"]);
}

#[test]
fn node_policies_need_nodes() {
    let fault = lower_one(NODE_POLICY, &[], &target()).unwrap_err();
    assert_eq!(codes(&fault), ["E0290"]);
    assert!(fault[0].message.contains("the inventory has none"));
}

/// Every node allows TCP to port 22, some of them also to port 80.
const NODE_POLICY: &str = "---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: all}
spec: {nodeSelector: {}, ingress: [{toPorts: [{ports: [{port: \"22\", protocol: TCP}]}]}]}
";

/// Only nodes that a policy applies to get tables, with the host firewall only, and only those of the target.
#[test]
fn nodes_without_policies_are_left_alone() {
    let one = NODE_POLICY.replace(
        "nodeSelector: {}",
        "nodeSelector: {matchLabels: {pool: edge}}",
    );
    let none = NODE_POLICY.replace("nodeSelector", "endpointSelector");
    let nodes = ["edge", "core"].iter().enumerate().map(|(at, pool)| {
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{at}, labels: {{pool: {pool}}}}}\nspec: {{podCIDR: 10.77.{at}.0/24}}\nstatus: {{addresses: [{{type: InternalIP, address: 192.0.2.{at}}}]}}\n"
        )
    });
    let cluster: String = nodes.collect();
    let names = |policies: &str, host_firewall| {
        let settings = Settings {
            host_firewall,
            ..Settings::default()
        };
        let policies = [policies.to_owned()];
        build(
            &policies,
            cluster.clone(),
            &settings,
            target(),
            |model, target| {
                let image = lower(model, target).unwrap();
                assert_eq!(image.hosts(), image.endpoints.len());
                let endpoints = image.endpoints.iter();
                let named =
                    endpoints.map(|bound| model.universe().endpoint(bound.endpoint).unwrap());
                named.map(|one| one.name.to_string()).collect::<Vec<_>>()
            },
        )
    };
    assert_eq!(names(NODE_POLICY, true), ["node:n0", "node:n1"]);
    assert_eq!(names(&one, true), ["node:n0"]);
    assert!(names(&none, true).is_empty());
    assert!(names(NODE_POLICY, false).is_empty());
}

/// Policies that share no page of ports, until the arena or the records are full.
#[test]
fn tables_beyond_the_limits_are_an_error() {
    let make = |pods: usize| {
        let ports = (0..30).map(|at| format!("{{port: \"{}\"}}", 60_001 + at * 256 % 5_000));
        let ports = ports.collect::<Vec<_>>().join(", ");
        let mut policies = format!(
            "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: heavy, namespace: n1}}\nspec: {{endpointSelector: {{}}, ingress: [{{toPorts: [{{ports: [{ports}]}}]}}]}}\n"
        );
        let mut labels = Vec::new();
        for pod in 0..pods {
            let mut rules = String::new();
            for page in 0..200 {
                let port = page * 256 + pod + 1;
                let _ = write!(
                    rules,
                    "{{toPorts: [{{ports: [{{port: \"{port}\", protocol: TCP}}]}}]}}, "
                );
            }
            let _ = write!(
                policies,
                "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p{pod}, namespace: n1}}\nspec: {{endpointSelector: {{matchLabels: {{app: \"{pod}\"}}}}, ingress: [{rules}]}}\n"
            );
            labels.push(pod.to_string());
        }
        lower_one(&policies, &labels, &target())
    };
    assert!(make(4).is_ok());
    // One verdict for each rule is too many before the bytes are; nobody is to blame.
    let faults = make(90).unwrap_err();
    assert_eq!(codes(&faults), ["E0501"]);
    assert!(faults[0].message.contains("more distinct verdicts"));
    assert!(faults[0].labels.is_empty());
    let faults = make(80).unwrap_err();
    assert_eq!(codes(&faults), ["E0501"]);
    assert!(faults[0].message.contains("bytes"), "{}", faults[0].message);
    // Every rule of its own costs one page, the one that all have thirty each time.
    let heavy = "the rule that costs most is `cnp n1/heavy spec.ingress[0]`";
    assert_eq!(faults[0].notes, [heavy]);
    let label = &faults[0].labels[0].text;
    assert!(label.contains("32 of the largest tables"), "{label}");
}

fn run(share: u32, then: impl Fn(Case)) {
    let mut runner = TestRunner::new(Config {
        // `PROPTEST_CASES` asks for more.
        // Tables are large, so a case costs much without optimisation.
        cases: Config::default().cases / share,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&generate::lowerable(), |case| {
        then(case);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

fn target() -> Target {
    Target {
        pod_ranges: vec![Cidr::parse("10.77.0.0/16").unwrap()],
        extended_protocols: true,
        without_proxy: true,
        ..Target::default()
    }
}

fn codes(faults: &[Diagnostic]) -> Vec<&'static str> {
    faults
        .iter()
        .map(|fault| fault.code.entry().number)
        .collect()
}

fn parse(files: &[String]) -> Vec<Document> {
    let mut sources = SourceMap::new();
    let parsed = files
        .iter()
        .map(|file| policyc_syntax::parse(&sources.add("file", file.as_str())));
    parsed.flat_map(|parsed| parsed.documents).collect()
}

fn build<T>(
    policies: &[String],
    cluster: String,
    settings: &Settings,
    mut target: Target,
    then: impl FnOnce(&Model<'_>, &Target) -> T,
) -> T {
    let (policies, _) = PolicySet::admit(&parse(policies), settings);
    let (inventory, _) = Inventory::read(&parse(&[cluster]));
    let rules = normalise::normalise(&policies, &inventory, settings);
    let universe = inventory::cluster(&inventory, &rules, settings);
    let resolved = Resolved::new(&rules, &universe);
    target.services = frontends(&inventory, &universe, &target.pod_ranges);
    then(&Model::build(&resolved, settings), &target)
}

fn with_model<T>(
    case: &Case,
    policies: &[String],
    target: Target,
    then: impl FnOnce(&Model<'_>, &Target) -> T,
) -> T {
    build(policies, case.cluster.yaml(), &case.settings, target, then)
}

/// Lowers policies for pods of one namespace that differ in the label `app`.
fn lower_one(policies: &str, labels: &[String], target: &Target) -> Result<Image, Vec<Diagnostic>> {
    let mut pods = String::new();
    for (at, label) in labels.iter().enumerate() {
        let _ = writeln!(
            pods,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{at}, namespace: n1, labels: {{app: \"{label}\"}}}}\nstatus: {{phase: Running, podIPs: [{{ip: 10.77.1.{at}}}]}}"
        );
    }
    build(
        &[policies.to_owned()],
        pods,
        &Settings::default(),
        target.clone(),
        lower,
    )
}

/// Compares every lookup with the model, and the addresses with the universe.
fn compare(model: &Model<'_>, target: &Target, found: &mut Found) {
    let image = match lower(model, target) {
        Ok(image) => image,
        // Rules that exclude each other.
        Err(faults) => {
            let conflict = model.policies().iter().any(|one| one.conflict.is_some());
            assert!(
                conflict && codes(&faults).iter().all(|code| *code == "E0305"),
                "{faults:?}"
            );
            return;
        }
    };
    for bound in &image.endpoints {
        for (direction, table) in [
            (Direction::Ingress, bound.ingress),
            (Direction::Egress, bound.egress),
        ] {
            for identity in 0..model.universe().identities().len() {
                for protocol in [1, 6, 17, 47, 58, 132] {
                    for port in PORTS {
                        let peer = IdentityId::at(identity);
                        let flow = Flow {
                            subject: bound.endpoint,
                            direction,
                            peer,
                            protocol: Protocol(protocol),
                            port: *port,
                        };
                        let given = answer(&image, table, &flow);
                        assert_eq!(given, wanted(model, &flow), "{flow:?}");
                        found.lookups += 1;
                        found.nodes += usize::from(bound.host);
                        found.authenticated += usize::from(given.auth != 0);
                        found.proxied += usize::from(given.proxy.is_some());
                        found.logged += usize::from(!given.log.is_empty());
                    }
                }
            }
        }
    }
    addresses(model, &image);
    found.lookups += services(model, &image, &target.services);
}

/// A service is allowed where the model allows all its backends, and nowhere else unless it makes no difference.
fn services(model: &Model<'_>, image: &Image, services: &[Frontend]) -> usize {
    let mut compared = 0;
    for bound in &image.endpoints {
        let eval = |direction, peer, protocol, port| {
            let flow = Flow {
                subject: bound.endpoint,
                direction,
                peer,
                protocol,
                port,
            };
            wanted(model, &flow).passes()
        };
        for service in services {
            let entry = image.ipcache.iter();
            let mut entry = entry.filter(|entry| entry.address == service.address);
            let peer = IdentityId(entry.next().unwrap().identity);
            let node_of = |id| model.universe().endpoint(id).unwrap().node;
            let own = Nodes::from([node_of(bound.endpoint)]);
            // A node behind a service is the host to its own pods and another node to the rest, which may have the same
            // table.
            let sharing = image.endpoints.iter();
            let sharing = sharing.filter(|other| other.egress == bound.egress);
            let sharing: Nodes = sharing.map(|other| node_of(other.endpoint)).collect();
            let seen = |backends: &Backends, nodes: &Nodes| {
                let all = backends.iter().flat_map(|one| one.seen_from(nodes));
                all.collect::<Vec<_>>()
            };
            let mut backends = service.ports.values().flat_map(|one| seen(one, &own));
            let everywhere = backends.all(|(peer, _)| {
                [1, 6, 17, 47, 58, 132].iter().all(|protocol| {
                    let mut ports = PORTS.iter();
                    let (way, protocol) = (Direction::Egress, Protocol(*protocol));
                    ports.all(|port| eval(way, peer, protocol, *port))
                })
            });
            for protocol in [1, 6, 17, 47, 58, 132].map(Protocol) {
                for port in PORTS {
                    let passes = |direction, table| {
                        let flow = Flow {
                            subject: bound.endpoint,
                            direction,
                            peer,
                            protocol,
                            port: *port,
                        };
                        answer(image, table, &flow).passes()
                    };
                    let unknown = eval(Direction::Ingress, IdentityId::UNKNOWN, protocol, *port);
                    assert_eq!(passes(Direction::Ingress, bound.ingress), unknown);
                    let passes = passes(Direction::Egress, bound.egress);
                    match service.ports.get(&(protocol, *port)) {
                        Some(backends) => {
                            let allows = |(peer, port): &(IdentityId, u16)| {
                                eval(Direction::Egress, *peer, protocol, *port)
                            };
                            let all = |nodes| seen(backends, nodes).iter().all(allows);
                            assert!(!passes || all(&own), "{service:?}");
                            assert!(passes || !all(&sharing), "{service:?}");
                        }
                        None => assert!(!passes || everywhere, "{service:?} {protocol} {port}"),
                    }
                    compared += 2;
                }
            }
        }
    }
    compared
}

/// The longest prefix of the tables' addresses must name the identity that the universe gives an address.
fn addresses(model: &Model<'_>, image: &Image) {
    let universe = model.universe();
    let pods = (0..image.endpoints.len()).map(Cluster::address);
    // The local node is known to the datapath as every node is: by its number.
    let all = ADDRESSES
        .iter()
        .map(|text| (*text).to_owned())
        .chain(pods)
        .chain([Cluster::node_address(1)]);
    for address in all {
        let address: IpAddr = address.parse().unwrap();
        let holding = image.ipcache.iter().filter(|entry| {
            Cidr::new(entry.address, entry.prefix_len)
                .unwrap()
                .covers(&Cidr::host(address))
        });
        let longest = holding.max_by_key(|entry| entry.prefix_len).unwrap();
        let known = universe.owner(address).identity;
        let pod_range = address.to_string().starts_with("10.77.");
        let is_pod = universe
            .endpoints()
            .iter()
            .any(|endpoint| !endpoint.host && endpoint.addresses.contains(&address));
        let wanted = if pod_range && !is_pod {
            IdentityId::UNKNOWN
        } else {
            known
        };
        assert_eq!(longest.identity, wanted.0, "{address}");
    }
}
