//! Spans, the source map, diagnostics, their code table and renderers.
//!
//! **Invariant.** This crate knows no policy type. Stages build [`Diagnostic`]s; only [`render`] turns them into
//! text, and only the command line prints that text.

/// The table of all codes, and what each one means.
pub mod codes;
/// One finding: a message, labelled places, help.
pub mod diagnostic;
/// From diagnostics to text: human, plain, json, sarif, github.
pub mod render;
/// The files that were read.
pub mod source;
/// Places in files, and values that remember theirs.
pub mod span;
/// "Did you mean".
pub mod suggest;

pub use codes::Code;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use source::{Source, SourceMap};
pub use span::{FileId, Span, Spanned};
