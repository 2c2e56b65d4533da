//! From text to a typed syntax tree that remembers every place.
//!
//! **Invariant.** Parsing never fails: each step returns what it could read and the diagnostics of what it could
//! not. Nothing here looks a name up, reads a file, or knows what a policy means.

/// The typed syntax tree: one structure per kind of object, fields as they are written.
pub mod ast;
/// From the YAML tree to the typed tree.
mod decode;
/// Text forms that are not YAML.
pub mod grammar;
/// Cuts a file into its YAML documents.
mod stream;
/// The YAML tree: values with their places, aliases expanded, sizes bounded.
pub mod tree;

use policyc_diag::{Diagnostic, Source, Span, codes};
use rayon::prelude::*;

pub use tree::limits;

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The objects, in writing order, `List` objects flattened.
    pub documents: Vec<ast::Document>,
    /// Everything that is wrong with the text; not sorted across documents of several files.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a file: every document that can be read, and every fault found in the others. Documents are read in
/// parallel; the outcome does not depend on it.
pub fn parse(source: &Source) -> Parsed {
    let mut parsed = Parsed::default();
    if source.text.len() > limits::FILE_BYTES {
        let mebibytes = limits::FILE_BYTES >> 20;
        let message = format!("`{}` is larger than {mebibytes} MiB", source.name);
        parsed.diagnostics.push(
            Diagnostic::new(codes::UNREADABLE_INPUT, message).label(Span::new(source.id, 0, 0), ""),
        );
        return parsed;
    }
    let slices = stream::documents(source);
    let mut index = 0;
    let parts: Vec<_> = slices.par_iter().map(part).collect();
    parsed
        .documents
        .reserve_exact(parts.iter().map(|part| part.count).sum());
    for part in parts {
        let documents = part.parsed.documents.into_iter();
        parsed
            .documents
            .extend(documents.map(|document| ast::Document {
                index: document.index + index,
                ..document
            }));
        parsed.diagnostics.extend(part.parsed.diagnostics);
        index += part.count;
    }
    parsed
}

/// What one slice of a file holds.
struct Part {
    /// Documents, counted from 0, and faults.
    parsed: Parsed,
    /// How many documents it is.
    count: usize,
}

fn part(slice: &stream::Slice<'_>) -> Part {
    let mut parsed = Parsed {
        // Nearly every slice is one document, and room for more would add up.
        documents: Vec::with_capacity(1),
        ..Parsed::default()
    };
    let tree = tree::parse(slice);
    // A slice with nothing but comments is no document, but one that cannot be read is.
    let mut count = usize::from(tree.roots.is_empty() && !tree.diagnostics.is_empty());
    let whole = tree.diagnostics.is_empty();
    parsed.diagnostics.extend(tree.diagnostics);
    for root in tree.roots.iter().filter(|root| !root.is_null()) {
        decode::document(root, slice, decode::Outer::new(count, whole), &mut parsed);
        count += 1;
    }
    Part { parsed, count }
}
