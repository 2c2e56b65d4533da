//! Single rules of meaning, each with policies and flows that show it. Both evaluators have to give the answer.

/// Default deny and the knobs around it.
mod enforcement;
/// Proxies and authentication.
mod layer7;
/// Tiers.
mod levels;
/// Who is meant.
mod peers;
/// Ports and protocols.
mod ports;
/// What proxies say.
mod requests;

use policyc_diag::SourceMap;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::request::{Answer as Told, Request};
use policyc_ir::model::{Flow, Model};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::Direction;
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, IdentityId};
use policyc_syntax::ast::Document;

use crate::answer::answer;
use crate::naive::cluster::Cluster;
use crate::naive::{Answer, Facing, World};

/// The cluster of all cases: pods of two namespaces and a DNS server, two nodes, an API server outside, services,
/// groups of prefixes and a learned name.
const CLUSTER: &str = include_str!("pinned/cluster.yaml");

/// Settings that most cases share: nodes are subjects, and the node gets nothing for free.
fn settings() -> Settings {
    Settings {
        host_firewall: true,
        allow_localhost: false,
        node_selector_labels: true,
        ..Settings::default()
    }
}

/// Asks both evaluators: of `subject` `to` or `from` `other` on `protocol/port`, each with the answer that is due.
#[track_caller]
fn pin(policies: &str, flows: &[(&str, &str)]) {
    pin_with(&settings(), policies, flows);
}

#[track_caller]
fn pin_with(settings: &Settings, policies: &str, flows: &[(&str, &str)]) {
    with_both(settings, policies, |model, world| {
        for (flow, wanted) in flows {
            let question = Question::read(flow);
            let given = answer(&model.eval(&question.flow(model.universe())));
            assert_eq!(brief(&given), *wanted, "the model on {flow}");
            let given = question.ask(world);
            assert_eq!(brief(&given), *wanted, "the naive evaluator on {flow}");
        }
    });
}

/// Asks both evaluators what becomes of requests over a flow.
#[track_caller]
fn pin_requests(policies: &str, flow: &str, requests: &[(Request, Told)]) {
    with_both(&settings(), policies, |model, world| {
        for (request, wanted) in requests {
            let question = Question::read(flow);
            let given = model.request(&question.flow(model.universe()), request);
            assert_eq!(given, *wanted, "the model on {request:?}");
            let given = question.request(world, request);
            assert_eq!(given, *wanted, "the naive evaluator on {request:?}");
        }
    });
}

#[track_caller]
fn with_both(settings: &Settings, policies: &str, then: impl FnOnce(&Model<'_>, &World<'_>)) {
    let mut sources = SourceMap::new();
    let mut read = |text: &str| -> Vec<Document> {
        let parsed = policyc_syntax::parse(&sources.add("text.yaml", text));
        assert!(parsed.diagnostics.is_empty(), "{:#?}", parsed.diagnostics);
        parsed.documents
    };
    let (documents, objects) = (read(policies), read(CLUSTER));
    let (admitted, faults) = PolicySet::admit(&documents, settings);
    let errors: Vec<_> = faults.iter().filter(|fault| fault.is_error()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let (inventory, faults) = Inventory::read(&objects);
    assert!(faults.is_empty(), "{faults:#?}");
    let rules = normalise::normalise(&admitted, &inventory, settings);
    let universe = inventory::universe(&inventory, &rules, settings, None);
    let resolved = Resolved::new(&rules, &universe);
    let world = World {
        cluster: Cluster::read(&objects),
        settings,
        documents: documents.iter().collect(),
    };
    then(&Model::build(&resolved, settings), &world);
}

/// `web -> 10.0.0.1 TCP/80` is egress of a pod, `web <- db TCP/80` ingress.
struct Question<'a> {
    subject: &'a str,
    direction: Direction,
    other: &'a str,
    protocol: u8,
    port: u16,
}

impl<'a> Question<'a> {
    fn read(text: &'a str) -> Self {
        let words: Vec<_> = text.split(' ').collect();
        let (protocol, port) = words[3].split_once('/').unwrap();
        let direction = match words[1] {
            "->" => Direction::Egress,
            "<-" => Direction::Ingress,
            other => panic!("no direction: {other}"),
        };
        let protocol = match protocol {
            "TCP" => 6,
            "UDP" => 17,
            "SCTP" => 132,
            "ICMP" => 1,
            "ICMPv6" => 58,
            number => number.parse().unwrap(),
        };
        Self {
            subject: words[0],
            direction,
            other: words[2],
            protocol,
            port: port.parse().unwrap(),
        }
    }

    /// Names without a namespace are of pods in `shop`.
    fn pod(name: &str) -> String {
        if name.contains(['/', ':']) {
            name.to_owned()
        } else {
            format!("shop/{name}")
        }
    }

    fn other(&self) -> String {
        match self.other {
            "host" | "unknown" => self.other.to_owned(),
            name => Self::pod(name),
        }
    }

    fn subject(&self) -> String {
        if self.subject == "host" {
            "host".to_owned()
        } else {
            Self::pod(self.subject)
        }
    }

    fn facing<T>(&self, world: &World<'_>, then: impl FnOnce(&Facing<'_>) -> T) -> T {
        let sides = world.sides(world.subject(&self.subject()));
        let other = world.other(&self.other());
        let side = &sides[usize::from(self.direction == Direction::Egress)];
        then(&world.facing(side, &other))
    }

    fn ask(&self, world: &World<'_>) -> Answer {
        self.facing(world, |facing| world.ask(facing, self.protocol, self.port))
    }

    fn request(&self, world: &World<'_>, request: &Request) -> Told {
        self.facing(world, |facing| {
            world.request(facing, self.protocol, self.port, request)
        })
    }

    fn flow(&self, universe: &Universe) -> Flow {
        Flow {
            subject: universe.find(&self.subject()).unwrap(),
            direction: self.direction,
            peer: identity(universe, &self.other()),
            protocol: Protocol(self.protocol),
            port: self.port,
        }
    }
}

fn identity(universe: &Universe, name: &str) -> IdentityId {
    let of = |id: EndpointId| universe.endpoint(id).unwrap().identity;
    let at = |address: &str| universe.identity_of(address.parse().unwrap());
    match name.split_once(':') {
        Some(("ip", address)) => at(address),
        Some(("node", "a")) => at("172.18.0.2"),
        Some(("node", _)) => at("172.18.0.3"),
        Some((_, entity)) => IdentityId::reserved(entity).unwrap(),
        None if name == "unknown" => IdentityId::UNKNOWN,
        None if name == "host" => IdentityId::HOST,
        None => of(universe.find(name).unwrap()),
    }
}

/// An answer in a few words: what happens, by which proxy, looking at what, after which authentication.
fn brief(answer: &Answer) -> String {
    let mut words = vec![match (answer.verdict, answer.reason) {
        ("deny", "policy") => "deny by rule".to_owned(),
        (verdict, _) => verdict.to_owned(),
    }];
    if let Some(shown) = &answer.shown {
        words = vec![shown.parser.to_owned()];
        let lists = [&shown.http, &shown.dns, &shown.server_names];
        words.extend(lists.into_iter().flatten().cloned());
        words.extend(shown.listener.clone());
        words.extend(shown.plain.then(|| "or plain".to_owned()));
    }
    if !answer.auth.is_empty() {
        words.push(format!("after {}", answer.auth));
    }
    words.join(" ")
}

/// A CiliumNetworkPolicy of `shop` for `app: web`.
fn web(spec: &str) -> String {
    cnp(
        "web",
        &format!("endpointSelector: {{matchLabels: {{app: web}}}}, {spec}"),
    )
}

/// A CiliumNetworkPolicy of `shop`.
fn cnp(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
    )
}

/// A CiliumClusterwideNetworkPolicy.
fn ccnp(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    )
}
