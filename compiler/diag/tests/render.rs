//! Each format over the same findings.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests stop at the first surprise"
)]

use policyc_diag::render::{Format, Style, Tally, json, render};
use policyc_diag::{Diagnostic, Severity, Source, SourceMap, Span, codes};

const POLICY: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: web
spec:
  endpointSelector: {}
  ingress:
  - fromEndpoint:
    - matchLabels: {app: a}
    toPorts:
    - ports:
      - port: \"80\"
";

/// The place where a text first stands in a file.
fn find(source: &Source, text: &str) -> Span {
    let start = source.text.find(text).expect("the text stands in the file");
    let byte = |at: usize| u32::try_from(at).unwrap();
    Span::new(source.id, byte(start), byte(start + text.len()))
}

fn at(source: &Source, start: usize, end: usize) -> Span {
    Span::new(
        source.id,
        u32::try_from(start).unwrap(),
        u32::try_from(end).unwrap(),
    )
}

/// One finding of each awkward shape.
fn sample() -> (Vec<Diagnostic>, SourceMap) {
    let mut sources = SourceMap::new();
    let policy = sources.add("policies/web.yaml", POLICY);
    let inventory = sources.add(
        "cluster, all.yaml",
        "kind: Pod\nmetadata:\n  name: web\n  labels:\n    app: b\n",
    );
    let odd = sources.add("odd.yaml", "a:\tx\n\té: \"naïve – 日本\" # ü\nlast: 1\n");
    let hostile = sources.add(
        "host\u{1b}[2J.yaml",
        "name: \"\u{1b}]0;x\u{7}\u{202e}abc\"\r\nnext: 1\r\n",
    );
    let long = sources.add("long.json", format!("{{\"a\": \"{}\"}}", "x".repeat(600)));
    let empty = sources.add("empty.yaml", "");
    let found = vec![
        Diagnostic::new(
            codes::UNKNOWN_FIELD,
            "unknown field `fromEndpoint` in an ingress rule",
        )
        .label(find(&policy, "fromEndpoint"), "not a field of `ingress`")
        .label(find(&policy, "kind: CiliumNetworkPolicy"), "in this object")
        .help("did you mean `fromEndpoints`?")
        .help("take the field out"),
        Diagnostic::new(
            codes::DANGLING_PEER,
            "this peer selector matches no pod in the inventory",
        )
        .label(find(&policy, "matchLabels: {app: a}"), "")
        .label(find(&inventory, "app: b"), "the nearest pod has this label")
        .label(find(&policy, "endpointSelector: {}"), "the subject")
        .note("first line of a flow:\n  from  app=a\n  to    app=web"),
        Diagnostic::new(codes::ALLOW_DENY_OVERLAP, "this rule spans several lines").label(
            find(&policy, &POLICY[POLICY.find("- fromEndpoint").unwrap()..]),
            "the whole rule",
        ),
        Diagnostic::new(codes::WRONG_TYPE, "tabs, 100% and letters: `日本`, é")
            .label(find(&odd, "\"naïve – 日本\""), "expected a number")
            .label(find(&odd, "x"), "after a tab"),
        Diagnostic::new(codes::YAML_SYNTAX, "the file ends inside a mapping")
            .label(at(&odd, odd.text.len(), odd.text.len()), "expected a value"),
        Diagnostic::new(codes::EMPTY_POLICY, "there is nothing here")
            .label(at(&empty, 0, 0), "empty"),
        Diagnostic::new(codes::INVALID_NAME, "name `\u{1b}[31m` is not allowed").label(
            find(&hostile, "\"\u{1b}]0;x\u{7}\u{202e}abc\""),
            "these characters",
        ),
        Diagnostic::new(codes::INVALID_VALUE, "a line too long to show")
            .label(at(&long, 6, 20), "in here"),
        Diagnostic::new(codes::INPUT_LIMIT, "a place beyond the end")
            .label(at(&odd, 10_000, 10_001), "far out"),
        Diagnostic::new(codes::INTERNAL_ERROR, "no place to show").note("please report it with the message, the version and, if you can, the input that brings it about"),
    ];
    (found, sources)
}

fn rendered(format: Format, style: Style) -> String {
    let (found, sources) = sample();
    // The version in the SARIF log changes with every release.
    render(format, &found, &sources, style).replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn human() {
    insta::assert_snapshot!(rendered(
        Format::Human,
        Style {
            color: false,
            width: 80
        }
    ));
}

#[test]
fn human_colored_differs_only_in_escapes() {
    let colored = rendered(
        Format::Human,
        Style {
            color: true,
            width: 80,
        },
    );
    assert!(colored.contains("\u{1b}["));
    let mut bare = String::new();
    let mut parts = colored.split("\u{1b}[");
    bare.push_str(parts.next().unwrap());
    parts.for_each(|part| bare.push_str(part.split_once('m').expect("a colour ends in `m`").1));
    assert_eq!(
        bare,
        rendered(
            Format::Human,
            Style {
                color: false,
                width: 80
            }
        )
    );
}

#[test]
fn plain() {
    insta::assert_snapshot!(rendered(Format::Plain, Style::default()));
}

#[test]
fn json() {
    insta::assert_snapshot!(rendered(Format::Json, Style::default()));
}

#[test]
fn json_lines_hold_what_the_document_holds() {
    let (found, sources) = sample();
    let document: serde_json::Value =
        serde_json::from_str(&rendered(Format::Json, Style::default())).unwrap();
    let lines: Vec<_> = found
        .iter()
        .map(|diagnostic| json::one(diagnostic, &sources))
        .collect();
    assert_eq!(document["diagnostics"], serde_json::Value::Array(lines));
}

#[test]
fn sarif() {
    // The pages have their own tests, and would make the snapshot change with every wording.
    let mut log: serde_json::Value =
        serde_json::from_str(&rendered(Format::Sarif, Style::default())).unwrap();
    for rule in log["runs"][0]["tool"]["driver"]["rules"]
        .as_array_mut()
        .unwrap()
    {
        assert!(
            rule["help"]["markdown"]
                .as_str()
                .unwrap()
                .starts_with(&format!("# {}", rule["id"].as_str().unwrap()))
        );
        rule["help"] = "PAGE".into();
    }
    insta::assert_snapshot!(format!("{log:#}"));
}

#[test]
fn sarif_fingerprints_ignore_lines_and_number_repeats() {
    let prints = |text: &str| {
        let mut sources = SourceMap::new();
        let file = sources.add("a.yaml", text);
        let found =
            Diagnostic::new(codes::UNKNOWN_FIELD, "unknown field `x`").label(find(&file, "x"), "");
        let log = render(
            Format::Sarif,
            &[found.clone(), found],
            &sources,
            Style::default(),
        );
        let log: serde_json::Value = serde_json::from_str(&log).unwrap();
        [0, 1].map(|at| {
            log["runs"][0]["results"][at]["partialFingerprints"]["policyc/v1"]
                .as_str()
                .unwrap()
                .to_owned()
        })
    };
    assert_eq!(prints("x: 1\n"), prints("# moved\n\nx: 1\n"));
    assert_ne!(prints("x: 1\n")[0], prints("x: 1\n")[1]);
}

#[test]
fn github() {
    insta::assert_snapshot!(rendered(Format::Github, Style::default()));
}

#[test]
fn no_format_passes_escape_sequences_on() {
    for format in Format::ALL {
        let text = rendered(format, Style::default());
        assert!(
            !text.contains(['\u{1b}', '\u{7}', '\r']),
            "{}",
            format.name()
        );
    }
}

#[test]
fn names_read_back_and_others_do_not() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    let error = "xml".parse::<Format>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`xml` is no format, only `human`, `plain`, `json`, `sarif`, `github` are"
    );
}

#[test]
fn tally_counts_and_reads_well() {
    let of = |severities: &[Severity]| {
        let made = severities.iter().map(|severity| {
            let mut diagnostic = Diagnostic::new(codes::UNKNOWN_FIELD, "");
            diagnostic.severity = *severity;
            diagnostic
        });
        Tally::of(&made.collect::<Vec<_>>()).to_string()
    };
    let (error, warning, note) = (Severity::Error, Severity::Warning, Severity::Note);
    assert_eq!(of(&[]), "no findings");
    assert_eq!(of(&[error, warning, error]), "2 errors, 1 warning");
    assert_eq!(of(&[note, warning, warning]), "2 warnings, 1 note");
}

#[test]
fn human_is_quick_in_a_large_file() {
    let mut sources = SourceMap::new();
    let file = sources.add("large.yaml", "key: value\n".repeat(1_000_000));
    let find = |n: usize| {
        Diagnostic::new(codes::WRONG_TYPE, "wrong").label(at(&file, n * 11, n * 11 + 3), "here")
    };
    let found: Vec<Diagnostic> = (0..2_000).map(|n| find(999_999 - n)).collect();
    let start = std::time::Instant::now();
    let text = render(Format::Human, &found, &sources, Style::default());
    // A scan of the file per finding takes minutes in a debug build; this takes well under a second.
    assert!(
        start.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    assert!(text.contains("[large.yaml:1000000:1]"));
}

/// Spans come from many stages; whatever they are, a finding must still be shown.
#[test]
fn any_place_can_be_shown_in_every_format() {
    for text in [
        "",
        "\n",
        "é",
        "a\r\n\r\n\tb\u{301}",
        "\n\n日: \u{1b}x\n\n",
        "x\ry\n\nz",
    ] {
        let mut sources = SourceMap::new();
        let file = sources.add("a.yaml", text);
        let spans =
            (0..text.len() + 2).flat_map(|start| (0..text.len() + 2).map(move |end| (start, end)));
        let spans: Vec<_> = spans.map(|(start, end)| at(&file, start, end)).collect();
        for first in &spans {
            for second in spans.iter().step_by(17) {
                let found = Diagnostic::new(codes::WRONG_TYPE, "two places")
                    .label(*first, "first")
                    .label(*second, "");
                for format in Format::ALL {
                    let text = render(
                        format,
                        std::slice::from_ref(&found),
                        &sources,
                        Style::default(),
                    );
                    assert!(text.contains("two places"), "{text}");
                    assert!(
                        format != Format::Human || text.contains("first"),
                        "{first:?} {second:?}: {text}"
                    );
                }
            }
        }
    }
}
