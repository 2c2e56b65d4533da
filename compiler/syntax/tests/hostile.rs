//! Input made to cost time, memory or a stack, and text that is no text.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::format_collect,
    clippy::format_push_string,
    reason = "clearer, and speed is no concern"
)]

use std::time::{Duration, Instant};

use policyc_diag::{Code, SourceMap, codes};
use policyc_syntax::{Parsed, limits, parse};

fn read(text: String) -> Parsed {
    let mut sources = SourceMap::new();
    let source = sources.add("hostile", text);
    let started = Instant::now();
    let parsed = parse(&source);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "took {:?}",
        started.elapsed()
    );
    for label in parsed.diagnostics.iter().flat_map(|fault| &fault.labels) {
        let (start, end) = (label.span.start as usize, label.span.end as usize);
        assert!(
            source.text.get(start..end).is_some(),
            "a span off the text: {start}..{end}"
        );
    }
    parsed
}

/// The only fault's code and the text at its place.
fn only(text: &str) -> (Code, String) {
    let parsed = read(text.to_owned());
    let [fault] = parsed.diagnostics.as_slice() else {
        panic!("{:?}", parsed.diagnostics)
    };
    let span = fault.span().unwrap();
    (
        fault.code,
        text[span.start as usize..span.end as usize].to_owned(),
    )
}

#[test]
fn nesting_stops_at_the_limit() {
    let block: String = (0..1000)
        .map(|level| format!("{:level$}a:\n", ""))
        .collect();
    assert_eq!(only(&block), (codes::INPUT_LIMIT, "a".to_owned()));
    assert_eq!(
        only(&"[".repeat(100_000)),
        (codes::INPUT_LIMIT, "[".to_owned())
    );
    assert_eq!(
        only(&"- ".repeat(100_000)),
        (codes::INPUT_LIMIT, "-".to_owned())
    );
    let within = format!(
        "{}1{}",
        "[".repeat(limits::DEPTH),
        "]".repeat(limits::DEPTH)
    );
    assert_eq!(only(&within).0, codes::WRONG_TYPE, "read, but no object");
    assert_eq!(only(&format!("[{within}]")).0, codes::INPUT_LIMIT);
}

#[test]
fn aliases_count_as_what_they_stand_for() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let one = format!("*a{},", level - 1);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", one.repeat(10)));
    }
    assert_eq!(only(&laughs), (codes::INPUT_LIMIT, "*a5".to_owned()));
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a,".repeat(200)
    );
    assert_eq!(only(&long), (codes::INPUT_LIMIT, "*a".to_owned()));
    let deep: String = (1..1000)
        .map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1))
        .collect();
    assert_eq!(
        only(&format!("a0: &a0 x\n{deep}")),
        (codes::INPUT_LIMIT, "*a63".to_owned())
    );
}

#[test]
fn an_alias_of_itself_is_refused() {
    assert_eq!(only("a: &a [*a]"), (codes::YAML_SYNTAX, "*a".to_owned()));
    assert_eq!(only("a: *b").0, codes::YAML_SYNTAX);
    assert_eq!(only("<<: 1").0, codes::YAML_SYNTAX);
    assert_eq!(only("<<: [{a: 1}, 2]").0, codes::YAML_SYNTAX);
}

#[test]
fn text_that_is_no_text_is_refused() {
    assert_eq!(only("a: b\nc: \0d"), (codes::YAML_SYNTAX, "\0".to_owned()));
    assert_eq!(only("a: \u{1b}[0m").0, codes::YAML_SYNTAX);
    assert_eq!(only("a: \"unclosed").0, codes::YAML_SYNTAX);
    assert_eq!(only("[a]: b").0, codes::YAML_SYNTAX);
    assert_eq!(only("a:\n\tb: c").0, codes::YAML_SYNTAX);
    assert_eq!(only("{{ .Values }}").0, codes::YAML_SYNTAX);
}

#[test]
fn a_file_beyond_the_limit_is_not_read() {
    let parsed = read("#".repeat(limits::FILE_BYTES + 1));
    assert_eq!(parsed.diagnostics[0].code, codes::UNREADABLE_INPUT);
    assert!(read("#".repeat(1 << 20)).diagnostics.is_empty());
}

#[test]
fn many_faults_take_no_quadratic_time_and_are_not_all_shown() {
    let repeated = read(
        (0..200_000)
            .map(|at| format!("k{}: 1\n", at % 100_000))
            .collect(),
    );
    assert_eq!(
        count(&repeated, codes::DUPLICATE_KEY),
        limits::FAULTS_PER_MAPPING
    );
    let head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n";
    let keys: String = (0..100_000).map(|at| format!("specz{at}: 1\n")).collect();
    let unknown = read(format!("{head}{keys}"));
    assert_eq!(
        count(&unknown, codes::UNKNOWN_FIELD),
        limits::FAULTS_PER_MAPPING
    );
    let wrong = read(format!("{head}specs: [{}]", "1, ".repeat(100_000)));
    assert_eq!(count(&wrong, codes::WRONG_TYPE), limits::FAULTS);
    assert_eq!(count(&wrong, codes::INPUT_LIMIT), 1);
    assert!(!wrong.documents[0].sound);
}

fn count(parsed: &Parsed, code: Code) -> usize {
    parsed
        .diagnostics
        .iter()
        .filter(|fault| fault.code == code)
        .count()
}

#[test]
fn a_huge_scalar_is_read_and_named_shortly() {
    let text = format!(
        "kind: CiliumNetworkPolicy\napiVersion: {}\n",
        "x".repeat(1 << 20)
    );
    let parsed = read(text);
    assert!(
        parsed
            .diagnostics
            .iter()
            .all(|fault| fault.message.len() < 200),
        "{:?}",
        parsed.diagnostics
    );
    assert_eq!(parsed.diagnostics[0].code, codes::UNKNOWN_KIND);
}

#[test]
fn inputs_that_once_failed_stay_harmless() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions/parse");
    let mut count = 0;
    for entry in folder.read_dir().unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let parsed = read(String::from_utf8_lossy(&bytes).into_owned());
        assert!(
            parsed
                .diagnostics
                .iter()
                .all(|fault| fault.message.len() < 300)
        );
        count += 1;
    }
    assert!(count >= 4, "{count} inputs");
}
