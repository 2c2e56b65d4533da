//! Tests against trying every flow.

use std::collections::BTreeSet;

use policyc_diag::codes;
use policyc_ir::cidr::Cidr;
use policyc_ir::label::Labels;
use policyc_ir::model::{Flow, Model};
use policyc_ir::port::Protocol;
use policyc_ir::reach::Reach;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::Direction;
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, IdentityId};
use proptest::prelude::*;

use super::{Ground, check_in_inventory};
use crate::intent::end::Parties;
use crate::intent::tests::{Party, end, is_one, meant, wanted};
use crate::intent::{Claim, End, Intent, Place, Wanted};
use crate::tiny::{POINTS, build_mixed, direction, draft, settings, universes};

/// All endpoints, and who else owns addresses.
fn everyone(universe: &Universe) -> Vec<Party> {
    let endpoints = universe.endpoints().iter().enumerate();
    let party = |(at, endpoint): (usize, &policyc_ir::universe::Endpoint)| Party {
        identity: endpoint.identity,
        endpoint: Some(EndpointId::at(at)),
    };
    let endpoints: Vec<_> = endpoints.map(party).collect();
    let known: BTreeSet<_> = endpoints.iter().map(|party| party.identity).collect();
    let owners: BTreeSet<_> = universe
        .addresses()
        .map(|(_, owner)| owner.identity)
        .collect();
    let others = owners
        .into_iter()
        .filter(|id| !known.contains(id) && *id != IdentityId::UNKNOWN);
    let others = others.map(|identity| Party {
        identity,
        endpoint: None,
    });
    endpoints.iter().copied().chain(others).collect()
}

/// Every connection that passes both ends, as positions of the parties, on the services.
fn open(model: &Model<'_>, all: &[Party], on: &Wanted) -> BTreeSet<(usize, usize)> {
    let universe = model.universe();
    let mut found = BTreeSet::new();
    for (from, sender) in all.iter().enumerate() {
        for (to, receiver) in all.iter().enumerate() {
            if from == to || sender.endpoint.is_none() && receiver.endpoint.is_none() {
                continue;
            }
            let passes = |protocol: u8, port: u16| {
                let protocol = Protocol(protocol);
                let ask = |subject: &Party, peer: &Party, direction| {
                    subject.endpoint.is_none_or(|subject| {
                        let flow = Flow {
                            subject,
                            direction,
                            peer: peer.identity,
                            protocol,
                            port,
                        };
                        model.eval(&flow).allowed
                    })
                };
                // Nobody has addresses of the other family for these.
                let other_family = match protocol {
                    Protocol::ICMP => Some(Cidr::ALL_V6),
                    Protocol::ICMPV6 => Some(Cidr::ALL_V4),
                    _ => None,
                };
                let of_family = |party: &Party| {
                    let identity = universe.identity(party.identity).unwrap();
                    let own = identity.cidr.or(block(&identity.labels));
                    own.is_none_or(|own| other_family.is_none_or(|other| !other.covers(&own)))
                };
                of_family(sender)
                    && of_family(receiver)
                    && meant(on, universe, *receiver, protocol, port)
                    && ask(sender, receiver, Direction::Egress)
                    && ask(receiver, sender, Direction::Ingress)
            };
            if POINTS
                .iter()
                .any(|(protocol, port)| passes(*protocol, *port))
            {
                found.insert((from, to));
            }
        }
    }
    found
}

/// Every pair with a path of at most so many connections, the last of which is on the services.
fn paths(model: &Model<'_>, all: &[Party], on: &Wanted, hops: u32) -> BTreeSet<(usize, usize)> {
    let any = open(model, all, &Wanted::default());
    let last = open(model, all, on);
    let mut found = last.clone();
    for _ in 1..hops {
        let is_pod =
            |party: &Party| party.endpoint.is_some() && !model.universe().is_host(party.identity);
        let through = any.iter().filter(|(_, via)| is_pod(&all[*via]));
        let longer = through.flat_map(|(from, via)| {
            let on = found.iter().filter(move |(start, _)| start == via);
            on.map(move |(_, to)| (*from, *to))
        });
        let longer: BTreeSet<_> = longer.collect();
        if longer.is_subset(&found) {
            break;
        }
        found.extend(longer);
    }
    found
}

/// The addresses of the world.
fn block(labels: &Labels) -> Option<Cidr> {
    match (labels.has_name("world-ipv4"), labels.has_name("world-ipv6")) {
        (true, _) => Some(Cidr::ALL_V4),
        (_, true) => Some(Cidr::ALL_V6),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn paths_are_found_exactly_where_there_are_some(
        drafts in prop::collection::vec((direction(), draft()), 2..8),
        from in end(),
        to in end(),
        services in wanted(),
        hops in prop_oneof![Just(1_u32), Just(2), Just(3), Just(u32::MAX)],
        // Not those in which the port named `web` is none of the points that are tried.
        number in (0_usize..20).prop_filter("tried", |number| number % 5 != 1),
    ) {
        let rules = build_mixed(&drafts, &BTreeSet::new());
        let settings = settings();
        let universe = universes().swap_remove(number);
        let resolved = Resolved::new(&rules, &universe);
        let model = Model::build(&resolved, &settings);
        let reach = Reach::new(&model).unwrap();
        let ground = Ground { model: &model, reach: &reach, settings: &settings };
        let all = everyone(&universe);
        let members = |end: &End, source: bool| -> Vec<usize> {
            let is_one = |parties: &[Parties], party: Party, whole: bool| parties.iter().any(|one| {
                let identity = universe.identity(party.identity).unwrap();
                match (one, identity.cidr.or(block(&identity.labels)).filter(|_| party.endpoint.is_none())) {
                    // Whole families are all that has addresses here: part of one is in a prefix, but never all of it.
                    (Parties::Cidr(cidr), Some(own)) => !whole && own.covers(cidr),
                    (Parties::Internet, Some(_)) => !whole,
                    _ => is_one(&universe, one, party, source),
                }
            });
            let each = all.iter().enumerate();
            let each = each.filter(|(_, party)| is_one(&end.parties, **party, false) && !is_one(&end.except, **party, true));
            each.map(|(at, _)| at).collect()
        };
        let (sources, targets) = (members(&from, true), members(&to, false));
        let connected = paths(&model, &all, &services, hops);
        let some = sources.iter().any(|from| targets.iter().any(|to| connected.contains(&(*from, *to))));
        let intent = Intent {
            text: "random".into(), span: from.span, claim: Claim::Never, fails: false, from, to, services,
            request: None, place: Place::Inventory { hops },
        };
        let report = check_in_inventory(ground, std::slice::from_ref(&intent));
        let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        match found.as_slice() {
            [] => prop_assert!(!some, "there is a path"),
            [codes::INTENT_VIOLATED] => prop_assert!(some, "{:?}", report.findings),
            [codes::IMPOSSIBLE_SELECTOR] => prop_assert!(!some, "about nothing, yet there is a path"),
            other => prop_assert!(false, "{other:?} {:?}", report.findings),
        }
    }
}
