//! Mermaid.

use std::fmt::Write as _;

use super::dot::title;
use super::drawn::Graph;
use super::group::Kind;

/// The graph as a flowchart, a subgraph for each namespace.
pub(super) fn render(graph: &Graph) -> String {
    let mut out = "flowchart LR\n".to_owned();
    let mut open: Option<&str> = None;
    for (at, group) in graph.groups.iter().enumerate() {
        let namespace = group
            .namespace
            .as_deref()
            .filter(|_| !group.name.is_empty());
        if open != namespace {
            out.push_str(if open.is_some() { "  end\n" } else { "" });
            if let Some(name) = namespace {
                _ = writeln!(out, "  subgraph s{at}[\"{}\"]", escaped(name));
            }
            open = namespace;
        }
        let title = escaped(&title(group));
        let (left, right) = match group.kind {
            Kind::Pods => ("[", "]"),
            _ => ("([", "])"),
        };
        let class = if group.exposed || group.kind == Kind::Internet {
            ":::exposed"
        } else {
            ""
        };
        let indent = if open.is_some() { "    " } else { "  " };
        _ = writeln!(out, "{indent}n{at}{left}\"{title}\"{right}{class}");
    }
    out.push_str(if open.is_some() { "  end\n" } else { "" });
    for edge in &graph.edges {
        let (from, to, label) = (edge.from, edge.to, escaped(&edge.label()));
        let arrow = if edge.proxied { "-.->" } else { "-->" };
        _ = writeln!(out, "  n{from} {arrow}|\"{label}\"| n{to}");
    }
    out.push_str("  classDef exposed stroke:#c00,stroke-width:2px\n");
    out
}

/// Text as Mermaid's character codes, but for what surely means nothing to it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter.is_alphanumeric() || " -_./:,()*!".contains(letter) {
            out.push(letter);
        } else {
            _ = write!(out, "#{};", u32::from(letter));
        }
    }
    out
}
