//! Faults in plain words.

use pest::error::{Error, ErrorVariant, InputLocation};
use policyc_diag::{Diagnostic, Span, codes, suggest};

use super::Place;
use super::read::Rule;

/// Statements that may come, refused by name.
const RESERVED: &[&str] = &["allow", "isolate", "reach", "require"];

/// Refuses a statement that does not begin with `deny`.
pub(super) fn keyword(place: Place<'_>, text: &str) -> Result<(), Diagnostic> {
    let word = text.split_whitespace().next().unwrap_or("");
    if word == "deny" {
        return Ok(());
    }
    let span = place.span(0, word.len());
    if RESERVED.contains(&word) {
        let message = format!("`{word}` statements are not supported yet");
        return Err(Diagnostic::new(codes::NOT_SUPPORTED, message)
            .label(span, "only `deny` is known to this version")
            .help("say what must never pass, with `deny from … to …`"));
    }
    let shown = shorten(word);
    let help = suggest::did_you_mean(word, ["deny"])
        .unwrap_or_else(|| "a statement is `deny from … to … [on …]`".to_owned());
    let fault = Diagnostic::new(
        codes::INTENT_SYNTAX,
        format!("expected `deny`, found `{shown}`"),
    );
    Err(fault.label(span, "expected `deny`").help(help))
}

/// What the grammar expected instead.
pub(super) fn syntax(place: Place<'_>, text: &str, error: &Error<Rule>) -> Diagnostic {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at.min(text.len()),
    };
    let rest = text.get(at..).unwrap_or("");
    let skipped = rest.len() - rest.trim_start().len();
    let rest = rest.trim_start();
    let at = at + skipped;
    let word: String = rest
        .chars()
        .take_while(|c| !c.is_whitespace() && !matches!(c, ',' | '(' | ')'))
        .collect();
    let word = if word.is_empty() {
        rest.chars().take(1).collect()
    } else {
        word
    };
    let expected = expected(error);
    let found = if word.is_empty() {
        "the end of the line".to_owned()
    } else {
        format!("`{}`", shorten(&word))
    };
    let message = format!("expected {expected}, found {found}");
    let keywords = keywords(error);
    Diagnostic::new(codes::INTENT_SYNTAX, message)
        .label(
            place.span(at, at + word.len()),
            format!("expected {expected}"),
        )
        .maybe_help(unclosed(text).or_else(|| suggest::did_you_mean(&word, keywords)))
}

fn unclosed(text: &str) -> Option<String> {
    let count = |bracket| text.matches(bracket).count();
    (count('(') > count(')')).then(|| "a `(` is not closed".to_owned())
}

/// A statement without its ends, which the grammar rules out.
pub(super) fn incomplete(span: Span) -> Diagnostic {
    Diagnostic::new(
        codes::INTENT_SYNTAX,
        "expected `deny from … to …`, found less",
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

/// Words that could have been meant.
fn keywords(error: &Error<Rule>) -> Vec<&'static str> {
    let word = |rule: &Rule| match rule {
        Rule::from => Some("from"),
        Rule::to => Some("to"),
        Rule::on => Some("on"),
        _ => None,
    };
    positives(error).iter().filter_map(word).collect()
}

/// A list of what could stand here, each said once.
fn expected(error: &Error<Rule>) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for rule in positives(error) {
        let part = match rule {
            Rule::from => "`from`",
            Rule::to => "`to`",
            Rule::on => "`on`",
            Rule::EOI => "the end of the line",
            Rule::source
            | Rule::destination
            | Rule::labels
            | Rule::anyone
            | Rule::any
            | Rule::short
            | Rule::cidr
            | Rule::entity
            | Rule::keyword_cidr
            | Rule::keyword_entity => "labels, `any`, `world`, `entity …` or `cidr …`",
            Rule::requirement
            | Rule::absent
            | Rule::set
            | Rule::compared
            | Rule::present
            | Rule::key => "a label",
            Rule::value => "a label's value",
            Rule::sign | Rule::member | Rule::comparison => "a comparison such as `=`",
            Rule::namespace | Rule::in_namespace => "`in namespace …`",
            Rule::name => "a name",
            Rule::address => "an address prefix such as `10.0.0.0/8`",
            Rule::services | Rule::service | Rule::protocol => "a protocol such as `tcp/443`",
            Rule::ports => "a port",
            _ => continue,
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    // Labels are part of what an end can be, and after `cidr` nothing but a prefix is meant.
    let has = |wanted: &str| parts.iter().any(|part| part.starts_with(wanted));
    if has("an address") {
        parts.retain(|part| part.starts_with("an address"));
    } else if has("labels") {
        parts.retain(|part| *part != "a label");
    }
    parts.sort_by_key(|part| part.starts_with("the end"));
    match parts.as_slice() {
        [] => "`,` or `)`".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
