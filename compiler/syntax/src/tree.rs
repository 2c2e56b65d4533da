//! The YAML tree: values with their places, aliases expanded, sizes bounded.

/// From parser events to a tree.
mod build;
/// Bounds on what is read.
pub mod limits;
/// Characters to bytes, and the ends of things.
mod place;
/// What an unquoted scalar means.
pub mod scalar;

use std::borrow::Cow;
use std::rc::Rc;

use policyc_diag::{Diagnostic, Source, Span, Spanned};

pub use scalar::Scalar;

pub(crate) use build::parse;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'s> {
    /// The place. A missing value (`key:`) has the key's place; an alias has its own place, its parts have the
    /// anchored ones.
    pub span: Span,
    /// The value.
    pub value: Value<'s>,
}

/// A value. Lists and mappings are shared, so that an alias costs nothing until it is decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'s> {
    /// A scalar.
    Scalar(Scalar<'s>),
    /// A list.
    Sequence(Rc<[Node<'s>]>),
    /// A mapping, in writing order, without repeats.
    Mapping(Rc<[Entry<'s>]>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'s> {
    /// The key as Kubernetes sees it: unquoted `on` is `true`, `0x50` is `80`.
    pub key: Spanned<Cow<'s, str>>,
    /// The value.
    pub value: Node<'s>,
}

/// The documents of one slice (several only around `...`), and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Trees<'s> {
    /// Root values.
    pub roots: Vec<Node<'s>>,
    /// Faults.
    pub diagnostics: Vec<Diagnostic>,
}

impl Node<'_> {
    /// Whether it is null, written or not.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null))
    }

    /// What it is, with its article, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) => scalar.describe(),
        }
    }
}

/// The trees of all documents of a file.
pub fn read(source: &Source) -> Trees<'_> {
    let mut all = Trees::default();
    for slice in crate::stream::documents(source) {
        let trees = parse(&slice);
        all.roots.extend(trees.roots);
        all.diagnostics.extend(trees.diagnostics);
    }
    all
}
