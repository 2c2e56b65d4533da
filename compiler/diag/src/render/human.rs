//! Snippets with underlined places, for a terminal. Nothing else of this project knows `miette`.

/// The lines of a file that one report shows.
mod window;

use std::fmt;
use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::text::{clean, indented, wrapped};
use super::{Style, Tally};
use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::SourceMap;
use crate::span::FileId;
use window::Window;

/// Fewest columns that text wraps at; a narrower terminal would get a word a line.
const WIDTH_MIN: usize = 40;

/// Writes each finding with its snippets, then the tally.
pub fn document(diagnostics: &[Diagnostic], sources: &SourceMap, style: Style) -> String {
    let theme = if style.color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let width = style.width.max(WIDTH_MIN);
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_break_words(false)
        .with_links(false)
        .without_syntax_highlighting();
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&finding(diagnostic, sources, &handler, width));
        out.push('\n');
    }
    out.push_str(&Tally::of(diagnostics).to_string());
    out.push('\n');
    out
}

fn finding(
    diagnostic: &Diagnostic,
    sources: &SourceMap,
    handler: &GraphicalReportHandler,
    width: usize,
) -> String {
    let mut files = Vec::new();
    for label in &diagnostic.labels {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    let entry = diagnostic.code.entry();
    let code = format!(
        "{}[{}] {}",
        diagnostic.severity.name(),
        entry.number,
        entry.name
    );
    let message = clean(&diagnostic.message).into_owned();
    let mut files = files.into_iter();
    let mut report = Report::new(message, Some(code), Some(diagnostic.severity));
    let mut out = report.show(handler, &diagnostic.labels, files.next(), sources);
    for file in files {
        let place = format!("also in {}", clean(sources.name(file)));
        out.push_str(&Report::new(place, None, None).show(
            handler,
            &diagnostic.labels,
            Some(file),
            sources,
        ));
    }
    let helps = diagnostic.help.iter().map(|text| ("help", text));
    for (kind, text) in helps.chain(diagnostic.notes.iter().map(|text| ("note", text))) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "  {kind}: {}",
            indented(&wrapped(text, width.saturating_sub(8)), 8)
        );
    }
    out
}

/// Whether a label's text was shown. `miette` loses some that point past the end of a line; as it wraps text, the
/// first word has to do.
fn says(shown: &str, text: &str) -> bool {
    let text = clean(text);
    text.split_whitespace()
        .next()
        .is_none_or(|word| shown.contains(word))
}

/// What `miette` is given for the places in one file.
#[derive(Debug)]
struct Report {
    message: String,
    code: Option<String>,
    severity: Option<Severity>,
    window: Option<Window>,
}

impl Report {
    fn new(message: String, code: Option<String>, severity: Option<Severity>) -> Self {
        Self {
            message,
            code,
            severity,
            window: None,
        }
    }

    /// The text of the report with those of the labels that lie in the file.
    fn show(
        &mut self,
        handler: &GraphicalReportHandler,
        labels: &[Label],
        file: Option<FileId>,
        sources: &SourceMap,
    ) -> String {
        let inside: Vec<&Label> = labels
            .iter()
            .filter(|label| Some(label.span.file) == file)
            .collect();
        self.window = file.and_then(|file| Window::new(file, &inside, sources));
        let mut out = String::new();
        // Writing to a string cannot fail, and the window holds every label.
        let _ = handler.render_report(&mut out, self);
        for label in inside {
            if self.window.is_none() || !says(&out, &label.text) {
                let place = super::plain::place(label, sources);
                let _ = writeln!(out, "  at {place}: {}", indented(&label.text, 4));
            }
        }
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code
            .as_ref()
            .map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Some(Severity::Error) => miette::Severity::Error,
            Some(Severity::Warning) => miette::Severity::Warning,
            Some(Severity::Note) | None => miette::Severity::Advice,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.window.as_ref().map(|window| window as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let window = self.window.as_ref()?;
        Some(Box::new(window.labels.iter().cloned()))
    }
}
