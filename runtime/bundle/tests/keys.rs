//! Keys as OpenSSL writes them.

use policy_bundle::SigningKey;
use policy_bundle::keys::{self, KeyError};

/// Written by `openssl genpkey -algorithm ed25519`.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIHpQ0DvRFKTS5hiPjYLVq2jFYRvaIaiXST06acl/i/K2
-----END PRIVATE KEY-----
";
/// Its public half, by `openssl pkey -pubout`.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAXVEHAFkDb+bg4PUGZr5A94vA3CYsTDU5uQw6Kf6IQuc=
-----END PUBLIC KEY-----
";

#[test]
fn openssl_keys_are_read_and_written_back() {
    let private = keys::parse_private(PRIVATE).unwrap();
    let public = keys::parse_public(PUBLIC).unwrap();
    assert_eq!(private.verifying_key(), public);
    assert_eq!(keys::private_to_pem(&private).unwrap(), PRIVATE);
    assert_eq!(keys::public_to_pem(&public).unwrap(), PUBLIC);
}

#[test]
fn keys_differ_in_their_identifier() {
    let id = |seed| keys::id(&SigningKey::from_bytes(&[seed; 32]).verifying_key());
    assert_ne!(id(1), id(2));
}

#[test]
fn wrong_keys_are_named() {
    assert_eq!(
        keys::parse_public(PRIVATE),
        Err(KeyError::PrivateInsteadOfPublic)
    );
    assert_eq!(keys::parse_public("nonsense"), Err(KeyError::Public));
    assert!(matches!(
        keys::parse_private(PUBLIC),
        Err(KeyError::Private)
    ));
}
