//! Cuts a file into its YAML documents.
//!
//! A `---` or `...` at the start of a line, followed by a blank or the line's end, is a document marker everywhere in
//! YAML, even inside quotes and block scalars. So the cut needs no parser, one broken document does not take the
//! others with it, and positions inside a slice stay small.

use policyc_diag::{FileId, Source};

/// One document's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'s> {
    /// The file.
    pub(crate) file: FileId,
    /// The text, with its own `---` line.
    pub(crate) text: &'s str,
    /// Byte of the file at which the text starts.
    pub(crate) base: u32,
}

/// The documents of a file in order. A byte order mark is passed over.
pub(crate) fn documents(source: &Source) -> Vec<Slice<'_>> {
    let text = &*source.text;
    let mut cuts = vec![if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    }];
    let mut at = 0;
    // Directives belong to the document after their `---`.
    let mut directives = Directives::default();
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        if marker(line, "---") && !directives.only() {
            cuts.push(at);
        }
        directives.line(line);
        if marker(line, "...") {
            cuts.push(next);
            directives = Directives::default();
        }
        at = next;
    }
    cuts.push(text.len());
    let pairs = cuts.iter().zip(cuts.iter().skip(1));
    pairs
        .filter_map(|(&start, &end)| slice(source, start, end))
        .filter(|slice| !slice.text.trim().is_empty())
        .collect()
}

fn slice(source: &Source, start: usize, end: usize) -> Option<Slice<'_>> {
    Some(Slice {
        file: source.id,
        text: source.text.get(start..end)?,
        base: u32::try_from(start).ok()?,
    })
}

fn marker(line: &str, mark: &str) -> bool {
    line.strip_prefix(mark)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether what came since the last cut is directives and comments only.
#[derive(Default)]
struct Directives {
    some: bool,
    other: bool,
}

impl Directives {
    fn line(&mut self, line: &str) {
        let line = line.trim_start_matches('\u{feff}');
        if line.starts_with('%') {
            self.some = true;
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            self.other = true;
        }
    }

    fn only(&self) -> bool {
        self.some && !self.other
    }
}

#[cfg(test)]
mod tests {
    use policyc_diag::SourceMap;

    use super::*;

    #[test]
    fn cuts_at_markers_only() {
        for (text, wanted) in [
            ("a: 1\n", vec![(0, "a: 1\n")]),
            ("a: 1\n---\nb: 2\n", vec![(0, "a: 1\n"), (5, "---\nb: 2\n")]),
            (
                "---\r\na: 1\r\n--- # x\r\nb",
                vec![(0, "---\r\na: 1\r\n"), (11, "--- # x\r\nb")],
            ),
            ("a: ---\n ---\n----\n", vec![(0, "a: ---\n ---\n----\n")]),
            ("\u{feff}a: 1\n", vec![(3, "a: 1\n")]),
            (
                "%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n---\nb\n",
                vec![
                    (0, "%YAML 1.2\n---\na: 1\n...\n"),
                    (23, "%YAML 1.2\n---\nb\n"),
                ],
            ),
            ("---\n---\n", vec![(0, "---\n"), (4, "---\n")]),
            ("", vec![]),
        ] {
            let mut map = SourceMap::new();
            let source = map.add("x", text);
            let cut: Vec<_> = documents(&source)
                .iter()
                .map(|slice| (slice.base, slice.text))
                .collect();
            assert_eq!(cut, wanted, "{text:?}");
        }
    }
}
