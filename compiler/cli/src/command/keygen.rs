//! `policyc keygen`: a key pair for signing bundles.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use policy_bundle::{SigningKey, keys};

use crate::args::Keygen;
use crate::exit::{Error, Exit};
use crate::output;

pub(crate) fn run(args: &Keygen) -> Result<Exit, Error> {
    let mut seed = [0; 32];
    let random =
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
    random.map_err(|error| Error::usage(format!("cannot read random bytes: {error}")))?;
    let key = SigningKey::from_bytes(&seed);
    let public = args.output.with_extension("pub.pem");
    let private_text =
        keys::private_to_pem(&key).map_err(|error| Error::usage(error.to_string()))?;
    let public_text = keys::public_to_pem(&key.verifying_key())
        .map_err(|error| Error::usage(error.to_string()))?;
    write_new(&args.output, private_text.as_bytes(), 0o600)?;
    write_new(&public, public_text.as_bytes(), 0o644)?;
    output::remark(&format!(
        "wrote {} (keep it secret) and {}",
        args.output.display(),
        public.display()
    ));
    Ok(Exit::Clean)
}

/// Writes a file that must not exist yet: a key is never overwritten.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| Error::usage(format!("cannot write `{}`: {error}", path.display())))
}
