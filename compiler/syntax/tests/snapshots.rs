//! The tree and the faults of every example, as text.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;

use policyc_diag::{Diagnostic, SourceMap};

#[test]
fn examples_read_as_recorded() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/parse");
    let mut names: Vec<_> = examples
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.retain(|name| {
        name.to_str()
            .is_some_and(|name| name.ends_with("yaml") || name.ends_with("json"))
    });
    names.sort();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let name = name.to_str().unwrap();
        let text = std::fs::read_to_string(examples.join(name)).unwrap();
        insta::assert_snapshot!(name, describe(name, &text));
    }
}

fn describe(name: &str, text: &str) -> String {
    let mut sources = SourceMap::new();
    let source = sources.add(name, text);
    let parsed = policyc_syntax::parse(&source);
    let mut shown = policyc_syntax::ast::print(&parsed.documents, &sources);
    for diagnostic in &parsed.diagnostics {
        fault(diagnostic, &sources, &mut shown);
    }
    shown
}

fn fault(diagnostic: &Diagnostic, sources: &SourceMap, shown: &mut String) {
    writeln!(
        shown,
        "\n{}: {}",
        diagnostic.code.entry().number,
        diagnostic.message
    )
    .unwrap();
    for label in &diagnostic.labels {
        let place = sources.place(label.span.file, label.span.start);
        let written = sources.text(label.span);
        writeln!(
            shown,
            "  {}:{} {written:?} {}",
            place.line, place.column, label.text
        )
        .unwrap();
    }
    for help in &diagnostic.help {
        writeln!(shown, "  help: {help}").unwrap();
    }
}
