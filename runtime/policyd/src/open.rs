//! Reads a bundle and decides whether to believe it.

use std::path::Path;

use policy_bundle::{BYTES_MAX, Bundle, Trust, VerifyingKey, keys};

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
        let trust = if self.allow_unsigned {
            Trust::AllowUnsigned
        } else {
            Trust::Keys(&self.keys)
        };
        let bundle = Bundle::open(bytes, &trust).map_err(Failure::refused)?;
        if let Some(accepted) = accepted {
            check_revision(&bundle, accepted)?;
        }
        Ok(bundle)
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
