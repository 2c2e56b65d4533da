//! The examples on the pages that explain diagnostics, and the fixtures of `testdata/diag`, must give the code they
//! are about; the `Fixed` examples must give nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{policyc, scratch, testdata};

/// Pages with an example; fewer would mean that the reader of pages has gone blind.
const EXAMPLES_MIN: usize = 40;

#[test]
fn examples_give_their_code_and_fixed_ones_give_none() {
    let folder = scratch("pages");
    let mut faults = Vec::new();
    let mut examples = 0;
    for page in sorted(&testdata("../docs/diagnostics")) {
        let code = page.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&page).unwrap();
        for (title, wanted) in [("## Example", vec![code.clone()]), ("## Fixed", Vec::new())] {
            let fences = fences(&text, title);
            if fences.is_empty() {
                continue;
            }
            examples += usize::from(title == "## Example");
            let given = codes(&folder.join(&code), &fences);
            if given != BTreeSet::from_iter(wanted.clone()) {
                faults.push(format!("{code} {title}: wanted {wanted:?}, got {given:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(examples >= EXAMPLES_MIN, "only {examples} examples");
}

#[test]
fn fixtures_give_the_code_of_their_name() {
    let mut faults = Vec::new();
    let fixtures = sorted(&testdata("diag"));
    assert!(!fixtures.is_empty());
    for fixture in fixtures {
        let name = fixture.file_stem().unwrap().to_str().unwrap();
        let wanted = name.split('-').next().unwrap();
        let given = check(&[fixture.to_str().unwrap().to_owned()]);
        if given != BTreeSet::from([wanted.to_owned()]) {
            faults.push(format!("{name}: got {given:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn sorted(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The fenced blocks of a section: what stands behind the opening fence, and the text.
fn fences(page: &str, title: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut here = false;
    let mut open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(kind) => {
                open = true;
                if here {
                    found.push((kind.to_owned(), String::new()));
                }
            }
            None if open && here => {
                let (_, text) = found.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            None if line.starts_with("## ") => here = line == title,
            None => {}
        }
    }
    found
}

/// Writes an example to files and runs `check` on them.
fn codes(folder: &Path, fences: &[(String, String)]) -> BTreeSet<String> {
    drop(fs::remove_dir_all(folder));
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, kind: &str| {
        let parts = fences.iter().filter(|(given, _)| given == kind);
        let parts: Vec<_> = parts.map(|(_, text)| text.as_str()).collect();
        let path = folder.join(name);
        fs::write(&path, parts.join("---\n")).unwrap();
        (!parts.is_empty()).then(|| path.to_str().unwrap().to_owned())
    };
    let mut args = Vec::new();
    // An example that is an inventory stands beside no policies at all.
    write("policies.yaml", "yaml");
    args.push(folder.join("policies.yaml").to_str().unwrap().to_owned());
    for (name, kind, option) in [
        ("inventory.yaml", "yaml inventory", "--inventory"),
        ("intents.pol", "intent", "--intents"),
        ("cluster.yaml", "yaml cluster-config", "--cluster-config"),
    ] {
        if let Some(path) = write(name, kind) {
            args.extend([option.to_owned(), path]);
        }
    }
    check(&args)
}

/// The codes that `check` finds.
fn check(args: &[String]) -> BTreeSet<String> {
    let mut command = vec!["check".to_owned(), "--format=json".to_owned()];
    command.extend_from_slice(args);
    let ran = policyc(&command);
    let found: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}\n{}", ran.all()));
    let found = found["diagnostics"].as_array().unwrap();
    found
        .iter()
        .map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}
