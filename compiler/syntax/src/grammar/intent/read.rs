//! From parse pairs to the tree.

use pest::Parser as _;
use pest::iterators::Pair;
use policyc_diag::{Diagnostic, Span, Spanned, codes};

use super::tree::{
    Act, Authors, Claim, Group, Guard, Hops, Intent, Request, Service, Services, Statement,
};
use super::{Place, fault};

/// Ends and their parties.
mod end;

/// The generated parser.
#[derive(Debug, pest_derive::Parser)]
#[grammar = "../../grammar/intent.pest"]
pub(super) struct Grammar;

/// Reads one statement.
pub(super) fn statement(place: Place<'_>, text: &str) -> Result<Statement, Diagnostic> {
    fault::keyword(place, text)?;
    let parsed = Grammar::parse(Rule::statement, text);
    let pairs = parsed.map_err(|error| fault::syntax(place, text, &error))?;
    let whole = Spanned::new(text.to_owned(), place.span(0, text.len()));
    let read = pairs
        .flat_map(Pair::into_inner)
        .find_map(|pair| match pair.as_rule() {
            Rule::definition => definition(place, pair).map(|group| Ok(Statement::Group(group))),
            Rule::guard => guard(place, pair, &whole).map(|guard| Ok(Statement::Guard(guard))),
            Rule::sentence => Some(intent(place, pair, &whole, false)),
            Rule::expected => {
                inner(pair, Rule::sentence).map(|sentence| intent(place, sentence, &whole, true))
            }
            _ => None,
        });
    // The grammar has all parts in every statement.
    read.unwrap_or_else(|| Err(fault::incomplete(whole.span)))
}

/// The first inner pair of a rule.
fn inner(pair: Pair<'_, Rule>, rule: Rule) -> Option<Pair<'_, Rule>> {
    pair.into_inner().find(|inner| inner.as_rule() == rule)
}

/// The text of the first inner pair of a rule.
fn text_of(pair: Pair<'_, Rule>, rule: Rule) -> Option<String> {
    inner(pair, rule).map(|inner| inner.as_str().to_owned())
}

/// Where a pair stands, without the blanks behind it.
fn span_of(place: Place<'_>, pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    place.span(span.start(), span.start() + span.as_str().trim_end().len())
}

fn definition(place: Place<'_>, pair: Pair<'_, Rule>) -> Option<Group> {
    let (mut name, mut written) = (None, None);
    for pair in pair.into_inner() {
        let span = span_of(place, &pair);
        match pair.as_rule() {
            Rule::name => name = Some(Spanned::new(pair.as_str().to_owned(), span)),
            Rule::end => written = Some(Spanned::new(end::read(place, pair), span)),
            _ => {}
        }
    }
    let (name, end) = name.zip(written)?;
    Some(Group { name, end })
}

fn intent(
    place: Place<'_>,
    pair: Pair<'_, Rule>,
    text: &Spanned<String>,
    fails: bool,
) -> Result<Statement, Diagnostic> {
    let incomplete = || fault::incomplete(text.span);
    let mut parts = pair.into_inner();
    let kernel = parts.next().ok_or_else(incomplete)?;
    let mut claim = claim(kernel.as_rule());
    let (mut from, mut to) = (None, None);
    for pair in kernel.into_inner() {
        match pair.as_rule() {
            Rule::source => from = end::spanned(place, pair),
            Rule::destination => to = end::spanned(place, pair),
            Rule::modal => {
                let modal = pair.into_inner().next();
                claim = modal.map_or(claim, |modal| self::claim(modal.as_rule()));
            }
            _ => {}
        }
    }
    let (from, to) = from.zip(to).ok_or_else(incomplete)?;
    let mut intent = Intent {
        text: text.clone(),
        fails,
        claim,
        from,
        to,
        services: None,
        request: None,
        hops: None,
        inventory: None,
    };
    for pair in parts {
        let span = span_of(place, &pair);
        match pair.as_rule() {
            Rule::services => intent.services = Some(Spanned::new(services(place, pair), span)),
            Rule::request => {
                let read = pair.into_inner().find_map(request);
                intent.request = read.map(|request| Spanned::new(request, span));
            }
            Rule::hops => intent.hops = Some(Spanned::new(hops(pair, span)?, span)),
            Rule::inventory => intent.inventory = Some(span),
            _ => {}
        }
    }
    Ok(Statement::Intent(Box::new(intent)))
}

const fn claim(rule: Rule) -> Claim {
    match rule {
        Rule::allowed | Rule::must_reach => Claim::Must,
        Rule::only_these => Claim::OnlyFrom,
        Rule::may_only => Claim::OnlyTo,
        Rule::may_reach => Claim::May,
        _ => Claim::Never,
    }
}

fn hops(pair: Pair<'_, Rule>, span: Span) -> Result<Hops, Diagnostic> {
    /// More than the connections between any two pods.
    const HOPS_MAX: u32 = 1000;
    let Some(count) = text_of(pair, Rule::count) else {
        return Ok(Hops::Any);
    };
    let read = count.parse().ok();
    let number = read.filter(|number| (1..=HOPS_MAX).contains(number));
    number.map(Hops::AtMost).ok_or_else(|| {
        let message = format!("`{count}` is no number of hops");
        Diagnostic::new(codes::INTENT_SYNTAX, message).label(
            span,
            format!("expected a number from 1 to {HOPS_MAX}, or `any number of hops`"),
        )
    })
}

fn services(place: Place<'_>, pair: Pair<'_, Rule>) -> Services {
    let mut services = Services {
        except: false,
        list: Vec::new(),
    };
    for pair in pair.into_inner() {
        let span = span_of(place, &pair);
        match pair.as_rule() {
            Rule::all_but => services.except = true,
            Rule::service => {
                let service = Service {
                    protocol: text_of(pair.clone(), Rule::protocol).unwrap_or_default(),
                    ports: text_of(pair, Rule::ports),
                };
                services.list.push(Spanned::new(service, span));
            }
            _ => {}
        }
    }
    services
}

fn request(pair: Pair<'_, Rule>) -> Option<Request> {
    match pair.as_rule() {
        Rule::http => Some(Request::Http {
            method: text_of(pair.clone(), Rule::method)?,
            path: text_of(pair.clone(), Rule::path),
            host: text_of(pair, Rule::authority),
        }),
        Rule::query => text_of(pair, Rule::pattern).map(Request::Dns),
        Rule::hello => text_of(pair, Rule::pattern).map(Request::Tls),
        _ => None,
    }
}

fn guard(place: Place<'_>, pair: Pair<'_, Rule>, text: &Spanned<String>) -> Option<Box<Guard>> {
    let name = text_of(pair.clone(), Rule::name)?;
    let authors = authors(inner(pair.clone(), Rule::authors)?);
    let limit = inner(pair, Rule::limit)?.into_inner().next()?;
    let only = limit.as_rule() == Rule::bounded;
    let said = limit
        .into_inner()
        .find(|pair| matches!(pair.as_rule(), Rule::selects | Rule::speaks))?;
    let mut guard = Guard {
        text: text.clone(),
        name,
        authors,
        only,
        act: Spanned::new(Act::Select, span_of(place, &said)),
        from: None,
        to: None,
        services: None,
    };
    for pair in said.into_inner() {
        let span = span_of(place, &pair);
        match pair.as_rule() {
            Rule::act => guard.act = Spanned::new(act(pair), span),
            Rule::source => guard.from = end::spanned(place, pair),
            Rule::destination => guard.to = end::spanned(place, pair),
            Rule::services => guard.services = Some(Spanned::new(services(place, pair), span)),
            _ => {}
        }
    }
    Some(Box::new(guard))
}

fn act(pair: Pair<'_, Rule>) -> Act {
    match pair.into_inner().next().map(|word| word.as_rule()) {
        Some(Rule::deny) => Act::Deny,
        Some(Rule::pass) => Act::Pass,
        _ => Act::Allow,
    }
}

fn authors(pair: Pair<'_, Rule>) -> Authors {
    let mut authors = Authors {
        clusterwide: false,
        namespaces: None,
    };
    let mut outside = false;
    for pair in pair.into_inner() {
        match pair.as_rule() {
            Rule::clusterwide => authors.clusterwide = true,
            Rule::not => outside = true,
            Rule::namespaces => authors.namespaces = Some((outside, end::names(pair))),
            _ => {}
        }
    }
    authors
}
