//! From parse pairs to the tree.

use pest::Parser as _;
use pest::iterators::Pair;
use policyc_diag::{Diagnostic, Spanned};

use super::{End, Intent, Place, Requirement, Service, Test, fault};

/// The generated parser.
#[derive(Debug, pest_derive::Parser)]
#[grammar = "../../grammar/intent.pest"]
pub(super) struct Grammar;

/// Reads one statement.
pub(super) fn statement(place: Place<'_>, text: &str) -> Result<Intent, Diagnostic> {
    fault::keyword(place, text)?;
    let parsed = Grammar::parse(Rule::statement, text);
    let pairs = parsed.map_err(|error| fault::syntax(place, text, &error))?;
    let (mut from, mut to, mut services) = (None, None, None);
    for pair in pairs.flat_map(Pair::into_inner) {
        let span = pair.as_span();
        let span = place.span(span.start(), span.start() + span.as_str().trim_end().len());
        match pair.as_rule() {
            Rule::source => from = first(pair).map(|pair| Spanned::new(end(pair), span)),
            Rule::destination => to = first(pair).map(|pair| Spanned::new(end(pair), span)),
            Rule::services => services = Some(read_services(place, pair)),
            _ => {}
        }
    }
    let text = Spanned::new(text.to_owned(), place.span(0, text.len()));
    match (from, to) {
        (Some(from), Some(to)) => Ok(Intent {
            text,
            from,
            to,
            services,
        }),
        // The grammar has both ends in every statement.
        _ => Err(fault::incomplete(text.span)),
    }
}

fn first(pair: Pair<'_, Rule>) -> Option<Pair<'_, Rule>> {
    pair.into_inner().next()
}

/// The last inner pair of a rule.
fn text_of(pair: Pair<'_, Rule>, rule: Rule) -> Option<String> {
    let found = pair.into_inner().find(|inner| inner.as_rule() == rule);
    found.map(|inner| inner.as_str().to_owned())
}

fn end(pair: Pair<'_, Rule>) -> End {
    match pair.as_rule() {
        Rule::short => End::Entity(pair.as_str().to_owned()),
        Rule::entity => End::Entity(text_of(pair, Rule::name).unwrap_or_default()),
        Rule::cidr => End::Cidr(text_of(pair, Rule::address).unwrap_or_default()),
        _ => pods(pair),
    }
}

fn pods(pair: Pair<'_, Rule>) -> End {
    let anyone = pair.as_rule() == Rule::anyone;
    let (mut requirements, mut namespace) = (Vec::new(), None);
    for inner in pair.into_inner() {
        match inner.as_rule() {
            Rule::requirement => requirements.extend(first(inner).map(requirement)),
            Rule::namespace => namespace = text_of(inner, Rule::name),
            _ => {}
        }
    }
    if anyone && namespace.is_none() {
        return End::Any;
    }
    End::Pods {
        requirements,
        namespace,
    }
}

fn requirement(pair: Pair<'_, Rule>) -> Requirement {
    let mut test = match pair.as_rule() {
        Rule::absent => Test::Absent,
        Rule::present => Test::Exists,
        _ => Test::In,
    };
    let (mut key, mut values) = (String::new(), Vec::new());
    for inner in pair.into_inner() {
        let text = inner.as_str();
        match inner.as_rule() {
            Rule::key => text.clone_into(&mut key),
            Rule::value => values.push(text.to_owned()),
            Rule::sign | Rule::member if matches!(text, "!=" | "notin") => test = Test::NotIn,
            _ => {}
        }
    }
    Requirement { key, test, values }
}

fn read_services(place: Place<'_>, pair: Pair<'_, Rule>) -> Vec<Spanned<Service>> {
    let services = pair.into_inner().map(|pair| {
        let span = pair.as_span();
        let span = place.span(span.start(), span.end());
        let (mut protocol, mut ports) = (String::new(), None);
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::protocol => inner.as_str().clone_into(&mut protocol),
                Rule::ports => ports = Some(inner.as_str().to_owned()),
                _ => {}
            }
        }
        Spanned::new(Service { protocol, ports }, span)
    });
    services.collect()
}
