//! `metadata`, selectors and lists of labels.

use super::{Context, Decode, Field, Table};
use crate::ast::{Meta, Requirement, Selector, Text};
use crate::tree::{Node, Value};

/// Fields of `metadata` that no policy depends on; most are written by the server.
const OTHER: &[&str] = &[
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "clusterName",
];

/// Reads `metadata`. It is decoded by the server for every kind, so null is absent even under a schema.
pub(super) fn meta(node: &Node<'_>, cx: &mut Context<'_>) -> Option<Meta> {
    let reader = cx.reader;
    if cx.reader == super::Reader::Schema {
        cx.reader = super::Reader::Server;
    }
    let meta = read(node, cx);
    cx.reader = reader;
    meta
}

fn read(node: &Node<'_>, cx: &mut Context<'_>) -> Option<Meta> {
    let mut table = Table::open(node, Field::new("metadata"), cx)?;
    let name = table.optional("name", cx);
    let namespace = table.optional("namespace", cx);
    let labels = table.optional::<Pairs>("labels", cx);
    if cx.reader != super::Reader::Inventory {
        table.optional::<Pairs>("annotations", cx);
    }
    table.ignore(OTHER);
    let span = table.span;
    table.finish(cx);
    Some(Meta {
        span,
        name,
        namespace,
        labels: labels.unwrap_or_default().0,
    })
}

/// A mapping from text to text, in writing order.
#[derive(Default)]
pub(super) struct Pairs(pub(super) Vec<(Text, Text)>);

impl Decode for Pairs {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            cx.wrong_type(node, field, Self::EXPECTED);
            return None;
        };
        let mut pairs = Vec::with_capacity(entries.len());
        for entry in &**entries {
            let key = Text::new(entry.key.value.clone().into_owned(), entry.key.span);
            // The server reads a null among labels as empty text; a schema refuses it.
            if entry.value.is_null() && cx.reader != super::Reader::Schema {
                pairs.push((key, Text::new(String::new(), entry.value.span)));
                continue;
            }
            let field = Field::new(&entry.key.value);
            if let Some(value) = Text::decode(&entry.value, field, cx) {
                pairs.push((key, value));
            }
        }
        Some(Self(pairs))
    }
}

impl Decode for Selector {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let labels = table.optional::<Pairs>("matchLabels", cx);
        let expressions = table.optional::<crate::ast::List<Requirement>>("matchExpressions", cx);
        let span = table.span;
        table.finish(cx);
        Some(Self {
            span,
            match_labels: labels.unwrap_or_default().0,
            match_expressions: expressions.map_or_else(Vec::new, |list| list.items),
        })
    }
}

impl Decode for Requirement {
    fn decode(node: &Node<'_>, field: Field<'_>, cx: &mut Context<'_>) -> Option<Self> {
        let mut table = Table::open(node, field, cx)?;
        let key = table.required("key", cx);
        let operator = table.required("operator", cx);
        let values = table.optional("values", cx);
        let span = table.span;
        table.finish(cx);
        Some(Self {
            span,
            key: key?,
            operator: operator?,
            values,
        })
    }
}
