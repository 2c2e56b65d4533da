//! Cluster settings as a user gives them.

use std::fs;

use crate::support::{Ran, policyc, policyc_reading, scratch};

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a, namespace: shop}
spec:
  endpointSelector: {}
  ingress:
  - fromEndpoints: [{}]
";

/// Runs `check` on [`POLICY`] with a file of settings and more options.
fn check(name: &str, config: &str, options: &[&str]) -> Ran {
    let folder = scratch(name);
    let (policy, cluster) = (folder.join("policy.yaml"), folder.join("cluster.yaml"));
    fs::write(&policy, POLICY).unwrap();
    fs::write(&cluster, config).unwrap();
    let mut args = vec!["check", policy.to_str().unwrap()];
    args.extend([
        "--cluster-config",
        cluster.to_str().unwrap(),
        "--emit=normalise",
    ]);
    args.extend(options);
    policyc(&args)
}

#[test]
fn an_option_beats_the_file_and_the_file_beats_the_release() {
    let old = ["--cilium-version=1.18"];
    let local = "io.cilium.k8s.policy.cluster=east";
    let values = "cluster: {name: east}\n";
    assert!(check("cluster-new", values, &[]).stdout.contains(local));
    assert!(!check("cluster-old", values, &old).stdout.contains(local));
    let values = "cluster: {name: east}\nclustermesh: {policyDefaultLocalCluster: true}\n";
    assert!(check("cluster-file", values, &old).stdout.contains(local));
    let options = [old[0], "--policy-default-local-cluster=false"];
    assert!(
        !check("cluster-option", values, &options)
            .stdout
            .contains(local)
    );
}

#[test]
fn a_file_that_is_wrong_is_a_matter_of_configuration() {
    let ran = check("cluster-wrong", "l7Proxy: perhaps\n", &[]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.stderr.contains("E0310"), "{}", ran.all());
    let ran = check("cluster-refused", "policyCIDRMatchMode: [nodes]\n", &[]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    let absent = ["check", "policies.yaml", "--cluster-config", "absent.yaml"];
    assert_eq!(policyc(&absent).code, 2);
}

#[test]
fn no_command_answers_for_a_cluster_it_does_not_understand() {
    let wrong = b"enable-host-firewall: true\n";
    let inventory = ["policies.yaml", "--inventory", "inventory.yaml"];
    for command in [
        vec!["verdicts", "--flows", "flows.jsonl"],
        vec!["build", "--unsigned", "--output", "never.bundle"],
    ] {
        let mut args = command.clone();
        args.extend(inventory);
        args.extend(["--cluster-config", "-"]);
        let ran = policyc_reading(&args, wrong);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(!ran.stdout.contains("verdict"), "{}", ran.all());
    }
    let ran = policyc_reading(
        &["validate", "policies.yaml", "--cluster-config", "-"],
        wrong,
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.all());
}

#[test]
fn policies_of_kinds_that_are_not_watched_are_errors() {
    let ran = check(
        "cluster-kinds",
        "extraConfig: {enable-cilium-network-policy: 'false'}\n",
        &[],
    );
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stderr.contains("E0221"), "{}", ran.all());
    assert!(!ran.stdout.contains("cnp shop/a"), "{}", ran.all());
    for (option, wanted) in [
        (
            "--cilium-version=1.18",
            "Cilium 1.18 does not read ClusterNetworkPolicy",
        ),
        (
            "--cluster-network-policies=false",
            "enable-k8s-cluster-network-policy",
        ),
    ] {
        let ran = policyc(&["check", "--format=plain", "trace/tiers.yaml", option]);
        assert!(ran.stdout.contains(wanted), "{}", ran.all());
    }
    let ran = policyc(&["check", "--format=plain", "trace/tiers.yaml"]);
    assert!(!ran.stdout.contains("E0221"), "{}", ran.all());
}

#[test]
fn what_decides_beside_policies_is_noted_and_fails_nothing() {
    let audit = check("cluster-audit", "policyAuditMode: true\n", &[]);
    assert_eq!(audit.code, 0, "{}", audit.all());
    assert!(audit.stderr.contains("W1030"), "{}", audit.all());
    let folder = scratch("cluster-sctp");
    let bundle = folder.join("a.bundle");
    for (values, noted) in [
        ("sctp: {enabled: true}\n", false),
        ("sctp: {enabled: false}\n", true),
    ] {
        let mut args = vec![
            "build",
            "policies.yaml",
            "--inventory",
            "inventory.yaml",
            "--unsigned",
        ];
        args.extend([
            "--output",
            bundle.to_str().unwrap(),
            "--cluster-config",
            "-",
        ]);
        let ran = policyc_reading(&args, values.as_bytes());
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert_eq!(ran.stderr.contains("W1030"), noted, "{}", ran.all());
    }
}

#[test]
fn check_says_which_selectors_its_questions_get_wrong() {
    let policy = |peer: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: a}}\nspec: {{endpointSelector: {{matchLabels: {{app: a}}}}, ingress: [{{{peer}}}]}}\n"
        )
    };
    let says = |peer: &str, options: &[&str], code: &str| {
        let mut args = vec!["check", "--format=plain", "-"];
        args.extend(options);
        let run = policyc_reading(&args, policy(peer).as_bytes());
        run.stdout.contains(code)
    };
    let found = |peer: &str, options: &[&str]| says(peer, options, "E0311");
    let commit = "fromEndpoints: [{matchLabels: {commit: '1'}}]";
    assert!(!says(commit, &["--labels=!build"], "W1001"));
    assert!(says(commit, &["--labels=!commit"], "W1001") && !found(commit, &["--labels=!commit"]));
    let cluster = "fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.policy.cluster': default}}]";
    assert!(
        found(cluster, &[r"--labels=!io\.cilium\.k8s\.policy\.cluster"]) && !found(cluster, &[])
    );
    let folder = scratch("cluster-questions");
    let single = folder.join("single.yaml");
    fs::write(&single, "ipv6: {enabled: false}\n").unwrap();
    let single = ["--cluster-config", single.to_str().unwrap()];
    let world = "fromEndpoints: [{matchLabels: {'reserved:world': ''}}]";
    assert!(found(world, &single) && !found(world, &[]));
    assert!(!found("fromEntities: [world, host]", &single) && !found(commit, &single));
}

const NODE_AND_PODS: &str = "\
{kind: Node, apiVersion: v1, metadata: {name: node-a, labels: {team: red}}, status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: a, namespace: shop, labels: {app: a}}, status: {podIP: 10.0.0.1}}
---
{kind: Pod, apiVersion: v1, metadata: {name: b, namespace: shop, labels: {app: b, commit: '1'}}, status: {podIP: 10.0.0.2}}
";

/// Whether a flow is allowed under a policy with this specification, and what `trace` says.
fn allowed(spec: &str, flow: &str, options: &[&str]) -> (bool, String) {
    let folder = scratch("cluster-flows");
    let policy = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: a}}\nspec: {spec}\n"
    );
    let (policies, inventory) = (folder.join("policy.yaml"), folder.join("inventory.yaml"));
    fs::write(&policies, policy).unwrap();
    fs::write(&inventory, NODE_AND_PODS).unwrap();
    let mut args = vec![
        "trace",
        policies.to_str().unwrap(),
        "--inventory",
        inventory.to_str().unwrap(),
    ];
    args.extend(flow.split(' '));
    args.extend(options);
    let ran = policyc(&args);
    assert!(ran.code < 2, "{}", ran.all());
    (ran.code == 0, ran.stdout)
}

#[test]
fn settings_change_verdicts() {
    let by_label = "{endpointSelector: {matchLabels: {app: a}}, ingress: [{fromEndpoints: [{matchLabels: {commit: '1'}}]}]}";
    let pods = "--from shop/b --to shop/a --port 80";
    assert!(allowed(by_label, pods, &[]).0);
    assert!(!allowed(by_label, pods, &["--labels=k8s:!commit"]).0);
    assert!(!allowed(by_label, pods, &["--labels=k8s:app"]).0);

    let by_node =
        "{nodeSelector: {matchLabels: {team: red}}, ingressDeny: [{fromEntities: [all]}]}";
    let to_host = "--from shop/b --to host --port 80";
    assert!(!allowed(by_node, to_host, &["--host-firewall"]).0);
    assert!(allowed(by_node, to_host, &["--host-firewall", "--labels=!team"]).0);

    let world = "{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {'reserved:world': ''}}]}, {fromCIDR: [192.0.2.0/24]}]}";
    let folder = scratch("cluster-families");
    let single = folder.join("single.yaml");
    fs::write(&single, "ipv6: {enabled: false}\n").unwrap();
    let single = ["--cluster-config", single.to_str().unwrap()];
    let outside = "--from ip:198.51.100.1 --to shop/a --port 80";
    assert!(!allowed(world, outside, &[]).0);
    assert!(allowed(world, outside, &single).0);
    for options in [&[][..], &single] {
        assert!(allowed(world, "--from ip:192.0.2.1 --to shop/a --port 80", options).0);
        assert!(
            !allowed(
                world,
                "--from ip:2001:db8::1 --to shop/a --port 80",
                options
            )
            .0
        );
    }

    let sctp = "--from shop/a --to shop/b --port 80/sctp";
    let anyone = "{endpointSelector: {}, egress: [{toEntities: [all]}]}";
    assert!(allowed(anyone, sctp, &[]).0);
    let (allowed, told) = allowed(anyone, sctp, &single);
    assert!(
        !allowed && told.contains("This cluster drops sctp"),
        "{told}"
    );
}
