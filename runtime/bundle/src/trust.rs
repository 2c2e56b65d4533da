//! Whose bundles are accepted.

use ed25519_dalek::VerifyingKey;

/// What [`crate::Bundle::open`] demands of the signature.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Signed by one of these keys.
    Keys(&'a [VerifyingKey]),
    /// Unsigned, or signed by anyone. Digests still guard against damage, not against forgery.
    AllowUnsigned,
    /// The signature is not looked at. For showing a bundle, never for enforcing it.
    DoNotCheckSignature,
}
