//! `policyc graph`: the page that explains it, every format, hostile labels, and large clusters.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Ran, command, policyc, scratch, testdata};

/// Bytes of the page for a thousand workloads, at most.
const PAGE_MAX: usize = 8 << 20;

/// The text of the fence that begins with this.
fn fence<'a>(page: &'a str, kind: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{kind}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// Writes the files of the page; they are the example of most tests here.
fn example(name: &str) -> (String, std::path::PathBuf) {
    let page = fs::read_to_string(testdata("../docs/graph.md")).unwrap();
    let folder = scratch(name);
    for file in ["policies.yaml", "inventory.yaml"] {
        fs::write(folder.join(file), fence(&page, &format!("yaml {file}"))).unwrap();
    }
    (page, folder)
}

fn graph(folder: &Path, options: &[&str]) -> Ran {
    let mut args = vec!["graph", "policies.yaml", "--inventory", "inventory.yaml"];
    args.extend(options);
    let output = command(&args).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Edges as `from to ports`, by name.
fn edges(folder: &Path, options: &[&str]) -> Vec<String> {
    let mut args = vec!["--format", "json"];
    args.extend(options);
    let ran = graph(folder, &args);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let graph: Value = serde_json::from_str(&ran.stdout).unwrap();
    let name = |edge: &Value, end: &str| {
        let at = usize::try_from(edge[end].as_u64().unwrap()).unwrap();
        graph["groups"][at]["name"].as_str().unwrap().to_owned()
    };
    let edges = graph["edges"].as_array().unwrap().iter();
    let edges = edges.map(|edge| {
        let ports = edge["ports"].as_array().unwrap().iter();
        let ports: Vec<_> = ports.map(|ports| ports.as_str().unwrap()).collect();
        let ends = (name(edge, "from"), name(edge, "to"));
        format!("{} {} {}", ends.0, ends.1, ports.join(" | "))
    });
    edges.collect()
}

#[test]
fn the_page_shows_what_the_command_prints() {
    let (page, folder) = example("graph-page");
    let line = fence(&page, "text").trim();
    let args: Vec<_> = line.split(' ').skip(4).collect();
    let ran = graph(&folder, &args);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(fence(&page, "text output"), ran.stdout);
}

#[test]
fn questions_leave_what_they_are_about() {
    let (_, folder) = example("graph-questions");
    let (web, api, db) = (
        "shop/web-7d4b9c8f6d-x2klp",
        "shop/api-6c9d8f7b54-9zq2w",
        "shop/db-0",
    );
    let to_api = "shop/web shop/api tcp/8080*";
    let to_db = "shop/api shop/db tcp/5432,8008-8010";
    let inside = |options: &[&str]| {
        let all = edges(&folder, options);
        let inside = all
            .into_iter()
            .filter(|edge| edge.matches("shop/").count() == 2);
        inside.collect::<Vec<_>>()
    };
    assert_eq!(
        edges(&folder, &["--from", web, "--to", db]),
        [to_db, to_api]
    );
    assert!(edges(&folder, &["--from", web, "--to", db, "--hops", "1"]).is_empty());
    assert!(!inside(&["--from", web, "--hops", "1"]).contains(&to_db.to_owned()));
    assert!(inside(&["--from", web, "--hops", "2"]).contains(&to_db.to_owned()));
    assert!(!inside(&["--to", api]).contains(&to_db.to_owned()));
    let exposed = edges(&folder, &["--exposed", "--hops", "1"]);
    assert_eq!(
        exposed,
        [
            "world-ipv4 shop/web any",
            "world-ipv4 host any",
            "world-ipv6 shop/web any",
            "world-ipv6 host any"
        ]
    );
    assert!(edges(&folder, &[]).contains(&"shop/db shop/web any".to_owned()));
    for (options, wanted) in [
        (&["--from", "shop/nobody"][..], 2),
        (&["--from", "ip:192.0.2.1", "--exposed"], 2),
        (&["--hops", "0"], 2),
        (&["--to", "ip:192.0.2.1"], 0),
        (&["--group", "namespace"], 0),
    ] {
        let ran = graph(&folder, options);
        assert_eq!(ran.code, wanted, "{options:?}: {}", ran.all());
    }
}

#[test]
fn every_format() {
    let (_, folder) = example("graph-formats");
    for (name, options) in [
        ("dot", &["--format", "dot"][..]),
        (
            "dot_of_pods",
            &["--format", "dot", "--group", "pod", "--from", "shop/db-0"],
        ),
        ("mermaid", &["--format", "mermaid"]),
        ("json", &["--format", "json"]),
        (
            "json_of_namespaces",
            &["--format", "json", "--group", "namespace"],
        ),
    ] {
        insta::assert_snapshot!(format!("graph_{name}"), graph(&folder, options).all());
    }
}

/// What stands in the page's data.
fn data(page: &str) -> &str {
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"graph\">")
        .unwrap();
    rest.split_once("</script>").unwrap().0
}

#[test]
fn the_page_for_browsers_holds_the_graph_and_asks_nobody() {
    let (_, folder) = example("graph-html");
    let page = graph(&folder, &["--format", "html"]).stdout;
    let data: Value = serde_json::from_str(data(&page)).unwrap();
    let names: Vec<_> = data["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group[1].as_str().unwrap())
        .collect();
    assert!(names.contains(&"shop/web"), "{names:?}");
    // Rows unroll to a label for each group.
    for row in data["rows"].as_array().unwrap() {
        let times = row
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run[1].as_u64().unwrap());
        assert_eq!(times.sum::<u64>(), names.len() as u64);
    }
    let mut unrolled = Vec::new();
    for (from, row) in data["row"].as_array().unwrap().iter().enumerate() {
        let mut to = 0;
        let runs = &data["rows"][usize::try_from(row.as_u64().unwrap()).unwrap()];
        for run in runs.as_array().unwrap() {
            let at = usize::try_from(run[0].as_u64().unwrap()).unwrap();
            for _ in 0..run[1].as_u64().unwrap() {
                if at != 0 {
                    let label = data["labels"][at].as_str().unwrap();
                    unrolled.push(format!("{} {} {label}", names[from], names[to]));
                }
                to += 1;
            }
        }
    }
    assert_eq!(unrolled, edges(&folder, &[]));
    for foreign in [
        "http:",
        "https:",
        "src=",
        "@import",
        "import(",
        "fetch(",
        "innerHTML",
    ] {
        let found = page
            .replace("http://www.w3.org/2000/svg", "")
            .contains(foreign);
        assert!(!found, "the page has `{foreign}`");
    }
}

#[test]
fn hostile_names_stay_text() {
    let folder = scratch("graph-hostile");
    let evil = "</script><script>alert(1)</script>\"];evil[label=\\";
    let quoted = Value::from(evil).to_string();
    fs::write(
        folder.join("policies.yaml"),
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n\
         spec: {podSelector: {}, ingress: [{}]}\n",
    )
    .unwrap();
    fs::write(
        folder.join("inventory.yaml"),
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {quoted}, namespace: shop, labels: {{app: web}}}}\n\
             status: {{podIP: 10.0.0.1}}\n"
        ),
    )
    .unwrap();
    let html = graph(&folder, &["--format", "html"]);
    assert_eq!(html.code, 0, "{}", html.all());
    assert_eq!(html.stdout.matches("</script>").count(), 2);
    assert!(!html.stdout.contains("<script>alert"));
    let data: Value = serde_json::from_str(data(&html.stdout)).unwrap();
    assert!(data.to_string().contains("alert(1)"), "the name is lost");
    let dot = graph(&folder, &["--format", "dot"]).stdout;
    assert!(dot.contains("\\\"];evil[label=\\\\"), "{dot}");
    let mermaid = graph(&folder, &["--format", "mermaid"]).stdout;
    assert!(
        !mermaid.contains("];evil") && !mermaid.contains('<'),
        "{mermaid}"
    );
}

#[test]
fn a_thousand_workloads_are_a_page_of_reasonable_size() {
    use policy_dev::cluster::{Cluster, Shape};
    let folder = scratch("graph-large");
    Cluster::new(Shape::new(1000, 300)).write(&folder).unwrap();
    let ran = graph(&folder, &["--format", "html"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let data: Value = serde_json::from_str(data(&ran.stdout)).unwrap();
    assert!(data["groups"].as_array().unwrap().len() > 1000);
    assert!(ran.stdout.len() < PAGE_MAX, "{} bytes", ran.stdout.len());
}

#[test]
fn more_than_can_be_drawn_is_refused_and_namespaces_are_not() {
    let folder = scratch("graph-refused");
    let mut pods = String::new();
    for at in 0..6000 {
        _ = writeln!(
            pods,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a{at}, namespace: shop, labels: {{app: web}}}}"
        );
    }
    fs::write(folder.join("inventory.yaml"), pods).unwrap();
    let (_, source) = example("graph-refused-policies");
    fs::copy(source.join("policies.yaml"), folder.join("policies.yaml")).unwrap();
    let ran = graph(&folder, &["--group", "pod"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("--group namespace"), "{}", ran.stderr);
    assert_eq!(graph(&folder, &["--group", "namespace"]).code, 0);
}

#[test]
fn an_inventory_is_needed() {
    let (_, folder) = example("graph-inventory");
    let path = folder.join("policies.yaml");
    let ran = policyc(&["graph", path.to_str().unwrap()]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.stderr.contains("--inventory"), "{}", ran.stderr);
}
