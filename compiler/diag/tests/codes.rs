//! The code table: complete, ordered, and never changed by accident.

use std::collections::BTreeSet;

use policyc_diag::Code;
use policyc_diag::codes::TABLE;

#[test]
fn numbers_and_names_are_unique() {
    let numbers: BTreeSet<&str> = TABLE.iter().map(|entry| entry.number).collect();
    let names: BTreeSet<&str> = TABLE.iter().map(|entry| entry.name).collect();
    let codes: BTreeSet<Code> = TABLE.iter().map(|entry| entry.code).collect();
    assert_eq!(
        (numbers.len(), names.len(), codes.len()),
        (TABLE.len(), TABLE.len(), TABLE.len())
    );
}

#[test]
fn numbers_rise_and_are_well_formed() {
    assert!(TABLE.is_sorted_by_key(|entry| entry.code));
    for entry in TABLE {
        let (prefix, digits) = entry.number.split_at(1);
        assert!(
            digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()),
            "{}",
            entry.number
        );
        let wanted = match digits.as_bytes() {
            [b'0', ..] => "E",
            [b'1', ..] => "W",
            [b'9', ..] => "I",
            _ => "a known group",
        };
        assert_eq!(prefix, wanted, "{}", entry.number);
    }
}

#[test]
fn names_are_kebab_case() {
    for entry in TABLE {
        let part = |part: &str| {
            let mut bytes = part.bytes();
            !part.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        assert!(entry.name.split('-').all(part), "{}", entry.name);
    }
}

#[test]
fn numbers_and_names_parse_back() {
    for entry in TABLE {
        assert_eq!(Code::parse(&entry.number.to_lowercase()), Some(entry.code));
        assert_eq!(Code::parse(entry.name), Some(entry.code));
        assert_eq!(entry.code.entry().number, entry.number);
    }
    assert_eq!(Code::parse("E0000"), None);
}

#[test]
fn every_code_has_a_page() {
    for entry in TABLE {
        let title = format!("# {} {}\n", entry.number, entry.name);
        assert!(
            entry.page.starts_with(&title),
            "{} does not start with its number and name",
            entry.number
        );
        let place = |heading: &str| entry.page.find(&format!("\n## {heading}\n"));
        let (what, why) = (place("What"), place("Why"));
        assert!(
            what.is_some() && what < why,
            "{} lacks `What` or `Why`",
            entry.number
        );
        // An example without its cure, or the other way round, helps nobody.
        assert_eq!(
            place("Example").is_some(),
            place("Fixed").is_some(),
            "{}",
            entry.number
        );
        let fences = entry
            .page
            .lines()
            .filter(|line| line.starts_with("```"))
            .count();
        assert!(fences % 2 == 0, "{} has an open code block", entry.number);
    }
}

#[test]
fn every_page_has_a_code() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/diagnostics");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    let pages: BTreeSet<String> = files.filter(|name| name != "README.md").collect();
    let wanted: BTreeSet<String> = TABLE
        .iter()
        .map(|entry| format!("{}.md", entry.number))
        .collect();
    assert_eq!(pages, wanted);
}

#[test]
fn codes_are_complete() {
    let lines = TABLE.iter().map(|entry| {
        let severity = entry.severity.name();
        format!(
            "{} {} {severity} {} {}\n",
            entry.number, entry.name, entry.since, entry.summary
        )
    });
    insta::assert_snapshot!(lines.collect::<String>());
}
