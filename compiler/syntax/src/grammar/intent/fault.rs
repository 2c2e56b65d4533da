//! Faults in plain words.

use pest::error::{Error, ErrorVariant, InputLocation};
use policyc_diag::{Diagnostic, Span, codes, suggest};

use super::Place;
use super::read::Rule;

/// What the grammar names, in words.
mod words;

/// Words that a statement can begin with, apart from a party.
const STARTS: &[&str] = &[
    "deny", "allow", "only", "nobody", "group", "guard", "expect",
];

/// Refuses `VERB from …` with a verb that there is not.
pub(super) fn keyword(place: Place<'_>, text: &str) -> Result<(), Diagnostic> {
    let mut words = text.split_whitespace();
    let word = words.next().unwrap_or("");
    if words.next() != Some("from") || STARTS.contains(&word) {
        return Ok(());
    }
    let help = suggest::did_you_mean(word, ["deny", "allow"])
        .unwrap_or_else(|| "a statement is `deny from … to … [on …]`".to_owned());
    let fault = Diagnostic::new(
        codes::INTENT_SYNTAX,
        format!("expected `deny` or `allow`, found `{}`", shorten(word)),
    );
    let span = place.span(0, word.len());
    Err(fault.label(span, "expected `deny` or `allow`").help(help))
}

/// What the grammar expected instead.
pub(super) fn syntax(place: Place<'_>, text: &str, error: &Error<Rule>) -> Diagnostic {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at.min(text.len()),
    };
    let rest = text.get(at..).unwrap_or("");
    let at = at + rest.len() - rest.trim_start().len();
    let word = word(rest.trim_start());
    let rules = positives(error);
    let expected = words::expected(rules);
    let found = if word.is_empty() {
        "the end of the line".to_owned()
    } else {
        format!("`{}`", shorten(&word))
    };
    let help = unclosed(text)
        .or_else(|| {
            // A keyword in the wrong place is no typo of another.
            let known = matches!(
                word.as_str(),
                "from" | "to" | "on" | "or" | "in" | "may" | "must"
            );
            let keywords = rules.iter().filter_map(|rule| words::keyword(*rule));
            suggest::did_you_mean(&word, keywords.filter(|_| !known))
        })
        .or_else(|| start(text, at));
    let message = format!("expected {expected}, found {found}");
    let label = format!("expected {expected}");
    Diagnostic::new(codes::INTENT_SYNTAX, message)
        .label(place.span(at, at + word.len()), label)
        .maybe_help(help)
}

/// The word at the beginning of a text, or its first character.
fn word(rest: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')');
    let word: String = rest.chars().take_while(|c| !ends(*c)).collect();
    if word.is_empty() {
        return rest.chars().take(1).collect();
    }
    word
}

fn unclosed(text: &str) -> Option<String> {
    let count = |bracket| text.matches(bracket).count();
    (count('(') > count(')')).then(|| "a `(` is not closed".to_owned())
}

/// Where the second word is at fault, the first may have been meant as a keyword.
fn start(text: &str, at: usize) -> Option<String> {
    let before = text.get(..at)?;
    let mut words = before.split_whitespace();
    let first = words.next()?;
    if words.next().is_some() || STARTS.contains(&first) {
        return None;
    }
    suggest::did_you_mean(first, STARTS.iter().copied())
}

/// A statement without its parts, which the grammar rules out.
pub(super) fn incomplete(span: Span) -> Diagnostic {
    Diagnostic::new(
        codes::INTENT_SYNTAX,
        "expected a whole statement, found less",
    )
    .label(span, "")
}

fn shorten(word: &str) -> String {
    let mut short: String = word.chars().take(40).collect();
    if short.len() < word.len() {
        short.push('…');
    }
    short
}

fn positives(error: &Error<Rule>) -> &[Rule] {
    match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    }
}
