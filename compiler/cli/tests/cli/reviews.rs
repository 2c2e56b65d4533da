//! Pull requests in `testdata/pull-requests`: what a reviewer reads about each.

use std::fs;
use std::path::Path;

use crate::support::{Ran, command, testdata};

/// What has to be said before anything else: in the headline, or about the first difference.
const FIRST: &[(&str, &[&str])] = &[
    ("any-tenant", &["now allowed into"]),
    (
        "debug-world",
        &[
            "now allowed out of",
            "to `every address outside the cluster`",
        ],
    ),
    ("deny-cuts-monitoring", &["no longer allowed into"]),
    ("dns-cut", &["now in default deny for egress"]),
    ("label-typo", &["no longer allowed into"]),
    (
        "last-policy-removed",
        &["no longer in default deny for ingress"],
    ),
    ("metadata-service", &["now allowed out of"]),
    (
        "pointless-http-rule",
        &["on other terms into", "http proxy, everything"],
    ),
    ("port-range", &["now allowed into"]),
    (
        "tidy-up",
        &["no difference, for every pod that could exist"],
    ),
];

fn review(folder: &Path) -> Ran {
    let args = [
        "diff",
        "before.yaml",
        "after.yaml",
        "--inventory",
        "../inventory.yaml",
        "--format",
        "md",
    ];
    let output = command(&args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn reviewers_read_first_what_matters_most() {
    let all = testdata("pull-requests");
    let folders = fs::read_dir(&all)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    assert_eq!(folders.filter(|path| path.is_dir()).count(), FIRST.len());
    let mut faults = Vec::new();
    for (name, wanted) in FIRST {
        let ran = review(&all.join(name));
        assert_eq!(
            ran.code,
            i32::from(*name != "tidy-up"),
            "{name}: {}",
            ran.all()
        );
        let first: Vec<_> = ran.stdout.split("\n**").take(2).collect();
        let first = first.join("");
        let missed = wanted.iter().filter(|text| !first.contains(**text));
        faults.extend(missed.map(|text| format!("{name}: `{text}` is not in {first}")));
        insta::assert_snapshot!(format!("review_{name}"), ran.all());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
