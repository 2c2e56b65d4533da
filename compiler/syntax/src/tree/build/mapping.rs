//! Merging mappings (`<<`) and refusing repeated keys.

use std::collections::BTreeMap;

use policyc_diag::{Diagnostic, Span, codes};

use crate::tree::{Entry, Node, Value, limits};

/// Below this, comparing all pairs is cheaper than a map.
const FEW: usize = 16;

/// Takes the value of a `<<` key: a mapping, or a list of mappings of which the first wins.
pub(super) fn merge<'s>(node: Node<'s>, merged: &mut Vec<Node<'s>>) -> Result<(), Diagnostic> {
    let fault = |span| {
        Diagnostic::new(
            codes::YAML_SYNTAX,
            "`<<` takes a mapping or a list of mappings",
        )
        .label(span, "")
    };
    match &node.value {
        Value::Mapping(_) => merged.push(node),
        Value::Sequence(items) => {
            for item in &**items {
                if !matches!(item.value, Value::Mapping(_)) {
                    return Err(fault(item.span));
                }
                merged.push(item.clone());
            }
        }
        Value::Scalar(_) => return Err(fault(node.span)),
    }
    Ok(())
}

/// The entries of a mapping: its own, which must not repeat, then those merged into it that it does not have.
pub(super) fn finish<'s>(
    entries: Vec<Entry<'s>>,
    merged: &[Node<'s>],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Entry<'s>> {
    let mut entries = distinct(entries, diagnostics);
    let mut seen: std::collections::BTreeSet<String> = if merged.is_empty() {
        return entries;
    } else {
        entries
            .iter()
            .map(|entry| entry.key.value.clone().into_owned())
            .collect()
    };
    for node in merged {
        if let Value::Mapping(others) = &node.value {
            entries.extend(
                others
                    .iter()
                    .filter(|entry| seen.insert(entry.key.value.clone().into_owned()))
                    .cloned(),
            );
        }
    }
    entries
}

/// Drops and reports the second and later of equal keys.
fn distinct<'s>(entries: Vec<Entry<'s>>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Entry<'s>> {
    let repeats = repeats(&entries);
    if repeats.is_empty() {
        return entries;
    }
    let report = |(at, first): (&usize, &Span)| {
        let entry = entries.get(*at)?;
        let message = format!("the key `{}` stands twice in one mapping", entry.key.value);
        let document = matches!(&*entry.key.value, "apiVersion" | "kind");
        let help = document.then(|| "is a `---` line missing between two documents?".to_owned());
        Some(
            Diagnostic::new(codes::DUPLICATE_KEY, message)
                .label(entry.key.span, "again")
                .label(*first, "first")
                .maybe_help(help),
        )
    };
    let reported = repeats.iter().take(limits::FAULTS_PER_MAPPING);
    diagnostics.extend(reported.filter_map(report));
    let kept = entries
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !repeats.contains_key(at));
    kept.map(|(_, entry)| entry).collect()
}

/// Positions of repeated keys, and where each stood first.
fn repeats(entries: &[Entry<'_>]) -> BTreeMap<usize, Span> {
    if entries.len() <= FEW {
        let first = |(at, entry): (usize, &Entry<'_>)| {
            let earlier = entries
                .iter()
                .take(at)
                .find(|other| other.key.value == entry.key.value)?;
            Some((at, earlier.key.span))
        };
        return entries.iter().enumerate().filter_map(first).collect();
    }
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    let mut repeats = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        match seen.get(&*entry.key.value) {
            Some(first) => _ = repeats.insert(at, *first),
            None => _ = seen.insert(&entry.key.value, entry.key.span),
        }
    }
    repeats
}
