//! One finding: a message, labelled places, help.

use crate::codes::Code;
use crate::span::Span;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; never fails a run.
    Note,
    /// Likely a mistake.
    Warning,
    /// Wrong: the object is rejected, or a property does not hold.
    Error,
}

impl Severity {
    /// Lower-case name, as every format shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is wrong there; may be empty.
    pub text: String,
}

/// One finding. The first label is the primary one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// How bad it is; normally the code's own severity.
    pub severity: Severity,
    /// One lower-case sentence without a full stop, user text in backticks.
    pub message: String,
    /// Places, the primary one first; they may lie in several files.
    pub labels: Vec<Label>,
    /// How to mend it.
    pub help: Vec<String>,
    /// What else to know: a counterexample, a rule that decides.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// A finding with its code's severity.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds a help text if there is one.
    #[must_use]
    pub fn maybe_help(mut self, text: Option<String>) -> Self {
        self.help.extend(text);
        self
    }

    /// Adds what else to know.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// The primary place.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }

    /// Whether this stops the run at the next gate.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Sorts by place, then code, then message, and drops exact repeats, so that output does not depend on the order
/// in which parallel work finished.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| key(a).cmp(&key(b)));
    diagnostics.dedup();
}

fn key(diagnostic: &Diagnostic) -> (Option<Span>, Code, &str, &[String]) {
    (
        diagnostic.span(),
        diagnostic.code,
        &diagnostic.message,
        &diagnostic.notes,
    )
}
