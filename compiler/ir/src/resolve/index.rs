//! Identities by label, for selectors.
//!
//! Labels are compared once, when the index is built. A selector is then a formula over the sets of those that carry
//! a label, and costs as much as its rarest label has carriers, or a bit for each identity.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::IdentityId;
use crate::label::{Key, Labels, Source};
use crate::selector::{Operator, Requirement};

use super::set::{Bits, IdentitySet, is_few};

/// Positions by label.
#[derive(Debug)]
pub(super) struct Index {
    room: usize,
    everyone: IdentitySet,
    by_name: BTreeMap<Arc<str>, Vec<Carriers>>,
}

/// Those with a label of one name and source.
#[derive(Debug)]
struct Carriers {
    source: Source,
    all: IdentitySet,
    by_value: BTreeMap<Arc<str>, IdentitySet>,
}

/// A requirement as sets: in one of them or, if `negated`, in none.
struct Term<'a> {
    sets: Vec<&'a IdentitySet>,
    negated: bool,
}

impl Index {
    /// Indexes positions below `room`, which come in order.
    pub(super) fn new<'a>(labelled: impl Iterator<Item = (u32, &'a Labels)>, room: usize) -> Self {
        let mut everyone = Vec::new();
        let mut by_name: BTreeMap<Arc<str>, Lists> = BTreeMap::new();
        for (at, labels) in labelled {
            everyone.push(at);
            for (key, value) in labels.iter() {
                // Looked up before it is entered, since a name is new only once.
                if !by_name.contains_key(&key.name) {
                    by_name.insert(key.name.clone(), Lists::default());
                }
                if let Some(lists) = by_name.get_mut(&key.name) {
                    lists.add(&key.source, value, at);
                }
            }
        }
        let by_name = by_name.into_iter();
        Self {
            room,
            everyone: IdentitySet::of(everyone, room),
            by_name: by_name
                .map(|(name, lists)| (name, lists.finish(room)))
                .collect(),
        }
    }

    /// Those that meet all requirements.
    pub(super) fn matching<'r>(
        &self,
        requirements: impl Iterator<Item = &'r Requirement>,
    ) -> IdentitySet {
        let mut terms: Vec<_> = requirements
            .map(|requirement| self.term(requirement))
            .collect();
        // The smallest of what must hold comes first, what must not hold last.
        terms.sort_by_key(|term| (term.negated, term.size()));
        match terms.split_first() {
            Some((first, others)) if !first.negated && is_few(first.size(), self.room) => {
                self.sparse(first, others)
            }
            _ => self.dense(&terms),
        }
    }

    /// Asks each member of the first term about the others.
    fn sparse(&self, first: &Term<'_>, others: &[Term<'_>]) -> IdentitySet {
        let members = first.sets.iter().flat_map(|set| set.iter());
        let kept = members.filter(|id| others.iter().all(|term| term.holds(*id)));
        let mut members: Vec<_> = kept.map(|id| id.0).collect();
        members.sort_unstable();
        members.dedup();
        IdentitySet::of(members, self.room)
    }

    fn dense(&self, terms: &[Term<'_>]) -> IdentitySet {
        let mut found = Bits::none(self.room);
        found.insert_all(&self.everyone);
        for term in terms {
            let mut any = Bits::none(self.room);
            for set in &term.sets {
                any.insert_all(set);
            }
            found.keep(&any, term.negated);
        }
        found.finish(self.room)
    }

    fn term<'a>(&'a self, requirement: &Requirement) -> Term<'a> {
        let negated = matches!(
            requirement.operator,
            Operator::NotIn(_) | Operator::DoesNotExist
        );
        let carriers = self.carriers(&requirement.key);
        let sets = match &requirement.operator {
            Operator::In(values) | Operator::NotIn(values) => carriers
                .flat_map(|one| values.iter().filter_map(|value| one.by_value.get(value)))
                .collect(),
            Operator::Exists | Operator::DoesNotExist => carriers.map(|one| &one.all).collect(),
        };
        Term { sets, negated }
    }

    /// Those whose label a selector's key selects, by source ([`Key::selects`]).
    fn carriers<'a>(&'a self, key: &Key) -> impl Iterator<Item = &'a Carriers> {
        let all = self.by_name.get(&key.name).into_iter().flatten();
        all.filter(|one| key.source == Source::Any || key.source == one.source)
    }
}

impl Term<'_> {
    fn size(&self) -> usize {
        self.sets.iter().map(|set| set.len()).sum()
    }

    fn holds(&self, id: IdentityId) -> bool {
        self.sets.iter().any(|set| set.contains(id)) != self.negated
    }
}

/// Positions with a label of one name, while they are collected.
#[derive(Debug, Default)]
struct Lists(Vec<(Source, ByValue)>);

type ByValue = BTreeMap<Arc<str>, Vec<u32>>;

impl Lists {
    fn add(&mut self, source: &Source, value: &Arc<str>, at: u32) {
        let known = self.0.iter().position(|(own, _)| own == source);
        let known = known.unwrap_or_else(|| {
            self.0.push((source.clone(), ByValue::new()));
            self.0.len() - 1
        });
        let Some((_, by_value)) = self.0.get_mut(known) else {
            return;
        };
        match by_value.get_mut(value) {
            Some(list) => list.push(at),
            None => _ = by_value.insert(value.clone(), vec![at]),
        }
    }

    fn finish(self, room: usize) -> Vec<Carriers> {
        let carriers = |(source, by_value): (Source, ByValue)| {
            let mut all: Vec<_> = by_value.values().flatten().copied().collect();
            all.sort_unstable();
            let by_value = by_value.into_iter();
            Carriers {
                source,
                all: IdentitySet::of(all, room),
                by_value: by_value
                    .map(|(value, list)| (value, IdentitySet::of(list, room)))
                    .collect(),
            }
        };
        self.0.into_iter().map(carriers).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::selector::Selector;

    use super::*;

    /// Label sets over two names, two sources and three values, with absent labels.
    fn labels(at: u32) -> Labels {
        let pair = |name: &str, code: u32| {
            let source = if code >= 3 {
                Source::Reserved
            } else {
                Source::K8s
            };
            let value = ["", "x", "y"][code as usize % 3];
            (code < 6).then(|| (Key::new(source, name), Arc::from(value)))
        };
        let rare = (at == 77).then(|| (Key::new(Source::K8s, "rare"), Arc::from("yes")));
        Labels::new(
            [pair("a", at % 7), pair("b", at / 7 % 7), rare]
                .into_iter()
                .flatten(),
        )
    }

    fn selectors() -> Vec<Selector> {
        let values = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect();
        let keys = [Source::Any, Source::K8s, Source::Node]
            .map(|source| ["a", "b", "rare", "none"].map(|name| Key::new(source.clone(), name)));
        let operators = [
            Operator::Exists,
            Operator::DoesNotExist,
            Operator::In(values(&["x", "yes"])),
            Operator::NotIn(values(&["", "y"])),
            Operator::In(Vec::new()),
        ];
        let singles = keys.iter().flatten().flat_map(|key| {
            let operators = operators.iter().cloned();
            operators.map(|operator| Requirement::new(key.clone(), operator))
        });
        let singles: Vec<_> = singles.collect();
        let pairs = singles.iter().flat_map(|one| {
            let others = singles.iter().cloned();
            others.map(|other| Selector::new([one.clone(), other]))
        });
        pairs.chain([Selector::EMPTY]).collect()
    }

    #[test]
    fn matching_is_what_comparing_labels_finds() {
        // In the smaller room nothing is rare, in the larger one much is.
        for room in [40, 2000_u32] {
            let all: Vec<_> = (1..room).map(|at| (at, labels(at))).collect();
            let index = Index::new(all.iter().map(|(at, labels)| (*at, labels)), room as usize);
            for selector in selectors() {
                let wanted = all.iter().filter(|(_, labels)| selector.matches(labels));
                let wanted: Vec<_> = wanted.map(|(at, _)| IdentityId(*at)).collect();
                let found = index.matching(selector.requirements().iter());
                assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{selector}");
            }
        }
    }
}
