//! Flows that show what a finding says, and flows that show that there is none.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::rule::{Direction, Rule};

use super::asker::{Asker, removal};
use super::group::Run;
use super::near::Near;
use super::text;
use super::{Context, Group};
use crate::encode::draw::Pick;
use crate::encode::{Frame, Seat};
use crate::replay::{Judgement, Stage};
use crate::solver::{Literal, Solver as _};
use crate::term::{Assignment, Term};
use crate::witness::{self, Witness};

/// How many flows of a rule are drawn.
const DRAWS: u64 = 16;

/// How many rules of other actions they are drawn to match as well.
const PARTNERS: usize = 6;

/// How many pairs of rules that exclude each other are kept away from an example.
const CONFLICTS: usize = 24;

/// How many flows are drawn where any will do.
const ROUGH: u64 = 48;

/// From how many rules on that are to be avoided a solver takes too long for a flow that need not be found.
const AVOIDED: usize = 16;

/// Changes to a flow that are tried to get it away from other rules.
const STEPS: usize = 96;

impl Run<'_> {
    /// Whether a drawn flow of the rule is judged otherwise without it.
    pub(super) fn drawn_flow_changes(&mut self, id: RuleId, rule: &Rule, near: &Near) -> bool {
        let mut drawn = self.draw();
        let context = self.context;
        let asker = self.asker();
        let changes = |values: &Assignment| changes(context, asker, id, near, values);
        let found = drawn.any(context, asker, (id, rule), changes)
            || drawn.found.first().is_some_and(|first| {
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
        let mut drawn = self.draw();
        let context = self.context;
        let asker = self.asker();
        let others: Vec<_> = others.iter().filter_map(|id| asker.rules.get(id)).collect();
        let escapes = |values: &Assignment| !others.iter().any(|other| other.matches_in(values));
        let found = drawn.any(context, asker, (id, rule), escapes);
        self.drawn = Some(drawn);
        found
    }

    /// Flows of the rule at hand; some match rules of other actions too.
    fn draw(&mut self) -> Drawn {
        let partners = std::mem::take(&mut self.partners);
        self.drawn.take().unwrap_or_else(|| Drawn::new(partners))
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

    /// A flow that all of `matched` match and none of `avoided` does, and what the model says of it. Subjects whose
    /// rules exclude each other have no policy to show; such rules are noted, and others are looked for.
    pub(super) fn example(
        &mut self,
        rule: &Rule,
        matched: &[RuleId],
        avoided: &[RuleId],
    ) -> Result<Example, String> {
        let mut wanted = Wanted {
            matched,
            avoided,
            ..Wanted::default()
        };
        for _ in 0..CONFLICTS {
            let Some(witness) = self.flow(&wanted)? else {
                return Ok(if wanted.apart.is_empty() {
                    Example::None
                } else {
                    Example::Broken
                });
            };
            let judgement = self.judge(&witness, rule.direction)?;
            let Some(conflict) = judgement.conflict else {
                return Ok(Example::Flow(Box::new((witness, judgement))));
            };
            wanted.apart.push((conflict.first, conflict.second));
            self.conflicts.entry(conflict).or_insert(witness);
        }
        Err("rules of all examples' subjects exclude each other".to_owned())
    }

    /// Whether some flow is matched by all of `matched` and none of `avoided`.
    pub(super) fn has_flow(
        &mut self,
        matched: &[RuleId],
        avoided: &[RuleId],
    ) -> Result<bool, String> {
        let wanted = Wanted {
            matched,
            avoided,
            ..Wanted::default()
        };
        Ok(self.values(&wanted)?.is_some())
    }

    /// Notes a pod without a policy on account of two rules, if there can be one.
    pub(super) fn conflict(&mut self, one: RuleId, other: RuleId) -> Result<(), String> {
        let Some(rule) = self.context.rules.rule(one) else {
            return Ok(());
        };
        let both = [one, other];
        let mut wanted = Wanted {
            selected: &both,
            ..Wanted::default()
        };
        for _ in 0..CONFLICTS {
            let Some(witness) = self.flow(&wanted)? else {
                return Ok(());
            };
            let judgement = self.judge(&witness, rule.direction)?;
            let Some(conflict) = judgement.conflict else {
                return Ok(());
            };
            self.conflicts.entry(conflict).or_insert(witness);
            let found = [conflict.first, conflict.second];
            if both.iter().all(|id| found.contains(id)) {
                return Ok(());
            }
            wanted.apart.push((conflict.first, conflict.second));
        }
        Ok(())
    }

    fn judge(&self, witness: &Witness, direction: Direction) -> Result<Judgement, String> {
        let stage = Stage::of_subject(self.context.library, witness, direction, &[]);
        let judgement = stage.judge(witness, Seat::First, direction);
        judgement.ok_or_else(|| "the example's subject has no policy".to_owned())
    }

    /// The flow that is wanted, if there is one.
    pub(super) fn flow(&mut self, wanted: &Wanted<'_>) -> Result<Option<Witness>, String> {
        let found = self.values(wanted)?;
        let witness = found.map(|(frame, values)| witness::decode(&frame, &values));
        witness.transpose()
    }

    fn values(&mut self, wanted: &Wanted<'_>) -> Result<Option<(Frame, Assignment)>, String> {
        let apart = wanted.apart.iter().flat_map(|(one, other)| [*one, *other]);
        let group = Group {
            own: [wanted.matched, wanted.selected].concat(),
            others: wanted.avoided.iter().copied().chain(apart).collect(),
        };
        let mut asker = Asker::for_example(self.context, &group);
        let hints = text::port_hints(self.context.rules, wanted.matched);
        let mut values = self.drawn_example(&asker, wanted, &hints);
        if values.is_none() && wanted.rough {
            values = self.rough_example(&asker, wanted);
        }
        if values.is_none() && !(wanted.rough && wanted.avoided.len() > AVOIDED) {
            self.questions += 1;
            values = solved_example(&mut asker, wanted, &hints)?;
        }
        Ok(values.map(|values| (asker.frame, values)))
    }

    fn drawn_example(
        &self,
        asker: &Asker,
        wanted: &Wanted<'_>,
        hints: &[u16],
    ) -> Option<Assignment> {
        let musts = wanted.matched.iter().chain(wanted.selected);
        let rules: Vec<&Rule> = musts
            .filter_map(|id| self.context.rules.rule(*id))
            .collect();
        let mut pick = Pick::Nice(hints.to_vec());
        let values = asker.frame.draw(self.context.algebra, &rules, &mut pick)?;
        wanted.fits(asker, &values).then_some(values)
    }
}

/// Flows of a rule, drawn when they are asked for; every other one matches one of the partners too, if it can.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    partners: Vec<RuleId>,
    found: Vec<Assignment>,
    /// How many draws it took.
    draws: u64,
}

impl Drawn {
    pub(super) fn new(partners: Vec<RuleId>) -> Self {
        Self {
            partners,
            ..Self::default()
        }
    }

    /// Whether some flow is as wanted.
    pub(super) fn any(
        &mut self,
        context: &Context<'_>,
        asker: &Asker,
        (id, rule): (RuleId, &Rule),
        wanted: impl Fn(&Assignment) -> bool,
    ) -> bool {
        let mut at = 0;
        loop {
            while let Some(values) = self.found.get(at) {
                if wanted(values) {
                    return true;
                }
                at += 1;
            }
            if self.draws == DRAWS {
                return false;
            }
            self.draw(context, asker, (id, rule));
        }
    }

    fn draw(&mut self, context: &Context<'_>, asker: &Asker, (id, rule): (RuleId, &Rule)) {
        let (number, partners) = (self.draws, &self.partners);
        self.draws += 1;
        let mut musts = vec![rule];
        if number % 2 == 1 && !partners.is_empty() {
            let at = usize::try_from(number / 2).unwrap_or(0) % partners.len();
            let partner = partners.get(at).and_then(|id| context.rules.rule(*id));
            musts.extend(partner);
        }
        let seed = (u64::from(id.0) << 8 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut pick = Pick::Random(seed | 1);
        let values = asker.frame.draw(context.algebra, &musts, &mut pick);
        let encoded = asker.rules.get(&id);
        let matches = |values: &Assignment| encoded.is_some_and(|one| one.matches_in(values));
        self.found.extend(values.filter(matches));
    }
}

impl Run<'_> {
    /// Some flow, as it comes.
    fn rough_example(&self, asker: &Asker, wanted: &Wanted<'_>) -> Option<Assignment> {
        let context = self.context;
        let musts = wanted.matched.iter().chain(wanted.selected);
        let musts: Vec<&Rule> = musts.filter_map(|id| context.rules.rule(*id)).collect();
        (0..ROUGH).find_map(|number: u64| {
            let mut pick = Pick::Random((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let values = asker.frame.draw(context.algebra, &musts, &mut pick)?;
            wanted.fits(asker, &values).then_some(values)
        })
    }
}

/// What came of looking for an example.
#[derive(Debug)]
pub(super) enum Example {
    /// A flow, and what the model says of it.
    Flow(Box<(Witness, Judgement)>),
    /// There is no such flow.
    None,
    /// There are such flows, but none of a subject that has a policy.
    Broken,
}

/// What an example should look like.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// Rules whose subject it is about.
    pub(super) selected: &'a [RuleId],
    /// Rules that match it.
    pub(super) matched: &'a [RuleId],
    /// Rules that do not.
    pub(super) avoided: &'a [RuleId],
    /// Whether any flow will do, and none if it is hard to find.
    pub(super) rough: bool,
    /// Pairs of which no subject is selected by both.
    pub(super) apart: Vec<(RuleId, RuleId)>,
}

impl Wanted<'_> {
    fn fits(&self, asker: &Asker, values: &Assignment) -> bool {
        let known = |id: &RuleId| asker.rules.get(id);
        let matches = |id: &RuleId| known(id).is_some_and(|rule| rule.matches_in(values));
        let selects = |id: &RuleId| known(id).is_some_and(|rule| rule.selects_in(values));
        let mut apart = self.apart.iter();
        self.selected.iter().all(selects)
            && self.matched.iter().all(matches)
            && !self.avoided.iter().any(matches)
            && !apart.any(|(one, other)| selects(one) && selects(other))
    }

    fn literals(&self, asker: &mut Asker) -> Vec<Literal> {
        let positive = self.matched.iter().map(|id| (*id, true));
        let negative = self.avoided.iter().map(|id| (*id, false));
        let mut all: Vec<_> = positive
            .chain(negative)
            .map(|(id, positive)| asker.matches(id, positive))
            .collect();
        let rules = &asker.rules;
        let selects = |id: &RuleId| {
            let rule = rules.get(id);
            rule.map_or(Term::Const(false), |rule| rule.selects.clone())
        };
        let apart = self.apart.iter();
        let apart = apart.map(|(one, other)| selects(one).and(selects(other)).negate());
        let terms: Vec<_> = self.selected.iter().map(selects).chain(apart).collect();
        all.extend(terms.iter().map(|term| asker.solver().literal(term)));
        all
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
    wanted: &Wanted<'_>,
    hints: &[u16],
) -> Result<Option<Assignment>, String> {
    let assumed = wanted.literals(asker);
    let wishes = asker.frame.wishes(hints);
    witness::find(asker.solver(), &wishes, &assumed)
}

/// Whether a flow is judged otherwise without the rule. Which rules match it is known, so the question is about
/// constants, and only rules that select the subject have a part in it.
fn changes(
    context: &Context<'_>,
    asker: &Asker,
    id: RuleId,
    near: &Near,
    values: &Assignment,
) -> bool {
    let mut known = BTreeMap::new();
    for id in near.touching.iter().chain([&id]) {
        if let Some(rule) = asker.rules.get(id)
            && rule.selects_in(values)
        {
            known.insert(*id, rule.known(true, rule.plain.1.eval(values)));
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
