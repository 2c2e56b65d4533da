//! The lines of a file that one report shows.
//!
//! `miette` scans a source from its start for every label; only the lines around the labels are kept, so that a report
//! costs the same in a large file.

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::super::text::{clean, mask};
use crate::diagnostic::Label;
use crate::source::SourceMap;
use crate::span::FileId;

/// Longest line that is shown; minified JSON would fill the screen.
const LINE_BYTES: usize = 500;

/// Most lines that one label underlines; of a longer one, the first line.
const LABEL_LINES: usize = 12;

/// The lines around some labels of one file. Places are bytes of the file.
#[derive(Debug)]
pub(super) struct Window {
    name: String,
    /// In order, and never side by side.
    pieces: Vec<Piece>,
    pub(super) labels: Vec<LabeledSpan>,
}

/// Whole lines around labels that are close to each other.
#[derive(Debug)]
struct Piece {
    start: usize,
    /// Line of the first byte, from 0.
    line: usize,
    text: String,
}

impl Window {
    /// The window for labels of one file; `None` if it cannot be shown well.
    pub(super) fn new(file: FileId, labels: &[&Label], sources: &SourceMap) -> Option<Self> {
        let whole = &*sources.get(file)?.text;
        let spans: Vec<(usize, usize)> = labels.iter().map(|label| shown(whole, label)).collect();
        let pieces = ranges(whole, &spans)
            .into_iter()
            .map(|range| Piece::new(file, range, sources));
        let marks = labels.iter().zip(&spans).enumerate();
        let labels = marks
            .map(|(at, (label, span))| mark(label, at == 0, span.0, span.1 - span.0))
            .collect();
        Some(Self {
            name: clean(sources.name(file)).into_owned(),
            pieces: pieces.collect::<Option<_>>()?,
            labels,
        })
    }

    fn piece(&self, byte: usize) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.start <= byte);
        self.pieces.get(after.checked_sub(1)?)
    }
}

/// Where the lines around spans begin and end, those that touch as one.
fn ranges(whole: &str, spans: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut around: Vec<(usize, usize)> = spans
        .iter()
        .map(|(start, end)| (back(whole, *start), forward(whole, *end)))
        .collect();
    around.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (start, end) in around {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

impl Piece {
    fn new(file: FileId, (start, end): (usize, usize), sources: &SourceMap) -> Option<Self> {
        let text = sources.get(file)?.text.get(start..end)?;
        if text.is_empty() || text.lines().any(|line| line.len() > LINE_BYTES) {
            return None;
        }
        let first = sources.place(file, u32::try_from(start).ok()?);
        Some(Self {
            start,
            line: first.line as usize - 1,
            text: mask(text).into_owned(),
        })
    }

    /// Line and column of a byte of the piece, from 0, the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(start..).map_or(0, |line| line.chars().count());
        (self.line + before.matches('\n').count(), column)
    }
}

impl SourceCode for Window {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let piece = self.piece(span.offset()).ok_or(MietteError::OutOfBounds)?;
        let inside = SourceSpan::from((span.offset() - piece.start, span.len()));
        let found = piece.text.read_span(&inside, before, after)?;
        let (line, column) = piece.position(found.span().offset());
        // `miette` counts lines from the start of the text, and so would join snippets that lie far apart.
        let count = found
            .data()
            .split(|byte| *byte == b'\n')
            .count()
            .saturating_sub(1)
            .max(1);
        let name = self.name.clone();
        let place = (found.span().offset() + piece.start, found.span().len());
        Ok(Box::new(MietteSpanContents::new_named(
            name,
            found.data(),
            SourceSpan::from(place),
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
