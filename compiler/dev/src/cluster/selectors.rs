//! Labels and selectors over them.

use serde_json::{Map, Value, json};

use super::inventory::{Namespace, Pod, World};
use super::random::Random;

/// Label keys that many workloads share.
const KEYS: &[&str] = &[
    "tier",
    "env",
    "role",
    "version",
    "team",
    "app.kubernetes.io/name",
    "example.com/part",
    "track",
    "lang",
    "owner",
];
/// Values of each of them.
const VALUES: usize = 6;
/// Of those, how many keys a pod has besides `app`.
const KEYS_PER_POD: usize = 4;

/// Labels by key.
pub(super) type Labels = Map<String, Value>;

/// The labels of pod number `at`.
pub(super) fn labels(at: usize, random: &mut Random) -> Labels {
    let mut labels = Labels::new();
    labels.insert("app".to_owned(), format!("app-{at}").into());
    for key in random.some(KEYS_PER_POD, KEYS) {
        labels.insert((*key).to_owned(), value(key, random));
    }
    labels
}

fn value(key: &str, random: &mut Random) -> Value {
    let short = key.split(['.', '/']).next().unwrap_or(key);
    format!("{short}-{}", random.below(VALUES)).into()
}

/// A selector that some pod of a namespace meets; without a namespace, some pod of the cluster. Three of a hundred
/// select everything.
pub(super) fn pods(world: &World, namespace: Option<&Namespace>, random: &mut Random) -> Value {
    if random.chance(3) {
        return json!({});
    }
    let pod = match namespace.filter(|namespace| !namespace.pods.is_empty()) {
        Some(namespace) => world.pod(*random.pick(&namespace.pods)),
        None => random.pick(&world.pods),
    };
    json!({"matchLabels": match_some(pod, random)})
}

/// Usually `app`, sometimes one or two others.
fn match_some(pod: &Pod, random: &mut Random) -> Labels {
    let others = pod.labels.iter().filter(|(key, _)| *key != "app");
    let others: Vec<_> = others.collect();
    let chosen = if random.chance(70) {
        pod.labels.iter().filter(|(key, _)| *key == "app").collect()
    } else {
        let count = 1 + random.below(2);
        random
            .some(count, &others)
            .into_iter()
            .copied()
            .collect::<Vec<_>>()
    };
    let pairs = chosen.into_iter();
    pairs
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A selector that some namespace meets by its labels.
pub(super) fn namespaces(world: &World, random: &mut Random) -> Value {
    let labels: Vec<_> = random.pick(&world.namespaces).labels.iter().collect();
    let (key, value) = random.pick(&labels);
    match random.below(10) {
        0 => json!({}),
        1 | 2 => json!({"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}),
        3 => json!({"matchExpressions": [{"key": key, "operator": "NotIn", "values": [value]}]}),
        _ => json!({"matchLabels": {key.as_str(): value}}),
    }
}
