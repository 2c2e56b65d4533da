//! What people see for the policies and intents in `testdata/verify`.

mod support;

use std::fs;
use std::path::Path;

use policyc_verify::{Options, Stats, check, check_intents};
use support::{World, intents};

#[test]
fn findings_read_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/verify");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 4, "the folder holds the examples");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let world = World::new(&name, &text);
        let report = check(&world.rules, &world.settings, &Options::default());
        let shown = world.show(&report.findings);
        let again = check(&world.rules, &world.settings, &Options::default());
        assert_eq!(
            world.show(&again.findings),
            shown,
            "{name} is decided the same twice"
        );
        insta::assert_snapshot!(name, shown);
    }
}

fn run(name: &str) -> std::io::Result<(String, Stats)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/verify/intents");
    let read = |name: &str| fs::read_to_string(folder.join(name));
    let mut world = World::new("policies.yaml", &read("policies.yaml")?);
    let source = world.sources.add(name, read(name)?);
    let (intents, mut findings) = intents::read(&source);
    let report = check_intents(&world.rules, &world.settings, &intents, &Options::default());
    findings.extend(report.findings);
    policyc_diag::diagnostic::sort(&mut findings);
    Ok((world.show(&findings), report.stats))
}

#[test]
fn broken_intents_come_with_a_flow_and_its_rules() {
    insta::assert_snapshot!(run("broken.pol").unwrap().0);
}

#[test]
fn what_holds_is_counted() {
    let (shown, stats) = run("holds.pol").unwrap();
    insta::assert_snapshot!(shown);
    assert_eq!((stats.proven, stats.undecided), (5, 0));
}
