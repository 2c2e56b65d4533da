//! Both sides against trying every flow of tiny universes.

use std::collections::BTreeSet;

use policyc_ir::label::{Key, NAMESPACE, Source};
use policyc_ir::model::{Flow, Model, Reason};
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Direction, RuleSet};
use policyc_ir::universe::{Identity, Universe};
use proptest::prelude::*;

use super::region::tests::{has_party, has_service};
use super::{Change, Difference, Except, What, compare, questions};
use crate::Options;
use crate::solver::Answer;
use crate::solver::z3::answer_to_text;
use crate::tiny::{
    Draft, build, demanding, direction, draft, flows, leveled, of_nodes, outcomes, settings,
    universes,
};

/// A pair of sets that have rules in common.
fn pair(one: impl Strategy<Value = Draft>) -> impl Strategy<Value = (Vec<Draft>, Vec<Draft>)> {
    prop::collection::vec((one, 0..4_u8), 1..7).prop_map(|all| {
        let of = |not: u8| {
            let own = all.iter().filter(|(_, side)| *side != not);
            own.map(|(draft, _)| draft.clone()).collect()
        };
        (of(0), of(1))
    })
}

fn sets(pair: &(Vec<Draft>, Vec<Draft>), direction: Direction) -> [RuleSet; 2] {
    let none = BTreeSet::new();
    [
        build(&pair.0, direction, &none),
        build(&pair.1, direction, &none),
    ]
}

fn difference(sets: &[RuleSet; 2]) -> Difference {
    let [old, new] = sets;
    let options = Options {
        // So many that none is left out.
        sets: 1 << 12,
        ..Options::default()
    };
    let difference = compare(old, new, &settings(), &options);
    assert!(!difference.more, "all are looked for");
    assert_eq!(
        difference.faults,
        Vec::<String>::new(),
        "the model confirms every example"
    );
    difference
}

/// Whether a flow may be one of a change; `surely`: whether it is.
fn is_in(change: &Change, universe: &Universe, flow: &Flow, surely: bool) -> bool {
    if surely && change.partly {
        return false;
    }
    let subject = universe.endpoint(flow.subject).unwrap();
    let peer = universe.identity(flow.peer).unwrap();
    let own = Identity {
        labels: subject.labels.clone(),
        ..Identity::default()
    };
    let destination = match flow.direction {
        Direction::Ingress => own.clone(),
        Direction::Egress => peer.clone(),
    };
    let pod = destination
        .labels
        .get(&Key::new(Source::K8s, NAMESPACE))
        .is_some();
    let named = |name: &str| match flow.direction {
        Direction::Ingress => {
            let port = subject.ports.get(&(name.into(), flow.protocol));
            port.copied().filter(|_| pod)
        }
        Direction::Egress => universe.named_port(flow.peer, &name.into(), flow.protocol),
    };
    let excepted = |except: &Except| {
        let subject = except.subject.as_ref();
        let peers = except.peer.as_ref();
        let service = except.service.as_ref();
        subject.is_none_or(|party| has_party(party, &own))
            && peers.is_none_or(|party| has_party(party, peer))
            && service.is_none_or(|one| has_service(one, flow, &named))
    };
    !change.except.iter().any(excepted)
        && change.subjects.iter().any(|party| has_party(party, &own))
        && change.peers.iter().any(|party| has_party(party, peer))
        && change
            .services
            .iter()
            .any(|one| has_service(one, flow, &named))
}

/// Every flow that differs is in a change of its kind, and every flow of a change differs in that way.
fn explains(sets: &[RuleSet; 2], universe: &Universe, direction: Direction, found: &Difference) {
    let [old, new] = sets;
    let resolved = [Resolved::new(old, universe), Resolved::new(new, universe)];
    let [old, new] = &resolved;
    let [old, new] = [
        Model::build(old, &settings()),
        Model::build(new, &settings()),
    ];
    for subject in 0..universe.endpoints().len() {
        flows(
            universe,
            policyc_ir::EndpointId::at(subject),
            direction,
            |flow| {
                let (before, after) = (old.eval(flow), new.eval(flow));
                let found_in = |what: &[What], surely| {
                    let mut changes = found.changes.iter();
                    changes
                        .any(|one| what.contains(&one.what) && is_in(one, universe, flow, surely))
                };
                let within = |what: &[What]| found_in(what, true);
                let maybe = |what: &[What]| found_in(what, false);
                let texts = || format!("{:?} {:#?}", found.undecided, found.changes);
                match (before.allowed, after.allowed) {
                    (false, true) => assert!(
                        maybe(&[What::Allowed, What::Opened, What::Mended]),
                        "{flow:?} is allowed, which nothing says: {}",
                        texts()
                    ),
                    (true, false) => assert!(
                        maybe(&[What::Denied, What::Isolated, What::Broken]),
                        "{flow:?} is denied, which nothing says: {}",
                        texts()
                    ),
                    _ => assert!(
                        !within(&[What::Allowed, What::Denied]),
                        "{flow:?} of {:?} with {:?} stays as it is ({}): {}",
                        universe.endpoint(flow.subject),
                        universe.identity(flow.peer),
                        before.allowed,
                        texts()
                    ),
                }
                assert!(!within(&[What::Allowed]) || !before.allowed && after.allowed);
                assert!(!within(&[What::Denied]) || before.allowed && !after.allowed);
                assert!(!within(&[What::Opened]) || before.enforced && !after.enforced);
                assert!(!within(&[What::Isolated]) || !before.enforced && after.enforced);
                assert!(!within(&[What::Broken]) || after.reason == Reason::Conflict);
            },
        );
    }
}

fn agrees(pair: &(Vec<Draft>, Vec<Draft>), direction: Direction) {
    let sets = sets(pair, direction);
    let found = difference(&sets);
    assert_eq!(found.undecided, Vec::<String>::new());
    let universes = universes();
    let [old, new] = &sets;
    let same = outcomes(old, &universes, direction) == outcomes(new, &universes, direction);
    assert_eq!(found.is_equal(), same, "{found:?}");
    for universe in universes.iter().step_by(7) {
        explains(&sets, universe, direction, &found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn equal_is_said_exactly_where_no_flow_differs(pair in pair(draft()), direction in direction()) {
        agrees(&pair, direction);
    }

    #[test]
    fn tiers_make_no_difference_to_that(pair in pair(leveled()), direction in direction()) {
        agrees(&pair, direction);
    }

    #[test]
    fn nodes_make_no_difference_to_that(pair in pair(of_nodes()), direction in direction()) {
        agrees(&pair, direction);
    }

    /// What is proven equal is so for proxies and authentication too, and what they ask differently is found.
    #[test]
    fn proxies_and_authentication_are_part_of_it(pair in pair(demanding()), direction in direction()) {
        let sets = sets(&pair, direction);
        let found = difference(&sets);
        let universes = universes();
        let [old, new] = sets.each_ref().map(|set| outcomes(set, &universes, direction));
        let same = old == new;
        prop_assert!(same || !found.is_equal(), "a difference is missed");
        // Requests are compared as they are written, so other terms may come to the same.
        let terms = found.changes.iter().all(|change| change.what == What::Terms);
        prop_assert!(!same || terms, "{:?}", found);
        let conflict = old.iter().chain(&new).any(|(conflict, ..)| *conflict);
        // How a range from a name is split up depends on its number, so what is merged with one stays open.
        let named = found.undecided.iter().all(|why| why.contains("from a named port"));
        prop_assert!(conflict || named, "{:?}", found.undecided);
        for universe in universes.iter().step_by(7) {
            explains(&sets, universe, direction, &found);
        }
    }

    /// Without proxies and authentication, the sets are equal where all that is written out is refuted.
    #[test]
    fn questions_as_text_have_the_same_answers(pair in pair(leveled()), direction in direction()) {
        let sets = sets(&pair, direction);
        let ask = || questions(&sets[0], &sets[1], &settings());
        let asked = ask();
        prop_assert_eq!(&asked, &ask());
        let mut answers = asked.iter().map(|one| answer_to_text(&one.text));
        prop_assert_eq!(answers.all(|one| one == Answer::Unsat), difference(&sets).is_equal());
    }
}
