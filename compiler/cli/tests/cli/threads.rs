//! A cluster of some size, whatever the number of threads.

use policy_dev::cluster::{Cluster, Shape};

use crate::support::{command, scratch};

#[test]
fn equal_inputs_give_equal_bytes_whatever_the_number_of_threads() {
    let folder = scratch("threads");
    Cluster::new(Shape::new(300, 200)).write(&folder).unwrap();
    let files = ["policies.yaml", "inventory.yaml"].map(|name| folder.join(name));
    let [policies, inventory] = files.map(|path| path.display().to_string());
    for stage in ["parse", "validate", "normalise", "resolve", "model"] {
        let emit = format!("--emit={stage}");
        let args = [
            "build",
            "--policies",
            &policies,
            "--inventory",
            &inventory,
            &emit,
        ];
        let bytes = |threads: &str| {
            let ran = command(&args).env("RAYON_NUM_THREADS", threads).output();
            let ran = ran.unwrap();
            let errors = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{stage}: {errors}");
            ran.stdout
        };
        let single = bytes("1");
        assert!(single.len() > 1000, "{stage}: only {} bytes", single.len());
        for threads in ["2", "5"] {
            assert!(
                bytes(threads) == single,
                "{stage} differs with {threads} threads"
            );
        }
    }
}
