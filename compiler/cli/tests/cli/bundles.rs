//! Bundles that were damaged on the way: `inspect` refuses each with one sentence.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{policyc, scratch};

/// A signed bundle, its key and another one, in a folder of their own.
fn bundle(name: &str) -> PathBuf {
    let folder = scratch(name);
    for key in ["key", "other"] {
        let path = folder.join(format!("{key}.pem"));
        let ran = policyc(&["keygen", "--output", path.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (output, key) = (path("good.bundle"), path("key.pem"));
    let mut args = vec!["build", "policies.yaml", "--inventory", "inventory.yaml"];
    args.extend(["--key", &key, "--output", &output]);
    let ran = policyc(&args);
    assert_eq!(ran.code, 0, "{}", ran.all());
    folder
}

/// Exit code and complaint of `inspect`.
fn inspect(folder: &Path, bytes: &[u8], key: &str) -> (i32, String) {
    let path = folder.join("tried.bundle");
    fs::write(&path, bytes).unwrap();
    let key = folder.join(key);
    let ran = policyc(&[
        "inspect",
        "--key",
        key.to_str().unwrap(),
        path.to_str().unwrap(),
    ]);
    (ran.code, ran.stderr)
}

#[track_caller]
fn refused(folder: &Path, bytes: &[u8], key: &str, what: &str) {
    let (code, complaint) = inspect(folder, bytes, key);
    assert_eq!(code, 1, "{what}: {complaint}");
    assert_eq!(complaint.lines().count(), 1, "{what}: {complaint}");
    assert!(complaint.contains("is refused: "), "{what}: {complaint}");
}

#[test]
fn damaged_bundles_are_refused() {
    let folder = bundle("damaged");
    let good = fs::read(folder.join("good.bundle")).unwrap();
    assert_eq!(inspect(&folder, &good, "key.pub.pem"), (0, String::new()));
    refused(&folder, &good, "other.pub.pem", "another key");
    refused(&folder, b"", "key.pub.pem", "nothing");
    refused(&folder, b"#!/bin/sh\n", "key.pub.pem", "something else");
    for cut in [1, 7, 64, good.len() / 2, good.len() - 1] {
        refused(
            &folder,
            &good[..cut],
            "key.pub.pem",
            &format!("cut at {cut}"),
        );
    }
    let longer = [&good[..], b"\0"].concat();
    refused(&folder, &longer, "key.pub.pem", "one byte more");
    // Every byte of the header, and samples of all that follows.
    let step = (good.len() / 150).max(1);
    let places = (0..200.min(good.len()))
        .step_by(4)
        .chain((200..good.len()).step_by(step));
    for at in places {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(
            &folder,
            &bytes,
            "key.pub.pem",
            &format!("a bit at byte {at}"),
        );
    }
}

#[test]
fn equal_inputs_give_equal_bundles() {
    let folder = bundle("equal");
    let first = fs::read(folder.join("good.bundle")).unwrap();
    let (key, output) = (folder.join("key.pem"), folder.join("again.bundle"));
    let mut args = vec![
        "build",
        "--inventory",
        "inventory.yaml",
        "--policies",
        "policies.yaml",
    ];
    args.extend([
        "--key",
        key.to_str().unwrap(),
        "--output",
        output.to_str().unwrap(),
    ]);
    for threads in ["1", "4"] {
        let ran = crate::support::command(&args)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(ran.status.success());
        assert!(
            fs::read(&output).unwrap() == first,
            "with {threads} threads"
        );
    }
}
