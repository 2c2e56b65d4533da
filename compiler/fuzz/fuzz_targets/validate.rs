//! A policy file: validation and admission agree and do not panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policyc_diag::{Diagnostic, SourceMap};
use policyc_ir::policy::PolicySet;
use policyc_ir::settings::{Settings, Version};
use policyc_ir::validate;

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::new();
    let parsed = policyc_syntax::parse(&sources.add("fuzz", text));
    // Between them these releases take and refuse everything that depends on the release.
    for minor in [17, 18, 19, 20] {
        let settings = Settings {
            version: Version::new(1, minor),
            ..Settings::default()
        };
        let checks = validate::Settings::from(&settings);
        let rejects = |document: &_| {
            validate::check(document, &checks)
                .iter()
                .any(Diagnostic::is_error)
        };
        let rejected = parsed
            .documents
            .iter()
            .filter(|document| rejects(document))
            .count();
        let (admitted, _) = PolicySet::admit(&parsed.documents, &settings);
        assert!(admitted.policies().len() + rejected <= parsed.documents.len());
    }
});
