//! `policyc intents` and `policyc guard`: the pages that explain them, the preset for nodes, and how runs end.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Ran, command, policyc, scratch, testdata};

/// A fenced block: what stands behind the opening fence, and the text.
type Fence = (String, String);

fn fences(page: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let mut open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(kind) => {
                open = true;
                found.push((kind.to_owned(), String::new()));
            }
            None if open => {
                let (_, text) = found.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    found
}

/// The blocks of a page, and a folder with its files.
fn page(name: &str) -> (Vec<Fence>, PathBuf) {
    let text = fs::read_to_string(testdata(&format!("../docs/{name}.md"))).unwrap();
    let folder = scratch(&format!("page-{name}"));
    let fences = fences(&text);
    for (kind, text) in &fences {
        if let Some(file) = kind.strip_prefix("yaml ") {
            fs::write(folder.join(file), text).unwrap();
        }
    }
    (fences, folder)
}

fn run(folder: &Path, args: &[&str]) -> Ran {
    let output = command(args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs every example of a page: those that hold find nothing, the others print what the page shows.
fn examples(name: &str, args: &[&str]) {
    let (fences, folder) = page(name);
    let (mut held, mut broken) = (0, 0);
    for (at, (kind, text)) in fences.iter().enumerate() {
        let wanted = match kind.as_str() {
            "intent holds" => "no findings\n",
            "intent broken" => {
                let (kind, output) = &fences[at + 1];
                assert_eq!(
                    kind, "text output",
                    "an example is followed by what is printed"
                );
                output
            }
            _ => continue,
        };
        fs::write(folder.join("intents.pol"), text).unwrap();
        let ran = run(&folder, args);
        assert_eq!(ran.stdout, *wanted, "{text}{}", ran.stderr);
        let code = i32::from(kind != "intent holds");
        assert_eq!(ran.code, code, "{text}");
        if code == 0 {
            held += 1;
        } else {
            broken += 1;
        }
    }
    assert!(held >= 1 && broken >= 3, "{held} and {broken} examples");
}

#[test]
fn the_page_about_intents_shows_what_is_printed() {
    let args = "intents policies.yaml --inventory inventory.yaml --intents intents.pol";
    examples("intents", &args.split(' ').collect::<Vec<_>>());
}

#[test]
fn the_page_about_guards_shows_what_is_printed() {
    let args = "guard policies.yaml --guards intents.pol";
    examples("guard", &args.split(' ').collect::<Vec<_>>());
}

/// A cluster-wide policy for nodes with these sections.
fn nodes(name: &str, sections: &str) -> PathBuf {
    let folder = scratch(name);
    let policy = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: nodes}}\n\
         spec:\n  nodeSelector: {{}}\n{sections}"
    );
    fs::write(folder.join("policies.yaml"), policy).unwrap();
    folder
}

const OPEN: &str = "  ingress:\n  - fromEntities: [remote-node, kube-apiserver, health]\n  egress:\n\
                    \x20 - toEntities: [remote-node, kube-apiserver, health]\n";

const CLOSED: &str = "  ingress:\n  - fromEntities: [cluster]\n    toPorts:\n    - ports: [{port: \"10250\", protocol: TCP}]\n\
                      \x20 - icmps: [{fields: [{type: 8, family: IPv4}]}]\n";

#[test]
fn nodes_are_not_locked_out_unnoticed() {
    let folder = nodes("host-closed", CLOSED);
    let ran = run(&folder, &["check", "policies.yaml"]);
    insta::assert_snapshot!("host_lock_out", ran.all());
    let ran = run(&folder, &["check", "policies.yaml", "--fail-on", "error"]);
    assert_eq!(ran.code, 0, "only warnings: {}", ran.stdout);
    let ran = run(&folder, &["check", "policies.yaml", "--preset", "none"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "no findings\n"));
    let ran = run(
        &folder,
        &[
            "check",
            "policies.yaml",
            "--preset",
            "host",
            "--fail-on",
            "error",
        ],
    );
    assert_eq!(ran.code, 1, "{}", ran.stdout);
}

#[test]
fn nodes_that_reach_what_they_need_are_left_alone() {
    let folder = nodes("host-open", OPEN);
    for preset in ["auto", "host"] {
        let ran = run(&folder, &["check", "policies.yaml", "--preset", preset]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (0, "no findings\n"),
            "{preset}"
        );
    }
}

#[test]
fn the_preset_is_a_file_to_edit() {
    let printed = policyc(&["intents", "--preset", "host"]);
    assert_eq!(printed.code, 0);
    let folder = nodes("host-edited", CLOSED);
    fs::write(folder.join("host.intent"), &printed.stdout).unwrap();
    let args = ["intents", "policies.yaml", "--intents", "host.intent"];
    let ran = run(&folder, &[&args[..], &["--host-firewall=true"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.all());
    let api_alone: String = printed
        .stdout
        .lines()
        .filter(|line| line.starts_with("group ") && line.contains('=') || line.contains("10250"))
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(folder.join("host.intent"), api_alone).unwrap();
    let ran = run(&folder, &[&args[..], &["--host-firewall=true"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "no findings\n"));
}

#[test]
fn what_is_missing_is_said() {
    let folder = nodes("intents-missing", OPEN);
    let policies = "policies.yaml";
    fs::write(folder.join("a.pol"), "host must reach world in inventory\n").unwrap();
    for (args, code, said) in [
        (&["intents", policies][..], 2, "no intents given"),
        (&["intents", policies, "--intents", "b.pol"], 2, "b.pol"),
        (&["intents", policies, "--intents", "a.pol"], 1, "E0112"),
        (&["guard", policies], 2, "--guards"),
        (&["intents", "--intents", "a.pol"], 2, "no policies given"),
        (&["intents", "--preset", "hosts"], 2, "host"),
    ] {
        let ran = run(&folder, args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.all());
        assert!(ran.all().contains(said), "{args:?}: {}", ran.all());
    }
}

/// Every pull request of `testdata` keeps its intents before; after it all but the one that changes nothing break one.
#[test]
fn pull_requests_that_break_an_intent_are_found() {
    let folder = testdata("pull-requests");
    let entries = fs::read_dir(&folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    names.sort();
    assert!(names.len() >= 10);
    for path in names {
        let harmless = path.ends_with("tidy-up");
        for (file, code) in [("before.yaml", 0), ("after.yaml", i32::from(!harmless))] {
            let args = ["intents", file, "--intents", "intents.pol"];
            let ran = run(&path, &args);
            assert_eq!(ran.code, code, "{} {file}: {}", path.display(), ran.all());
            let about_intents = ran.stdout.contains("E0401") && !ran.stdout.contains("E0402");
            assert_eq!(about_intents, code == 1, "{}", ran.stdout);
        }
    }
}

#[test]
fn questions_can_be_written_out() {
    let folder = nodes("intents-emitted", OPEN);
    fs::write(
        folder.join("a.pol"),
        "world must not reach pods on tcp/22\nguard g: policies may not allow from world to host\n",
    )
    .unwrap();
    let args = [
        "check",
        "policies.yaml",
        "--intents",
        "a.pol",
        "--emit",
        "verify",
    ];
    let ran = run(&folder, &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for about in [
        "; `world must not reach pods on tcp/22`: does a flow pass?",
        "does `ccnp nodes spec.ingress[0]` break it?",
    ] {
        assert!(ran.stdout.contains(about), "{about}");
    }
    assert_eq!(ran.stdout, run(&folder, &args).stdout);
}
