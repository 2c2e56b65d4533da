//! Text forms that are not YAML.

/// Statements of what must never be possible.
pub mod intent;
