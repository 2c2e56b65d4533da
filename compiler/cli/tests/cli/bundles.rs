//! Bundles that were damaged on the way: `inspect` refuses each with one sentence.

use std::fs;
use std::path::{Path, PathBuf};

use policy_bundle::{Bundle, Trust, write};
use serde_json::Value;

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

/// What asks for authentication is compiled and told; texts for logs are in the bundle. A proof covers both.
#[test]
fn authentication_and_log_texts_are_in_the_bundle() {
    let folder = scratch("terms");
    let policy = folder.join("policy.yaml");
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: guarded, namespace: shop}\nspec:\n  log: {value: seen}\n  endpointSelector: {}\n  ingress:\n  - fromEndpoints: [{}]\n    authentication: {mode: required}\n  - fromEntities: [world]\n    authentication: {mode: disabled}\n";
    fs::write(&policy, text).unwrap();
    let output = folder.join("guarded.bundle");
    let output = output.to_str().unwrap();
    let mut args = vec!["build", "--prove", "--unsigned", "--format=plain"];
    args.extend(["--inventory", "inventory.yaml", "--output", output]);
    args.push(policy.to_str().unwrap());
    let ran = policyc(&args);
    assert_eq!(ran.code, 0, "{}", ran.all());
    // Once: `disabled` demands nothing.
    assert_eq!(ran.stderr.matches("W1042").count(), 1, "{}", ran.all());
    assert!(ran.stderr.contains("spec.ingress[0]"), "{}", ran.all());
    let ran = policyc(&["inspect", output, "--format=json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["logs"], serde_json::json!(["seen"]));
    let images = document["images"].as_array().unwrap();
    assert!(!images.is_empty());
    for image in images {
        let (all, own) = (image["bytes"].as_u64(), image["own_bytes"].as_u64());
        assert!(own.unwrap() > 0 && own < all, "{image}");
    }
}

/// Rules for a proxy are refused, or compiled to redirects and told.
#[test]
fn rules_for_a_proxy_are_compiled_if_asked_to() {
    let folder = scratch("proxied");
    let policy = folder.join("policy.yaml");
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec:\n  endpointSelector: {}\n  ingress:\n  - toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{method: GET}]}}]\n  - toPorts: [{ports: [{port: \"81\", protocol: TCP}], rules: {http: []}}]\n";
    fs::write(&policy, text).unwrap();
    let output = folder.join("proxied.bundle");
    let output = output.to_str().unwrap();
    let build = |more: &[&str]| {
        let mut args = vec!["build", "--prove", "--unsigned", "--format=plain"];
        args.extend(["--inventory", "inventory.yaml", "--output", output]);
        args.extend(more);
        args.push(policy.to_str().unwrap());
        policyc(&args)
    };
    let ran = build(&[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("E0290"), "{}", ran.all());
    assert!(ran.stdout.contains("--without-proxy"), "{}", ran.all());
    assert!(!folder.join("proxied.bundle").exists());
    let ran = build(&["--without-proxy"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    // Once: an empty list asks for no proxy.
    assert_eq!(ran.stderr.matches("W1043").count(), 1, "{}", ran.all());
    assert!(ran.stderr.contains("spec.ingress[0]"), "{}", ran.all());
    let ran = policyc(&["inspect", output]);
    assert!(ran.stdout.contains("proxy    1 http\n"), "{}", ran.all());
    // Which of the two wins on a port is Cilium's own matter.
    fs::write(
        &policy,
        format!("{text}    authentication: {{mode: required}}\n"),
    )
    .unwrap();
    let ran = build(&["--without-proxy"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("for one subject"), "{}", ran.all());
}

/// Rules for DNS names are refused, or match nobody, whatever was learned elsewhere.
#[test]
fn rules_for_names_match_nobody_if_asked_to() {
    let folder = scratch("by-name");
    let (policy, learned) = (folder.join("policy.yaml"), folder.join("learned.yaml"));
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec:\n  endpointSelector: {}\n  egress:\n  - toFQDNs: [{matchName: example.com}]\n  - toCIDR: [198.51.100.0/24]\n";
    fs::write(&policy, text).unwrap();
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: dns-cache}\ndata: {example.com: 203.0.113.7}\n";
    fs::write(&learned, text).unwrap();
    let output = folder.join("by-name.bundle");
    let output = output.to_str().unwrap();
    let build = |more: &[&str]| {
        let mut args = vec!["build", "--prove", "--unsigned", "--format=plain"];
        args.extend(["--inventory", "inventory.yaml", learned.to_str().unwrap()]);
        args.extend(["--output", output]);
        args.extend(more);
        args.push(policy.to_str().unwrap());
        policyc(&args)
    };
    let ran = build(&[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("by DNS name"), "{}", ran.all());
    let ran = build(&["--without-proxy"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.stderr.matches("W1043").count(), 1, "{}", ran.all());
    let ran = policyc(&["inspect", output, "--format=json"]);
    assert!(ran.stdout.contains("198.51.100.0/24"), "{}", ran.all());
    assert!(!ran.stdout.contains("203.0.113.7"), "{}", ran.all());
}

#[test]
fn nodes_with_policies_are_in_the_bundle() {
    let folder = scratch("nodes");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let policies = write(
        "policies.yaml",
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: edge}\n\
         spec: {nodeSelector: {matchLabels: {pool: edge}}, ingress: [{fromEntities: [cluster]}]}\n",
    );
    let nodes = ["core", "edge"].iter().enumerate().map(|(at, name)| {
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{pool: {name}}}}}\n\
             spec: {{podCIDR: 10.77.{at}.0/24}}\nstatus: {{addresses: [{{type: InternalIP, address: 192.0.2.{at}}}]}}\n"
        )
    });
    let inventory = write("inventory.yaml", &nodes.collect::<String>());
    let output = folder.join("nodes.bundle").to_str().unwrap().to_owned();
    let build = |more: &[&str]| {
        let mut args = vec!["build", &policies, "--inventory", &inventory, "--unsigned"];
        args.extend(["--prove", "--output", &output]);
        args.extend(more);
        let ran = policyc(&args);
        assert_eq!(ran.code, 0, "{}", ran.all());
        let inspected = policyc(&["inspect", &output, "--format", "json"]);
        let bundle: Value = serde_json::from_str(&inspected.stdout).unwrap();
        let hosts = bundle["hosts"].as_array().unwrap().iter();
        let names = hosts.map(|host| host["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), ran.all())
    };
    for (more, wanted) in [
        (&["--host-firewall"][..], &["edge"][..]),
        (&["--host-firewall", "--node", "edge"], &["edge"]),
        (&["--host-firewall", "--node", "core"], &[]),
    ] {
        let (hosts, said) = build(more);
        assert_eq!(hosts, wanted);
        assert!(!said.contains("W1030"), "{said}");
    }
    let (hosts, said) = build(&[]);
    assert!(hosts.is_empty());
    assert!(
        said.contains("W1030") && said.contains("host firewall is off"),
        "{said}"
    );
}

/// Builds unsigned with a proof; the file.
fn proved(folder: &Path, name: &str, policies: &Path) -> Vec<u8> {
    let output = folder.join(name);
    let mut args = vec!["build", "--prove", "--unsigned"];
    args.extend(["--inventory", "inventory.yaml"]);
    args.extend(["--policies", policies.to_str().unwrap()]);
    args.extend(["--output", output.to_str().unwrap()]);
    let ran = policyc(&args);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("\nproved: "), "{}", ran.all());
    fs::read(&output).unwrap()
}

#[test]
fn a_proof_is_in_the_bundle_and_shown() {
    let folder = scratch("proved");
    let bytes = proved(&folder, "one.bundle", Path::new("policies.yaml"));
    assert_eq!(
        bytes,
        proved(&folder, "again.bundle", Path::new("policies.yaml"))
    );
    let path = folder.join("one.bundle");
    let ran = policyc(&["inspect", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let line = ran.stdout.lines().find(|line| line.starts_with("proof "));
    let line = line.unwrap();
    assert!(
        line.contains(" comparisons ") && line.contains("policyc-prove"),
        "{line}"
    );
    let ran = policyc(&["inspect", "--format", "json", path.to_str().unwrap()]);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["certificate"]["matches"], true);
    let proved = &document["certificate"]["text"]["proved"];
    assert_eq!(proved["tables"], proved["solved"]);
}

#[test]
fn the_certificate_of_another_bundle_is_reported() {
    let folder = scratch("foreign");
    let first = proved(&folder, "one.bundle", Path::new("policies.yaml"));
    let open = folder.join("open.yaml");
    let text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: open, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{}]}\n";
    fs::write(&open, text).unwrap();
    let second = proved(&folder, "two.bundle", &open);
    let first = Bundle::open(&first, &Trust::AllowUnsigned).unwrap();
    let mut contents = contents(&Bundle::open(&second, &Trust::AllowUnsigned).unwrap());
    assert!(write::encode(&contents, None).unwrap() == second);
    contents.certificate = first.certificate().map(str::to_owned);
    let (code, complaint) = {
        let path = folder.join("mixed.bundle");
        fs::write(&path, write::encode(&contents, None).unwrap()).unwrap();
        let ran = policyc(&["inspect", path.to_str().unwrap()]);
        (ran.code, ran.stderr)
    };
    assert_eq!(code, 1, "{complaint}");
    assert!(
        complaint.contains("the certificate is not about this bundle: arena, "),
        "{complaint}"
    );
}

/// What a bundle was made of.
fn contents(bundle: &Bundle<'_>) -> write::Contents {
    let endpoint = |it: policy_bundle::Endpoint<'_>| write::Endpoint {
        name: it.name.to_owned(),
        node: it.node,
        ipv4: it.ipv4,
        ipv6: it.ipv6,
        identity: it.identity,
        ingress: it.ingress,
        egress: it.egress,
    };
    let host = |it: policy_bundle::Host<'_>| write::Host {
        node: it.node,
        identity: it.identity,
        ingress: it.ingress,
        egress: it.egress,
    };
    let rule = |it: policy_bundle::Rule<'_>| write::Rule {
        key: it.key.to_owned(),
        name: it.name.to_owned(),
        file: it.file.to_owned(),
        line: it.line,
    };
    write::Contents {
        revision: bundle.revision(),
        manifest: bundle.manifest().to_owned(),
        arena: bundle.arena().to_vec(),
        ipcache: bundle.ipcache().collect(),
        endpoints: bundle.endpoints().map(endpoint).collect(),
        rules: bundle.rules().map(rule).collect(),
        identities: bundle.identities().map(str::to_owned).collect(),
        nodes: bundle.nodes().map(str::to_owned).collect(),
        host_identity: bundle.host_identity(),
        certificate: bundle.certificate().map(str::to_owned),
        logs: bundle.logs().map(str::to_owned).collect(),
        proxies: bundle.proxies().map(str::to_owned).collect(),
        hosts: bundle.hosts().map(host).collect(),
    }
}
