//! A bundle: no panic, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy_bundle::{Bundle, Trust};

fuzz_target!(|bytes: &[u8]| {
    _ = Bundle::open(bytes, &Trust::AllowUnsigned);
    _ = Bundle::open(bytes, &Trust::DoNotCheckSignature);
});
