//! Proofs against trying every flow of tiny universes.

use std::collections::BTreeSet;

use policyc_diag::{SourceMap, Span, codes};
use policyc_ir::cidr::Cidr;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::label::{CLUSTER, Key, NAMESPACE, Source};
use policyc_ir::model::{Flow, Model};
use policyc_ir::port::{Ports, Protocol};
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Direction, RuleSet, Services};
use policyc_ir::selector::{Requirement, Selector};
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, IdentityId};
use proptest::prelude::*;

/// Intents about requests.
mod requests;

use super::end::{End, Parties};
use super::{Claim, Intent, Place, Wanted, check_intents};
use crate::Options;
use crate::tiny::{
    Draft, POINTS, build_mixed, direction, draft, requirement, services, settings, universes,
};

fn parties() -> impl Strategy<Value = Parties> {
    let dns = |name: &str| Parties::Dns(Fqdn::new(Some(name), None));
    prop_oneof![
        8 => prop::collection::vec(requirement(), 1..3).prop_map(|list| Parties::Pods(Selector::new(list))),
        1 => Just(Parties::Any),
        2 => Just(Parties::Everyone),
        1 => Just(Parties::Internet),
        1 => Just(Parties::Cidr(Cidr::parse("10.0.0.0/8").unwrap())),
        1 => Just(dns("a.example.com")),
        1 => Just(Parties::Entity("world".to_owned())),
    ]
}

pub(super) fn end() -> impl Strategy<Value = End> {
    let some = prop::collection::vec(parties(), 1..3);
    let except = prop_oneof![3 => Just(vec![]), 2 => prop::collection::vec(parties(), 1..2)];
    (some, except).prop_map(|(parties, except)| End {
        parties,
        except,
        span: Span::new(SourceMap::new().add("intents", "").id, 0, 0),
    })
}

pub(super) fn wanted() -> impl Strategy<Value = Wanted> {
    (services(), any::<bool>()).prop_map(|(services, except)| match services {
        Services::All => Wanted::default(),
        Services::Of(list) => Wanted {
            except: except && !list.is_empty(),
            each: list.into_iter().map(|l4| vec![l4]).collect(),
        },
    })
}

/// A pod, a node or an address outside the cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) identity: IdentityId,
    pub(super) endpoint: Option<EndpointId>,
}

/// Everyone there is, apart from what has no identity of its own.
fn everyone(universe: &Universe) -> Vec<Party> {
    let endpoints = universe.endpoints().iter().enumerate();
    let endpoints = endpoints.map(|(at, endpoint)| Party {
        identity: endpoint.identity,
        endpoint: Some(EndpointId::at(at)),
    });
    let endpoints: Vec<_> = endpoints.collect();
    let known: BTreeSet<_> = endpoints.iter().map(|party| party.identity).collect();
    let nobody = [IdentityId::UNKNOWN, IdentityId::WORLD];
    let others = (0..universe.identities().len()).map(IdentityId::at);
    let others = others.filter(|id| !known.contains(id) && !nobody.contains(id));
    let others = others.map(|identity| Party {
        identity,
        endpoint: None,
    });
    endpoints.iter().copied().chain(others).collect()
}

/// Whether a party is one of those meant. `source`: it opens the connection.
pub(super) fn is_one(universe: &Universe, parties: &Parties, party: Party, source: bool) -> bool {
    let Some(identity) = universe.identity(party.identity) else {
        return false;
    };
    let pod = party.endpoint.is_some_and(|_| {
        let namespace = Key::new(Source::K8s, NAMESPACE);
        identity.labels.get(&namespace).is_some()
    });
    let world = identity.labels.has_name("world-ipv4") || identity.labels.has_name("world-ipv6");
    match parties {
        Parties::Any => pod || world,
        Parties::Everyone => !(source && universe.is_host(party.identity)),
        Parties::Pods(selector) => pod && selector.matches(&identity.labels),
        Parties::Entity(_) => world,
        Parties::Cidr(cidr) => world && identity.cidr.is_some_and(|own| cidr.covers(&own)),
        Parties::Internet => {
            let private = policyc_ir::reach::private().any(|private| {
                let own = identity.cidr.unwrap_or(Cidr::ALL_V4);
                private.covers(&own)
            });
            world && !private
        }
        Parties::Dns(fqdn) => world && identity.names.iter().any(|name| fqdn.matches(name)),
    }
}

fn members(universe: &Universe, end: &End, source: bool) -> Vec<Party> {
    let all = everyone(universe).into_iter();
    let is_one = |parties: &Vec<Parties>, party| {
        let mut each = parties.iter();
        each.any(|one| is_one(universe, one, party, source))
    };
    let meant = all.filter(|party| is_one(&end.parties, *party) && !is_one(&end.except, *party));
    meant.collect()
}

pub(super) fn meant(
    wanted: &Wanted,
    universe: &Universe,
    to: Party,
    protocol: Protocol,
    port: u16,
) -> bool {
    let listed = wanted.each.concat();
    if listed.is_empty() {
        return true;
    }
    let found = listed.iter().any(|l4| {
        l4.protocol == protocol
            && match &l4.ports {
                Ports::All => true,
                Ports::Range(first, last) => (*first..=*last).contains(&port),
                Ports::Named(name, last) => {
                    let first = universe.named_port(to.identity, name, protocol);
                    first.is_some_and(|first| {
                        (first..=last.unwrap_or(first).max(first)).contains(&port)
                    })
                }
            }
    });
    found != wanted.except
}

/// Whether some flow on the services that the intent speaks of passes both ends, and whether some does not.
fn outcomes(rules: &RuleSet, universe: &Universe, intent: &Intent, on: &Wanted) -> [bool; 2] {
    let resolved = Resolved::new(rules, universe);
    let model = Model::build(&resolved, &settings());
    let family = |party: Party| {
        let identity = universe.identity(party.identity);
        let named = |name: &str| identity.is_some_and(|own| own.labels.has_name(name));
        match (named("world-ipv4"), named("world-ipv6")) {
            (false, false) => None,
            (v4, _) => Some(v4),
        }
    };
    let passes = |end: Party, other: Party, direction, protocol, port| {
        end.endpoint.is_none_or(|subject| {
            let peer = other.identity;
            model
                .eval(&Flow {
                    subject,
                    direction,
                    peer,
                    protocol,
                    port,
                })
                .allowed
        })
    };
    let targets = members(universe, &intent.to, false);
    let mut found = [false; 2];
    for from in members(universe, &intent.from, true) {
        for to in &targets {
            for (protocol, port) in POINTS {
                let families = [family(from), family(*to)];
                let foreign = families.contains(&Some(true)) && *protocol == 58
                    || families.contains(&Some(false)) && *protocol == 1;
                let (protocol, port) = (Protocol(*protocol), *port);
                let itself = universe.is_host(from.identity) && universe.is_host(to.identity);
                let policy = (from.endpoint.is_some() || to.endpoint.is_some()) && !itself;
                if foreign || !policy || !meant(on, universe, *to, protocol, port) {
                    continue;
                }
                let passed = passes(from, *to, Direction::Egress, protocol, port)
                    && passes(*to, from, Direction::Ingress, protocol, port);
                found[usize::from(passed)] = true;
            }
        }
    }
    found
}

/// What there is in any of the universes.
fn anywhere(rules: &RuleSet, intent: &Intent, on: &Wanted) -> [bool; 2] {
    let mut found = [false; 2];
    for universe in universes() {
        let here = outcomes(rules, &universe, intent, on);
        found = [found[0] || here[0], found[1] || here[1]];
    }
    found
}

/// Whether the claim holds; `None` if it is about nothing.
fn holds(rules: &RuleSet, intent: &Intent) -> Option<bool> {
    let [blocked, passed] = anywhere(rules, intent, &intent.services);
    match intent.claim {
        Claim::Never => (blocked || passed).then_some(!passed),
        Claim::Must => (blocked || passed).then_some(!blocked),
        Claim::May => {
            let parts = intent.services.parts();
            for part in &parts {
                match anywhere(rules, intent, part) {
                    [_, true] => {}
                    [true, false] => return Some(false),
                    [false, false] => return None,
                }
            }
            Some(true)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn intents_hold_exactly_where_no_flow_breaks_them(
        drafts in prop::collection::vec((direction(), draft()), 0..6),
        claim in prop_oneof![Just(Claim::Never), Just(Claim::Must), Just(Claim::May)],
        from in end(),
        to in end(),
        services in wanted(),
    ) {
        let rules = build_mixed(&drafts, &BTreeSet::new());
        let span = from.span;
        let intent = Intent { text: "random".into(), span, claim, fails: false, from, to, services, request: None, place: Place::Possible };
        let report = check_intents(&rules, &settings(), std::slice::from_ref(&intent), &Options::default());
        let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        let wanted = holds(&rules, &intent);
        match found.as_slice() {
            [] => prop_assert!(wanted == Some(true) && report.stats.proven == 1, "said to hold, {wanted:?}"),
            [codes::INTENT_VIOLATED] => prop_assert!(wanted == Some(false), "{wanted:?} {:?}", report.findings),
            [codes::IMPOSSIBLE_SELECTOR] => prop_assert!(wanted.is_none(), "said to be about nothing, {wanted:?}"),
            other => prop_assert!(false, "{other:?} {:?}", report.findings),
        }
    }
}

/// The cluster's own pods are meant unless a selector names another cluster.
#[test]
fn pods_of_other_clusters_have_policies_that_are_not_seen() {
    let span = Span::new(SourceMap::new().add("intents", "").id, 0, 0);
    let elsewhere = Requirement::equals(Key::new(Source::K8s, CLUSTER), "far");
    let pods = |requirement: Option<Requirement>| {
        End::of(vec![Parties::Pods(Selector::new(requirement))], span)
    };
    let intent = Intent {
        text: "far to far".into(),
        span,
        claim: Claim::Never,
        fails: false,
        from: pods(Some(elsewhere.clone())),
        to: pods(Some(elsewhere)),
        services: Wanted::default(),
        request: None,
        place: Place::Possible,
    };
    let rules = build_mixed(&[], &BTreeSet::new());
    let report = check_intents(&rules, &Settings::default(), &[intent], &Options::default());
    let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(
        found,
        [codes::IMPOSSIBLE_SELECTOR],
        "no end has policies here"
    );
}

/// The text forms of questions are answered as the questions are.
#[test]
fn questions_as_text_have_the_same_answers() {
    let drafts = [(Direction::Ingress, Draft::plain())];
    let rules = build_mixed(&drafts, &BTreeSet::new());
    let span = Span::new(SourceMap::new().add("intents", "").id, 0, 0);
    let world = || End::of(vec![Parties::Entity("world".to_owned())], span);
    let pods = || {
        let key = Key::new(Source::K8s, NAMESPACE);
        let one = Selector::new([Requirement::equals(key, "x")]);
        End::of(vec![Parties::Pods(one)], span)
    };
    for (claim, wanted) in [
        (Claim::Never, crate::solver::Answer::Sat),
        (Claim::Must, crate::solver::Answer::Unsat),
    ] {
        let intent = Intent {
            text: "world to x".into(),
            span,
            claim,
            fails: false,
            from: world(),
            to: pods(),
            services: Wanted::default(),
            request: None,
            place: Place::Possible,
        };
        let ask = || crate::intent_questions(&rules, &settings(), std::slice::from_ref(&intent));
        let asked = ask();
        assert_eq!((asked.len(), &asked), (1, &ask()));
        assert_eq!(crate::solver::z3::answer_to_text(&asked[0].text), wanted);
    }
}
