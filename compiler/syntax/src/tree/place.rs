//! Characters to bytes, and the ends of things.

use policyc_diag::Span;
use saphyr_parser::Marker;

use crate::stream::Slice;

/// Converts the parser's positions, which count characters from the slice's start, to bytes of the file.
pub(super) struct Places<'s> {
    slice: Slice<'s>,
    /// Byte of each character; `None` if all are ASCII.
    bytes: Option<Vec<u32>>,
}

impl<'s> Places<'s> {
    pub(super) fn new(slice: Slice<'s>) -> Self {
        let positions = |text: &str| {
            text.char_indices()
                .filter_map(|(at, _)| u32::try_from(at).ok())
                .collect()
        };
        let bytes = (!slice.text.is_ascii()).then(|| positions(slice.text));
        Self { slice, bytes }
    }

    /// The span of two positions, blanks at its end dropped: block scalars run up to the next token.
    pub(super) fn between(&self, start: Marker, end: Marker) -> Span {
        self.span(self.byte(start), self.byte(end))
    }

    /// One character at a position, or the last one of the text.
    pub(super) fn character(&self, at: Marker) -> Span {
        let text = self.slice.text.trim_end();
        let start = (self.byte(at) as usize).min(text.len().saturating_sub(1));
        let start = (0..=start)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let width = text
            .get(start..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        self.absolute(start, start + width)
    }

    /// A range of bytes of the slice.
    pub(super) fn absolute(&self, start: usize, end: usize) -> Span {
        let at = |byte: usize| {
            self.slice
                .base
                .saturating_add(u32::try_from(byte).unwrap_or(u32::MAX))
        };
        Span::new(self.slice.file, at(start), at(end))
    }

    fn span(&self, start: u32, end: u32) -> Span {
        let (start, end) = (start as usize, end as usize);
        let written = self.slice.text.get(start..end).unwrap_or("").trim_end();
        self.absolute(start, start + written.len())
    }

    fn byte(&self, at: Marker) -> u32 {
        match &self.bytes {
            None => u32::try_from(at.index())
                .unwrap_or(u32::MAX)
                .min(self.length()),
            Some(bytes) => bytes
                .get(at.index())
                .copied()
                .unwrap_or_else(|| self.length()),
        }
    }

    fn length(&self) -> u32 {
        u32::try_from(self.slice.text.len()).unwrap_or(u32::MAX)
    }
}
