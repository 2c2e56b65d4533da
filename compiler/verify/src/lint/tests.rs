//! The solver's answers against trying every flow of tiny universes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use policyc_diag::codes;
use policyc_ir::label::NAMESPACE;
use policyc_ir::model::Model;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction, Level, RuleSet, Tier};
use policyc_ir::selector::{Operator, Requirement};
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, RuleId};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::asker::{Asker, removal};
use super::near::Near;
use super::{Context, Group};
use crate::Options;
use crate::algebra::overlap::Algebra;
use crate::encode::mutant::{self, Mutant};
use crate::replay::Library;
use crate::solver::Answer;
use crate::tiny::{
    Draft, DraftPeer, all_verdicts, build, demanding, direction, doubtful, draft, flows, key,
    leveled, of_nodes, outcomes, settings, team, universes,
};

/// What reports say of rules, against every flow of tiny universes.
mod reports;

/// What solver and enumeration say of one rule: whether it matters.
type Pair = (bool, bool);

/// Asks both about each rule. A rule of which a proxy may have a say is compared by verdicts alone.
fn both(drafts: &[Draft], direction: Direction, universes: &[Universe]) -> Vec<Pair> {
    let rules = build(drafts, direction, &BTreeSet::new());
    let options = Options::default();
    let settings = settings();
    let algebra = Algebra::new(&rules, &settings);
    let library = Library::new(&rules, &settings);
    let context = Context {
        rules: &rules,
        algebra: &algebra,
        library: &library,
        settings: &settings,
        options: &options,
        deadline: None,
        done: &AtomicUsize::new(0),
    };
    let before = all_verdicts(&rules, universes, direction);
    let (nodes, pods): (Vec<_>, Vec<_>) = rules.iter().partition(|(_, rule)| rule.subject.node);
    let mut answers = Vec::new();
    for own in [nodes, pods] {
        let own: Vec<_> = own.into_iter().map(|(id, _)| id).collect();
        let group = Group {
            own: own.clone(),
            others: Vec::new(),
        };
        let mut asker = Asker::new(&context, &group);
        for id in &own {
            let rule = rules.rule(*id).unwrap();
            let near = Near::new(&algebra, *id, rule, &BTreeSet::new());
            let question = removal(&asker.frame, &asker.rules, &context, *id, &near);
            let matters = asker.ask(&question) == Answer::Sat;
            assert!(
                !(matters && near.is_contained(&algebra, rule)),
                "a rule that matters is said to be contained"
            );
            let removed = build(drafts, direction, &BTreeSet::from([*id]));
            let changed = all_verdicts(&removed, universes, direction) != before;
            answers.push((matters, changed));
        }
    }
    answers
}

/// Whether solver and enumeration agree on which rules matter, one by one.
fn agrees(drafts: &[Draft], direction: Direction, universes: &[Universe]) -> Result<(), String> {
    let answers = both(drafts, direction, universes);
    match answers.iter().find(|(matters, changed)| matters != changed) {
        None => Ok(()),
        Some((matters, changed)) => Err(format!("solver {matters}, enumeration {changed}")),
    }
}

/// Rules that could not be resolved mean anyone or nobody: what matters in either case matters.
fn agrees_in_doubt(
    drafts: &[Draft],
    direction: Direction,
    universes: &[Universe],
) -> Result<(), String> {
    let rules = build(drafts, direction, &BTreeSet::new());
    let answers = both(drafts, direction, universes);
    let open: Vec<usize> = (0..drafts.len())
        .filter(|at| drafts[*at].unresolved)
        .collect();
    let mut changes = vec![false; drafts.len()];
    for choice in 0..1_u32 << open.len() {
        let mut resolved = drafts.to_vec();
        for (bit, at) in open.iter().enumerate() {
            resolved[*at].unresolved = false;
            if choice >> bit & 1 == 1 {
                resolved[*at].peers = Some(vec![]);
            }
        }
        let all = build(&resolved, direction, &BTreeSet::new());
        let before = all_verdicts(&all, universes, direction);
        for (at, change) in changes.iter_mut().enumerate() {
            let removed = build(&resolved, direction, &BTreeSet::from([RuleId::at(at)]));
            *change |= all_verdicts(&removed, universes, direction) != before;
        }
    }
    for ((id, _), ((matters, _), changed)) in rules.iter().zip(answers.iter().zip(changes)) {
        if *matters != changed {
            return Err(format!(
                "rule {}: solver {matters}, enumeration {changed}",
                id.0
            ));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn solver_and_enumeration_agree_on_what_matters(
        drafts in prop::collection::vec(draft(), 1..6),
        direction in direction(),
    ) {
        let agreed = agrees(&drafts, direction, &universes());
        prop_assert!(agreed.is_ok(), "{agreed:?}");
    }

    #[test]
    fn they_agree_across_tiers(
        drafts in prop::collection::vec(leveled(), 2..6),
        direction in direction(),
    ) {
        let agreed = agrees(&drafts, direction, &universes());
        prop_assert!(agreed.is_ok(), "{agreed:?}");
    }

    #[test]
    fn they_agree_on_policies_of_nodes(
        drafts in prop::collection::vec(of_nodes(), 1..5),
        direction in direction(),
    ) {
        let agreed = agrees(&drafts, direction, &universes());
        prop_assert!(agreed.is_ok(), "{agreed:?}");
    }

    /// What is called needless changes nothing, whatever proxies and authentication are asked for.
    #[test]
    fn what_asks_for_more_is_never_less_needed(
        drafts in prop::collection::vec(demanding(), 1..6),
        direction in direction(),
    ) {
        let universes = universes();
        let before = outcomes(&build(&drafts, direction, &BTreeSet::new()), &universes, direction);
        for (at, (matters, _)) in both(&drafts, direction, &universes).into_iter().enumerate() {
            let without = build(&drafts, direction, &BTreeSet::from([RuleId::at(at)]));
            let same = outcomes(&without, &universes, direction) == before;
            prop_assert!(matters || same, "rule {at} is needed, yet called needless");
        }
    }

    /// What is reported can be removed, all at once, and what an allow is said to lose it does lose.
    #[test]
    fn findings_hold_in_every_tiny_universe(
        drafts in prop_oneof![
            prop::collection::vec(leveled(), 2..7),
            prop::collection::vec(demanding(), 2..7),
        ],
        direction in direction(),
    ) {
        let rules = build(&drafts, direction, &BTreeSet::new());
        let settings = settings();
        let report = super::run(&rules, &settings, &Options::default(), None);
        let of = |code| -> BTreeSet<RuleId> {
            let found = report.findings.iter().filter(|finding| finding.code == code);
            found.map(|finding| RuleId(finding.span().unwrap().start)).collect()
        };
        prop_assert!(of(codes::COUNTEREXAMPLE).is_empty(), "the model confirms every example");
        let universes = universes();
        let before = outcomes(&rules, &universes, direction);
        let conflict = before.iter().any(|(conflict, ..)| *conflict);
        prop_assert!(conflict || report.stats.undecided == 0);
        let mut gone = of(codes::SHADOWED_RULE);
        gone.append(&mut of(codes::DUPLICATE_RULE));
        let after = outcomes(&build(&drafts, direction, &gone), &universes, direction);
        prop_assert_eq!(before, after, "removing {:?} changes nothing", gone);
        for id in of(codes::DENIED_RULE) {
            for universe in &universes {
                prop_assert!(!ever_allows(&rules, universe, direction, id));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn they_agree_where_services_may_not_exist(
        drafts in prop::collection::vec(doubtful(), 1..4),
        direction in direction(),
    ) {
        let agreed = agrees_in_doubt(&drafts, direction, &universes());
        prop_assert!(agreed.is_ok(), "{agreed:?}");
    }
}

fn ever_allows(rules: &RuleSet, universe: &Universe, direction: Direction, id: RuleId) -> bool {
    let resolved = Resolved::new(rules, universe);
    let model = Model::build(&resolved, &settings());
    let mut found = false;
    for subject in (0..universe.endpoints().len()).map(EndpointId::at) {
        flows(universe, subject, direction, |flow| {
            let verdict = model.eval(flow);
            found |= verdict.allowed && verdict.rules.contains(&id);
        });
    }
    found
}

/// The second rule matches nothing, because pods of one namespace share its labels; it takes that fact to see it, and
/// random rules seldom ask for it.
fn one_namespace_two_teams() -> [Draft; 2] {
    let red = || vec![Arc::from("red")];
    let isolate = Draft {
        peers: Some(vec![]),
        ..Draft::plain()
    };
    let within = Requirement::new(key(NAMESPACE), Operator::In(vec![Arc::from("x")]));
    let other_team = Requirement::new(team(), Operator::NotIn(red()));
    let crossing = Draft {
        subject: vec![Requirement::new(team(), Operator::In(red()))],
        peers: Some(vec![DraftPeer::Labels(vec![within, other_team])]),
        ..isolate.clone()
    };
    [isolate, crossing]
}

/// A pass is followed by a deny of its own tier and an allow of the next, so it makes a difference where it leads.
fn passed_over() -> [Draft; 3] {
    let admin = |action, priority| Draft {
        namespace: None,
        action,
        level: Level {
            tier: Tier::Admin,
            priority,
        },
        default_deny: false,
        ..Draft::plain()
    };
    [
        admin(Action::Pass, 1),
        admin(Action::Deny, 2),
        Draft::plain(),
    ]
}

/// Agreement is worth something only if a wrong encoding breaks it.
#[test]
fn every_mutant_of_the_encoding_is_caught() {
    let universes = universes();
    for fault in Mutant::ALL {
        let mut runner = TestRunner::deterministic();
        let strategy = (prop::collection::vec(leveled(), 2..6), direction());
        let notices = |drafts: &[Draft], direction| {
            mutant::set(Some(fault));
            let agreed = agrees(drafts, direction, &universes);
            mutant::set(None);
            agreed.is_err()
        };
        let caught = notices(&one_namespace_two_teams(), Direction::Ingress)
            || notices(&passed_over(), Direction::Ingress)
            || (0..400).any(|_| {
                let (drafts, direction) = strategy.new_tree(&mut runner).unwrap().current();
                notices(&drafts, direction)
            });
        assert!(caught, "{fault:?} goes unnoticed");
    }
}
