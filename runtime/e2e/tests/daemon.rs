//! The daemon on a node of network namespaces: it attaches, enforces, survives, is refused, and leaves.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[path = "../../bundle/tests/common/arena.rs"]
mod arena;
#[path = "daemon/node.rs"]
mod node;
/// What other versions of the ABI have left on a node.
#[path = "daemon/versions.rs"]
mod versions;

use std::time::Duration;

use policy_bundle::SigningKey;
use policyd_e2e::traffic::Observed::{Answered, Silent};

use crate::node::{Node, key};

#[test]
fn verdicts_outlive_the_daemon_and_are_adopted() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let mut daemon = node.start();
    assert!(
        daemon
            .wait_for("generation 1 in force")
            .contains("4 made, 0 adopted")
    );
    node.expect([Answered, Silent]);
    daemon.kill();
    node.expect([Answered, Silent]);
    let mut daemon = node.start();
    assert!(
        daemon
            .wait_for("generation 2 in force")
            .contains("0 made, 4 adopted")
    );
    node.expect([Answered, Silent]);
    assert_eq!(daemon.stop(), 0);
    node.expect([Answered, Silent]);
    assert_eq!(node.detach().code, 0);
    node.expect([Answered, Answered]);
    assert!(!node.pin_dir.exists());
    assert_eq!(node.status()["generation"], 0);
}

#[test]
fn refused_bundles_leave_the_old_one_in_force() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(5, &[80], Some(&key()));
    assert_eq!(node.once().code, 0);
    let refused = |why: &str| {
        let outcome = node.once();
        assert_eq!(outcome.code, 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{why}: {}", outcome.stderr);
        assert_eq!(node.status()["revision"], 5);
    };
    node.write_bundle(4, &[81], Some(&key()));
    refused("going back is refused");
    node.write_bundle(5, &[81], Some(&key()));
    refused("give this one a higher revision");
    node.write_bundle(6, &[81], None);
    refused("not signed");
    node.write_bundle(6, &[81], Some(&SigningKey::from_bytes(&[9; 32])));
    refused("not trusted");
    node.write_bundle(6, &[81], Some(&key()));
    node.damage_bundle();
    refused("do not have the digest");
    node.expect([Answered, Silent]);
}

#[test]
fn hangup_reloads_and_a_bad_bundle_does_not_stop_the_daemon() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let mut daemon = node.start();
    daemon.wait_for("generation 1 in force");
    node.write_bundle(2, &[81], Some(&key()));
    node.expect([Answered, Silent]);
    daemon.signal("HUP");
    daemon.wait_for("generation 2 in force");
    node.expect([Silent, Answered]);
    node.damage_bundle();
    daemon.signal("HUP");
    daemon.wait_for("what was in force stays in force");
    node.expect([Silent, Answered]);
    let second = node.once();
    assert_eq!(second.code, 2);
    assert!(second.stderr.contains("another policyd is running"));
    assert_eq!(daemon.stop(), 0);
}

/// It goes on with its copy of the bundle in force, interfaces included, until it is given a better one.
#[test]
fn a_daemon_started_over_a_bad_bundle_looks_after_what_is_in_force() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    assert_eq!(node.once().code, 0);
    node.damage_bundle();
    let mut daemon = node.start();
    daemon.wait_for("what was in force stays in force");
    daemon.wait_for("generation 2 in force: revision 1");
    node.expect([Answered, Silent]);
    node.remove_interface();
    node.recreate_interface();
    daemon.wait_for("2 made, 2 adopted");
    node.expect([Answered, Silent]);
    node.write_bundle(2, &[81], Some(&key()));
    daemon.signal("HUP");
    daemon.wait_for("revision 2");
    node.expect([Silent, Answered]);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn recreated_interfaces_are_attached_again() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let mut daemon = node.start();
    daemon.wait_for("generation 1 in force");
    let before = node.status()["endpoints"][1]["ifindex"].clone();
    node.remove_interface();
    daemon.wait_for("is gone");
    assert_eq!(node.status()["endpoints"].as_array().unwrap().len(), 1);
    node.recreate_interface();
    assert!(daemon.wait_for("2 pods").contains("2 made, 2 adopted"));
    let endpoint = &node.status()["endpoints"][1];
    assert_eq!(endpoint["attached"], true);
    assert_ne!(endpoint["ifindex"], before);
    node.expect([Answered, Silent]);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn removed_links_are_put_back() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let mut daemon = node.start();
    daemon.wait_for("generation 1 in force");
    std::fs::remove_file(node.pins().join("links/pod1-to")).unwrap();
    // Any change of an interface makes the daemon look.
    node.ip("link set pod0 alias changed");
    assert!(
        daemon
            .wait_for("generation 2")
            .contains("1 made, 3 adopted")
    );
    node.expect([Answered, Silent]);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_bundle_that_does_not_fit_is_refused() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    assert_eq!(node.once().code, 0);
    node.write_prefixes(2, 131_073);
    let outcome = node.once();
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("only 131072 fit"),
        "{}",
        outcome.stderr
    );
    assert_eq!(node.status()["revision"], 1);
    node.expect([Answered, Silent]);
    node.write_prefixes(2, 10_000);
    assert_eq!(node.once().code, 0);
    // Both generations are resident now, and the next takes the place of the first.
    node.write_bundle(3, &[80], Some(&key()));
    assert_eq!(node.once().code, 0);
    node.expect([Answered, Silent]);
}

#[test]
fn pods_taken_from_the_configuration_are_detached() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    assert_eq!(node.once().code, 0);
    node.expect([Answered, Silent]);
    node.configure(&[("pod0", "shop/client")]);
    let outcome = node.once();
    assert!(
        outcome.stderr.contains("0 made, 2 adopted, 2 removed"),
        "{}",
        outcome.stderr
    );
    // The client may only go to ports 80 and 81; nobody asks the server any more.
    node.expect([Answered, Answered]);
    assert_eq!(node.status()["endpoints"].as_array().unwrap().len(), 1);
}

#[test]
fn a_failed_first_start_leaves_nothing_behind() {
    policyd_e2e::require_root!();
    let node = Node::new();
    let failed = |code: i32, why: &str| {
        let outcome = node.once();
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "{why}: {}", outcome.stderr);
        assert!(!node.pin_dir.exists(), "{why}");
    };
    failed(2, "cannot be read");
    node.write_bundle(1, &[80], None);
    failed(1, "not signed");
    node.write_bundle(1, &[80], Some(&key()));
    node.configure(&[("pod0", "shop/client"), ("none", "shop/web")]);
    failed(2, "interface `none` of pod `shop/web` does not exist");
    node.configure(&[("pod0", "shop/nobody")]);
    failed(1, "pod `shop/nobody` is not in the bundle");
    node.expect([Answered, Answered]);
}

/// Filters of traffic control do what links do, and give way to them when the kernel has learnt tcx.
#[test]
fn a_kernel_without_tcx_enforces_by_filters() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let outcome = node.once_without_tcx();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("4 made, 0 adopted"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("this kernel has no tcx"),
        "{}",
        outcome.stderr
    );
    node.expect([Answered, Silent]);
    assert_eq!(node.status()["endpoints"][1]["attached"], true);
    // The next start takes them over, with other programs and another policy.
    node.write_bundle(2, &[81], Some(&key()));
    let outcome = node.once_without_tcx();
    assert!(
        outcome.stderr.contains("0 made, 4 adopted"),
        "{}",
        outcome.stderr
    );
    node.expect([Silent, Answered]);
    // A filter that somebody else removes is noticed, and put back.
    node.tc("filter del dev pod1 egress");
    assert_eq!(node.status()["endpoints"][1]["attached"], false);
    let outcome = node.once_without_tcx();
    assert!(
        outcome.stderr.contains("1 made, 3 adopted"),
        "{}",
        outcome.stderr
    );
    // Pods that are no longer configured lose their filters.
    node.configure(&[("pod0", "shop/client")]);
    let outcome = node.once_without_tcx();
    assert!(
        outcome.stderr.contains("0 made, 2 adopted, 2 removed"),
        "{}",
        outcome.stderr
    );
    assert_eq!(node.tc("filter show dev pod1 egress"), "");
    assert!(node.tc("filter show dev pod0 ingress").contains("from_pod"));
    // With tcx, links take their place without a gap.
    node.configure(&[("pod0", "shop/client"), ("pod1", "shop/web")]);
    assert_eq!(node.once().code, 0);
    node.expect([Silent, Answered]);
    assert_eq!(node.tc("filter show dev pod0 ingress"), "");
    assert_eq!(node.detach().code, 0);
    node.expect([Answered, Answered]);
}

#[test]
fn filters_are_removed_with_the_rest() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    assert_eq!(node.once_without_tcx().code, 0);
    node.expect([Answered, Silent]);
    assert_eq!(node.detach().code, 0);
    assert!(!node.pin_dir.exists());
    for side in ["ingress", "egress"] {
        assert_eq!(node.tc(&format!("filter show dev pod1 {side}")), "");
    }
    node.expect([Answered, Answered]);
}

#[test]
fn doctor_finds_what_is_there_and_what_is_not() {
    policyd_e2e::require_root!();
    let node = Node::new();
    let outcome = node.command(&["doctor", "--format", "json"], false);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let found = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        check["found"].as_str().unwrap().to_owned()
    };
    assert!(found("from_pod").contains("verifier accepts"));
    assert!(found("attachment").ends_with("by tcx"));
    assert!(!node.pin_dir.exists());
    let outcome = node.doctor_without_tcx();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("by clsact"), "{}", outcome.stdout);
    let outcome = node.doctor_without_bpf();
    assert_eq!(outcome.code, 3);
    assert!(
        outcome.stdout.contains("FAILED  maps"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn maps_of_another_shape_are_not_used() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    node.pin_wrong_map();
    let outcome = node.once();
    assert_eq!(outcome.code, 2);
    assert!(
        outcome.stderr.contains("pinned with another shape"),
        "{}",
        outcome.stderr
    );
    node.expect([Answered, Answered]);
    assert_eq!(node.detach().code, 0);
    assert_eq!(node.once().code, 0);
    node.expect([Answered, Silent]);
}

#[test]
fn status_counts_by_rule_and_reason() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    assert_eq!(node.once().code, 0);
    node.expect([Answered, Silent]);
    let status = node.status();
    assert_eq!(status["bundle_known"], true);
    assert_eq!(status["endpoints"][0]["pod"], "shop/client");
    assert_eq!(status["endpoints"][1]["attached"], true);
    let rule = &status["rules"][0];
    assert_eq!(
        (&rule["name"], &rule["line"]),
        (&"cnp shop/web ingress[0]".into(), &1.into())
    );
    assert!(rule["packets"].as_u64().unwrap() > 0 && rule["bytes"].as_u64().unwrap() > 0);
    let denied = status["reasons"]["ingress"]["default-deny"]["packets"]
        .as_u64()
        .unwrap();
    assert!(denied > 0);
    assert_eq!(status["reasons"]["egress"]["default-deny"]["packets"], 0);
    let text = node.command(&["status"], false).stdout;
    assert!(
        text.contains("cnp shop/web ingress[0] (web.yaml:1)"),
        "{text}"
    );
    // The next generation counts from zero, the reasons go on.
    assert_eq!(node.once().code, 0);
    assert_eq!(node.status()["rules"][0]["packets"], 0);
    let still = node.status()["reasons"]["ingress"]["default-deny"]["packets"]
        .as_u64()
        .unwrap();
    assert!(still >= denied);
}

#[test]
fn events_tell_who_was_dropped_by_what() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    assert_eq!(node.command(&["events", "--no-follow"], false).code, 2);
    assert_eq!(node.once().code, 0);
    node.expect([Answered, Silent]);
    let events = node.events();
    let found = |pod: &str, verdict: &str, port: u16| {
        let is_it = |event: &&serde_json::Value| {
            event["pod"] == pod && event["verdict"] == verdict && event["destination_port"] == port
        };
        events
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{events:?}"))
            .clone()
    };
    let passed = found("shop/web", "passed", 80);
    assert_eq!(passed["rule"]["name"], "cnp shop/web ingress[0]");
    assert_eq!(passed["peer"]["labels"], "app=client");
    assert_eq!(passed["direction"], "to-pod");
    found("shop/client", "passed", 81);
    let dropped = found("shop/web", "dropped", 81);
    assert_eq!(dropped["reason"], "default-deny");
    assert_eq!(dropped["protocol"], "tcp");
    // What was read is gone.
    assert_eq!(node.events(), Vec::<serde_json::Value>::new());
}

#[test]
fn audited_pods_are_reached_and_reported() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    node.audit("shop/web");
    let outcome = node.once();
    assert!(
        outcome.stderr.contains("1 pods are in audit mode"),
        "{}",
        outcome.stderr
    );
    node.expect([Answered, Answered]);
    let audited: Vec<_> = node
        .events()
        .into_iter()
        .filter(|event| event["verdict"] == "audited")
        .collect();
    assert!(!audited.is_empty());
    assert!(
        audited
            .iter()
            .all(|event| event["policy"] == "default-deny" && event["pod"] == "shop/web")
    );
    let status = node.status();
    assert_eq!(status["endpoints"][0]["audit"], false);
    assert_eq!(status["endpoints"][1]["audit"], true);
    node.configure(&[("pod0", "shop/client"), ("pod1", "shop/web")]);
    assert_eq!(node.once().code, 0);
    node.expect([Answered, Silent]);
}

#[test]
fn plan_tells_and_touches_nothing() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let outcome = node.command(&["plan"], true);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("attach    pod1"),
        "{}",
        outcome.stdout
    );
    assert!(!node.pin_dir.exists());
}

/// Port 80 is allowed in every generation, port 83 in none; whatever happens in between, no connection may see
/// anything else.
#[test]
fn no_connection_sees_half_a_generation() {
    policyd_e2e::require_root!();
    let node = Node::new();
    node.write_bundle(1, &[80], Some(&key()));
    let mut daemon = node.start();
    daemon.wait_for("generation 1 in force");
    let flips = 30;
    let (tries, wrong) = node.hammer(|| {
        for revision in 2..2 + flips {
            let ports: &[u16] = if revision % 2 == 0 {
                &[81, 82, 80]
            } else {
                &[80]
            };
            node.write_bundle(revision, ports, Some(&key()));
            daemon.signal("HUP");
            daemon.wait_for(&format!("generation {revision} in force"));
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(wrong, 0, "of {tries}");
    assert!(tries > flips, "{tries} tries are too few to say anything");
    println!("{tries} connections over {flips} flips");
    assert_eq!(daemon.stop(), 0);
}
