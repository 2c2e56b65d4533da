//! Pull requests in `testdata/pull-requests`: what a reviewer reads about each.

use std::fs;
use std::path::Path;

use crate::support::{Ran, command, testdata};

fn policyc(folder: &Path, args: &[&str]) -> Ran {
    let output = command(args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What the page of a pull request wants to be said first.
fn wanted(folder: &Path) -> String {
    let page = fs::read_to_string(folder.join("README.md")).unwrap();
    let (_, rest) = page.split_once("```text\n").unwrap();
    let (text, _) = rest.split_once("\n```").unwrap();
    text.to_owned()
}

#[test]
fn reviewers_read_first_what_matters_most() {
    let mut folders: Vec<_> = fs::read_dir(testdata("pull-requests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert_eq!(folders.len(), 10);
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let inventory = ["--inventory", "inventory.yaml"];
        let sides = ["diff", "before", "after", "--format", "md"];
        let diff = policyc(&folder, &[&sides[..], &inventory].concat());
        assert!(diff.code <= 1, "{name}: {}", diff.all());
        let checked = ["check", "after", "--intents", "intents.pol", "--format", "plain"];
        let check = policyc(&folder, &[&checked[..], &inventory].concat());
        assert!(check.code <= 1, "{name}: {}", check.all());
        // Headline and first difference.
        let first: Vec<_> = diff.stdout.split("\n**").take(2).collect();
        let wanted = wanted(&folder);
        assert!(first.join("").contains(&wanted), "{name}: {}", diff.stdout);
        let text = format!("{}\n--- check\n{}", diff.all(), check.all());
        insta::assert_snapshot!(name, text);
    }
}

/// What the intents of a pull request forbid was forbidden before it.
#[test]
fn intents_hold_before() {
    for (name, broken) in [
        ("debug-to-world", true),
        ("cidr-covers-metadata", true),
        ("any-tenant", true),
        ("last-policy-removed", true),
        ("range-off-by-one", true),
        ("refactor", false),
        ("typo-in-label", false),
    ] {
        let folder = testdata("pull-requests").join(name);
        let broken_by = |side: &str| {
            let args = ["check", side, "--intents", "intents.pol", "--format", "plain"];
            policyc(&folder, &args).stdout.contains("E0401")
        };
        assert!(!broken_by("before"), "{name} is broken before");
        assert_eq!(broken_by("after"), broken, "{name}");
    }
}
