//! `policyc trace`: the page that explains it, and what it prints of every kind of answer.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Ran, command, policyc, scratch, testdata};

/// The text of the fence that begins with this.
fn fence<'a>(page: &'a str, kind: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{kind}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_page_shows_what_the_command_prints() {
    let path = testdata("../docs/trace.md");
    let page = fs::read_to_string(&path).unwrap();
    let folder = scratch("trace-page");
    for file in ["policies.yaml", "inventory.yaml"] {
        fs::write(folder.join(file), fence(&page, &format!("yaml {file}"))).unwrap();
    }
    let line = fence(&page, "text").trim();
    let args: Vec<_> = line.split(' ').skip(1).collect();
    let output = command(&args).current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(fence(&page, "text output"), printed);
}

fn trace(flow: &str, more: &[&str]) -> Ran {
    let mut args = vec![
        "trace",
        "trace/policies.yaml",
        "--inventory",
        "trace/inventory.yaml",
    ];
    args.extend(flow.split(' '));
    args.extend(more);
    policyc(&args)
}

#[test]
fn every_kind_of_answer() {
    for (name, flow, code) in [
        (
            "allowed_by_rules",
            "--from shop/web --to shop/api --port 8080",
            0,
        ),
        (
            "denied_by_default",
            "--from shop/web --to shop/api --port 9090",
            1,
        ),
        (
            "denied_by_rule",
            "--from shop/batch --to shop/api --port http",
            1,
        ),
        (
            "other_label",
            "--from shop/batch --to shop/db --port 5432",
            1,
        ),
        (
            "redirected_by_name",
            "--from shop/web --to fqdn:img.cdn.example.com --port 443",
            0,
        ),
        (
            "other_name",
            "--from shop/web --to fqdn:cdn.example.com --port 443",
            1,
        ),
        (
            "authenticated",
            "--from shop/web --to shop/db --port 5432",
            0,
        ),
        ("conflict", "--from shop/broken --to shop/web --port 80", 1),
        ("from_the_host", "--from host --to shop/api --port 1", 0),
        (
            "from_an_address",
            "--from ip:192.0.2.200 --to shop/db --port 5432",
            1,
        ),
        (
            "other_protocol",
            "--from shop/web --to shop/api --port 8080/udp",
            1,
        ),
        (
            "not_carried",
            "--from shop/batch --to shop/web --protocol gre",
            1,
        ),
        (
            "icmp",
            "--from shop/batch --to shop/web --protocol icmp --port 8",
            0,
        ),
    ] {
        let ran = trace(flow, &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{}", ran.all());
        insta::assert_snapshot!(format!("trace_{name}"), ran.stdout);
    }
}

#[test]
fn tiers_and_services_that_do_not_exist() {
    for (name, policies, flow, code) in [
        (
            "tier_passed",
            "tiers",
            "--from shop/web --to shop/db --port 5432",
            0,
        ),
        (
            "tier_denies",
            "tiers",
            "--from shop/batch --to shop/db --port 5432",
            1,
        ),
        (
            "tiers_leave_it_denied",
            "tiers",
            "--from shop/api --to shop/db --protocol icmp --port 13",
            1,
        ),
        (
            "service_is_missing",
            "services",
            "--from shop/web --to world-ipv4 --port 443",
            0,
        ),
    ] {
        let policies = format!("trace/{policies}.yaml");
        let mut args = vec!["trace", &policies, "--inventory", "trace/inventory.yaml"];
        args.extend(flow.split(' '));
        let ran = policyc(&args);
        assert_eq!(ran.code, code, "{}", ran.all());
        insta::assert_snapshot!(format!("trace_{name}"), ran.all());
    }
}

#[test]
fn programs_get_the_same_as_json() {
    let ran = trace(
        "--from shop/web --to shop/api --port 9090",
        &["--format=json"],
    );
    assert_eq!(ran.code, 1, "{}", ran.all());
    insta::assert_snapshot!("trace_json", ran.stdout);
    let ran = trace(
        "--from ip:192.0.2.1 --to shop/db --port 5432",
        &["--format=json"],
    );
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["egress"], Value::Null);
    assert_eq!(told["verdict"], "allow");
    assert_eq!(
        told["ingress"]["decided_by"][0]["rule"],
        "cnp shop/db spec.ingress[1]"
    );
}

#[test]
fn answers_are_those_of_verdicts() {
    let pods = [
        "shop/web",
        "shop/api",
        "shop/db",
        "shop/batch",
        "shop/broken",
    ];
    let ends = pods
        .iter()
        .flat_map(|from| pods.iter().map(move |to| (*from, *to)));
    let flows = ends.flat_map(|(from, to)| [80, 5432, 8080].map(|port| (from, to, port)));
    let flows: Vec<_> = flows.collect();
    let question = |id: &str, subject: &str, peer: &str, port: u16| {
        let direction = id.split(' ').next_back().unwrap();
        let flow = json!({"id": id, "direction": direction, "subject": subject, "peer": peer, "protocol": "TCP", "port": port});
        format!("{flow}\n")
    };
    let questions = flows.iter().flat_map(|(from, to, port)| {
        let id = |direction| format!("{from} {to} {port} {direction}");
        [
            question(&id("egress"), from, to, *port),
            question(&id("ingress"), to, from, *port),
        ]
    });
    let path = scratch("trace-verdicts").join("flows.jsonl");
    fs::write(&path, questions.collect::<String>()).unwrap();
    let mut args = vec!["verdicts", "trace/policies.yaml", "--inventory"];
    args.extend(["trace/inventory.yaml", "--flows", path.to_str().unwrap()]);
    let answers = policyc(&args);
    let passes = |id: String| {
        let quoted = format!("\"{id}\"");
        let line = answers.stdout.lines().find(|line| line.contains(&quoted));
        let answer: Value = serde_json::from_str(line.unwrap()).unwrap();
        ["allow", "redirect"].contains(&answer["verdict"].as_str().unwrap())
    };
    for (from, to, port) in flows {
        let both = ["egress", "ingress"].map(|way| passes(format!("{from} {to} {port} {way}")));
        let ran = trace(&format!("--from {from} --to {to} --port {port}"), &[]);
        assert_eq!(ran.code, i32::from(both != [true, true]), "{}", ran.all());
    }
}

#[test]
fn questions_that_are_wrong_end_with_code_two() {
    for (flow, wanted) in [
        (
            "--from shop/nobody --to shop/api --port 1",
            "no pod, node, address or entity is called `shop/nobody`",
        ),
        (
            "--from world --to ip:192.0.2.1 --port 1",
            "neither `world` nor `ip:192.0.2.1` is a pod",
        ),
        ("--from shop/web --to shop/api", "flows of tcp have a port"),
        (
            "--from shop/web --to shop/api --protocol icmp",
            "ICMP messages have a type",
        ),
        (
            "--from shop/web --to shop/api --protocol gre --port 1",
            "flows of gre have no port",
        ),
        (
            "--from shop/web --to shop/api --port 1/udp --protocol tcp",
            "name two protocols",
        ),
        (
            "--from shop/web --to shop/api --port 1/nothing",
            "`nothing` is no protocol",
        ),
        (
            "--from shop/web --to shop/api --port 70000",
            "`70000` is neither a port number nor a name",
        ),
        (
            "--from shop/web --to shop/api --port grpc",
            "`grpc` is neither a port number nor a name",
        ),
    ] {
        let ran = trace(flow, &[]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.stderr.contains(wanted), "{}", ran.all());
    }
    let absent = Path::new("trace/absent.yaml");
    let args = [
        "trace",
        absent.to_str().unwrap(),
        "--from=a",
        "--to=b",
        "--port=1",
    ];
    assert_eq!(policyc(&args).code, 2);
}
