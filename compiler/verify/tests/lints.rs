//! What people see for the policies in `testdata/verify`.

mod support;

use std::fs;
use std::path::Path;

use policyc_verify::{Options, check};
use support::World;

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
