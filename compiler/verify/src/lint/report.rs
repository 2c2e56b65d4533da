//! What is said of a rule, with a flow that shows it.

use std::collections::BTreeSet;

use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Rule, RuleSet};

use super::cover::rank;
use super::example::Example;
use super::group::{Outcome, Run};
use super::near::Near;
use super::text::{self, Reason};
use super::{Context, Found, Group};

/// Puts what came of a rule into words.
pub(super) fn tell(context: &Context<'_>, id: RuleId, rule: &Rule, outcome: &Outcome) -> Found {
    let mut found = Found::default();
    if context.is_late() {
        found.stats.undecided += 1;
        return found;
    }
    let others = match outcome {
        Outcome::Idle { .. } => Vec::new(),
        Outcome::Kept(near) => near.touching.clone(),
    };
    let group = Group {
        own: vec![id],
        others,
    };
    let mut run = Run::new(context, &group, &BTreeSet::new());
    let told = match outcome {
        Outcome::Idle { reason, avoided } => run.report(id, rule, reason, avoided, &mut found),
        Outcome::Kept(near) => { run.overlaps(id, rule, near, &mut found) }
            .and_then(|()| run.bypass(id, rule, near, &mut found)),
    };
    if let Err(why) = told {
        found.undecided(context, id, &why);
    }
    found.stats.questions += run.questions;
    found.conflicts = run.conflicts;
    found
}

impl Run<'_> {
    /// Reports a reason, with a flow that the rule matches and that the model judges as the reason says.
    fn report(
        &mut self,
        id: RuleId,
        rule: &Rule,
        reason: &Reason,
        avoided: &[RuleId],
        found: &mut Found,
    ) -> Result<(), String> {
        let context = self.context;
        let (witness, judgement) = match self.example(rule, &[id], avoided)? {
            Example::Flow(flow) => *flow,
            Example::Broken => return Ok(()),
            Example::None => {
                found.findings.push(text::no_flow(context.rules, id));
                return Ok(());
            }
        };
        let finding = if reason.fits(id, &judgement) {
            text::needless(context.rules, id, reason, &witness, &judgement)
        } else {
            text::not_confirmed(context.rules, id, &witness)
        };
        found.findings.push(finding);
        Ok(())
    }

    /// Denies that take part of an allow's flows, the widest ones with an example.
    fn overlaps(
        &mut self,
        id: RuleId,
        rule: &Rule,
        near: &Near,
        found: &mut Found,
    ) -> Result<(), String> {
        let rules = self.context.rules;
        let mut denies = near.denies.clone();
        denies.sort_by_key(|deny| {
            let rank = rules.rule(*deny).map(|deny| rank(rule, deny));
            (std::cmp::Reverse(rank), *deny)
        });
        let mut cuts = Vec::new();
        let mut example = None;
        let mut more = 0;
        for deny in denies {
            if cuts.len() == text::SHOWN {
                more += 1;
                continue;
            }
            for (matched, avoided) in words(rules, id, deny, &near.touching) {
                if example.is_some() {
                    if self.has_flow(&matched, &avoided)? {
                        cuts.push(deny);
                        break;
                    }
                } else if let Example::Flow(flow) = self.example(rule, &matched, &avoided)? {
                    cuts.push(deny);
                    example = Some(*flow);
                    break;
                }
            }
        }
        let Some((witness, judgement)) = example else {
            return Ok(());
        };
        let deny = cuts.first().copied().unwrap_or(id);
        let confirmed = !judgement.verdict.allowed
            && judgement.verdict.rules.contains(&deny)
            && judgement.matching.contains(&id);
        found.findings.push(if confirmed {
            text::overlap(rules, id, &cuts, more, &witness, &judgement)
        } else {
            text::not_confirmed(rules, id, &witness)
        });
        Ok(())
    }
}

/// Where a deny has the word over an allow: flows that match all of some rules and none of others, for each of the ways
/// past what touches the allow at earlier levels. Either none of that matches, or the first of it that does is a pass of an
/// earlier tier, which leads past the rest of that tier.
fn words(
    rules: &RuleSet,
    id: RuleId,
    deny: RuleId,
    touching: &[RuleId],
) -> Vec<(Vec<RuleId>, Vec<RuleId>)> {
    let Some(level) = rules.rule(deny).map(|deny| deny.level) else {
        return Vec::new();
    };
    let earlier = touching
        .iter()
        .filter_map(|id| Some((*id, rules.rule(*id)?)));
    let earlier: Vec<_> = earlier.filter(|(_, one)| one.level < level).collect();
    let leads_past = |one: &Rule| one.action == Action::Pass && one.level.tier < level.tier;
    let (passes, others): (Vec<_>, Vec<_>) =
        earlier.into_iter().partition(|(_, one)| leads_past(one));
    let all = others.iter().map(|(id, _)| *id).collect();
    let through = passes.into_iter().map(|(pass, leading)| {
        let skipped =
            |one: &Rule| one.level.tier == leading.level.tier && one.level > leading.level;
        let avoided = others.iter().filter(|(_, one)| !skipped(one));
        (vec![id, deny, pass], avoided.map(|(id, _)| *id).collect())
    });
    std::iter::once((vec![id, deny], all))
        .chain(through)
        .collect()
}
