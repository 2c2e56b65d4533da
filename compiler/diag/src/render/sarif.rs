//! SARIF 2.1.0, for code scanning services.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::codes::{Code, Entry};
use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::SourceMap;

/// Writes a log with one run. Its rules are the codes that were found, in order.
pub fn document(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let codes: BTreeSet<Code> = diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    let rules: Vec<Value> = codes.iter().map(|code| rule(code.entry())).collect();
    let indexes: BTreeMap<Code, usize> = codes
        .iter()
        .enumerate()
        .map(|(at, code)| (*code, at))
        .collect();
    let mut seen = BTreeMap::new();
    let results = diagnostics.iter().map(|diagnostic| {
        let mut found = result(diagnostic, sources, &mut seen);
        found.extend(
            indexes
                .get(&diagnostic.code)
                .map(|at| ("ruleIndex".to_owned(), json!(at))),
        );
        Value::Object(found)
    });
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "policyc",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    });
    format!("{log:#}\n")
}

fn rule(entry: &Entry) -> Value {
    json!({
        "id": entry.number,
        "name": entry.name,
        "shortDescription": { "text": entry.summary },
        "help": { "text": entry.page, "markdown": entry.page },
        "defaultConfiguration": { "level": level(entry.severity) },
    })
}

fn level(severity: Severity) -> &'static str {
    // The words of the standard happen to be ours.
    severity.name()
}

fn result(
    diagnostic: &Diagnostic,
    sources: &SourceMap,
    seen: &mut BTreeMap<u64, u32>,
) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("ruleId", json!(diagnostic.code.entry().number));
    put("level", json!(level(diagnostic.severity)));
    put("message", json!({ "text": message(diagnostic) }));
    put(
        "partialFingerprints",
        json!({ "policyc/v1": fingerprint(diagnostic, sources, seen) }),
    );
    let mut locations = diagnostic
        .labels
        .iter()
        .map(|label| location(label, sources));
    put(
        "locations",
        Value::Array(locations.by_ref().take(1).map(Value::Object).collect()),
    );
    let related: Vec<Value> = locations
        .enumerate()
        .map(|(at, location)| numbered(location, at))
        .collect();
    if !related.is_empty() {
        put("relatedLocations", Value::Array(related));
    }
    out
}

fn message(diagnostic: &Diagnostic) -> String {
    let helps = diagnostic.help.iter().map(|text| ("help", text));
    let mut out = diagnostic.message.clone();
    for (kind, text) in helps.chain(diagnostic.notes.iter().map(|text| ("note", text))) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\n{kind}: {text}");
    }
    out
}

fn location(label: &Label, sources: &SourceMap) -> Map<String, Value> {
    let (start, end) = (
        sources.place(label.span.file, label.span.start),
        sources.place(label.span.file, label.span.end),
    );
    let mut out = Map::new();
    let physical = json!({
        "artifactLocation": { "uri": uri(sources.name(label.span.file)) },
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
            "byteOffset": label.span.start,
            "byteLength": label.span.end.saturating_sub(label.span.start),
        },
    });
    out.insert("physicalLocation".to_owned(), physical);
    if !label.text.is_empty() {
        out.insert("message".to_owned(), json!({ "text": label.text }));
    }
    out
}

fn numbered(mut location: Map<String, Value>, at: usize) -> Value {
    location.insert("id".to_owned(), json!(at + 1));
    Value::Object(location)
}

/// A file name as a URI: relative names stay relative, so that a service can find them in its checkout.
fn uri(name: &str) -> String {
    let mut out = if name.starts_with('/') {
        "file://".to_owned()
    } else {
        String::new()
    };
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// What stays the same while lines move: code, file and message, and a number for repeats.
fn fingerprint(
    diagnostic: &Diagnostic,
    sources: &SourceMap,
    seen: &mut BTreeMap<u64, u32>,
) -> String {
    let file = diagnostic.span().map_or("", |span| sources.name(span.file));
    let digest = fnv(&[diagnostic.code.entry().number, file, &diagnostic.message]);
    let count = seen
        .entry(digest)
        .and_modify(|count| *count = count.saturating_add(1))
        .or_insert(1);
    format!("{digest:016x}:{count}")
}

/// FNV-1a over the parts, each ended by a zero byte. It only needs to be stable, not hard to collide.
fn fnv(parts: &[&str]) -> u64 {
    let bytes = parts
        .iter()
        .flat_map(|part| part.bytes().chain(std::iter::once(0)));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
