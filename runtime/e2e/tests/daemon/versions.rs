//! What other versions of the ABI have left on a node.

use policyd_e2e::traffic::Observed::{Answered, Silent};

use crate::node::{Node, key};

#[test]
fn pins_of_another_version_are_not_touched() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let other = node.pin_dir.join("v999");
    std::fs::create_dir_all(&other).unwrap();
    let outcome = node.once();
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("`v999`"), "{}", outcome.stderr);
    std::fs::remove_dir(&other).unwrap();
}

/// What a policyd of an older ABI has pinned goes on deciding, and nothing of it is read, taken over or removed.
#[test]
fn an_older_version_goes_on_until_it_is_detached() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    assert_eq!(node.once().code, 0);
    let older = node.pin_dir.join("v1");
    std::fs::rename(node.pins(), &older).unwrap();
    let pinned = || {
        let folders = ["maps", "links"].map(|name| older.join(name));
        let files = folders.iter().flat_map(|folder| folder.read_dir().unwrap());
        files.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    let before = pinned();
    node.write_bundle(2, &[80, 81], Some(&key()));
    let outcome = node.once();
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("`v1`"), "{}", outcome.stderr);
    assert_eq!(node.detach().code, 0, "there is nothing of this version");
    assert_eq!(pinned(), before);
    node.expect([Answered, Silent]);
    // Back in its place, it is this version's again.
    std::fs::rename(&older, node.pins()).unwrap();
    assert_eq!(node.once().code, 0);
    node.expect([Answered, Answered]);
}
