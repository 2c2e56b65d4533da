//! What all formats share: cleaning of untrusted text.
//!
//! Messages and snippets quote files that anybody may have written. Sent to a terminal as they are, escape sequences
//! could forge output and bidirectional marks could show a line in another order than it is read.

use std::borrow::Cow;

/// Writes out characters that a terminal would act on (`\u{1b}`); line ends and tabs stay.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if acts(char) {
            out.extend(char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

/// Like [`clean`], but each byte of such a character becomes one `?`, so that places stay true.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            // Before a line end this is half of it, and a blank shows as what it is: nothing.
            '\r' => out.push(' '),
            char if acts(char) => out.extend(std::iter::repeat_n('?', char.len_utf8())),
            char => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// The lines of a text, the first as it is and the others indented to its column.
pub(super) fn indented(text: &str, indent: usize) -> String {
    clean(text)
        .trim_end()
        .replace('\n', &format!("\n{}", " ".repeat(indent)))
}

/// Breaks lines at blanks so that none is longer than `width` characters, unless a single word is. Lines that go on
/// keep the indentation of the line they belong to.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    text.lines()
        .map(|line| wrapped_line(line, width))
        .collect::<Vec<_>>()
        .join("\n")
}

fn wrapped_line(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let indent: String = line.chars().take_while(|char| *char == ' ').collect();
    let (mut out, mut used) = (indent.clone(), indent.len());
    for (at, word) in line.split_whitespace().enumerate() {
        let length = word.chars().count();
        let fits = used + 1 + length <= width;
        match (at, fits) {
            (0, _) => used += length,
            (_, true) => {
                out.push(' ');
                used += 1 + length;
            }
            (_, false) => {
                out.push('\n');
                out.push_str(&indent);
                used = indent.len() + length;
            }
        }
        out.push_str(word);
    }
    out
}

fn acts(char: char) -> bool {
    let bidirectional =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    bidirectional || (char.is_control() && !matches!(char, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_breaks_at_blanks_and_keeps_indents() {
        let cases = [
            ("", 10, ""),
            ("one two", 10, "one two"),
            ("one  two", 10, "one  two"),
            ("one two three", 10, "one two\nthree"),
            ("  one two three", 9, "  one two\n  three"),
            (
                "short\nlong enough to wrap",
                11,
                "short\nlong enough\nto wrap",
            ),
            ("unbreakableword x", 5, "unbreakableword\nx"),
            ("ééé ééé", 7, "ééé ééé"),
        ];
        for (text, width, wanted) in cases {
            assert_eq!(wrapped(text, width), wanted, "{text:?} at {width}");
        }
    }

    #[test]
    fn clean_and_mask_leave_nothing_to_act_on() {
        let cases = [
            ("plain\ttext\n", "plain\ttext\n", "plain\ttext\n"),
            ("a\u{1b}[31m", "a\\u{1b}[31m", "a?[31m"),
            ("x\u{202e}y", "x\\u{202e}y", "x???y"),
            ("\u{9b}", "\\u{9b}", "??"),
            ("end\r\n", "end\\u{d}\n", "end \n"),
        ];
        for (text, cleaned, masked) in cases {
            assert_eq!(clean(text), cleaned, "{text:?}");
            assert_eq!(mask(text), masked, "{text:?}");
            assert_eq!(mask(text).len(), text.len(), "{text:?}");
        }
    }
}
