//! The files that were read.

use std::sync::Arc;

use crate::span::{FileId, Span};

/// A file's name and text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub id: FileId,
    /// Name as the user gave it, or `<stdin>`.
    pub name: Arc<str>,
    /// The text, UTF-8.
    pub text: Arc<str>,
}

/// A place as people count: lines and columns from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
}

/// All files of a run. Ids are given in the order of [`SourceMap::add`].
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    source: Source,
    /// Byte at which each line starts.
    lines: Vec<u32>,
}

impl SourceMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file and gives it an id. Text beyond 4 GiB cannot be addressed; the reader's limit is far below.
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Source {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        let source = Source {
            id,
            name: name.into(),
            text: text.into(),
        };
        let newlines = source
            .text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n');
        let starts = newlines.filter_map(|(at, _)| u32::try_from(at + 1).ok());
        let lines = std::iter::once(0).chain(starts).collect();
        self.files.push(File {
            source: source.clone(),
            lines,
        });
        source
    }

    /// A file by id.
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.file(id).map(|file| &file.source)
    }

    /// A file's name, `<unknown>` for an id of another map.
    pub fn name(&self, id: FileId) -> &str {
        self.get(id).map_or("<unknown>", |source| &source.name)
    }

    /// The text of a span, empty if it is not in the map.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file)
            .and_then(|source| source.text.get(span.start as usize..span.end as usize))
            .unwrap_or("")
    }

    /// Line and column of a byte.
    pub fn place(&self, id: FileId, byte: u32) -> Place {
        let Some(file) = self.file(id) else {
            return Place { line: 1, column: 1 };
        };
        let line = file.lines.partition_point(|start| *start <= byte).max(1);
        let start = file.lines.get(line - 1).copied().unwrap_or(0);
        let before = file
            .source
            .text
            .get(start as usize..byte as usize)
            .unwrap_or("");
        let column = u32::try_from(before.chars().count())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column,
        }
    }

    /// All files, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().map(|file| &file.source)
    }

    fn file(&self, id: FileId) -> Option<&File> {
        self.files.get(id.0 as usize)
    }
}
