//! Identities by label, for selectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::label::Labels;
use crate::selector::Selector;

/// Positions by label name and by name and value.
#[derive(Debug)]
pub(super) struct Index {
    len: usize,
    by_name: BTreeMap<Arc<str>, ByName>,
}

#[derive(Debug, Default)]
struct ByName {
    all: Vec<usize>,
    by_value: BTreeMap<Arc<str>, Vec<usize>>,
}

impl Index {
    /// Indexes label sets by their position.
    pub(super) fn new<'a>(labels: impl Iterator<Item = &'a Labels>) -> Self {
        let mut index = Self {
            len: 0,
            by_name: BTreeMap::new(),
        };
        for (at, labels) in labels.enumerate() {
            index.len = at + 1;
            for (key, value) in labels.iter() {
                let entry = index.by_name.entry(key.name.clone()).or_default();
                entry.all.push(at);
                entry.by_value.entry(value.clone()).or_default().push(at);
            }
        }
        index
    }

    /// Positions that can match: those of the rarest label the selector requires, or all if it requires none.
    pub(super) fn candidates(&self, selector: &Selector) -> Box<dyn Iterator<Item = usize> + '_> {
        let lists = super::positive(selector).map(|(key, values)| self.lists(&key.name, values));
        match lists.min_by_key(|lists| lists.iter().map(|list| list.len()).sum::<usize>()) {
            Some(lists) => Box::new(lists.into_iter().flatten().copied()),
            None => Box::new(0..self.len),
        }
    }

    fn lists(&self, name: &str, values: Option<&[Arc<str>]>) -> Vec<&[usize]> {
        let Some(entry) = self.by_name.get(name) else {
            return Vec::new();
        };
        match values {
            None => vec![&entry.all],
            Some(values) => values
                .iter()
                .filter_map(|value| entry.by_value.get(value))
                .map(Vec::as_slice)
                .collect(),
        }
    }
}
