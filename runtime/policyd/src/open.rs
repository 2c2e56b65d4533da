//! Reads a bundle and decides whether to believe it.

use std::path::Path;

use policy_bundle::{BYTES_MAX, Bundle, OpenError, Trust, VerifyingKey, keys};

use crate::failure::Failure;
use crate::files;
use crate::state::{Accepted, hex};

/// Longest key file, in bytes.
const KEY_MAX: usize = 64 << 10;

/// Whom to believe.
#[derive(Clone, Debug)]
pub struct Believed {
    keys: Vec<VerifyingKey>,
    allow_unsigned: bool,
}

impl Believed {
    /// Reads public keys from PEM files, one each.
    ///
    /// # Errors
    /// If a file is no public key, or there is none and unsigned bundles are not allowed.
    pub fn read(paths: &[impl AsRef<Path>], allow_unsigned: bool) -> Result<Self, Failure> {
        if paths.is_empty() && !allow_unsigned {
            return Err(Failure::usage(
                "no key is given: `--key FILE` names the public key that bundles are signed with",
            ));
        }
        let keys = paths
            .iter()
            .map(|path| read_key(path.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            allow_unsigned,
        })
    }

    /// Opens a bundle that must also not be older than what was accepted before.
    ///
    /// # Errors
    /// If the bundle does not verify, or is a roll-back.
    pub fn open<'a>(
        &self,
        bytes: &'a [u8],
        accepted: Option<&Accepted>,
    ) -> Result<Bundle<'a>, Failure> {
        let bundle = self.verify(bytes)?;
        if let Some(accepted) = accepted {
            check_revision(&bundle, accepted)?;
        }
        Ok(bundle)
    }

    /// A signature that is there must be right even if none is demanded, unless there is no key to check it with.
    fn verify<'a>(&self, bytes: &'a [u8]) -> Result<Bundle<'a>, Failure> {
        if self.allow_unsigned && self.keys.is_empty() {
            return Bundle::open(bytes, &Trust::AllowUnsigned).map_err(Failure::refused);
        }
        match Bundle::open(bytes, &Trust::Keys(&self.keys)) {
            Err(OpenError::Unsigned) if self.allow_unsigned => {
                Bundle::open(bytes, &Trust::AllowUnsigned).map_err(Failure::refused)
            }
            Err(OpenError::Unsigned) => Err(Failure::refused(
                "the bundle is not signed (`--allow-unsigned` would accept it)",
            )),
            result => result.map_err(Failure::refused),
        }
    }
}

/// Reads the bytes of a bundle; nothing is believed yet.
///
/// # Errors
/// If the file cannot be read or is too long.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read(path, BYTES_MAX)
}

fn read_key(path: &Path) -> Result<VerifyingKey, Failure> {
    let text = files::read_text(path, KEY_MAX)?;
    keys::parse_public(&text)
        .map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))
}

fn check_revision(bundle: &Bundle<'_>, accepted: &Accepted) -> Result<(), Failure> {
    let found = bundle.revision();
    if found < accepted.revision {
        return Err(Failure::refused(format!(
            "the bundle has revision {found} but revision {} was accepted before; going back is refused",
            accepted.revision
        )));
    }
    if found == accepted.revision && bundle.digest() != accepted.digest {
        return Err(Failure::refused(format!(
            "another bundle with revision {found} (digest {}) was accepted before; give this one a higher revision",
            hex(accepted.digest.get(..8).unwrap_or_default())
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use policy_bundle::write::encode;
    use policy_bundle::{Contents, SigningKey};

    use super::*;
    use crate::plan::sample;

    fn believed(keys: Vec<VerifyingKey>, allow_unsigned: bool) -> Believed {
        Believed {
            keys,
            allow_unsigned,
        }
    }

    fn refusal(believed: &Believed, bytes: &[u8], accepted: Option<&Accepted>) -> String {
        let failure = believed.open(bytes, accepted).unwrap_err();
        assert_eq!(failure.cause().exit_code(), 1);
        failure.to_string()
    }

    #[test]
    fn only_trusted_signatures_count() {
        let key = sample::key();
        let signed = encode(&sample::contents(), Some(&key)).unwrap();
        let unsigned = encode(&sample::contents(), None).unwrap();
        let stranger =
            encode(&sample::contents(), Some(&SigningKey::from_bytes(&[9; 32]))).unwrap();
        let strict = believed(vec![key.verifying_key()], false);
        strict.open(&signed, None).unwrap();
        assert!(refusal(&strict, &unsigned, None).contains("not signed"));
        assert!(refusal(&strict, &stranger, None).contains("not trusted"));
        let lenient = believed(vec![key.verifying_key()], true);
        lenient.open(&signed, None).unwrap();
        lenient.open(&unsigned, None).unwrap();
        assert!(refusal(&lenient, &stranger, None).contains("not trusted"));
        believed(Vec::new(), true).open(&stranger, None).unwrap();
        assert!(
            Believed::read(&[] as &[&Path], false)
                .unwrap_err()
                .to_string()
                .contains("--key")
        );
    }

    #[test]
    fn going_back_is_refused() {
        let key = sample::key();
        let believed = believed(vec![key.verifying_key()], false);
        let at = |revision| {
            encode(
                &Contents {
                    revision,
                    ..sample::contents()
                },
                Some(&key),
            )
            .unwrap()
        };
        let bytes = at(5);
        let digest = believed.open(&bytes, None).unwrap().digest();
        let accepted = |revision, digest| Accepted { revision, digest };
        believed.open(&bytes, Some(&accepted(5, digest))).unwrap();
        believed.open(&bytes, Some(&accepted(4, [1; 32]))).unwrap();
        assert!(
            refusal(&believed, &bytes, Some(&accepted(6, digest)))
                .contains("going back is refused")
        );
        assert!(
            refusal(&believed, &bytes, Some(&accepted(5, [1; 32]))).contains("higher revision")
        );
    }

    #[test]
    fn keys_are_read_from_files() {
        let path = std::env::temp_dir().join(format!("policyd-key-{}.pem", std::process::id()));
        std::fs::write(&path, keys::private_to_pem(&sample::key()).unwrap()).unwrap();
        assert!(
            Believed::read(&[&path], false)
                .unwrap_err()
                .to_string()
                .contains("private key")
        );
        std::fs::write(
            &path,
            keys::public_to_pem(&sample::key().verifying_key()).unwrap(),
        )
        .unwrap();
        assert_eq!(
            Believed::read(&[&path], false).unwrap().keys,
            [sample::key().verifying_key()]
        );
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            Believed::read(&[&path], false)
                .unwrap_err()
                .cause()
                .exit_code(),
            2
        );
    }
}
