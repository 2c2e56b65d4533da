//! From text to a typed syntax tree that remembers every place.
//!
//! **Invariant.** Parsing never fails: each step returns what it could read and the diagnostics of what it could
//! not. Nothing here looks a name up, reads a file, or knows what a policy means.

/// The typed syntax tree: one structure per kind of object, fields as they are written.
pub mod ast;
