//! Answers against trying every flow of tiny universes.

use std::collections::BTreeSet;

use policyc_diag::{SourceMap, Span, codes};
use policyc_ir::IdentityId;
use policyc_ir::cidr::Cidr;
use policyc_ir::label::{Key, NAMESPACE, Source};
use policyc_ir::model::{Flow, Model};
use policyc_ir::port::Ports;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction, RuleSet, Services};
use policyc_ir::selector::Selector;
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use proptest::prelude::*;

use super::{Act, Authors, Guard, check_guards};
use crate::Options;
use crate::intent::end::Parties;
use crate::intent::{End, Wanted};
use crate::tiny::{
    build_mixed, direction, draft, flows, requirement, services, settings, universes,
};

fn parties() -> impl Strategy<Value = Parties> {
    prop_oneof![
        4 => prop::collection::vec(requirement(), 1..3).prop_map(|list| Parties::Pods(Selector::new(list))),
        1 => Just(Parties::Pods(Selector::EMPTY)),
        2 => Just(Parties::Internet),
        1 => Just(Parties::Cidr(Cidr::parse("10.0.0.0/8").unwrap())),
        1 => Just(Parties::Entity("world".to_owned())),
    ]
}

fn end() -> impl Strategy<Value = Option<End>> {
    let end = parties().prop_map(|one| {
        let span = Span::new(SourceMap::new().add("guards", "").id, 0, 0);
        Some(End::of(vec![one], span))
    });
    prop_oneof![2 => end, 1 => Just(None)]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    services().prop_map(|services| match services {
        Services::All => Wanted::default(),
        Services::Of(list) => Wanted {
            except: false,
            each: list.into_iter().map(|l4| vec![l4]).collect(),
        },
    })
}

fn is_one(universe: &Universe, end: Option<&End>, identity: IdentityId) -> bool {
    let (Some(end), Some(identity)) = (end, universe.identity(identity)) else {
        return end.is_none();
    };
    let namespace = Key::new(Source::K8s, NAMESPACE);
    let pod = identity.labels.get(&namespace).is_some();
    let world = identity.labels.has_name("world-ipv4") || identity.labels.has_name("world-ipv6");
    let all = if identity.labels.has_name("world-ipv4") {
        Cidr::ALL_V4
    } else {
        Cidr::ALL_V6
    };
    let own = identity.cidr.unwrap_or(all);
    end.parties.iter().any(|one| match one {
        Parties::Pods(selector) => pod && selector.matches(&identity.labels),
        Parties::Cidr(cidr) => world && cidr.covers(&own),
        Parties::Internet => {
            world && !policyc_ir::reach::private().any(|private| private.covers(&own))
        }
        _ => world,
    })
}

fn meant(wanted: &Wanted, universe: &Universe, to: IdentityId, flow: &Flow) -> bool {
    let listed = wanted.each.concat();
    listed.is_empty()
        || listed.iter().any(|l4| {
            l4.protocol == flow.protocol
                && match &l4.ports {
                    Ports::All => true,
                    Ports::Range(first, last) => (*first..=*last).contains(&flow.port),
                    Ports::Named(name, last) => {
                        let first = universe.named_port(to, name, flow.protocol);
                        first.is_some_and(|first| {
                            (first..=last.unwrap_or(first).max(first)).contains(&flow.port)
                        })
                    }
                }
        })
}

/// The rules that break a guard in some universe. Every policy of the tiny rules is one that it is about.
fn broken(rules: &RuleSet, guard: &Guard, settings: &Settings) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for universe in universes() {
        let resolved = Resolved::new(rules, &universe);
        let model = Model::build(&resolved, settings);
        for at in 0..universe.endpoints().len() {
            let subject = policyc_ir::EndpointId::at(at);
            for direction in guard.directions() {
                flows(&universe, subject, *direction, |flow| {
                    found.extend(breaches(rules, &model, guard, flow));
                });
            }
        }
    }
    found
}

fn breaches(rules: &RuleSet, model: &Model<'_>, guard: &Guard, flow: &Flow) -> Vec<String> {
    let universe = model.universe();
    let endpoint = universe.endpoint(flow.subject).unwrap();
    let unknown = [IdentityId::UNKNOWN, IdentityId::WORLD];
    if unknown.contains(&flow.peer) || endpoint.host && universe.is_host(flow.peer) {
        return Vec::new();
    }
    let (from, to) = match flow.direction {
        Direction::Ingress => (flow.peer, endpoint.identity),
        Direction::Egress => (endpoint.identity, flow.peer),
    };
    let named = is_one(universe, guard.from.as_ref(), from)
        && is_one(universe, guard.to.as_ref(), to)
        && meant(&guard.services, universe, to, flow);
    if named == guard.only {
        return Vec::new();
    }
    let policy = model.policy_of(flow.subject).unwrap();
    let mut own = policy.direction(flow.direction).rules.iter();
    let allowed = model.eval(flow).allowed;
    let breaks = |id: &policyc_ir::RuleId| {
        let rule = rules.rule(*id)?;
        let does = model.matches(rule, &endpoint.ports, flow)
            && match guard.act {
                Act::Allow => rule.action == Action::Allow && allowed,
                _ => rule.action == Action::Deny,
            };
        does.then(|| rules.name(*id))
    };
    own.by_ref().filter_map(breaks).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn guards_find_exactly_the_rules_that_break_them(
        drafts in prop::collection::vec((direction(), draft()), 1..5),
        only in any::<bool>(),
        act in prop_oneof![3 => Just(Act::Allow), 1 => Just(Act::Deny)],
        from in end(),
        to in end(),
        services in wanted(),
    ) {
        prop_assume!(from.is_some() || to.is_some() || !services.each.is_empty());
        let rules = build_mixed(&drafts, &BTreeSet::new());
        let settings = settings();
        let span = Span::new(SourceMap::new().add("guards", "").id, 0, 0);
        let guard = Guard {
            text: "random".into(), name: "random".into(), span, authors: Authors::default(), only, act, from, to, services,
        };
        let report = check_guards(&rules, &settings, std::slice::from_ref(&guard), &Options::default());
        let mut codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        codes.dedup();
        let wanted = broken(&rules, &guard, &settings);
        if codes == [codes::IMPOSSIBLE_SELECTOR] {
            prop_assert!(guard.only || wanted.is_empty());
            return Ok(());
        }
        prop_assert!(codes.is_empty() || codes == [codes::GUARD_VIOLATED], "{:?}", report.findings);
        let found: BTreeSet<_> = report.findings.iter().map(|finding| {
            let (_, rest) = finding.message.split_once('`').unwrap();
            rest.split_once('`').unwrap().0.to_owned()
        }).collect();
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn authors_are_told_apart() {
    let policy = |namespace: Option<&str>| policyc_ir::rule::Policy {
        kind: policyc_ir::rule::Kind::Cnp,
        namespace: namespace.map(Into::into),
        name: "one".into(),
        span: Span::new(SourceMap::new().add("guards", "").id, 0, 0),
    };
    let named = |outside: bool| Authors {
        clusterwide: false,
        namespaces: Some((outside, vec!["a".to_owned(), "b".to_owned()])),
    };
    let wide = Authors {
        clusterwide: true,
        namespaces: None,
    };
    for (authors, wrote) in [
        (Authors::default(), [true, true, true]),
        (named(false), [true, false, false]),
        (named(true), [false, true, true]),
        (wide, [false, false, true]),
    ] {
        let found = [Some("a"), Some("c"), None].map(|name| authors.wrote(&policy(name)));
        assert_eq!(found, wrote, "{authors:?}");
    }
}
