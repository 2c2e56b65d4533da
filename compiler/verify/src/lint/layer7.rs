//! Layer 7 rules that restrict nothing, because layer 4 lets the same connections through.
//!
//! Envoy asks one rule after the other until one lets a request through, so a plain allow beside HTTP rules opens them.
//! The DNS proxy knows the rules of one port only. The model says which requests pass, and each finding shows one.

use policyc_ir::RuleId;
use policyc_ir::l7::{Auth, Parser};
use policyc_ir::model::request::{Answer, Request};
use policyc_ir::rule::{Action, Rule, RuleSet, Services};

use super::Found;
use super::example::Wanted;
use super::group::Run;
use super::near::Near;
use super::text::{self, Slip};
use crate::encode::Seat;
use crate::replay::Stage;

/// Requests that a rule is likely to refuse.
mod request;

pub(super) use request::show;

/// How many plain allows are tried for one rule.
const TRIED: usize = 8;

/// How many connections are tried for each.
const STEPS: usize = 6;

impl Run<'_> {
    /// Allows of layer 4 that let requests through which the rule means to refuse.
    pub(super) fn bypass(
        &mut self,
        id: RuleId,
        rule: &Rule,
        near: &Near,
        found: &mut Found,
    ) -> Result<(), String> {
        let rules = self.context.rules;
        let Some(requests) = rule.l7.as_deref().map(request::refused) else {
            return Ok(());
        };
        if requests.is_empty() || rule.action != Action::Allow {
            return Ok(());
        }
        let plain = plain(rules, rule, near);
        if plain.is_empty() {
            return Ok(());
        }
        let mut certain = plain.clone();
        certain.retain(|other| {
            rules
                .rule(*other)
                .is_some_and(|other| is_asked(rule, other))
        });
        let cover = self.cover(id, rule, &certain)?;
        let tried = cover.as_ref().unwrap_or(&plain).clone();
        for other in tried.into_iter().take(TRIED) {
            let around = Around {
                near,
                plain: &plain,
            };
            if let Some(slip) = self.slip(id, rule, other, &around, &requests)? {
                let whole = cover.is_some();
                let by = cover.unwrap_or_else(|| vec![other]);
                let finding = text::pointless(rules, id, &by, whole, &slip);
                found.findings.push(finding);
                break;
            }
        }
        Ok(())
    }

    /// A request that passes only because of plain allows, on a connection that the rule and one of those match.
    fn slip(
        &mut self,
        id: RuleId,
        rule: &Rule,
        other: RuleId,
        around: &Around<'_>,
        requests: &[Request],
    ) -> Result<Option<Slip>, String> {
        let Around { near, plain } = around;
        let matched = [id, other];
        let mut avoided: Vec<RuleId> = Vec::new();
        for _ in 0..STEPS {
            let wanted = Wanted {
                matched: &matched,
                avoided: &avoided,
                rough: !avoided.is_empty(),
                ..Wanted::default()
            };
            let Some(witness) = self.flow(&wanted)? else {
                return Ok(None);
            };
            let library = self.context.library;
            let with = Stage::of_subject(library, &witness, rule.direction, &[]);
            let without = Stage::of_subject(library, &witness, rule.direction, plain);
            let answers = |stage: &Stage<'_>| {
                let answers = stage.requests(&witness, rule.direction, requests);
                answers.unwrap_or_default()
            };
            let both = answers(&with).into_iter().zip(answers(&without));
            let mut slips = requests.iter().zip(both);
            let slips = slips.find(|(_, both)| *both == (Answer::Passed, Answer::Refused));
            if let Some((request, _)) = slips {
                let request = request.clone();
                return Ok(Some(Slip { witness, request }));
            }
            // Perhaps others decide this connection; then one that they leave alone.
            let judgement = with.judge(&witness, Seat::First, rule.direction);
            let decides = |one: &RuleId| {
                let special = near.effects.special.contains(one) || near.denies.contains(one);
                special && !matched.contains(one)
            };
            let matching = judgement.map(|judgement| judgement.matching);
            let known = avoided.len();
            avoided.extend(matching.into_iter().flatten().filter(decides));
            if avoided.len() == known {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

/// The rules around one with layer 7.
struct Around<'a> {
    near: &'a Near,
    /// Allows that let every request of some of its connections through.
    plain: &'a [RuleId],
}

/// The allows that may let requests through which the rule would refuse.
pub(super) fn plain(rules: &RuleSet, rule: &Rule, near: &Near) -> Vec<RuleId> {
    let mut plain = near.touching.clone();
    plain.retain(|other| {
        rule.l7.is_some() && rules.rule(*other).is_some_and(|other| opens(rule, other))
    });
    plain
}

/// Whether an allow may let requests through that the rule would refuse.
fn opens(rule: &Rule, other: &Rule) -> bool {
    other.action == Action::Allow
        && other.l7.is_none()
        && other.auth != Some(Auth::AlwaysFail)
        && !other.unresolved
        && other.level <= rule.level
}

/// Whether the allow is asked wherever the rule is: the DNS proxy knows those of its own port only.
fn is_asked(rule: &Rule, other: &Rule) -> bool {
    let dns = rule
        .l7
        .as_ref()
        .is_some_and(|l7| l7.parser() == Some(Parser::Dns));
    let same = match (&rule.services, &other.services) {
        (Services::Of(own), Services::Of(services)) => own.iter().all(|l4| services.contains(l4)),
        (own, services) => own == services,
    };
    !dns || same
}
