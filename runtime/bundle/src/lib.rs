//! The bundle: everything a node needs to enforce a compiled set of policies, in one signed file.
//!
//! [`Bundle::open`] checks signature, digests, bounds and the structure of every section once; afterwards the views
//! cannot fail and the tables inside cannot be left by any lookup. The encoder is behind the feature `write`.
//! The format is described byte by byte in `docs/bundle-format.md`.

mod bundle;
mod check;
mod error;
/// Ed25519 keys as PEM text.
pub mod keys;
mod layout;
mod open;
mod section;
/// Check of one generation of policy tables.
pub mod tables;
mod trust;
/// Writing bundles.
#[cfg(feature = "write")]
pub mod write;

pub use bundle::{Bundle, Endpoint, Host, Ipcache, Rule, Service};
pub use ed25519_dalek::{SigningKey, VerifyingKey};
pub use error::OpenError;
pub use layout::{BYTES_MAX, FORMAT_VERSION, MAGIC, RUNTIME_VERSION, SECTIONS_MAX, STRING_MAX};
pub use section::{Kind, Section};
pub use trust::Trust;
#[cfg(feature = "write")]
pub use write::Contents;
