//! The other side of a rule.

use serde_json::{Map, Value, json};

use super::inventory::{GROUPS, NAMES, Namespace, World};
use super::random::Random;
use super::selectors;

/// Fields of an entry of Cilium's kinds, by name.
pub(super) type Fields = Map<String, Value>;

/// Which way, as the first word of field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    From,
    To,
}

impl Way {
    pub(super) fn field(self, rest: &str) -> String {
        match self {
            Self::From => format!("from{rest}"),
            Self::To => format!("to{rest}"),
        }
    }
}

/// Peers of an entry of Cilium's kinds. Nearly two thirds are endpoints; one in ten entries speaks of none.
pub(super) fn cilium(
    world: &World,
    home: Option<&Namespace>,
    way: Way,
    deny: bool,
    random: &mut Random,
) -> Fields {
    let mut fields = Fields::new();
    let (name, value) = match random.below(100) {
        0..60 => {
            let count = 1 + random.below(2);
            let selectors = (0..count).map(|_| endpoints(world, home, random));
            (way.field("Endpoints"), selectors.collect())
        }
        60..68 => {
            let entity = *random.pick(&["world", "cluster", "host", "kube-apiserver"]);
            (way.field("Entities"), json!([entity]))
        }
        68..74 => (way.field("CIDR"), json!([random.pick(&world.cidrs)])),
        74..80 => (way.field("CIDRSet"), json!([set(world, random)])),
        80..86 if way == Way::To && !deny && world.layers == 7 => {
            ("toFQDNs".to_owned(), json!([name(random)]))
        }
        86..90 if way == Way::To && !world.services.is_empty() && world.layers == 7 => {
            let service = random.pick(&world.services);
            let of = json!({"serviceName": service.name, "namespace": service.namespace});
            ("toServices".to_owned(), json!([{"k8sService": of}]))
        }
        _ => return fields,
    };
    fields.insert(name, value);
    fields
}

/// Pods of the policy's namespace, of another, or of all namespaces with a label.
fn endpoints(world: &World, home: Option<&Namespace>, random: &mut Random) -> Value {
    let (key, value, pods) = match (home, random.below(100)) {
        (Some(home), 0..55) => return selectors::pods(world, Some(home), random),
        (_, 0..98) => {
            let other = random.pick(&world.namespaces);
            let key = "k8s:io.kubernetes.pod.namespace".to_owned();
            (key, Value::from(other.name.as_str()), Some(other))
        }
        _ => {
            let labels: Vec<_> = random.pick(&world.namespaces).labels.iter().collect();
            let (key, value) = *random.pick(&labels);
            let key = format!("k8s:io.cilium.k8s.namespace.labels.{key}");
            (key, value.clone(), None)
        }
    };
    let mut selector = selectors::pods(world, pods, random);
    let fields = selector.as_object_mut();
    let labels = fields.map(|fields| fields.entry("matchLabels").or_insert_with(|| json!({})));
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.insert(key, value);
    }
    selector
}

/// A name or a pattern of names.
fn name(random: &mut Random) -> Value {
    let at = random.below(NAMES);
    if random.chance(70) {
        json!({"matchName": format!("api-{at}.example.com")})
    } else {
        json!({"matchPattern": format!("*.zone-{at}.example.com")})
    }
}

/// A group of prefixes, or a prefix.
fn set(world: &World, random: &mut Random) -> Value {
    if random.chance(20) {
        json!({"cidrGroupRef": format!("group-{}", random.below(GROUPS))})
    } else {
        block(world, random)
    }
}

/// A prefix, sometimes without a part of it.
fn block(world: &World, random: &mut Random) -> Value {
    if random.chance(30) {
        json!({"cidr": "20.0.0.0/8", "except": ["20.1.0.0/16"]})
    } else {
        json!({"cidr": random.pick(&world.cidrs)})
    }
}

/// A peer of Kubernetes' NetworkPolicy.
pub(super) fn kubernetes(world: &World, home: &Namespace, random: &mut Random) -> Value {
    match random.below(100) {
        0..40 => json!({"podSelector": selectors::pods(world, Some(home), random)}),
        40..65 => json!({"namespaceSelector": selectors::namespaces(world, random)}),
        65..80 => json!({
            "namespaceSelector": selectors::namespaces(world, random),
            "podSelector": selectors::pods(world, None, random),
        }),
        _ => json!({"ipBlock": block(world, random)}),
    }
}
