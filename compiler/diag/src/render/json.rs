//! One JSON document, or one JSON value per finding.

use serde_json::{Value, json};

use super::Tally;
use crate::diagnostic::{Diagnostic, Label};
use crate::source::SourceMap;

/// Version of the document's shape. It rises when a member is removed or changes meaning; new members may come at
/// any time.
pub const SCHEMA: u32 = 1;

/// Writes the document: `schema`, `diagnostics` and `summary`.
pub fn document(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let found: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| one(diagnostic, sources))
        .collect();
    let document = json!({ "schema": SCHEMA, "diagnostics": found, "summary": summary(Tally::of(diagnostics)) });
    format!("{document:#}\n")
}

/// One finding, as it stands in the document's `diagnostics`.
pub fn one(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let entry = diagnostic.code.entry();
    let labels = diagnostic.labels.iter().enumerate();
    json!({
        "code": entry.number,
        "name": entry.name,
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "labels": labels.map(|(at, found)| label(found, at == 0, sources)).collect::<Vec<_>>(),
        "help": diagnostic.help,
        "notes": diagnostic.notes,
    })
}

/// The numbers of a tally, as they stand in the document's `summary`.
pub fn summary(tally: Tally) -> Value {
    json!({ "errors": tally.errors, "warnings": tally.warnings, "notes": tally.notes })
}

fn label(label: &Label, primary: bool, sources: &SourceMap) -> Value {
    let point = |byte| {
        let place = sources.place(label.span.file, byte);
        json!({ "line": place.line, "column": place.column, "byte": byte })
    };
    json!({
        "file": sources.name(label.span.file),
        "start": point(label.span.start),
        "end": point(label.span.end),
        "text": label.text,
        "primary": primary,
    })
}
