//! Ends and their parties.

use pest::iterators::Pair;
use policyc_diag::Spanned;

use super::{Rule, span_of, text_of};
use crate::grammar::intent::Place;
use crate::grammar::intent::tree::{End, Party, Requirement, Scope, Test};

/// The end in a source or destination.
pub(super) fn spanned(place: Place<'_>, pair: Pair<'_, Rule>) -> Option<Spanned<End>> {
    let span = span_of(place, &pair);
    let end = pair.into_inner().next()?;
    Some(Spanned::new(read(place, end), span))
}

pub(super) fn read(place: Place<'_>, pair: Pair<'_, Rule>) -> End {
    let mut end = End {
        parties: Vec::new(),
        except: Vec::new(),
    };
    for pair in pair.into_inner() {
        match pair.as_rule() {
            Rule::party => end.parties.extend(party(place, pair)),
            Rule::excepted => {
                let parties = pair.into_inner();
                let parties = parties.filter(|pair| pair.as_rule() == Rule::party);
                end.except
                    .extend(parties.filter_map(|pair| party(place, pair)));
            }
            _ => {}
        }
    }
    end
}

fn party(place: Place<'_>, pair: Pair<'_, Rule>) -> Option<Spanned<Party>> {
    let span = span_of(place, &pair);
    let pair = pair.into_inner().next()?;
    let party = match pair.as_rule() {
        Rule::short => Party::Entity(pair.as_str().to_owned()),
        Rule::internet => Party::Internet,
        Rule::entity => Party::Entity(text_of(pair, Rule::name)?),
        Rule::cidr => Party::Cidr(text_of(pair, Rule::address)?),
        Rule::dns => Party::Dns(text_of(pair, Rule::pattern)?),
        Rule::grouped => Party::Group(text_of(pair, Rule::name)?),
        _ => pods(pair),
    };
    Some(Spanned::new(party, span))
}

fn pods(pair: Pair<'_, Rule>) -> Party {
    let anyone = pair.as_rule() == Rule::anyone;
    let (mut requirements, mut scope) = (Vec::new(), None);
    for inner in pair.into_inner() {
        match inner.as_rule() {
            Rule::requirement => requirements.extend(requirement(inner)),
            Rule::namespaces | Rule::nearby => scope = Some(Scope::Named(names(inner))),
            Rule::labelled => {
                let asked = inner.into_inner();
                let asked = asked.filter(|pair| pair.as_rule() == Rule::requirement);
                scope = Some(Scope::Labelled(asked.filter_map(requirement).collect()));
            }
            _ => {}
        }
    }
    if anyone && scope.is_none() {
        return Party::Any;
    }
    Party::Pods {
        requirements,
        scope,
    }
}

/// Every name in a list of namespaces.
pub(super) fn names(pair: Pair<'_, Rule>) -> Vec<String> {
    let names = pair.into_inner();
    let names = names.filter(|pair| pair.as_rule() == Rule::name);
    names.map(|pair| pair.as_str().to_owned()).collect()
}

fn requirement(pair: Pair<'_, Rule>) -> Option<Requirement> {
    let pair = pair.into_inner().next()?;
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
    Some(Requirement { key, test, values })
}
