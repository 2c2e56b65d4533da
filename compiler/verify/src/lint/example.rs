//! Flows that show what a finding says, and flows that show that there is none.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::model::Reason;
use policyc_ir::rule::{Direction, Rule};

use super::asker::{Asker, removal};
use super::group::Run;
use super::near::Near;
use super::text;
use super::{Context, Group};
use crate::encode::Seat;
use crate::encode::draw::Pick;
use crate::replay::{Judgement, Stage};
use crate::term::Assignment;
use crate::witness::{self, Witness};

/// How many flows of a rule are drawn.
const DRAWS: u64 = 16;

/// How many rules of other actions they are drawn to match as well.
const PARTNERS: usize = 6;

/// Changes to a flow that are tried to get it away from other rules.
const STEPS: usize = 96;

impl Run<'_> {
    /// Whether a drawn flow of the rule is judged otherwise without it.
    pub(super) fn drawn_flow_changes(&mut self, id: RuleId, rule: &Rule, near: &Near) -> bool {
        let drawn = self.draw(id, rule);
        let context = self.context;
        let asker = self.asker();
        let changes = |values: &Assignment| changes(context, asker, id, near, values);
        let found = drawn.iter().any(&changes)
            || drawn.first().is_some_and(|first| {
                let improved = improve(context, asker, id, rule, near, first);
                improved.is_some_and(|values| changes(&values))
            });
        self.drawn = Some(drawn);
        found
    }

    /// Whether a drawn flow of the rule is matched by none of the others.
    pub(super) fn drawn_flow_escapes(
        &mut self,
        id: RuleId,
        rule: &Rule,
        others: &[RuleId],
    ) -> bool {
        let drawn = self.draw(id, rule);
        let asker = self.asker();
        let others: Vec<_> = others.iter().filter_map(|id| asker.rules.get(id)).collect();
        let escapes = drawn
            .iter()
            .any(|values| !others.iter().any(|other| other.matches_in(values)));
        self.drawn = Some(drawn);
        escapes
    }

    /// Flows of the rule; some match rules of other actions too.
    fn draw(&mut self, id: RuleId, rule: &Rule) -> Vec<Assignment> {
        if let Some(drawn) = self.drawn.take() {
            return drawn;
        }
        let context = self.context;
        let partners = std::mem::take(&mut self.partners);
        let asker = self.asker();
        let Some(encoded) = asker.rules.get(&id) else {
            return Vec::new();
        };
        let mut drawn = Vec::new();
        for number in 0..DRAWS {
            let mut musts = vec![rule];
            if number % 2 == 1 && !partners.is_empty() {
                let at = usize::try_from(number / 2).unwrap_or(0) % partners.len();
                let partner = partners.get(at).and_then(|id| context.rules.rule(*id));
                musts.extend(partner);
            }
            let seed = (u64::from(id.0) << 8 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut pick = Pick::Random(seed | 1);
            let values = asker.frame.draw(context.algebra, &musts, &mut pick);
            drawn.extend(values.filter(|values| encoded.matches_in(values)));
        }
        drawn
    }

    /// Rules that a flow which shows that a rule matters is likely to match too: those of other actions, and allows
    /// that ask for more than layer 4. A few of them, from all over the list.
    pub(super) fn partners(&self, rule: &Rule, near: &Near) -> Vec<RuleId> {
        let other = |id: &&RuleId| {
            let other = self.context.rules.rule(**id);
            other.is_some_and(|other| other.action != rule.action)
        };
        let special = |id: &&RuleId| near.effects.special.contains(id);
        let some = |all: Vec<RuleId>| {
            let step = all.len().div_ceil(PARTNERS).max(1);
            all.into_iter().step_by(step)
        };
        let special = near.touching.iter().filter(special).copied().collect();
        let others = near.touching.iter().filter(other).copied().collect();
        some(special).chain(some(others)).collect()
    }

    /// A flow that all of `matched` match and none of `avoided` does, and what the model says of it.
    pub(super) fn example(
        &mut self,
        rule: &Rule,
        matched: &[RuleId],
        avoided: &[RuleId],
    ) -> Result<Option<(Witness, Judgement)>, String> {
        let group = Group {
            own: matched.to_vec(),
            others: avoided.to_vec(),
        };
        let mut asker = Asker::for_example(self.context, &group);
        let hints = text::port_hints(self.context.rules, matched);
        let mut values = self.drawn_example(&asker, matched, avoided, &hints);
        if values.is_none() {
            self.questions += 1;
            values = solved_example(&mut asker, matched, avoided, &hints)?;
        }
        let Some(values) = values else {
            return Ok(None);
        };
        let witness = witness::decode(&asker.frame, &values)?;
        let destination = match rule.direction {
            Direction::Ingress => Seat::First,
            Direction::Egress => Seat::Second,
        };
        let stage = Stage::new(self.context.library, &witness, destination);
        let judgement = stage.judge(&witness, Seat::First, rule.direction);
        match judgement {
            None => Err("the example's subject has no policy".to_owned()),
            Some(judgement) if judgement.verdict.reason == Reason::Conflict => {
                Err("rules of the example's subject exclude each other".to_owned())
            }
            Some(judgement) => Ok(Some((witness, judgement))),
        }
    }

    fn drawn_example(
        &self,
        asker: &Asker,
        matched: &[RuleId],
        avoided: &[RuleId],
        hints: &[u16],
    ) -> Option<Assignment> {
        let rules: Vec<&Rule> = matched
            .iter()
            .filter_map(|id| self.context.rules.rule(*id))
            .collect();
        let mut pick = Pick::Nice(hints.to_vec());
        let values = asker.frame.draw(self.context.algebra, &rules, &mut pick)?;
        let matches = |id: &RuleId| {
            let rule = asker.rules.get(id);
            rule.is_some_and(|rule| rule.matches_in(&values))
        };
        (matched.iter().all(matches) && !avoided.iter().any(matches)).then_some(values)
    }
}

/// Starting from a flow of the rule, one that fewer and at last no other rules match.
fn improve(
    context: &Context<'_>,
    asker: &Asker,
    id: RuleId,
    rule: &Rule,
    near: &Near,
    start: &Assignment,
) -> Option<Assignment> {
    let own = asker.rules.get(&id)?;
    let others: Vec<_> = near
        .touching
        .iter()
        .filter_map(|id| asker.rules.get(id))
        .collect();
    let count = |values: &Assignment| {
        others
            .iter()
            .filter(|other| other.matches_in(values))
            .count()
    };
    let (mut best, mut left) = (start.clone(), count(start));
    let mut pick = Pick::Random(u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..STEPS {
        if left == 0 {
            break;
        }
        let next = asker.frame.redraw(context.algebra, rule, &mut pick, &best);
        let Some(next) = next.filter(|next| own.matches_in(next)) else {
            continue;
        };
        let now = count(&next);
        if now <= left {
            (best, left) = (next, now);
        }
    }
    (left == 0).then_some(best)
}

/// It has a solver of its own that knows only these rules: fewer labels to choose, and the same flow whatever was
/// asked before.
fn solved_example(
    asker: &mut Asker,
    matched: &[RuleId],
    avoided: &[RuleId],
    hints: &[u16],
) -> Result<Option<Assignment>, String> {
    let positive = matched.iter().map(|id| (*id, true));
    let negative = avoided.iter().map(|id| (*id, false));
    let assumed: Vec<_> = positive
        .chain(negative)
        .map(|(id, positive)| asker.matches(id, positive))
        .collect();
    let wishes = asker.frame.wishes(hints);
    witness::find(asker.solver(), &wishes, &assumed)
}

/// Whether a flow is judged otherwise without the rule. Which rules match it is known, so the question is about
/// constants.
fn changes(
    context: &Context<'_>,
    asker: &Asker,
    id: RuleId,
    near: &Near,
    values: &Assignment,
) -> bool {
    let mut known = BTreeMap::new();
    for id in near.touching.iter().chain([&id]) {
        if let Some(rule) = asker.rules.get(id) {
            let selects = rule.selects_in(values);
            known.insert(*id, rule.known(selects, selects && rule.matches_in(values)));
        }
    }
    // Of the others it counts only whether some select the subject, and whether one of those enforces.
    let others = near
        .slice
        .iter()
        .filter_map(|id| Some((*id, asker.rules.get(id)?)));
    let mut selecting = others
        .filter(|(_, rule)| rule.selects_in(values))
        .peekable();
    let first = selecting.peek().copied();
    let enforcing = selecting.find(|(_, rule)| rule.default_deny);
    for (id, rule) in first.into_iter().chain(enforcing) {
        known.entry(id).or_insert_with(|| rule.known(true, false));
    }
    removal(&asker.frame, &known, context, id, near).eval(values)
}
