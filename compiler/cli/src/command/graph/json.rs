//! JSON form.

use serde_json::{Value, json};

use super::drawn::{Edge, Graph, Group};

/// Groups with their positions as ids, and edges between them.
pub(super) fn render(graph: &Graph) -> String {
    let groups = graph.groups.iter().enumerate();
    let document = json!({
        "groups": groups.map(|(at, one)| group(at, one)).collect::<Vec<_>>(),
        "edges": graph.edges.iter().map(edge).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

/// One group.
fn group(at: usize, group: &Group) -> Value {
    json!({
        "id": at,
        "kind": group.kind.name(),
        "namespace": group.namespace,
        "name": group.full_name(),
        "pods": group.pods,
        "exposed": group.exposed,
        "distance": group.distance,
        "reaches": group.reaches,
        "components": group.components,
    })
}

fn edge(edge: &Edge) -> Value {
    json!({
        "from": edge.from,
        "to": edge.to,
        "ports": edge.ports,
        "proxied": edge.proxied,
        "authenticated": edge.authenticated,
    })
}
