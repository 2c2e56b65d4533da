//! Ed25519 keys as PEM text (PKCS#8 for private, SPKI for public keys), as `openssl genpkey -algorithm ed25519`
//! and `openssl pkey -pubout` write them. Reading files is left to the caller.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// A key that cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text is not an Ed25519 private key.
    Private,
    /// The text is not an Ed25519 public key.
    Public,
    /// A private key stands where a public one is needed.
    PrivateInsteadOfPublic,
    /// The key cannot be written as PEM.
    Encode,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Private => "not an Ed25519 private key in PEM form (PKCS#8)",
            Self::Public => "not an Ed25519 public key in PEM form",
            Self::PrivateInsteadOfPublic => {
                "this is a private key; a public key is needed here (`openssl pkey -pubout` makes one)"
            }
            Self::Encode => "the key cannot be written as PEM",
        })
    }
}

impl std::error::Error for KeyError {}

/// Reads a private key.
pub fn parse_private(pem: &str) -> Result<SigningKey, KeyError> {
    SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| KeyError::Private)
}

/// Reads a public key.
pub fn parse_public(pem: &str) -> Result<VerifyingKey, KeyError> {
    if pem.contains("PRIVATE KEY") {
        return Err(KeyError::PrivateInsteadOfPublic);
    }
    VerifyingKey::from_public_key_pem(pem.trim()).map_err(|_| KeyError::Public)
}

/// A private key as PEM text. Keep it where only its owner can read it.
pub fn private_to_pem(key: &SigningKey) -> Result<String, KeyError> {
    // The short form of PKCS#8, without the public key: the one OpenSSL reads in all its versions.
    let short = ed25519_dalek::pkcs8::KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    };
    short
        .to_pkcs8_pem(LineEnding::LF)
        .map(|pem| pem.to_string())
        .map_err(|_| KeyError::Encode)
}

/// A public key as PEM text.
pub fn public_to_pem(key: &VerifyingKey) -> Result<String, KeyError> {
    key.to_public_key_pem(LineEnding::LF)
        .map_err(|_| KeyError::Encode)
}

/// The identifier of a key in bundles: SHA-256 of its 32 bytes.
pub fn id(key: &VerifyingKey) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
