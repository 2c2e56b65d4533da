//! One line per finding, for editors, `grep` and logs.

use std::fmt::Write as _;

use super::text::{clean, indented};
use crate::diagnostic::{Diagnostic, Label};
use crate::source::SourceMap;

/// Writes one block per finding: a line that starts with the place, then indented lines with what else there is to
/// say.
pub fn document(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        // Writing to a string cannot fail.
        let _ = block(&mut out, diagnostic, sources);
    }
    out
}

/// `file:line:column` of a label.
pub(super) fn place(label: &Label, sources: &SourceMap) -> String {
    let place = sources.place(label.span.file, label.span.start);
    format!(
        "{}:{}:{}",
        clean(sources.name(label.span.file)),
        place.line,
        place.column
    )
}

fn block(out: &mut String, diagnostic: &Diagnostic, sources: &SourceMap) -> std::fmt::Result {
    if let Some(primary) = diagnostic.labels.first() {
        write!(out, "{}: ", place(primary, sources))?;
    }
    let (severity, number) = (diagnostic.severity.name(), diagnostic.code.entry().number);
    writeln!(
        out,
        "{severity}[{number}]: {}",
        indented(&diagnostic.message, 4)
    )?;
    for (at, label) in diagnostic.labels.iter().enumerate() {
        match (at, label.text.is_empty()) {
            (0, true) => {}
            (0, false) => writeln!(out, "  here: {}", indented(&label.text, 8))?,
            (_, true) => writeln!(out, "  {}: see also", place(label, sources))?,
            (_, false) => writeln!(
                out,
                "  {}: {}",
                place(label, sources),
                indented(&label.text, 4)
            )?,
        }
    }
    for help in &diagnostic.help {
        writeln!(out, "  help: {}", indented(help, 8))?;
    }
    for note in &diagnostic.notes {
        writeln!(out, "  note: {}", indented(note, 8))?;
    }
    Ok(())
}
