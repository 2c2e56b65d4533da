//! From diagnostics to text: human, plain, json, sarif, github.
//!
//! **Invariant.** The caller sorts; a renderer keeps the order it is given, so equal findings give equal bytes.

/// Workflow commands that GitHub shows beside the changed lines.
pub mod github;
/// Snippets with underlined places, for a terminal.
pub mod human;
/// One JSON document, or one JSON value per finding.
pub mod json;
/// One line per finding, for editors, `grep` and logs.
pub mod plain;
/// SARIF 2.1.0, for code scanning services.
pub mod sarif;
/// What all formats share: cleaning of untrusted text.
mod text;

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::SourceMap;

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Snippets with underlined places, then a tally.
    #[default]
    Human,
    /// `file:line:column: error[E0101]: message`, then indented lines.
    Plain,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// GitHub workflow commands.
    Github,
}

impl Format {
    /// All formats, in the order that lists show.
    pub const ALL: [Self; 5] = [
        Self::Human,
        Self::Plain,
        Self::Json,
        Self::Sarif,
        Self::Github,
    ];

    /// Name as the command line takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Plain => "plain",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Github => "github",
        }
    }
}

/// A format's name that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    written: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Format::ALL.map(Format::name).join("`, `");
        write!(
            f,
            "`{}` is no format, only `{names}` are",
            text::clean(&self.written)
        )
    }
}

impl std::error::Error for FormatError {}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(written: &str) -> Result<Self, FormatError> {
        let found = Self::ALL
            .into_iter()
            .find(|format| format.name() == written);
        found.ok_or_else(|| FormatError {
            written: written.to_owned(),
        })
    }
}

/// What the terminal can show. Only [`Format::Human`] looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to write ANSI colours.
    pub color: bool,
    /// Columns at which text wraps.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            color: false,
            width: 100,
        }
    }
}

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// Notes.
    pub notes: usize,
}

impl Tally {
    /// Counts findings.
    pub fn of(diagnostics: &[Diagnostic]) -> Self {
        let count = |severity| {
            diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.severity == severity)
                .count()
        };
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
        }
    }
}

impl fmt::Display for Tally {
    /// `2 errors, 1 warning`, or `no findings`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.errors, "error"),
            (self.warnings, "warning"),
            (self.notes, "note"),
        ];
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let named = counts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = named
            .map(|(count, word)| format!("{count} {word}{}", plural(count)))
            .collect();
        if parts.is_empty() {
            f.write_str("no findings")
        } else {
            f.write_str(&parts.join(", "))
        }
    }
}

/// Writes findings in a format, with a final line end unless there is nothing to write.
pub fn render(
    format: Format,
    diagnostics: &[Diagnostic],
    sources: &SourceMap,
    style: Style,
) -> String {
    match format {
        Format::Human => human::document(diagnostics, sources, style),
        Format::Plain => plain::document(diagnostics, sources),
        Format::Json => json::document(diagnostics, sources),
        Format::Sarif => sarif::document(diagnostics, sources),
        Format::Github => github::document(diagnostics, sources),
    }
}
