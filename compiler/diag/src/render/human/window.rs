//! The lines of a file that one report shows.
//!
//! `miette` scans a source from its start for every label; a window of the lines around the labels keeps that cheap
//! in large files.

use std::sync::Arc;

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::super::text::{clean, mask};
use crate::diagnostic::Label;
use crate::source::{Place, SourceMap};
use crate::span::FileId;

/// Longest line that is shown; minified JSON would fill the screen.
const LINE_BYTES: usize = 500;

/// Most lines that one label underlines; of a longer one, the first line.
const LABEL_LINES: usize = 12;

/// Furthest apart, in bytes, that the labels of one snippet may lie.
const WINDOW_BYTES: usize = 1 << 20;

/// Lines around some labels, with the labels' places in them.
#[derive(Debug)]
pub(super) struct Window {
    name: String,
    text: String,
    /// The place of the window's first byte; its column is always 1.
    first: Place,
    pub(super) labels: Vec<LabeledSpan>,
}

impl Window {
    /// The window for labels of one file; `None` if it cannot be shown well.
    pub(super) fn new(file: FileId, labels: &[&Label], sources: &SourceMap) -> Option<Self> {
        let whole: Arc<str> = Arc::clone(&sources.get(file)?.text);
        let spans: Vec<(usize, usize)> = labels.iter().map(|label| shown(&whole, label)).collect();
        let (start, end) = (
            spans.iter().map(|span| span.0).min()?,
            spans.iter().map(|span| span.1).max()?,
        );
        if end - start > WINDOW_BYTES {
            return None;
        }
        let (start, end) = (back(&whole, start), forward(&whole, end));
        let text = whole.get(start..end)?;
        if text.is_empty() || text.lines().any(|line| line.len() > LINE_BYTES) {
            return None;
        }
        let marks = labels.iter().zip(&spans).enumerate();
        let labels = marks
            .map(|(at, (label, span))| mark(label, at == 0, span.0 - start, span.1 - span.0))
            .collect();
        let first = sources.place(file, u32::try_from(start).ok()?);
        Some(Self {
            name: clean(sources.name(file)).into_owned(),
            text: mask(text).into_owned(),
            first,
            labels,
        })
    }

    /// Line and column of a byte of the window, from 0, the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(start..).map_or(0, |line| line.chars().count());
        (
            self.first.line as usize - 1 + before.matches('\n').count(),
            column,
        )
    }
}

impl SourceCode for Window {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        let (line, column) = self.position(found.span().offset());
        // `miette` counts lines from the start of the text, and so would join snippets that lie far apart.
        let count = found
            .data()
            .split(|byte| *byte == b'\n')
            .count()
            .saturating_sub(1)
            .max(1);
        let name = self.name.clone();
        Ok(Box::new(MietteSpanContents::new_named(
            name,
            found.data(),
            *found.span(),
            line,
            column,
            count,
        )))
    }
}

fn mark(label: &Label, primary: bool, offset: usize, length: usize) -> LabeledSpan {
    let text = (!label.text.is_empty()).then(|| clean(&label.text).into_owned());
    let span = SourceSpan::from((offset, length));
    if primary {
        LabeledSpan::new_primary_with_span(text, span)
    } else {
        LabeledSpan::new_with_span(text, span)
    }
}

/// The bytes of a label that are underlined: inside the text, on character boundaries, not too many lines.
fn shown(text: &str, label: &Label) -> (usize, usize) {
    let start = text.floor_char_boundary((label.span.start as usize).min(text.len()));
    let end = text
        .ceil_char_boundary((label.span.end as usize).min(text.len()))
        .max(start);
    let inside = text.get(start..end).unwrap_or("");
    // The line end belongs to the line; underlining it would reach into the next one.
    let kept = inside.trim_end_matches(['\n', '\r']);
    let first = kept.split('\n').next().unwrap_or(kept);
    let length = if kept.split('\n').count() > LABEL_LINES {
        first.trim_end().len()
    } else {
        kept.len()
    };
    // After the last line end there is no line to point into.
    let start = if start == text.len() {
        text.trim_end_matches(['\n', '\r']).len()
    } else {
        start
    };
    (start.min(text.len()), (start + length).min(text.len()))
}

/// The start of the line before the one that holds a byte.
fn back(text: &str, byte: usize) -> usize {
    let line_start = |at: usize| {
        text.get(..at)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |at| at + 1)
    };
    let start = line_start(byte);
    line_start(start.saturating_sub(1))
}

/// The end of the line after the one that holds a byte, with its line end.
fn forward(text: &str, byte: usize) -> usize {
    let line_end = |at: usize| {
        text.get(at..)
            .and_then(|after| after.find('\n'))
            .map_or(text.len(), |found| at + found + 1)
    };
    line_end(line_end(byte))
}
