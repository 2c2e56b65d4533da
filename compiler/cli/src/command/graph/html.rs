//! One page for a browser, which asks nobody for anything.
//!
//! Edges are rows of runs: of one receiver after another that may be reached on the same ports. Namespaces without
//! policies are one run then, and a thousand workloads a page of reasonable size. Equal rows stand once.

use std::collections::BTreeMap;

use serde_json::json;

use super::drawn::{Edge, Graph};

/// The page, with a place for the graph.
const PAGE: &str = include_str!("html/page.html");
/// That place.
const PLACE: &str = "@GRAPH@";

/// A label and how often it stands in a row; the label 0 is no edge.
type Run = (usize, usize);

/// The page with the graph in it.
pub(super) fn render(graph: &Graph) -> String {
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    labels.insert(String::new(), 0);
    let mut rows: BTreeMap<Vec<Run>, usize> = BTreeMap::new();
    let mut row_of = Vec::with_capacity(graph.groups.len());
    let mut edges = graph.edges.as_slice();
    for from in 0..graph.groups.len() {
        let mine = edges.partition_point(|edge| edge.from <= from);
        let (own, others) = edges.split_at_checked(mine).unwrap_or_default();
        edges = others;
        let runs = runs(own, graph.groups.len(), &mut labels);
        let next = rows.len();
        row_of.push(*rows.entry(runs).or_insert(next));
    }
    let groups = graph.groups.iter().map(|group| {
        json!([
            group.namespace.as_deref().unwrap_or(group.kind.name()),
            group.full_name(),
            group.kind.name(),
            group.pods,
            group.exposed,
            group.reaches,
            group.distance,
        ])
    });
    let document = json!({
        "groups": groups.collect::<Vec<_>>(),
        "labels": by_position(labels),
        "rows": by_position(rows),
        "row": row_of,
    });
    PAGE.replacen(PLACE, &inert(&document.to_string()), 1)
}

fn runs(edges: &[Edge], groups: usize, labels: &mut BTreeMap<String, usize>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut push = |label: usize, count: usize| match runs.last_mut() {
        Some((last, so_far)) if *last == label => *so_far += count,
        _ if count > 0 => runs.push((label, count)),
        _ => {}
    };
    let mut at = 0;
    for edge in edges {
        push(0, edge.to.saturating_sub(at));
        let next = labels.len();
        push(*labels.entry(edge.label()).or_insert(next), 1);
        at = edge.to + 1;
    }
    push(0, groups.saturating_sub(at));
    runs
}

fn by_position<T>(known: BTreeMap<T, usize>) -> Vec<T> {
    let mut all: Vec<_> = known.into_iter().collect();
    all.sort_by_key(|(_, at)| *at);
    all.into_iter().map(|(one, _)| one).collect()
}

/// JSON that means nothing to a reader of HTML: it holds no tag, no comment and no entity.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            letter => out.push(letter),
        }
    }
    out
}
