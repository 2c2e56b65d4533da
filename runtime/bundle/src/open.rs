//! Opening a bundle: everything is checked here, in an order in which nothing is believed before it is proved.

use ed25519_dalek::{Signature, VerifyingKey};
use policy_abi::ABI_VERSION;
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use crate::bundle::Bundle;
use crate::layout::{
    BODY_AT, BYTES_MAX, FORMAT_VERSION, Header, MAGIC, RUNTIME_VERSION, SIGNATURE, SIGNED,
};
use crate::{OpenError, Trust, check, keys, section, tables};

impl Header {
    pub(crate) fn signed(&self) -> bool {
        self.flags.get() & SIGNED != 0
    }
}

impl<'a> Bundle<'a> {
    /// Opens a bundle.
    ///
    /// # Errors
    /// The first check that fails: size, versions, length, signature, digests, section table, records, policy
    /// tables, in this order.
    pub fn open(bytes: &'a [u8], trust: &Trust<'_>) -> Result<Self, OpenError> {
        if bytes.len() > BYTES_MAX {
            return Err(OpenError::TooLong { found: bytes.len() });
        }
        let (header, rest) = Header::ref_from_prefix(bytes).map_err(|_| OpenError::TooShort)?;
        let (signature, body) = rest
            .split_first_chunk::<SIGNATURE>()
            .ok_or(OpenError::TooShort)?;
        check_header(header, bytes.len())?;
        let digest = Sha256::digest(header.as_bytes()).into();
        check_signature(header, &digest, signature, trust)?;
        if <[u8; 32]>::from(Sha256::digest(body)) != header.body {
            return Err(OpenError::BodyDigest);
        }
        let sections = section::read(bytes, header.sections.get())?;
        let parts = check::parts(&sections)?;
        let shape = tables::check(parts.arena)?;
        check::references(&parts, &shape)?;
        Ok(Self {
            header: *header,
            digest,
            sections,
            parts,
            shape,
        })
    }
}

fn check_header(header: &Header, found: usize) -> Result<(), OpenError> {
    if header.magic != MAGIC {
        return Err(OpenError::Magic);
    }
    if header.format.get() != FORMAT_VERSION {
        return Err(OpenError::Format {
            found: header.format.get(),
        });
    }
    if header.abi.get() != ABI_VERSION {
        return Err(OpenError::Abi {
            found: header.abi.get(),
        });
    }
    if header.runtime.get() > RUNTIME_VERSION {
        return Err(OpenError::Runtime {
            needed: header.runtime.get(),
        });
    }
    if header.flags.get() & !SIGNED != 0 || header.reserved.get() != 0 || header.zero != [0; 16] {
        return Err(OpenError::HeaderFlags);
    }
    if found < BODY_AT || header.total.get() != found as u64 {
        return Err(OpenError::Length {
            stated: header.total.get(),
            found,
        });
    }
    Ok(())
}

fn check_signature(
    header: &Header,
    digest: &[u8; 32],
    signature: &[u8; SIGNATURE],
    trust: &Trust<'_>,
) -> Result<(), OpenError> {
    if !header.signed() && (header.key != [0; 32] || *signature != [0; SIGNATURE]) {
        return Err(OpenError::HeaderFlags);
    }
    let Trust::Keys(trusted) = trust else {
        return Ok(());
    };
    if !header.signed() {
        return Err(OpenError::Unsigned);
    }
    let key = find_key(trusted, &header.key)?;
    key.verify_strict(digest, &Signature::from_bytes(signature))
        .map_err(|_| OpenError::Signature)
}

fn find_key<'k>(trusted: &'k [VerifyingKey], id: &[u8; 32]) -> Result<&'k VerifyingKey, OpenError> {
    trusted
        .iter()
        .find(|key| keys::id(key) == *id)
        .ok_or(OpenError::UnknownKey { id: *id })
}
