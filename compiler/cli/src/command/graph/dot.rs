//! Graphviz.

use std::fmt::Write as _;

use super::drawn::{Graph, Group};
use super::group::Kind;

/// The graph in the language of `dot`, a cluster for each namespace.
pub(super) fn render(graph: &Graph) -> String {
    let mut out =
        "digraph reachability {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n".to_owned();
    let mut open: Option<&str> = None;
    for (at, group) in graph.groups.iter().enumerate() {
        let namespace = group
            .namespace
            .as_deref()
            .filter(|_| !group.name.is_empty());
        if open != namespace {
            out.push_str(if open.is_some() { "  }\n" } else { "" });
            if let Some(name) = namespace {
                let name = quoted(name);
                _ = writeln!(out, "  subgraph \"cluster_{at}\" {{\n    label={name};");
            }
            open = namespace;
        }
        let indent = if open.is_some() { "    " } else { "  " };
        _ = writeln!(
            out,
            "{indent}n{at} [label={}{}];",
            quoted(&title(group)),
            look(group)
        );
    }
    out.push_str(if open.is_some() { "  }\n" } else { "" });
    for edge in &graph.edges {
        let style = if edge.proxied { ", style=dashed" } else { "" };
        let (from, to, label) = (edge.from, edge.to, quoted(&edge.label()));
        _ = writeln!(out, "  n{from} -> n{to} [label={label}{style}];");
    }
    out.push_str("}\n");
    out
}

/// What is written into a group's box.
pub(super) fn title(group: &Group) -> String {
    let name = if group.name.is_empty() {
        group.full_name()
    } else {
        group.name.clone()
    };
    match group.pods {
        0 | 1 => name,
        pods => format!("{name} ({pods} pods)"),
    }
}

fn look(group: &Group) -> &'static str {
    match group.kind {
        Kind::Internet => ", shape=ellipse, color=red",
        Kind::Outside | Kind::Host => ", shape=ellipse",
        Kind::Pods if group.exposed => ", color=red",
        Kind::Pods => "",
    }
}

/// A string of the language; nothing in it ends the string or means anything.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
