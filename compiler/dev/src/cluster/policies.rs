//! Policies of all kinds.

use serde_json::{Value, json};

use super::Shape;
use super::inventory::{Namespace, World};
use super::peers::{self, Fields, Way};
use super::random::Random;
use super::selectors;

/// Sections of Cilium's kinds and how many policies of a hundred have them.
const SECTIONS: &[(&str, Way, bool, usize)] = &[
    ("ingress", Way::From, false, 80),
    ("egress", Way::To, false, 50),
    ("ingressDeny", Way::From, true, 6),
    ("egressDeny", Way::To, true, 6),
];

/// All policies: one in a hundred is cluster-wide, a third are Kubernetes' own.
pub(super) fn objects(shape: Shape, world: &World, random: &mut Random) -> Vec<Value> {
    let policy = |at| {
        let home = random.pick(&world.namespaces);
        match random.below(100) {
            0 => object("Clusterwide", None, at, spec(world, None, random)),
            1..35 => kubernetes(world, home, at, random),
            _ => object("", Some(home), at, spec(world, Some(home), random)),
        }
    };
    (0..shape.policies).map(policy).collect()
}

fn object(kind: &str, home: Option<&Namespace>, at: usize, spec: Fields) -> Value {
    let mut metadata = Fields::new();
    metadata.insert("name".to_owned(), format!("policy-{at}").into());
    if let Some(home) = home {
        metadata.insert("namespace".to_owned(), home.name.as_str().into());
    }
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": format!("Cilium{kind}NetworkPolicy"),
        "metadata": metadata,
        "spec": Value::Object(spec),
    })
}

fn spec(world: &World, home: Option<&Namespace>, random: &mut Random) -> Fields {
    let mut spec = Fields::new();
    let subject = selectors::pods(world, home, random);
    spec.insert("endpointSelector".to_owned(), subject);
    for (name, way, deny, percent) in SECTIONS {
        if random.chance(*percent) {
            let count = 1 + random.below(3);
            let entries = (0..count).map(|_| entry(world, home, *way, *deny, random));
            spec.insert((*name).to_owned(), entries.collect());
        }
    }
    if spec.len() == 1 {
        let only = entry(world, home, Way::From, false, random);
        spec.insert("ingress".to_owned(), json!([only]));
    }
    spec
}

/// An entry of Cilium's kinds: peers, ports, or both.
fn entry(
    world: &World,
    home: Option<&Namespace>,
    way: Way,
    deny: bool,
    random: &mut Random,
) -> Value {
    let mut entry = peers::cilium(world, home, way, deny, random);
    if entry.is_empty() || random.chance(60) {
        let l7 = if deny || world.layers < 7 {
            100
        } else {
            random.below(100)
        };
        // A name that a rule speaks of must be looked up where the proxy can see it.
        let ports = match (l7, way) {
            (0..6, _) => http(random),
            (6, Way::To) => {
                json!({"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}})
            }
            _ => json!({"ports": ports(random)}),
        };
        entry.insert("toPorts".to_owned(), json!([ports]));
    }
    entry.into()
}

fn http(random: &mut Random) -> Value {
    let port = random.pick(&["80", "8080", "8443"]);
    let method = random.pick(&["GET", "POST", "PUT", "GET|HEAD"]);
    let path = random.pick(&["/", "/public/.*", "/api/v[0-9]+"]);
    json!({
        "ports": [{"port": port, "protocol": "TCP"}],
        "rules": {"http": [{"method": method, "path": path}]},
    })
}

/// One to three ports: numbers, ranges and now and then a name.
fn ports(random: &mut Random) -> Vec<Value> {
    let count = 1 + random.below(3);
    let port = |random: &mut Random| match random.below(100) {
        0..4 => json!({"port": random.pick(&["http", "metrics", "grpc"]), "protocol": "TCP"}),
        4..19 => {
            let first = *random.pick(&[1_usize, 1000, 1024, 8000, 30_000]);
            let last = first + random.pick(&[1, 7, 80, 999, 2767]);
            json!({"port": first.to_string(), "endPort": last, "protocol": random.pick(&["TCP", "UDP", "ANY"])})
        }
        _ => {
            let number = random.pick(&["80", "443", "8080", "53", "5432", "9090", "65535"]);
            json!({"port": number, "protocol": random.pick(&["TCP", "TCP", "TCP", "UDP", "ANY", "SCTP"])})
        }
    };
    (0..count).map(|_| port(random)).collect()
}

/// Kubernetes' NetworkPolicy.
fn kubernetes(world: &World, home: &Namespace, at: usize, random: &mut Random) -> Value {
    let mut spec = Fields::new();
    let subject = selectors::pods(world, Some(home), random);
    spec.insert("podSelector".to_owned(), subject);
    let mut types = Vec::new();
    for (kind, section, peers, percent) in [
        ("Ingress", "ingress", "from", 75),
        ("Egress", "egress", "to", 50),
    ] {
        if !random.chance(percent) {
            continue;
        }
        types.push(kind);
        // A type without rules isolates.
        if random.chance(85) {
            let count = 1 + random.below(2);
            let rules = (0..count).map(|_| kubernetes_rule(world, home, peers, random));
            spec.insert(section.to_owned(), rules.collect());
        }
    }
    if types.is_empty() {
        types.push("Ingress");
    }
    spec.insert("policyTypes".to_owned(), types.into());
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": home.name, "name": format!("policy-{at}")},
        "spec": spec,
    })
}

fn kubernetes_rule(world: &World, home: &Namespace, peers: &str, random: &mut Random) -> Value {
    let mut rule = Fields::new();
    if random.chance(80) {
        let count = 1 + random.below(2);
        let list = (0..count).map(|_| peers::kubernetes(world, home, random));
        rule.insert(peers.to_owned(), list.collect());
    }
    if random.chance(60) {
        let port = match random.below(10) {
            0 => json!({"protocol": random.pick(&["TCP", "UDP"])}),
            1 => json!({"protocol": "TCP", "port": random.pick(&["http", "metrics"])}),
            2 => {
                json!({"protocol": "TCP", "port": 8000, "endPort": 8000 + random.pick(&[5, 100, 767])})
            }
            _ => {
                json!({"protocol": random.pick(&["TCP", "TCP", "UDP"]), "port": random.pick(&[80, 443, 8080, 53, 5432])})
            }
        };
        rule.insert("ports".to_owned(), json!([port]));
    }
    rule.into()
}
