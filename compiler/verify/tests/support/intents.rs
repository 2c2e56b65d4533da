//! From a file of statements to what the verifier proves.

use policyc_diag::{Diagnostic, Source};
use policyc_verify::intent::{self, Statements};

pub(crate) fn read(source: &Source) -> (Statements, Vec<Diagnostic>) {
    let (written, mut faults) = policyc_syntax::grammar::intent::parse(source);
    let (read, more) = intent::read(&written);
    faults.extend(more);
    (read, faults)
}
