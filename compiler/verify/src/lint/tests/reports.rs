//! What reports say of rules, against every flow of tiny universes.

use std::collections::BTreeSet;

use policyc_diag::{Code, Diagnostic, Severity, codes};
use policyc_ir::l7::{Content, Parser};
use policyc_ir::model::request::{Answer, Http, Request};
use policyc_ir::model::{Flow, Model, Reason};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Action, Direction, Level, RuleSet, Services, Tier};
use policyc_ir::universe::Universe;
use policyc_ir::{EndpointId, RuleId};
use proptest::prelude::*;

use crate::Options;
use crate::tiny::{Draft, build, demanding, direction, draft, flows, leveled, settings, universes};

/// Some of the universes, where flows are many and questions slow.
fn few() -> Vec<Universe> {
    universes().into_iter().step_by(6).collect()
}

/// The rules that a finding shows, the one it is about first.
fn shown(finding: &Diagnostic) -> Vec<RuleId> {
    let spans = finding.labels.iter().map(|label| label.span);
    spans.map(|span| RuleId(span.start)).collect()
}

/// A flow, the rules that match it, and who has the word.
struct Judged<'a> {
    model: &'a Model<'a>,
    flow: &'a Flow,
    matching: Vec<RuleId>,
}

/// Calls a function with every flow of every universe.
fn judged(
    rules: &RuleSet,
    universes: &[Universe],
    direction: Direction,
    mut with: impl FnMut(&Judged<'_>),
) {
    let settings = settings();
    for universe in universes {
        let resolved = Resolved::new(rules, universe);
        let model = Model::build(&resolved, &settings);
        for subject in (0..universe.endpoints().len()).map(EndpointId::at) {
            let ports = &universe.endpoint(subject).unwrap().ports;
            let policy = model.policy_of(subject).unwrap();
            flows(universe, subject, direction, |flow| {
                let applied = policy.direction(direction).rules.iter().copied();
                let matches = |id: &RuleId| model.matches(rules.rule(*id).unwrap(), ports, flow);
                let matching = applied.filter(matches).collect();
                with(&Judged {
                    model: &model,
                    flow,
                    matching,
                });
            });
        }
    }
}

/// Everything that is said of a set of rules.
struct Said {
    rules: RuleSet,
    findings: Vec<Diagnostic>,
}

impl Said {
    fn of(drafts: &[Draft], direction: Direction) -> Self {
        let rules = build(drafts, direction, &BTreeSet::new());
        let report = crate::check(&rules, &settings(), &Options::default());
        let findings = report.findings;
        Self { rules, findings }
    }

    fn with(&self, code: Code) -> impl Iterator<Item = &Diagnostic> {
        self.findings
            .iter()
            .filter(move |finding| finding.code == code)
    }
}

/// Of a cover, each member matches some flow of the rule that no other member does, and together they match all.
fn is_minimal(said: &Said, universes: &[Universe], direction: Direction) -> Result<(), String> {
    let covers = [codes::SHADOWED_RULE, codes::DENIED_RULE];
    let covers = covers.iter().flat_map(|code| said.with(*code)).map(shown);
    for list in covers.filter(|list| (2..=6).contains(&list.len())) {
        let (id, cover) = list.split_first().unwrap();
        let mut alone = BTreeSet::new();
        let mut outside = false;
        judged(&said.rules, universes, direction, |judged| {
            if judged.matching.contains(id) {
                let by = cover.iter().filter(|one| judged.matching.contains(one));
                let by: Vec<_> = by.collect();
                outside |= by.is_empty();
                if let [one] = by.as_slice() {
                    alone.insert(**one);
                }
            }
        });
        if outside || alone.len() != cover.len() {
            return Err(format!("{list:?}: outside {outside}, needed {alone:?}"));
        }
    }
    Ok(())
}

/// Denies that are said to take part of an allow do, and no allow of which nothing is said loses anything.
fn cuts_are_right(said: &Said, universes: &[Universe], direction: Direction) -> Result<(), String> {
    let cuts: Vec<_> = said.with(codes::ALLOW_DENY_OVERLAP).map(shown).collect();
    let mut seen = BTreeSet::new();
    let mut lost = BTreeSet::new();
    judged(&said.rules, universes, direction, |judged| {
        let verdict = judged.model.eval(judged.flow);
        if verdict.reason == Reason::Rule(Action::Deny) {
            for id in &judged.matching {
                let rule = said.rules.rule(*id).unwrap();
                let by = said.rules.rule(*verdict.rules.first().unwrap()).unwrap();
                if rule.action == Action::Allow && by.level <= rule.level {
                    seen.extend(verdict.rules.iter().map(|deny| (*id, *deny)));
                    lost.insert(*id);
                }
            }
        }
    });
    for list in &cuts {
        let (id, denies) = list.split_first().unwrap();
        if let Some(deny) = denies.iter().find(|deny| !seen.contains(&(*id, **deny))) {
            return Err(format!("{deny:?} takes nothing of {id:?}"));
        }
    }
    let spoken: BTreeSet<_> = said
        .findings
        .iter()
        .map(|finding| shown(finding)[0])
        .collect();
    match lost.iter().find(|id| !spoken.contains(id)) {
        Some(id) => Err(format!("nothing is said of {id:?}, which denies cut")),
        None => Ok(()),
    }
}

/// A request that no rule of the vocabulary lets through on purpose.
fn odd(rules: &RuleSet, id: RuleId) -> Option<Request> {
    match &rules.rule(id)?.l7.as_ref()?.content {
        Content::Http(_) => Some(Request::Http(Http {
            method: "BREW".to_owned(),
            path: "/pot".to_owned(),
            host: "pot.example".to_owned(),
            ..Http::default()
        })),
        Content::Dns(_) => Some(Request::Dns("pot.invalid".to_owned())),
        _ => None,
    }
}

/// Whether an allow speaks of the same protocol as the rule, or of none.
fn is_plain(rules: &RuleSet, id: RuleId) -> bool {
    let rule = rules.rule(id).unwrap();
    rule.action == Action::Allow && rule.l7.is_none()
}

/// Rules that are said to refuse nothing refuse nothing, and those of which nothing is said do refuse.
fn layer7_is_right(
    said: &Said,
    universes: &[Universe],
    direction: Direction,
) -> Result<(), String> {
    let whole = |finding: &&Diagnostic| finding.severity == Severity::Warning;
    let pointless = said.with(codes::POINTLESS_L7);
    let whole: BTreeSet<_> = pointless.filter(whole).map(|one| shown(one)[0]).collect();
    let spoken: BTreeSet<_> = said.findings.iter().map(|one| shown(one)[0]).collect();
    let mut wrong = None;
    judged(&said.rules, universes, direction, |judged| {
        let verdict = judged.model.eval(judged.flow);
        if verdict.reason == Reason::Conflict || !verdict.allowed {
            return;
        }
        for id in &judged.matching {
            let Some(request) = odd(&said.rules, *id) else {
                continue;
            };
            let passes = || judged.model.request(judged.flow, &request) == Answer::Passed;
            if whole.contains(id) && !passes() {
                wrong = Some(format!(
                    "{id:?} refuses something after all: {:?}",
                    judged.flow
                ));
            }
            // Who else matches may open the connection on its own account, beside the plain allows.
            let mut others = judged.matching.iter().filter(|other| *other != id);
            let by_plain = others.all(|other| is_plain(&said.rules, *other));
            let dns =
                said.rules.rule(*id).unwrap().l7.as_ref().unwrap().parser() == Some(Parser::Dns);
            let deciding = verdict.rules.contains(id) || !dns;
            let plain = by_plain && judged.matching.len() > 1 && deciding;
            if plain && !spoken.contains(id) && watches(said, *id) && passes() {
                wrong = Some(format!("nothing is said of {id:?}: {:?}", judged.flow));
            }
        }
    });
    wrong.map_or(Ok(()), Err)
}

/// Whether the rule refuses requests by itself: its subjects are in default deny on its account.
fn watches(said: &Said, id: RuleId) -> bool {
    said.rules.rule(id).unwrap().default_deny
}

/// Pairs that are said to exclude each other leave some subject without a policy, and no subject is left without one
/// of which nothing is said.
fn conflicts_are_right(said: &Said, universes: &[Universe]) -> Result<(), String> {
    let sorted = |mut list: Vec<RuleId>| {
        list.sort_unstable();
        list
    };
    let told = said.with(codes::CONFLICTING_RULES).map(shown).map(sorted);
    let told: BTreeSet<_> = told.collect();
    let mut seen = BTreeSet::new();
    for universe in universes {
        let resolved = Resolved::new(&said.rules, universe);
        let model = Model::build(&resolved, &settings());
        for conflict in model.policies().iter().filter_map(|policy| policy.conflict) {
            let mut pair = vec![conflict.first, conflict.second];
            pair.dedup();
            seen.insert(sorted(pair));
        }
    }
    if let Some(pair) = told.iter().find(|pair| !seen.contains(*pair)) {
        return Err(format!("{pair:?} go together after all"));
    }
    if told.is_empty() && !seen.is_empty() {
        return Err(format!("nothing is said of {seen:?}"));
    }
    Ok(())
}

/// A pass is no last word: what it leads to may be denied there, whatever it leads past.
#[test]
fn denies_behind_a_pass_are_told() {
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
    let deny = Draft {
        action: Action::Deny,
        services: Services::Of(vec![L4 {
            protocol: Protocol::TCP,
            ports: Ports::Range(80, 80),
        }]),
        ..Draft::plain()
    };
    let (pass, past) = (admin(Action::Pass, 1), admin(Action::Allow, 2));
    for drafts in [
        vec![pass.clone(), Draft::plain(), deny.clone()],
        vec![pass, past, Draft::plain(), deny],
    ] {
        for direction in [Direction::Ingress, Direction::Egress] {
            let said = Said::of(&drafts, direction);
            assert_eq!(cuts_are_right(&said, &universes(), direction), Ok(()));
            assert_eq!(said.with(codes::ALLOW_DENY_OVERLAP).count(), 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn covers_are_minimal(
        drafts in prop::collection::vec(draft(), 3..8),
        direction in direction(),
    ) {
        let said = Said::of(&drafts, direction);
        let right = is_minimal(&said, &universes(), direction);
        prop_assert!(right.is_ok(), "{right:?}");
    }

    #[test]
    fn denies_take_what_they_are_said_to_take(
        drafts in prop::collection::vec(leveled(), 2..6),
        direction in direction(),
    ) {
        let said = Said::of(&drafts, direction);
        let right = cuts_are_right(&said, &universes(), direction);
        prop_assert!(right.is_ok(), "{right:?}");
    }

    #[test]
    fn requests_slip_through_where_it_is_said(
        drafts in prop::collection::vec(demanding(), 2..6),
        direction in direction(),
    ) {
        let said = Said::of(&drafts, direction);
        let universes = few();
        let right = layer7_is_right(&said, &universes, direction)
            .and_then(|()| conflicts_are_right(&said, &universes));
        prop_assert!(right.is_ok(), "{right:?}");
    }

    /// Of two rules that say the same either can go.
    #[test]
    fn duplicates_can_go_either_way(
        drafts in prop::collection::vec(demanding(), 2..4),
        twice in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        direction in direction(),
    ) {
        let mut drafts = drafts;
        for at in &twice {
            let copy = drafts[at.index(drafts.len())].clone();
            drafts.push(copy);
        }
        let said = Said::of(&drafts, direction);
        let universes = few();
        let before = crate::tiny::outcomes(&said.rules, &universes, direction);
        for finding in said.with(codes::DUPLICATE_RULE) {
            for id in shown(finding) {
                let rules = build(&drafts, direction, &BTreeSet::from([id]));
                let after = crate::tiny::outcomes(&rules, &universes, direction);
                prop_assert!(after == before, "{} can go", id.0);
            }
        }
        // A copy is found wherever the rule means anything and cannot leave its subjects without a policy.
        let conflicts = before.iter().any(|(conflict, ..)| *conflict);
        let copied = said.with(codes::DUPLICATE_RULE).count();
        let spoken: BTreeSet<_> = said.findings.iter().map(|one| shown(one)[0]).collect();
        let last = RuleId::at(drafts.len() - 1);
        let mut means = false;
        judged(&said.rules, &universes, direction, |one| means |= one.matching.contains(&last));
        let found = copied > 0 || spoken.contains(&last);
        prop_assert!(conflicts || !means || found, "the copy is found");
    }
}
