//! What people see for the policies and intents in `testdata/verify`.

mod support;
/// What is proven of rules, and what is not.
mod theorems;

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
    let (read, mut findings) = intents::read(&source);
    let options = Options::default();
    let report = check_intents(&world.rules, &world.settings, &read.intents, &options);
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

/// Whether an intent is proven for the policies of `testdata/verify/intents`.
fn holds(intent: &str) -> bool {
    let text = include_str!("../../../testdata/verify/intents/policies.yaml");
    let mut world = World::new("policies.yaml", text);
    let source = world.sources.add("intent", intent);
    let (read, faults) = intents::read(&source);
    assert_eq!((read.intents.len(), faults.len()), (1, 0), "{intent}");
    let options = Options::default();
    let report = check_intents(&world.rules, &world.settings, &read.intents, &options);
    let broken = report.findings.iter().filter(|finding| finding.is_error());
    assert_eq!(report.stats.proven + broken.count(), 1, "{intent}");
    report.stats.proven == 1
}

#[test]
fn proves_default_deny_for_unlisted_sources() {
    assert!(holds(
        "deny from app notin (api,backup) to app=db in namespace data"
    ));
}

#[test]
fn refutes_what_a_listed_source_may_do() {
    assert!(!holds(
        "deny from app=backup in namespace data to app=db in namespace data"
    ));
}

#[test]
fn proves_that_a_peer_selector_stays_in_its_namespace() {
    assert!(holds(
        "deny from app=backup in namespace shop to app=db in namespace data"
    ));
}

#[test]
fn refutes_a_port_that_only_a_name_opens() {
    assert!(!holds(
        "deny from app=api in namespace shop to app=db in namespace data on tcp/1"
    ));
    assert!(holds(
        "deny from app=api in namespace shop to app=db in namespace data on udp"
    ));
}

#[test]
fn proves_the_exception_of_a_prefix_and_no_more() {
    assert!(holds(
        "deny from app=web in namespace shop to cidr 10.255.0.0/16"
    ));
    assert!(!holds(
        "deny from app=web in namespace shop to cidr 8.0.0.0/6 on tcp/443"
    ));
    assert!(holds(
        "deny from app=web in namespace shop to cidr 2001:db8::/32"
    ));
}

#[test]
fn proves_that_one_closed_end_is_enough() {
    // The destination is open to all, but the source may not go there.
    assert!(holds(
        "deny from app=web in namespace shop to app=cache in namespace shop"
    ));
    assert!(!holds(
        "deny from app=cache in namespace shop to app=web in namespace shop"
    ));
}

#[test]
fn proves_that_namespace_labels_are_those_of_the_namespace() {
    let label = "io.cilium.k8s.namespace.labels.team";
    assert!(holds(&format!(
        "deny from {label}=dev to any in namespace ops"
    )));
    assert!(!holds(&format!(
        "deny from {label}=ops to any in namespace ops"
    )));
    // Both ends are in one namespace: where the destination's lacks the label, so does the source's.
    assert!(holds(&format!(
        "deny from any in namespace ops to {label}!=ops in namespace ops"
    )));
}
