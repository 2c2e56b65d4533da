//! Label selectors in canonical form.

use std::fmt;
use std::sync::Arc;

use crate::label::{Key, Labels, Source};

/// What a requirement asks of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The label exists and its value is one of these (sorted, without repeats).
    In(Vec<Arc<str>>),
    /// The label is absent, or its value is none of these (sorted, without repeats).
    NotIn(Vec<Arc<str>>),
    /// The label exists.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// A key and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The key.
    pub key: Key,
    /// What is asked.
    pub operator: Operator,
}

impl Requirement {
    /// A requirement; values are sorted and repeats dropped.
    pub fn new(key: Key, operator: Operator) -> Self {
        let canonical = |mut values: Vec<Arc<str>>| {
            values.sort();
            values.dedup();
            values
        };
        let operator = match operator {
            Operator::In(values) => Operator::In(canonical(values)),
            Operator::NotIn(values) => Operator::NotIn(canonical(values)),
            other => other,
        };
        Self { key, operator }
    }

    /// `key = value`.
    pub fn equals(key: Key, value: impl Into<Arc<str>>) -> Self {
        Self {
            key,
            operator: Operator::In(vec![value.into()]),
        }
    }

    /// `key` exists.
    pub fn exists(key: Key) -> Self {
        Self {
            key,
            operator: Operator::Exists,
        }
    }

    /// Whether labels meet it. An absent label meets `NotIn` and `DoesNotExist`.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.accepts(labels.get(&self.key).map(|value| &**value))
    }

    /// Whether a value (or its absence) meets it.
    pub fn accepts(&self, value: Option<&str>) -> bool {
        let among = |values: &[Arc<str>]| {
            value.is_some_and(|value| values.iter().any(|other| &**other == value))
        };
        match &self.operator {
            Operator::In(values) => among(values),
            Operator::NotIn(values) => !among(values),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// A conjunction of requirements, sorted and without repeats. No requirement at all matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Vec<Requirement>);

impl Selector {
    /// A selector in canonical form.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut all: Vec<_> = requirements.into_iter().collect();
        all.sort();
        all.dedup();
        Self(all)
    }

    /// No requirement: matches everything.
    pub const EMPTY: Self = Self(Vec::new());

    /// The identities with one reserved label: the selector that `matchLabels` with that label and no value is, which
    /// matters where Cilium merges rules of one selector.
    pub fn reserved(name: &str) -> Self {
        Self::new([Requirement::equals(Key::new(Source::Reserved, name), "")])
    }

    /// Its requirements.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Whether it has no requirement.
    pub fn is_wildcard(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels meet every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// The same with one more requirement.
    #[must_use]
    pub fn and(self, requirement: Requirement) -> Self {
        Self::new(self.0.into_iter().chain([requirement]))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) => match values.as_slice() {
                [value] if value.is_empty() && key.source == Source::Reserved => write!(f, "{key}"),
                [value] => write!(f, "{key}={value}"),
                values => write!(f, "{key} in ({})", values.join(",")),
            },
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        for (at, requirement) in self.0.iter().enumerate() {
            write!(f, "{}{requirement}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
