//! Text forms that are not YAML.

/// Intents and guards.
pub mod intent;
