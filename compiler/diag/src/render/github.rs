//! Workflow commands that GitHub shows beside the changed lines.

use std::fmt::Write as _;

use super::text::clean;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::SourceMap;

/// Writes one command per finding.
pub fn document(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    diagnostics
        .iter()
        .map(|diagnostic| command(diagnostic, sources))
        .collect()
}

fn command(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let entry = diagnostic.code.entry();
    let title = property(&format!("{} {}", entry.number, entry.name));
    let properties = format!("{}title={title}", location(diagnostic, sources));
    format!(
        "::{} {properties}::{}\n",
        level(diagnostic.severity),
        data(&body(diagnostic, sources))
    )
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// `file=…,line=…,` and so on of the primary place; nothing if there is none.
fn location(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let Some(span) = diagnostic.span() else {
        return String::new();
    };
    let (start, end) = (
        sources.place(span.file, span.start),
        sources.place(span.file, span.end),
    );
    let name = property(sources.name(span.file));
    let mut out = format!(
        "file={name},line={},col={},endLine={},",
        start.line, start.column, end.line
    );
    // GitHub refuses an end column beside more than one line.
    if start.line == end.line {
        // Writing to a string cannot fail.
        let _ = write!(out, "endColumn={},", end.column);
    }
    out
}

/// All that there is to say, since an annotation shows one place only.
fn body(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let mut lines = vec![diagnostic.message.clone()];
    lines.extend(
        diagnostic
            .labels
            .iter()
            .take(1)
            .filter(|label| !label.text.is_empty())
            .map(|l| l.text.clone()),
    );
    let others = diagnostic.labels.iter().skip(1);
    lines.extend(
        others.map(|label| format!("{}: {}", super::plain::place(label, sources), label.text)),
    );
    lines.extend(diagnostic.help.iter().map(|help| format!("help: {help}")));
    lines.extend(diagnostic.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// Escapes the part after `::`.
fn data(text: &str) -> String {
    clean(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
