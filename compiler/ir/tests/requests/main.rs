//! Requests at layer 7: what the proxies would say, rule by rule.
#![expect(
    clippy::unwrap_used,
    unused_crate_dependencies,
    reason = "tests: a panic is a failure, and each target sees all dependencies"
)]

use policyc_diag::SourceMap;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::request::{Answer, Http, Request};
use policyc_ir::model::{Flow, Model};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::Direction;
use policyc_ir::settings::Settings;

const PODS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Pod, metadata: {name: api, namespace: shop, labels: {app: api}}}
- {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}}
- {apiVersion: v1, kind: Pod, metadata: {name: job, namespace: shop, labels: {app: job}}}
- {apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: shop, labels: {app: dns}}}
";

/// What becomes of requests between two pods under a policy for `app=api` with these entries.
struct Case {
    entries: &'static str,
    direction: Direction,
    /// Pod, protocol and port, and what is asked.
    requests: Vec<(&'static str, Protocol, u16, Request, Answer)>,
}

fn get(path: &str) -> Request {
    method("GET", path)
}

fn method(method: &str, path: &str) -> Request {
    Request::Http(Http {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "api.shop:8080".to_owned(),
        headers: vec![("X-Team".to_owned(), "red".to_owned())],
        server_name: None,
    })
}

fn query(name: &str) -> Request {
    Request::Dns(name.to_owned())
}

fn tls(name: &str) -> Request {
    Request::Tls(Some(name.to_owned()))
}

fn run(case: &Case) {
    let policy = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\n\
         spec:\n  endpointSelector: {{matchLabels: {{app: api}}}}\n{}",
        case.entries
    );
    let mut sources = SourceMap::new();
    let mut parse = |name: &str, text: &str| {
        let parsed = policyc_syntax::parse(&sources.add(name, text));
        assert_eq!(parsed.diagnostics, [], "{text}");
        parsed.documents
    };
    let settings = Settings::default();
    let (policies, faults) = PolicySet::admit(&parse("policy.yaml", &policy), &settings);
    assert_eq!(faults, [], "{policy}");
    let (inventory, _) = Inventory::read(&parse("pods.yaml", PODS));
    let rules = normalise::normalise(&policies, &inventory, &settings);
    let universe = inventory::universe(&inventory, &rules, &settings, None);
    let resolved = Resolved::new(&rules, &universe);
    let model = Model::build(&resolved, &settings);
    let subject = universe.find("shop/api").unwrap();
    for (peer, protocol, port, request, wanted) in &case.requests {
        let peer_id = universe.find(&format!("shop/{peer}")).unwrap();
        let flow = Flow {
            subject,
            direction: case.direction,
            peer: universe.endpoint(peer_id).unwrap().identity,
            protocol: *protocol,
            port: *port,
        };
        let found = model.request(&flow, request);
        assert_eq!(
            found, *wanted,
            "{peer} {protocol}/{port} {request:?}\n{policy}"
        );
    }
}

const HTTP: &str = "  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: \"8080\", protocol: TCP}]
      rules:
        http:
        - {method: GET, path: /cart(/.*)?}
        - {method: POST, path: /pay, headers: [\"X-Team: red\"]}
        - {path: /host, host: 'api\\.shop'}
";

#[test]
fn http_rules_match_as_a_whole() {
    let http = |request, wanted| ("web", Protocol::TCP, 8080, request, wanted);
    run(&Case {
        entries: HTTP,
        direction: Direction::Ingress,
        requests: vec![
            http(get("/cart"), Answer::Passed),
            http(get("/cart/1"), Answer::Passed),
            http(get("/carts"), Answer::Refused),
            http(get("/cart?x=1"), Answer::Refused),
            http(method("get", "/cart"), Answer::Refused),
            http(method("POST", "/cart"), Answer::Refused),
            http(method("POST", "/pay"), Answer::Passed),
            http(get("/host"), Answer::Refused),
            http(tls("api.shop"), Answer::Refused),
            ("job", Protocol::TCP, 8080, get("/cart"), Answer::Refused),
            ("web", Protocol::TCP, 81, get("/cart"), Answer::Refused),
        ],
    });
}

#[test]
fn any_plain_allow_makes_http_rules_let_everything_pass() {
    let slips = |more: &'static str, wanted: Answer| {
        run(&Case {
            entries: Box::leak(format!("{HTTP}{more}").into_boxed_str()),
            direction: Direction::Ingress,
            requests: vec![("web", Protocol::TCP, 8080, get("/admin"), wanted)],
        });
    };
    slips("  - fromEndpoints: [{}]\n", Answer::Passed);
    slips(
        "  - toPorts: [{ports: [{port: \"8000\", endPort: 9000, protocol: TCP}]}]\n",
        Answer::Passed,
    );
    slips(
        "  - fromEndpoints: [{matchLabels: {app: job}}]\n",
        Answer::Refused,
    );
    slips(
        "  - fromEndpoints: [{}]\n  ingressDeny:\n  - fromEndpoints: [{matchLabels: {app: web}}]\n",
        Answer::Refused,
    );
    slips("  enableDefaultDeny: {ingress: false}\n", Answer::Passed);
}

#[test]
fn a_plain_allow_leaves_dns_rules_as_they_are() {
    const DNS: &str = "  egress:
  - toEndpoints: [{matchLabels: {app: dns}}]
    toPorts:
    - ports: [{port: \"53\", protocol: UDP}]
      rules: {dns: [{matchPattern: \"*.example.com\"}, {matchName: one.org}]}
  - toEndpoints: [{}]
";
    const SAME: &str = "  - toEndpoints: [{matchLabels: {app: dns}}]
    toPorts:
    - ports: [{port: \"53\", protocol: UDP}]
";
    let dns = |name, wanted| ("dns", Protocol::UDP, 53, query(name), wanted);
    run(&Case {
        entries: DNS,
        direction: Direction::Egress,
        requests: vec![
            dns("a.example.com", Answer::Passed),
            dns("ONE.org.", Answer::Passed),
            dns("a.b.example.com", Answer::Refused),
            dns("example.com", Answer::Refused),
            ("dns", Protocol::TCP, 53, query("other.org"), Answer::Passed),
            ("web", Protocol::UDP, 53, query("other.org"), Answer::Passed),
        ],
    });
    run(&Case {
        entries: Box::leak(format!("{DNS}{SAME}").into_boxed_str()),
        direction: Direction::Egress,
        requests: vec![dns("other.org", Answer::Passed)],
    });
}

#[test]
fn server_names_bind_every_allow_of_their_selector_and_port() {
    const SNI: &str = "  egress:
  - toEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: \"443\", protocol: TCP}]
      serverNames: [\"*.example.com\"]
";
    const PLAIN: &str = "  - toEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: \"443\", protocol: TCP}]}]
";
    const WIDER: &str = "  - toEndpoints: [{}]\n";
    let sni = |name, wanted| ("web", Protocol::TCP, 443, tls(name), wanted);
    let none = (
        "web",
        Protocol::TCP,
        443,
        Request::Tls(None),
        Answer::Refused,
    );
    for (more, other) in [
        ("", Answer::Refused),
        (PLAIN, Answer::Refused),
        (WIDER, Answer::Passed),
    ] {
        run(&Case {
            entries: Box::leak(format!("{SNI}{more}").into_boxed_str()),
            direction: Direction::Egress,
            requests: vec![
                sni("a.example.com", Answer::Passed),
                sni("a.example.org", other.clone()),
            ],
        });
    }
    run(&Case {
        entries: SNI,
        direction: Direction::Egress,
        requests: vec![none],
    });
}

#[test]
fn headers_with_an_action_match_and_secrets_are_not_known() {
    const HEADERS: &str = "  ingress:
  - toPorts:
    - ports: [{port: \"8080\", protocol: TCP}]
      rules:
        http:
        - {path: /add, headerMatches: [{name: X-Team, value: blue, mismatch: ADD}]}
        - {path: /fail, headerMatches: [{name: X-Team, value: blue}]}
        - {path: /have, headerMatches: [{name: x-team}]}
        - {path: /secret, headerMatches: [{name: X-Key, secret: {name: key}}]}
";
    let http = |path, wanted| ("web", Protocol::TCP, 8080, get(path), wanted);
    run(&Case {
        entries: HEADERS,
        direction: Direction::Ingress,
        requests: vec![
            http("/add", Answer::Passed),
            http("/fail", Answer::Refused),
            http("/have", Answer::Passed),
            http(
                "/secret",
                Answer::Unknown("the secret value of header `X-Key`".to_owned()),
            ),
        ],
    });
}
