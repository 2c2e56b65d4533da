//! A mapping being decoded.

use policyc_diag::{Span, codes, suggest};

use super::{Context, Decode, Field, Reader};
use crate::tree::{Entry, Node, Value, limits};

/// A mapping being decoded: fields are taken by name, what is left at the end is unknown.
pub(super) struct Table<'n, 's> {
    pub(super) span: Span,
    field: Field<'n>,
    entries: &'n [Entry<'s>],
    known: Vec<&'static str>,
    /// Fields that are no fault, but no one's intention either.
    passed: Vec<&'static str>,
}

impl<'n, 's> Table<'n, 's> {
    /// The mapping, or a fault if the value is something else.
    pub(super) fn open(node: &'n Node<'s>, field: Field<'n>, cx: &mut Context<'_>) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            cx.wrong_type(node, field, "a mapping");
            return None;
        };
        Some(Self {
            span: node.span,
            field,
            entries,
            known: Vec::with_capacity(16),
            passed: Vec::new(),
        })
    }

    /// A short place for what concerns the mapping as a whole: its first key.
    pub(super) fn start(&self) -> Span {
        self.entries
            .first()
            .map_or(self.span, |entry| entry.key.span)
    }

    /// The value of a field, null or not.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<&'n Node<'s>> {
        self.known.push(name);
        self.entries
            .iter()
            .find(|entry| entry.key.value == name)
            .map(|entry| &entry.value)
    }

    /// The value of a field that messages do not offer.
    pub(super) fn hidden(&mut self, name: &'static str) -> Option<&'n Node<'s>> {
        self.passed.push(name);
        self.entries
            .iter()
            .find(|entry| entry.key.value == name)
            .map(|entry| &entry.value)
    }

    /// A field's value. Null is absent, or a fault where the schema refuses it.
    pub(super) fn node(
        &mut self,
        name: &'static str,
        cx: &mut Context<'_>,
        expected: &str,
    ) -> Option<&'n Node<'s>> {
        let node = self.raw(name)?;
        if !node.is_null() {
            return Some(node);
        }
        if cx.reader == Reader::Schema {
            cx.wrong_type(node, Field::new(name), expected);
        }
        None
    }

    /// A field that may be absent.
    pub(super) fn optional<T: Decode>(
        &mut self,
        name: &'static str,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        let node = self.node(name, cx, T::EXPECTED)?;
        T::decode(node, Field::new(name), cx)
    }

    /// A field that may be absent and that messages do not offer.
    pub(super) fn unlisted<T: Decode>(
        &mut self,
        name: &'static str,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        T::decode(self.hidden(name)?, Field::new(name), cx)
    }

    /// A field that must be present.
    pub(super) fn required<T: Decode>(
        &mut self,
        name: &'static str,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        T::decode(self.present(name, cx)?, Field::new(name), cx)
    }

    /// The value of a field that must be present.
    pub(super) fn present(
        &mut self,
        name: &'static str,
        cx: &mut Context<'_>,
    ) -> Option<&'n Node<'s>> {
        let node = self.raw(name);
        if node.is_none_or(Node::is_null) {
            let message = format!("{} lacks the field `{name}`", self.field);
            cx.fault(
                codes::MISSING_FIELD,
                message,
                self.span,
                format!("`{name}` is missing"),
            );
            return None;
        }
        node
    }

    /// Fields that are someone else's business.
    pub(super) fn ignore(&mut self, names: &[&'static str]) {
        self.passed.extend(names);
    }

    /// Reports all fields that nobody asked for.
    pub(super) fn finish(self, cx: &mut Context<'_>) {
        if cx.reader == Reader::Inventory {
            return;
        }
        let unknown = |key: &str| !self.known.contains(&key) && !self.passed.contains(&key);
        let entries = self
            .entries
            .iter()
            .filter(|entry| unknown(&entry.key.value));
        for entry in entries.take(limits::FAULTS_PER_MAPPING) {
            let key = &*entry.key.value;
            let shown: String = key.chars().take(64).collect();
            let message = format!("unknown field `{shown}`");
            let help = suggest::did_you_mean(key, self.known.iter().copied())
                .unwrap_or_else(|| format!("fields here: {}", self.known.join(", ")));
            let label = format!("{} has no such field", self.field);
            cx.fault(codes::UNKNOWN_FIELD, message, entry.key.span, label)
                .help
                .push(help);
        }
    }
}
