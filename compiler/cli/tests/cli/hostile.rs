//! Input that is broken, too large or made to hurt: a finding or a plain sentence, never a panic.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Ran, command, policyc, policyc_reading, scratch};

const POLICY: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec:\n  endpointSelector: {}\n";

/// Checks a text from standard input; it must end with findings of this code, whose first place is given as
/// line and column.
#[track_caller]
fn finds(text: &str, code: &str, line: u64, column: u64) {
    let ran = policyc_reading(&["check", "--format=json", "-"], text.as_bytes());
    assert_eq!(ran.code, 1, "{}", ran.all());
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let of_code = |one: &&Value| one["code"] == code;
    let found = found["diagnostics"].as_array().unwrap();
    let Some(one) = found.iter().find(of_code) else {
        panic!("no {code}: {}", ran.all());
    };
    let label = &one["labels"][0];
    assert_eq!(label["file"], "<stdin>");
    let start = &label["start"];
    assert_eq!(
        (start["line"].as_u64(), start["column"].as_u64()),
        (Some(line), Some(column)),
        "{one:#}"
    );
}

/// The run must end with code 2 and say all of this in one sentence, on standard error alone.
#[track_caller]
fn refused(ran: &Ran, says: &[&str]) {
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert_eq!(ran.stdout, "");
    for part in says {
        assert!(
            ran.stderr.contains(part),
            "`{part}` is missing: {}",
            ran.stderr
        );
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn an_alias_bomb_is_a_finding() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        let list = vec![format!("*a{below}"); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{list}]");
    }
    let ran = policyc_reading(&["check", "--format=json", "-"], bomb.as_bytes());
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("\"E0106\""), "{}", ran.all());
}

#[test]
fn deep_nesting_is_a_finding_where_it_gets_too_deep() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!("a: {}x{}\n", open.repeat(1000), close.repeat(1000));
        let ran = policyc_reading(&["check", "--format=json", "-"], text.as_bytes());
        assert_eq!(ran.code, 1, "{}", ran.all());
        assert!(ran.stdout.contains("\"E0106\""), "{}", ran.all());
    }
}

#[test]
fn mistakes_are_found_where_they_stand() {
    finds(&format!("{POLICY}  ingress: [\n"), "E0103", 6, 12);
    finds(&format!("{POLICY}  ingres: [{{}}]\n"), "E0101", 6, 3);
    finds(
        &format!("{POLICY}  egress: [{{}}]\n  egress: [{{}}]\n"),
        "E0102",
        7,
        3,
    );
    finds(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolice\nmetadata: {name: a}\n",
        "E0107",
        2,
        7,
    );
    finds(&format!("{POLICY}  ingress: 5\n"), "E0104", 6, 12);
}

#[test]
fn one_broken_document_does_not_hide_the_others() {
    let text = format!("a: [\n---\n{POLICY}  ingres: [{{}}]\n---\n{POLICY}  egres: [{{}}]\n");
    let ran = policyc_reading(&["check", "--format=plain", "-"], text.as_bytes());
    assert_eq!(ran.code, 1);
    for part in ["E0103", "`ingres`", "`egres`"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.all());
    }
}

#[test]
fn unusable_paths_end_with_code_two() {
    let folder = scratch("paths");
    let binary = folder.join("binary.yaml");
    fs::write(&binary, b"kind: \xff\xfe\n").unwrap();
    let large = folder.join("large.yaml");
    fs::File::create(&large)
        .unwrap()
        .set_len((32 << 20) + 1)
        .unwrap();
    for command in ["check", "validate"] {
        refused(
            &policyc(&[command, "no-such-file.yaml"]),
            &["`no-such-file.yaml`"],
        );
        refused(
            &policyc(&[command, binary.to_str().unwrap()]),
            &["is not text", "byte 6"],
        );
        refused(
            &policyc(&[command, large.to_str().unwrap()]),
            &["larger than 32 MiB"],
        );
        refused(&policyc(&[command]), &["given"]);
    }
}

#[test]
fn bad_usage_ends_with_code_two() {
    refused(&policyc(&["chek"]), &["chek"]);
    refused(&policyc(&["check", "--format=xml", "-"]), &["xml", "sarif"]);
    refused(
        &policyc(&["check", "--no-such-option", "-"]),
        &["--no-such-option"],
    );
    refused(
        &policyc(&["build", "policies.yaml"]),
        &["--key", "--unsigned"],
    );
    refused(&policyc(&["explain", "E9999"]), &["E9999"]);
    let no_inventory = ["build", "--unsigned", "--output=never", "policies.yaml"];
    refused(&policyc(&no_inventory), &["--inventory"]);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    for args in [
        &["explain"][..],
        &["check", "--format=json", "faulty.yaml"],
        &["build", "--help"],
    ] {
        let mut child = command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut complaint = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut complaint)
            .unwrap();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 1)), "{args:?}: {code:?}");
        assert_eq!(complaint, "", "{args:?}");
    }
}
