//! Text form.

use std::fmt::Write as _;

use super::View;
use super::count::{Count, Sides};
use crate::pipeline::Front;

/// Endpoints shown at most; `--format json` has all.
const ENDPOINTS: usize = 30;
/// Rules shown at most.
const RULES: usize = 10;

/// The endpoints with most entries, and the rules that make them.
pub(super) fn text(
    view: &View<'_>,
    front: &Front,
    count: &Count,
    before: Option<&Count>,
    limit: u32,
) -> String {
    let mut out = String::new();
    endpoints(&mut out, count, before, limit);
    rules(&mut out, view, front, count, before);
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        out,
        "\n{} endpoints, {} identities, room for {limit} entries each",
        count.endpoints.len(),
        view.identities.count()
    );
    out
}

fn endpoints(out: &mut String, count: &Count, before: Option<&Count>, limit: u32) {
    let change = if before.is_some() { "   change" } else { "" };
    let _ = writeln!(out, " entries   share  ingress   egress{change}  endpoint");
    let mut list: Vec<_> = count.endpoints.iter().collect();
    list.sort_by_key(|(_, sides)| std::cmp::Reverse(sides.map_or(0, Sides::total)));
    for (name, sides) in list.iter().take(ENDPOINTS) {
        let Some(sides) = sides else {
            let blank = if before.is_some() { "         " } else { "" };
            let _ = writeln!(out, "{:>34}{blank}  {name}", "no policy");
            continue;
        };
        let change = before.map_or_else(String::new, |before| {
            let old = before.endpoints.get(*name).copied().flatten();
            let old = old.unwrap_or_default().total();
            format!(" {:>8}", difference(old, sides.total()))
        });
        let (total, ingress, egress) = (sides.total(), sides.ingress, sides.egress);
        let share = share(total, limit);
        let _ = writeln!(
            out,
            "{total:>8} {share:>7} {ingress:>8} {egress:>8}{change}  {name}"
        );
    }
    if list.len() > ENDPOINTS {
        let _ = writeln!(out, "         and {} with no more", list.len() - ENDPOINTS);
    }
}

/// With one decimal, so that nothing that is there shows as nothing.
fn share(total: u64, limit: u32) -> String {
    let tenths = total.saturating_mul(1000).div_ceil(u64::from(limit.max(1)));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn difference(old: u64, new: u64) -> String {
    match new.cmp(&old) {
        std::cmp::Ordering::Less => format!("-{}", old - new),
        std::cmp::Ordering::Equal => "=".to_owned(),
        std::cmp::Ordering::Greater => format!("+{}", new - old),
    }
}

fn rules(out: &mut String, view: &View<'_>, front: &Front, count: &Count, before: Option<&Count>) {
    let gone = before.map_or_else(Vec::new, |before| before.gone(count));
    if count.rules.is_empty() && gone.is_empty() {
        return;
    }
    let change = if before.is_some() { "   change" } else { "" };
    let _ = writeln!(out, "\n entries  in endpoints{change}  from rule");
    let rules = view.model.resolved.rules;
    for share in count.rules.iter().take(RULES) {
        let place = rules.rule(share.rule).map_or_else(String::new, |rule| {
            let span = rule.origin.span;
            let line = front.sources.place(span.file, span.start).line;
            format!(" ({}:{line})", front.sources.name(span.file))
        });
        let name = rules.name(share.rule);
        let (entries, endpoints) = (share.entries, share.endpoints);
        let change = before.map_or_else(String::new, |before| {
            let old = before.by_name.get(&name).copied().unwrap_or(0);
            format!(" {:>8}", difference(old, entries))
        });
        let _ = writeln!(out, "{entries:>8} {endpoints:>13}{change}  {name}{place}");
    }
    if count.rules.len() > RULES {
        let _ = writeln!(
            out,
            "         and {} with no more",
            count.rules.len() - RULES
        );
    }
    for (name, entries) in gone.iter().take(RULES) {
        let _ = writeln!(
            out,
            "{:>8} {:>13} {:>8}  {name}",
            0,
            0,
            difference(*entries, 0)
        );
    }
    if gone.len() > RULES {
        let _ = writeln!(out, "         and {} that are gone", gone.len() - RULES);
    }
}
