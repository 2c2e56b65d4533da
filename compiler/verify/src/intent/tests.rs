//! Proofs against trying every flow of tiny universes.

use std::collections::BTreeSet;

use policyc_diag::{SourceMap, Span, codes};
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

use super::end::{End, Parties};
use super::{Intent, check_intents};
use crate::Options;
use crate::tiny::{POINTS, build_mixed, direction, draft, requirement, services, universes};

fn parties() -> impl Strategy<Value = Parties> {
    prop_oneof![
        5 => prop::collection::vec(requirement(), 1..3).prop_map(|list| Parties::Pods(Selector::new(list))),
        1 => Just(Parties::Any),
        1 => Just(Parties::Entity("world".to_owned())),
    ]
}

/// A pod or an address outside the cluster.
#[derive(Clone, Copy)]
struct Party {
    identity: IdentityId,
    endpoint: Option<EndpointId>,
}

fn members(universe: &Universe, parties: &Parties) -> Vec<Party> {
    let pods = universe.endpoints().iter().enumerate();
    let namespace = Key::new(Source::K8s, NAMESPACE);
    let pods = pods
        .filter(|(_, endpoint)| {
            let pod = endpoint.labels.get(&namespace).is_some();
            pod && match parties {
                Parties::Any => true,
                Parties::Pods(selector) => selector.matches(&endpoint.labels),
                _ => false,
            }
        })
        .map(|(at, endpoint)| Party {
            identity: endpoint.identity,
            endpoint: Some(EndpointId::at(at)),
        });
    let world = universe.identities().iter().enumerate();
    let world = world
        .filter(|(_, identity)| identity.cidr.is_some() && !matches!(parties, Parties::Pods(_)))
        .map(|(at, _)| Party {
            identity: IdentityId::at(at),
            endpoint: None,
        });
    pods.chain(world).collect()
}

fn meant(
    services: &Services,
    universe: &Universe,
    to: Party,
    protocol: Protocol,
    port: u16,
) -> bool {
    let Services::Of(list) = services else {
        return true;
    };
    list.iter().any(|l4| {
        l4.protocol == protocol
            && match &l4.ports {
                Ports::All => true,
                Ports::Range(first, last) => (*first..=*last).contains(&port),
                Ports::Named(name, _) => {
                    universe.named_port(to.identity, name, protocol) == Some(port)
                }
            }
    })
}

/// Whether some flow that the intent speaks of passes both ends.
fn breaks(rules: &RuleSet, universe: &Universe, intent: &Intent) -> bool {
    let resolved = Resolved::new(rules, universe);
    let model = Model::build(&resolved, &Settings::default());
    let family = |party: Party| {
        let identity = universe.identity(party.identity);
        identity.and_then(|identity| identity.cidr.map(|cidr| cidr.is_ipv4()))
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
    let (sources, targets) = (
        members(universe, &intent.from.parties),
        members(universe, &intent.to.parties),
    );
    sources.iter().any(|from| {
        targets.iter().any(|to| {
            POINTS.iter().any(|(protocol, port)| {
                let families = [family(*from), family(*to)];
                let foreign = families.contains(&Some(true)) && *protocol == 58
                    || families.contains(&Some(false)) && *protocol == 1;
                let (protocol, port) = (Protocol(*protocol), *port);
                !foreign
                    && (from.endpoint.is_some() || to.endpoint.is_some())
                    && meant(&intent.services, universe, *to, protocol, port)
                    && passes(*from, *to, Direction::Egress, protocol, port)
                    && passes(*to, *from, Direction::Ingress, protocol, port)
            })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn intents_hold_exactly_where_no_flow_breaks_them(
        drafts in prop::collection::vec((direction(), draft()), 0..6),
        from in parties(),
        to in parties(),
        services in services(),
    ) {
        let rules = build_mixed(&drafts, &BTreeSet::new());
        let span = Span::new(SourceMap::new().add("intents", "").id, 0, 0);
        let end = |parties| End { parties, span };
        let intent = Intent { text: "random".into(), span, from: end(from), to: end(to), services };
        let report = check_intents(&rules, &Settings::default(), std::slice::from_ref(&intent), &Options::default());
        let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        let broken = universes().iter().any(|universe| breaks(&rules, universe, &intent));
        match found.as_slice() {
            [] => prop_assert!(!broken && report.stats.proven == 1, "proven, yet some flow passes"),
            [codes::INTENT_VIOLATED] => prop_assert!(broken, "{:?}", report.findings),
            [codes::IMPOSSIBLE_SELECTOR] => prop_assert!(!broken, "said to be about nothing"),
            other => prop_assert!(false, "{other:?} {:?}", report.findings),
        }
    }
}

/// The cluster's own pods are meant unless a selector names another cluster.
#[test]
fn pods_of_other_clusters_have_policies_that_are_not_seen() {
    let span = Span::new(SourceMap::new().add("intents", "").id, 0, 0);
    let elsewhere = Requirement::equals(Key::new(Source::K8s, CLUSTER), "far");
    let pods = |requirement: Option<Requirement>| End {
        parties: Parties::Pods(Selector::new(requirement)),
        span,
    };
    let intent = Intent {
        text: "far to far".into(),
        span,
        from: pods(Some(elsewhere.clone())),
        to: pods(Some(elsewhere)),
        services: Services::All,
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
