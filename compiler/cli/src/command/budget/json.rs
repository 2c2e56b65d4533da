//! JSON forms.

use policyc_ir::ids::EndpointId;
use policyc_ir::port::Protocol;
use policyc_ir::rule::Direction;
use policyc_lower::lpm::{Row, Table};
use serde_json::{Value, json};

use super::View;
use super::count::{Count, Share, Sides};
use crate::pipeline::Front;

/// One document: the entries of each endpoint in numbers, and what each rule adds.
pub(super) fn document(
    view: &View<'_>,
    front: &Front,
    count: &Count,
    before: Option<&Count>,
    limit: u32,
) -> String {
    let endpoints = count.endpoints.iter().map(|(name, sides)| {
        let old = before.and_then(|before| before.endpoints.get(name).copied().flatten());
        let mut value = numbers(*sides);
        if let Some(object) = value.as_object_mut() {
            object.insert("subject".to_owned(), (**name).into());
            if before.is_some() {
                object.insert("before".to_owned(), old.map_or(0, Sides::total).into());
            }
        }
        value
    });
    let rules = count.rules.iter().map(|share| {
        let mut value = rule(view, front, share);
        if let (Some(before), Some(object)) = (before, value.as_object_mut()) {
            let name = view.model.resolved.rules.name(share.rule);
            let old = before.by_name.get(&name).copied().unwrap_or(0);
            object.insert("before".to_owned(), old.into());
        }
        value
    });
    let mut value = json!({
        "schema": 1,
        "limit": limit,
        "identities": view.identities.count(),
        "endpoints": endpoints.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
    });
    if let (Some(before), Some(object)) = (before, value.as_object_mut()) {
        let gone = before.gone(count).into_iter();
        let gone = gone.map(|(rule, entries)| json!({"rule": rule, "before": entries}));
        object.insert("gone".to_owned(), gone.collect());
    }
    format!("{value:#}\n")
}

fn numbers(sides: Option<Sides>) -> Value {
    match sides {
        Some(sides) => {
            json!({"total": sides.total(), "ingress": sides.ingress, "egress": sides.egress})
        }
        None => json!({"error": "no policy"}),
    }
}

fn rule(view: &View<'_>, front: &Front, share: &Share) -> Value {
    let rules = view.model.resolved.rules;
    let span = rules.rule(share.rule).map(|rule| rule.origin.span);
    let file = span.map(|span| front.sources.name(span.file));
    let line = span.map(|span| front.sources.place(span.file, span.start).line);
    json!({
        "rule": rules.name(share.rule),
        "file": file,
        "line": line,
        "entries": share.entries,
        "endpoints": share.endpoints,
    })
}

/// One line an endpoint, with all of its entries. Rows of verdict `pass` are kept by the agent beside the map.
pub(super) fn lines(view: &View<'_>, mut print: impl FnMut(&str)) {
    for (id, pair) in &view.maps.endpoints {
        print(&format!("{}\n", endpoint(view, *id, pair.ok())));
    }
}

fn endpoint(view: &View<'_>, id: EndpointId, pair: Option<[usize; 2]>) -> Value {
    let name = view.name(id);
    let Some(pair) = pair else {
        return json!({"subject": name, "total": 0, "entries": [], "error": "no policy"});
    };
    let tables = pair.into_iter().filter_map(|at| view.maps.table(at));
    let sides = Direction::BOTH.into_iter().zip(tables);
    let entries = sides.flat_map(|(direction, table)| entries(view, direction, table));
    let entries: Vec<_> = entries.collect();
    json!({"subject": name, "total": entries.len(), "entries": entries})
}

fn entries(view: &View<'_>, direction: Direction, table: &Table) -> Vec<Value> {
    let anyone = table.anyone.iter();
    let anyone = anyone.map(|row| entry(direction, &[], row));
    let own = table.classes.iter().flat_map(|class| {
        let members = class.members.iter();
        let members = members.flat_map(|id| view.identities.of(*id));
        members.flat_map(|one| {
            let rows = class.rows.iter();
            rows.map(|row| entry(direction, &one.labels, row))
        })
    });
    anyone.chain(own).collect()
}

fn entry(direction: Direction, peer: &[String], row: &Row) -> Value {
    json!({
        "direction": direction.name(),
        "peer": peer,
        "protocol": row.prefix.protocol().map_or("ANY".to_owned(), name),
        "port": row.prefix.to_string(),
        "port_prefix_len": row.prefix.port_bits(),
        "verdict": row.outcome.name(),
        "auth": row.auth.map(|demand| demand.mode.name()),
        "precedence": row.precedence,
    })
}

/// A protocol as Cilium writes it.
pub(in crate::command) fn name(protocol: Protocol) -> String {
    match protocol {
        Protocol::ICMPV6 => "ICMPv6".to_owned(),
        other => other.to_string().to_ascii_uppercase(),
    }
}
