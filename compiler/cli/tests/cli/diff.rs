//! `policyc diff`: the page that explains it, every format, revisions, and a needle in a haystack.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, command, scratch, testdata};

/// The text of the fence that begins with this.
fn fence<'a>(page: &'a str, kind: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{kind}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// Writes the files of the page; they are the example of most tests here.
fn example(name: &str) -> (String, PathBuf) {
    let page = fs::read_to_string(testdata("../docs/diff.md")).unwrap();
    let folder = scratch(name);
    for file in ["old.yaml", "new.yaml"] {
        fs::write(folder.join(file), fence(&page, &format!("yaml {file}"))).unwrap();
    }
    (page, folder)
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn diff(folder: &Path, args: &[&str]) -> Ran {
    let args: Vec<_> = std::iter::once("diff")
        .chain(args.iter().copied())
        .collect();
    ran(command(&args).current_dir(folder))
}

const INVENTORY: &str = "
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
---
apiVersion: v1
kind: Pod
metadata: {name: api-0, namespace: shop, labels: {app: api}}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus-0, namespace: monitoring, labels: {app: prometheus}}
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus-1, namespace: monitoring, labels: {app: prometheus}}
";

#[test]
fn the_page_shows_what_the_command_prints() {
    let (page, folder) = example("diff-page");
    let line = fence(&page, "text").trim();
    let args: Vec<_> = line.split(' ').skip(2).collect();
    let ran = diff(&folder, &args);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert_eq!(fence(&page, "text output"), ran.stdout);
}

#[test]
fn every_format() {
    let (_, folder) = example("diff-formats");
    fs::write(folder.join("pods.yaml"), INVENTORY).unwrap();
    for format in ["human", "json", "md"] {
        let args = [
            "old.yaml",
            "new.yaml",
            "--inventory",
            "pods.yaml",
            "--format",
            format,
        ];
        insta::assert_snapshot!(format!("diff_{format}"), diff(&folder, &args).all());
    }
    for format in ["human", "json", "md"] {
        let ran = diff(&folder, &["old.yaml", "old.yaml", "--format", format]);
        insta::assert_snapshot!(format!("diff_equal_{format}"), ran.all());
    }
}

/// What a solver may be asked is printed instead, and nothing where nothing is to be asked.
#[test]
fn questions_can_be_written_out() {
    let (_, folder) = example("diff-emitted");
    let emit = |new| diff(&folder, &["old.yaml", new, "--emit", "smt2"]);
    let asked = emit("new.yaml");
    assert_eq!((asked.code, asked.stderr.as_str()), (0, ""));
    assert!(asked.stdout.contains("is a flow allowed that was denied?"));
    assert!(asked.stdout.contains("(check-sat)"));
    assert_eq!(asked.stdout, emit("new.yaml").stdout);
    assert_eq!(emit("old.yaml").stdout, "");
}

#[test]
fn the_exit_code_tells_how_it_ended() {
    let (_, folder) = example("diff-exit");
    fs::write(folder.join("faulty.yaml"), "kind: NetworkPolicy\n").unwrap();
    for (args, wanted) in [
        (&["old.yaml", "old.yaml"][..], 0),
        (&["old.yaml", "new.yaml"], 1),
        (&["new.yaml", "old.yaml"], 1),
        (&["old.yaml"], 2),
        (&["old.yaml", "faulty.yaml"], 2),
        (&["faulty.yaml", "old.yaml"], 1),
        (&["old.yaml", "new.yaml", "--deadline", "0"], 3),
        (&["old.yaml", "old.yaml", "--deadline", "0"], 0),
        (&["old.yaml", "new.yaml", "--enable-policy", "never"], 0),
    ] {
        let ran = diff(&folder, args);
        assert_eq!(ran.code, wanted, "{args:?}: {}", ran.all());
    }
}

/// Runs git in a folder, as nobody in particular.
pub(crate) fn git(folder: &Path, args: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .args([
            "-c",
            "user.name=nobody",
            "-c",
            "user.email=nobody@example.com",
        ])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args);
    let ran = ran(&mut git);
    assert_eq!(ran.code, 0, "git {args:?}: {}", ran.all());
}

/// A repository with the old policies at `before` and the new ones in its folder.
fn repository(name: &str) -> PathBuf {
    let (_, source) = example(&format!("{name}-source"));
    let folder = scratch(name);
    let policies = folder.join("deploy/policies");
    fs::create_dir_all(&policies).unwrap();
    fs::copy(source.join("old.yaml"), policies.join("db.yaml")).unwrap();
    fs::write(folder.join("unrelated.yaml"), "{{ a template }}").unwrap();
    git(&folder, &["init", "--quiet"]);
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "--message", "before"]);
    git(&folder, &["tag", "before"]);
    fs::copy(source.join("new.yaml"), policies.join("db.yaml")).unwrap();
    folder
}

#[test]
fn revisions_are_sides() {
    let folder = repository("diff-git");
    let inside = folder.join("deploy");
    for (place, old, new, wanted) in [
        (&folder, "before", "deploy/policies", 1),
        (&folder, "before", "deploy/policies/db.yaml", 1),
        (&folder, "before:deploy/policies", "deploy", 1),
        (&folder, "HEAD:./deploy/policies", "deploy/policies", 1),
        (&inside, "before", "policies", 1),
        (&inside, "before:./policies", "policies", 1),
        (&inside, "before", "main:./policies", 0),
        (&inside, "before", "main", 0),
        (&inside, "policies", "policies", 0),
    ] {
        let ran = diff(place, &[old, new]);
        assert_eq!(ran.code, wanted, "{old} {new}: {}", ran.all());
    }
    fs::write(folder.join("empty.yaml"), "").unwrap();
    let shown = diff(&folder, &["before:deploy/policies", "empty.yaml"]).stdout;
    assert!(
        shown.contains("(before:deploy/policies/db.yaml:8)"),
        "{shown}"
    );
    let elsewhere = scratch("diff-git-elsewhere");
    let policies = folder.join("deploy/policies");
    let ran = diff(&elsewhere, &["before", policies.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.all());
}

#[test]
fn what_git_does_not_have_is_said() {
    let folder = repository("diff-git-faults");
    let mut all = String::new();
    for (old, new) in [
        ("no-such-branch", "deploy"),
        ("before:deploy/other", "deploy"),
        ("--output=x", "deploy"),
        ("before:../..", "deploy"),
        ("", "deploy"),
    ] {
        let ran = diff(&folder, &["--", old, new]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{old}: {}",
            ran.all()
        );
        all += &ran.stderr;
    }
    let away = scratch("diff-git-none");
    fs::write(away.join("a.yaml"), "").unwrap();
    let mut outside = command(&["diff", "main", "a.yaml"]);
    outside
        .current_dir(&away)
        .env("GIT_CEILING_DIRECTORIES", away.parent().unwrap());
    all += &ran(&mut outside).stderr;
    let mut without = command(&["diff", "main", "a.yaml"]);
    all += &ran(without.current_dir(&away).env("PATH", "")).stderr;
    let all = all.replace(folder.to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!(all);
    assert!(!folder.join("x").exists(), "an option reached git");
}

#[test]
fn a_rule_among_five_hundred_policies_is_found() {
    use policy_dev::cluster::{Cluster, Shape};
    let folder = scratch("diff-haystack");
    Cluster::new(Shape::new(500, 500)).write(&folder).unwrap();
    let text = fs::read_to_string(folder.join("policies.yaml")).unwrap();
    let documents: Vec<&str> = text.split("---\n").filter(|one| !one.is_empty()).collect();
    assert_eq!(documents.len(), 500);
    // The rules are in another order, and one of them names another port.
    let port = "port: \"5432\"";
    let changed = documents
        .iter()
        .skip(250)
        .position(|one| one.contains(port))
        .unwrap()
        + 250;
    let mut new: Vec<String> = documents
        .iter()
        .rev()
        .map(|one| (*one).to_owned())
        .collect();
    let at = documents.len() - 1 - changed;
    new[at] = new[at].replacen(port, "port: \"15432\"", 1);
    fs::write(folder.join("new.yaml"), new.join("---\n")).unwrap();
    let ran = diff(&folder, &["policies.yaml", "new.yaml", "--format", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["rules"]["removed"], 1, "{}", ran.stdout);
    assert_eq!(found["rules"]["added"], 1);
    let changes = found["changes"].as_array().unwrap();
    let services: Vec<_> = changes
        .iter()
        .map(|one| (one["kind"].as_str().unwrap(), one["services"].to_string()))
        .collect();
    assert!(
        services
            .iter()
            .any(|(kind, ports)| *kind == "allowed" && ports.contains("/15432")),
        "{services:?}"
    );
    assert!(
        services
            .iter()
            .any(|(kind, ports)| *kind == "denied" && ports.contains("/5432")),
        "{services:?}"
    );
}

#[test]
fn names_cannot_leave_their_place_in_a_comment() {
    let (_, folder) = example("diff-hostile");
    let name = "a`b\n# heading <script>";
    fs::create_dir(folder.join(name)).unwrap();
    fs::copy(folder.join("old.yaml"), folder.join(name).join("p.yaml")).unwrap();
    let ran = diff(&folder, &[name, "new.yaml", "--format", "md"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(!ran.stdout.contains("\n# heading"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("`a'b # heading <script>`"),
        "{}",
        ran.stdout
    );
}
