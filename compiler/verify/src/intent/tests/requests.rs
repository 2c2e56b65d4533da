//! Intents about requests, against asking every flow.

use std::collections::BTreeSet;

use policyc_diag::{SourceMap, Span, codes};
use policyc_ir::fqdn::Fqdn;
use policyc_ir::l7;
use policyc_ir::label::{Key, NAMESPACE, Source};
use policyc_ir::model::request::{Answer, Http, Request};
use policyc_ir::model::{Flow, Model};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::reach::Reach;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction, RuleSet, Services};
use policyc_ir::selector::{Requirement, Selector};
use policyc_ir::universe::Universe;
use policyc_syntax::grammar::intent as written;
use proptest::prelude::*;

use super::{Party, meant, members};
use crate::Options;
use crate::intent::end::{End, Parties};
use crate::intent::{
    Asked, Claim, Ground, Intent, Place, Wanted, check_in_inventory, check_intents,
};
use crate::tiny::{Draft, POINTS, build_mixed, direction, draft, settings, universes};

/// Requests that every expression below tells apart.
fn requests() -> Vec<Request> {
    let mut all = Vec::new();
    for method in ["GET", "POST", "PUT"] {
        for path in ["/a", "/a/", "/a/b", "/b"] {
            all.push(Request::Http(Http {
                method: method.to_owned(),
                path: path.to_owned(),
                host: "h".to_owned(),
                ..Http::default()
            }));
        }
    }
    let names = ["a.example.com", "c.example.com", "a.io"];
    all.extend(names.map(|name| Request::Dns(name.to_owned())));
    all
}

/// Whether an intent is about a request.
fn is_asked(asked: &written::Request, request: &Request) -> bool {
    match (asked, request) {
        (written::Request::Http { method, path, .. }, Request::Http(http)) => {
            let path = path.as_deref();
            let under = |start: &str| http.path.starts_with(start);
            (method == "*" || *method == http.method)
                && path.is_none_or(|path| match path.strip_suffix('*') {
                    Some(start) => under(start),
                    None => http.path == path,
                })
        }
        (written::Request::Dns(pattern), Request::Dns(name)) => {
            Fqdn::new(None, Some(pattern)).matches(name)
        }
        _ => false,
    }
}

fn layer7() -> impl Strategy<Value = l7::Rules> {
    let element = (
        prop::sample::select(vec![None, Some("GET"), Some("GET|POST")]),
        prop::sample::select(vec![None, Some("/a"), Some("/a/.*")]),
    );
    let http = prop::collection::vec(element, 1..3).prop_map(|elements| {
        let elements = elements.into_iter().map(|(method, path)| l7::Http {
            method: method.map(Into::into),
            path: path.map(Into::into),
            ..l7::Http::default()
        });
        l7::Content::Http(elements.collect())
    });
    let name = prop::sample::select(vec!["a.example.com", "*.example.com", "*"]);
    let dns = name.prop_map(|name| l7::Content::Dns(vec![Fqdn::new(None, Some(name))]));
    let content = prop_oneof![4 => http, 1 => dns];
    content.prop_map(|content| l7::Rules {
        content,
        ..l7::Rules::default()
    })
}

fn proxied() -> impl Strategy<Value = Draft> {
    let port = prop::sample::select(vec![None, Some((80, 80)), Some((80, 90)), Some((443, 443))]);
    (draft(), prop::option::of(layer7()), port).prop_map(|(mut draft, l7, port)| {
        draft.services = port.map_or(Services::All, |(first, last)| {
            let ports = Ports::Range(first, last);
            let protocol = Protocol::TCP;
            Services::Of(vec![L4 { protocol, ports }])
        });
        if draft.action == Action::Allow {
            draft.l7 = l7.map(Into::into);
        }
        draft
    })
}

fn asked() -> impl Strategy<Value = written::Request> {
    let http = (
        prop::sample::select(vec!["GET", "*"]),
        prop::sample::select(vec![None, Some("/a"), Some("/a/*")]),
    );
    let http = http.prop_map(|(method, path)| written::Request::Http {
        method: method.to_owned(),
        path: path.map(str::to_owned),
        host: None,
    });
    let dns = prop::sample::select(vec!["a.example.com", "*.example.com"]);
    prop_oneof![3 => http, 1 => dns.prop_map(|name| written::Request::Dns(name.to_owned()))]
}

/// Some universes, one for each choice of the namespaces' labels: no port goes by name here.
fn some_universes() -> Vec<Universe> {
    universes().into_iter().step_by(5).collect()
}

/// Whether the request of some flow between pods is refused, and whether that of some is let through. `itself`: a pod
/// stands for two that are alike.
fn answers(
    model: &Model<'_>,
    intent: &Intent,
    asked: &written::Request,
    itself: bool,
) -> [bool; 2] {
    let universe = model.universe();
    let mut found = [false; 2];
    let targets = members(universe, &intent.to, false);
    for from in members(universe, &intent.from, true) {
        let others = targets
            .iter()
            .filter(|to| itself || to.endpoint != from.endpoint);
        for (to, (protocol, port)) in others.flat_map(|to| POINTS.iter().map(move |at| (to, at))) {
            let (protocol, port) = (Protocol(*protocol), *port);
            if !meant(&intent.services, universe, *to, protocol, port) {
                continue;
            }
            for request in requests().iter().filter(|request| is_asked(asked, request)) {
                let ask = |subject: Party, peer: Party, direction| {
                    let flow = Flow {
                        subject: subject.endpoint.unwrap(),
                        direction,
                        peer: peer.identity,
                        protocol,
                        port,
                    };
                    model.request(&flow, request) == Answer::Passed
                };
                let passed =
                    ask(from, *to, Direction::Egress) && ask(*to, from, Direction::Ingress);
                found[usize::from(passed)] = true;
            }
        }
    }
    found
}

/// [`answers`] of all universes together.
fn all_answers(rules: &RuleSet, intent: &Intent, asked: &written::Request) -> [bool; 2] {
    some_universes()
        .iter()
        .fold([false; 2], |[refused, passed], universe| {
            let resolved = Resolved::new(rules, universe);
            let model = Model::build(&resolved, &settings());
            let [refuses, passes] = answers(&model, intent, asked, true);
            [refused || refuses, passed || passes]
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn requests_pass_exactly_where_proxies_let_them(
        drafts in prop::collection::vec((direction(), proxied()), 1..5),
        must in any::<bool>(),
        namespaces in prop::array::uniform2(prop::sample::select(vec!["x", "y"])),
        asked in asked(),
        services in prop_oneof![Just(None), Just(Some(80)), Just(Some(443))],
    ) {
        let rules = build_mixed(&drafts, &BTreeSet::new());
        let span = Span::new(SourceMap::new().add("intents", "").id, 0, 0);
        let [from, to] = namespaces.map(|name| {
            let key = Key::new(Source::K8s, NAMESPACE);
            End::of(vec![Parties::Pods(Selector::new([Requirement::equals(key, name)]))], span)
        });
        let tcp = |port| vec![L4 { protocol: Protocol::TCP, ports: Ports::Range(port, port) }];
        let services = Wanted { except: false, each: services.map(tcp).into_iter().collect() };
        let claim = if must { Claim::Must } else { Claim::Never };
        let request = Some(Asked::read(&asked, span).unwrap());
        let intent = Intent {
            text: "random".into(), span, claim, fails: false, from, to, services, request, place: Place::Possible,
        };
        let report = check_intents(&rules, &settings(), std::slice::from_ref(&intent), &Options::default());
        let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        let [refused, passed] = all_answers(&rules, &intent, &asked);
        let broken = if must { refused } else { passed };
        match found.as_slice() {
            [] => prop_assert!(!broken, "said to hold"),
            [codes::INTENT_VIOLATED] => prop_assert!(broken, "{:?}", report.findings),
            // Where several rules decide together, nothing is claimed.
            [codes::UNDECIDED] => {}
            other => prop_assert!(false, "{other:?} {:?}", report.findings),
        }
        let intent = Intent { place: Place::Inventory { hops: 1 }, ..intent };
        for universe in some_universes() {
            let resolved = Resolved::new(&rules, &universe);
            let model = Model::build(&resolved, &settings());
            let reach = Reach::new(&model).unwrap();
            let ground = Ground { model: &model, reach: &reach, settings: &settings() };
            let report = check_in_inventory(ground, std::slice::from_ref(&intent));
            let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
            let [refused, passed] = answers(&model, &intent, &asked, false);
            let broken = if must { refused } else { passed };
            match found.as_slice() {
                [] | [codes::IMPOSSIBLE_SELECTOR] => prop_assert!(!broken, "{found:?} in the inventory"),
                [codes::INTENT_VIOLATED] => prop_assert!(broken, "{:?}", report.findings),
                other => prop_assert!(false, "{other:?} {:?}", report.findings),
            }
        }
    }
}
