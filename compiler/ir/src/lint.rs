//! Likely mistakes in policies that Cilium accepts.
//!
//! [`written`] looks at what the text says, [`matched`] at what it matches in an inventory. Questions about pods that
//! do not exist yet are the verifier's.

/// What a policy matches in an inventory.
mod matched;
/// Services whose backends a policy tells apart.
mod mixed;
/// What an inventory makes of policies that Cilium accepts.
mod resolved;
/// What a policy's text says.
mod written;

pub use matched::matched;
pub use mixed::mixed;
pub use resolved::{conflict, conflicts, open_services};
pub use written::written;
