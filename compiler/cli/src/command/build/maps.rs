//! The policy maps of Cilium's agent, as `cilium-dbg bpf policy get -n` shows them.
//!
//! The numbers of identities are this tool's own, but for the reserved ones; a list says which labels each stands for.

use std::fmt::Write as _;

use policyc_ir::ids::EndpointId;
use policyc_ir::rule::Direction;
use policyc_lower::lpm::{Row, Table};
use serde_json::{Value, json};

use crate::args::{Build, FailOn, Format};
use crate::command::budget::count::Count;
use crate::command::budget::{View, findings, json as names, with_maps};
use crate::exit::Exit;
use crate::output;
use crate::pipeline::Front;

/// Prints the maps of all endpoints; what does not fit is a finding.
pub(super) fn print(args: &Build, front: &Front) -> Exit {
    let found = with_maps(front, args.node.as_deref(), |view| {
        match args.format {
            Format::Json => document(&view, output::print),
            _ => text(&view, output::print),
        }
        findings::find(&view, &Count::new(&view), front.settings.policy_map_max)
    });
    let mut all = front.diagnostics.clone();
    all.extend(found);
    output::findings_aside(all.clone(), &front.sources);
    output::exit_of(&all, FailOn::Error)
}

/// The entries of an endpoint: direction, number of the peer's identity (0 for anyone), and the rest.
fn entries<'a>(
    view: &'a View<'_>,
    pair: [usize; 2],
) -> impl Iterator<Item = (Direction, u32, &'a Row)> {
    let tables = pair.into_iter().filter_map(|at| view.maps.table(at));
    let sides = Direction::BOTH.into_iter().zip(tables);
    let all = sides.flat_map(|(direction, table)| {
        let rows = side(view, table);
        rows.map(move |(number, row)| (direction, number, row))
    });
    all.filter(|(.., row)| row.is_in_map())
}

fn side<'a>(view: &'a View<'_>, table: &'a Table) -> impl Iterator<Item = (u32, &'a Row)> {
    let anyone = table.anyone.iter().map(|row| (0, row));
    let own = table.classes.iter().flat_map(|class| {
        let members = class.members.iter();
        let members = members.flat_map(|id| view.identities.of(*id));
        members.flat_map(|one| class.rows.iter().map(|row| (one.number, row)))
    });
    anyone.chain(own)
}

/// One document, endpoint by endpoint: all together may be more than fits into memory.
fn document(view: &View<'_>, mut print: impl FnMut(&str)) {
    let inner = |value: &Value, by: &str| format!("{value:#}").replace('\n', &format!("\n{by}"));
    let mut before = "\n    ";
    print("{\n  \"endpoints\": [");
    for (id, pair) in &view.maps.endpoints {
        print(before);
        print(&inner(&endpoint(view, *id, pair.ok()), "    "));
        before = ",\n    ";
    }
    let end = if view.maps.endpoints.is_empty() {
        "]"
    } else {
        "\n  ]"
    };
    let identities = view.identities.iter();
    let identities = identities.map(|one| (one.number.to_string(), json!(one.labels)));
    let identities = Value::Object(identities.collect());
    let identities = inner(&identities, "  ");
    print(&format!(
        "{end},\n  \"identities\": {identities},\n  \"schema\": 1\n}}\n"
    ));
}

fn endpoint(view: &View<'_>, id: EndpointId, pair: Option<[usize; 2]>) -> Value {
    let Some(pair) = pair else {
        return json!({"subject": view.name(id), "error": "no policy", "entries": []});
    };
    let entries = entries(view, pair).map(|(direction, number, row)| {
        json!({
            "direction": direction.name(),
            "identity": number,
            "protocol": protocol(row),
            "port": row.prefix.to_string(),
            "prefix_len": row.prefix.len(),
            "verdict": row.outcome.name(),
            "auth": row.auth.map(|demand| demand.mode.name()),
            "precedence": row.precedence,
        })
    });
    json!({"subject": view.name(id), "entries": entries.collect::<Vec<_>>()})
}

fn protocol(row: &Row) -> String {
    row.prefix.protocol().map_or("ANY".to_owned(), names::name)
}

/// The same for people.
fn text(view: &View<'_>, mut print: impl FnMut(&str)) {
    for (id, pair) in &view.maps.endpoints {
        print(&endpoint_text(view, *id, pair.ok()));
    }
    let mut out = "identities\n".to_owned();
    for one in view.identities.iter() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "  {:<9} {}", one.number, one.labels.join(","));
    }
    print(&out);
}

fn endpoint_text(view: &View<'_>, id: EndpointId, pair: Option<[usize; 2]>) -> String {
    let mut out = format!("{}\n", view.name(id));
    // Writing to a `String` cannot fail.
    match pair {
        None => out.push_str("  no policy\n"),
        Some(pair) => {
            out.push_str(
                "  POLICY    DIRECTION  IDENTITY  PORT/PROTO         AUTH TYPE         PREFIX  PRECEDENCE\n",
            );
            for (direction, number, row) in entries(view, pair) {
                let port = format!("{}/{}", row.prefix, protocol(row));
                let auth = row.auth.map_or("disabled", |demand| demand.mode.name());
                let _ = writeln!(
                    out,
                    "  {:<9} {:<10} {number:<9} {port:<18} {auth:<17} {:<7} {}",
                    row.outcome.name(),
                    direction.name(),
                    row.prefix.len(),
                    row.precedence
                );
            }
        }
    }
    out.push('\n');
    out
}
