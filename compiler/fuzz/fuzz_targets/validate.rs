//! A policy file: validation and admission agree and do not panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policyc_diag::{Diagnostic, SourceMap};
use policyc_ir::{policy::PolicySet, settings::Settings, validate};

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::new();
    let parsed = policyc_syntax::parse(&sources.add("fuzz", text));
    let rejects = |document| {
        validate::check(document, &validate::Settings::default())
            .iter()
            .any(Diagnostic::is_error)
    };
    let rejected = parsed
        .documents
        .iter()
        .filter(|document| rejects(document))
        .count();
    let (admitted, _) = PolicySet::admit(&parsed.documents, &Settings::default());
    assert!(admitted.policies().len() + rejected <= parsed.documents.len());
});
