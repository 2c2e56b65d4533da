//! What people see for the intents in `testdata/verify/intents`.

mod support;

use std::fs;
use std::path::Path;

use policyc_verify::{Options, Stats, check_intents};
use support::{World, intents};

fn run(name: &str) -> (String, Stats) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/verify/intents");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let mut world = World::new("policies.yaml", &read("policies.yaml"));
    let source = world.sources.add(name, read(name));
    let (intents, mut findings) = intents::read(&source);
    let report = check_intents(&world.rules, &world.settings, &intents, &Options::default());
    findings.extend(report.findings);
    policyc_diag::diagnostic::sort(&mut findings);
    (world.show(&findings), report.stats)
}

#[test]
fn broken_intents_come_with_a_flow_and_its_rules() {
    insta::assert_snapshot!(run("broken.pol").0);
}

#[test]
fn what_holds_is_counted() {
    let (shown, stats) = run("holds.pol");
    insta::assert_snapshot!(shown);
    assert_eq!((stats.proven, stats.undecided), (5, 0));
}
