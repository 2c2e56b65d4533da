//! A policy file: no panic, and every place lies in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policyc_diag::SourceMap;

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::new();
    let source = sources.add("fuzz", text);
    let parsed = policyc_syntax::parse(&source);
    for label in parsed.diagnostics.iter().flat_map(|fault| &fault.labels) {
        assert!(
            source
                .text
                .get(label.span.start as usize..label.span.end as usize)
                .is_some()
        );
    }
    let shown = policyc_syntax::ast::print(&parsed.documents, &sources);
    let again = policyc_syntax::parse(&source);
    assert_eq!(
        shown,
        policyc_syntax::ast::print(&again.documents, &sources)
    );
});
