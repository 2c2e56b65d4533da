//! What each command prints, and how it ends.

use std::fs;

use serde_json::Value;

use crate::support::{Ran, command, policyc, policyc_reading, scratch, testdata};

/// The whole outcome, with the folder of a test and all digests taken out.
fn told(ran: &Ran, folder: &str) -> String {
    without_digests(&ran.all().replace(folder, "FOLDER"))
}

fn without_digests(text: &str) -> String {
    let word = |word: &str| {
        let digest = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digest { "DIGEST" } else { word }.to_owned()
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn check_in_every_format() {
    for format in ["human", "plain", "json", "sarif", "github"] {
        let ran = policyc(&["check", "--format", format, "faulty.yaml"]);
        insta::assert_snapshot!(format!("check_{format}"), ran.all());
    }
}

#[test]
fn check_of_sound_policies_finds_nothing() {
    let ran = policyc(&["check", "policies.yaml", "--inventory", "inventory.yaml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.all());
    let mut args = vec!["check", "policies.yaml", "--inventory", "inventory.yaml"];
    args.extend(["--intents", "kept.pol"]);
    let ran = policyc(&args);
    assert_eq!(ran.code, 0, "{}", ran.all());
}

#[test]
fn check_shows_a_flow_that_breaks_an_intent() {
    let args = ["check", "policies.yaml", "--intents", "broken.pol"];
    insta::assert_snapshot!("check_intents", policyc(&args).all());
}

#[test]
fn check_reads_standard_input_and_folders() {
    let text = fs::read(testdata("cli/faulty.yaml")).unwrap();
    let piped = policyc_reading(&["check", "--format=plain", "-"], &text);
    let named = policyc(&["check", "--format=plain", "faulty.yaml"]);
    assert_eq!(piped.stdout.replace("<stdin>", "faulty.yaml"), named.stdout);
    let folder = scratch("folder");
    fs::write(folder.join("b.yml"), &text).unwrap();
    fs::write(folder.join("a.txt"), "no policy").unwrap();
    let ran = policyc(&["check", "--format=plain", folder.to_str().unwrap()]);
    let path = folder.join("b.yml");
    assert_eq!(
        ran.stdout.replace(path.to_str().unwrap(), "faulty.yaml"),
        named.stdout
    );
}

#[test]
fn fail_on_decides_the_exit_code() {
    let warning = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec:\n  endpointSelector: {}\n  ingress:\n  - icmps: [{fields: [{type: 0}]}]\n";
    for (fail_on, code) in [("error", 0), ("warning", 1), ("note", 1)] {
        let ran = policyc_reading(&["check", "--fail-on", fail_on, "-"], warning.as_bytes());
        assert_eq!(ran.code, code, "{fail_on}: {}", ran.all());
    }
}

#[test]
fn colour_only_where_a_terminal_shows_it() {
    for value in [None, Some("1"), Some("")] {
        let mut command = command(&["check", "faulty.yaml"]);
        if let Some(value) = value {
            command.env("NO_COLOR", value);
        }
        let ran = command.output().unwrap();
        assert!(!ran.stdout.contains(&0x1b) && !ran.stderr.contains(&0x1b));
    }
}

#[test]
fn every_stage_can_be_printed() {
    for stage in ["parse", "validate", "normalise", "resolve", "model"] {
        let mut args = vec!["check", "policies.yaml", "--inventory", "inventory.yaml"];
        args.extend(["--emit", stage]);
        let ran = policyc(&args);
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (0, ""),
            "{stage}: {}",
            ran.all()
        );
        assert!(
            ran.stdout.contains("web") || stage == "model",
            "{stage}: {}",
            ran.stdout
        );
        assert!(!ran.stdout.is_empty());
        // The syntax tree has a snapshot beside its printer.
        if stage != "parse" {
            insta::assert_snapshot!(format!("emit_{stage}"), ran.stdout);
        }
    }
    for stage in ["lower", "bundle"] {
        let mut args = vec!["build", "policies.yaml", "--inventory", "inventory.yaml"];
        args.extend(["--emit", stage]);
        let ran = policyc(&args);
        assert_eq!(ran.code, 0, "{stage}: {}", ran.all());
        insta::assert_snapshot!(format!("emit_{stage}"), without_digests(&ran.stdout));
    }
}

#[test]
fn the_solver_is_asked_about_every_rule() {
    let emit = |stage| policyc(&["check", "policies.yaml", "--emit", stage]);
    let (rules, questions) = (emit("normalise"), emit("verify"));
    assert_eq!((rules.code, questions.code), (0, 0));
    let asked = questions.stdout.matches("judged otherwise without").count();
    let written = rules
        .stdout
        .lines()
        .filter(|line| line.starts_with('r'))
        .count();
    assert!(asked == written && asked > 0, "{asked} of {written}");
    assert_eq!(questions.stdout, emit("smt2").stdout);
}

#[test]
fn build_writes_what_inspect_reads() {
    let folder = scratch("build");
    let path = folder.join("shop.bundle");
    let mut args = vec!["build", "policies.yaml", "--inventory", "inventory.yaml"];
    args.extend([
        "--unsigned",
        "--revision=7",
        "--output",
        path.to_str().unwrap(),
    ]);
    let ran = policyc(&args);
    insta::assert_snapshot!("build", told(&ran, folder.to_str().unwrap()));
    let ran = policyc(&["inspect", path.to_str().unwrap()]);
    insta::assert_snapshot!("inspect", told(&ran, folder.to_str().unwrap()));
    let ran = policyc(&["inspect", "--format=json", path.to_str().unwrap()]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&document["schema"], &document["revision"]),
        (&1.into(), &7.into())
    );
    assert_eq!(document["endpoints"].as_array().unwrap().len(), 3);
}

#[test]
fn build_of_faulty_policies_writes_nothing() {
    let folder = scratch("faulty");
    let path = folder.join("never.bundle");
    let mut args = vec!["build", "faulty.yaml", "--inventory", "inventory.yaml"];
    args.extend([
        "--unsigned",
        "--format=plain",
        "--output",
        path.to_str().unwrap(),
    ]);
    let ran = policyc(&args);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("E0101"), "{}", ran.all());
    assert!(!path.exists());
}

#[test]
fn validate_judges_each_document() {
    insta::assert_snapshot!(
        "validate_human",
        policyc(&["validate", "faulty.yaml"]).all()
    );
    let ran = policyc(&["validate", "--format=jsonl", "faulty.yaml"]);
    assert_eq!(ran.code, 1);
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let verdicts: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["document"].as_u64().unwrap(),
                line["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(verdicts, [(0, "reject"), (1, "accept"), (2, "reject")]);
    for line in &lines {
        assert_eq!(line["file"], "faulty.yaml");
        assert_eq!(line["kind"], "CiliumNetworkPolicy");
        assert!(line["name"].is_string());
        let faults = line["diagnostics"].as_array().unwrap();
        assert_eq!(faults.is_empty(), line["verdict"] == "accept", "{line:#}");
    }
}

#[test]
fn verdicts_answer_each_flow() {
    let mut args = vec!["verdicts", "--policies", "policies.yaml"];
    args.extend(["--inventory", "inventory.yaml", "--flows", "flows.jsonl"]);
    insta::assert_snapshot!("verdicts", policyc(&args).all());
}

#[test]
fn verdicts_speak_of_names_requests_and_conflicts() {
    let mut args = vec!["verdicts", "--policies", "verdicts/policies.yaml"];
    args.extend(["--inventory", "verdicts/inventory.yaml"]);
    args.extend(["--flows", "verdicts/flows.jsonl"]);
    insta::assert_snapshot!("verdicts_layer7", policyc(&args).all());
}

#[test]
fn keygen_makes_two_files_and_never_overwrites() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = scratch("keygen");
    let path = folder.join("key.pem");
    let args = ["keygen", "--output", path.to_str().unwrap()];
    let ran = policyc(&args);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.all());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = fs::read_to_string(&path).unwrap();
    assert!(first.starts_with("-----BEGIN PRIVATE KEY-----"));
    let public = fs::read_to_string(folder.join("key.pub.pem")).unwrap();
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(policyc(&args).code, 2);
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
}

#[test]
fn explain_shows_a_page_by_number_or_name() {
    let page = fs::read_to_string(testdata("../docs/diagnostics/E0101.md")).unwrap();
    for code in ["E0101", "e0101", "unknown-field"] {
        let ran = policyc(&["explain", code]);
        assert_eq!(ran.code, 0);
        assert_eq!(ran.stdout.trim_end(), page.trim_end());
    }
    let list = policyc(&["explain"]);
    assert!(list.stdout.lines().count() > 50, "{}", list.stdout);
}
