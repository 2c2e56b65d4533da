//! Fewest facts that make a difference certain.
//!
//! A region is found in three steps: an example that differs, all facts that hold of it, and of these the fewest
//! under which no flow is the same on both sides. Only yes and no of the solver count, so the result does not depend
//! on what it was asked before. Then the region is blocked, and the next example looked for.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::model::{Reason, Verdict};
use policyc_ir::port::Ports;
use policyc_ir::rule::{Peers, Rule, Services};

use super::asks::Asks;
use super::component::{Component, Context, Found};
use super::fact::{self, Fact};
use super::goal::goal;
use super::joint::Version;
use super::question::Question;
use super::region::Region;
use super::wide::Wide;
use super::{Change, Example, Told, What};
use crate::encode::{Encoded, Seat, matching};
use crate::replay::{Judgement, Stage};
use crate::solver::sat::Sat;
use crate::solver::z3::Z3;
use crate::solver::{Answer, Literal, Solver};
use crate::term::{Assignment, Term};
use crate::witness::{self, Witness};

/// A component's solver.
pub(super) struct Search<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) component: &'a Component,
    pub(super) question: &'a Question,
    solver: Sat,
    /// What was concluded, as terms that do not hold of any flow.
    claims: Vec<Term>,
    /// Questions to Z3.
    confirmed: usize,
    vocabulary: Vec<Fact>,
    literals: BTreeMap<Fact, Literal>,
}

/// Questions about one kind of change, times the rules that may have a part in it, after which no more regions are looked
/// for. What counts is not time, so that the result is the same on every machine.
const EFFORT: usize = 600_000;

/// Conclusions that Z3 is asked about at once.
const CLAIMS: usize = 64;

/// What both sides say of a flow.
pub(super) struct Judged {
    pub(super) witness: Witness,
    pub(super) before: Judgement,
    pub(super) after: Judgement,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        context: &'a Context<'a>,
        component: &'a Component,
        question: &'a Question,
    ) -> Self {
        let rules = question.rules.values();
        let vocabulary = fact::vocabulary(context, &question.frame, component.node, rules);
        let solver = Sat::new(question.frame.script.clone(), context.options.limits);
        Self {
            context,
            component,
            question,
            solver,
            claims: Vec::new(),
            confirmed: 0,
            vocabulary,
            literals: BTreeMap::new(),
        }
    }

    /// Finds all changes of a kind.
    pub(super) fn all(&mut self, what: What, found: &mut Found) {
        let (whole, certain) = goal(self.question, what);
        if whole == Term::Const(false) {
            return;
        }
        let mut regions = Vec::new();
        let done = self.regions(what, &whole, &certain, &mut regions, found);
        // What was found until then is right, whatever was left.
        let done = done.and_then(|()| self.shorten(&whole, &mut regions));
        found.undecided.extend(done.err());
        found
            .changes
            .extend(regions.into_iter().map(|(_, change)| change));
    }

    fn regions(
        &mut self,
        what: What,
        whole: &Term,
        certain: &Term,
        regions: &mut Vec<(Vec<Fact>, Change)>,
        found: &mut Found,
    ) -> Result<(), String> {
        let same = self.solver.literal(&certain.clone().negate());
        let mut goals = vec![self.solver.literal(whole)];
        let mut wide = Wide::default();
        let before = self.solver.asked;
        while let Some(values) = self.example(&goals)? {
            let asked = self.solver.asked.saturating_sub(before);
            let tired = asked.saturating_mul(self.component.near.len()) > EFFORT;
            if regions.len() >= self.context.options.sets || tired && !regions.is_empty() {
                found.more = true;
                break;
            }
            let mut facts = self.facts(&values);
            if what.of_subjects() {
                facts.retain(Fact::is_of_subject);
            }
            let fewest = self.fewest(&[same], &facts)?;
            let Some(judged) = self.judge(&values)?.filter(|one| confirms(what, one)) else {
                let flow = witness::decode(&self.question.frame, &values)?;
                let flow = flow.show(self.component.direction);
                let fault = format!("the model does not confirm that {flow} is judged otherwise");
                found.faults.push(fault);
                break;
            };
            let (facts, except, partly) = if what.of_subjects() {
                (fewest, Vec::new(), false)
            } else {
                self.widen(&mut wide, certain, &values, fewest)?
            };
            goals.push(self.block(&facts));
            let mut change = self.change(what, &facts, &judged, &values);
            change.except = except;
            change.partly = partly;
            regions.push((facts, change));
        }
        Ok(())
    }

    /// Leaves out regions whose flows are all in others.
    fn shorten(
        &mut self,
        whole: &Term,
        regions: &mut Vec<(Vec<Fact>, Change)>,
    ) -> Result<(), String> {
        let mut at = 0;
        while regions.len() > 1 && at < regions.len() {
            let mut goals = vec![self.solver.literal(whole)];
            for (other, (facts, _)) in regions.iter().enumerate() {
                if other == at {
                    let own: Vec<_> = facts.iter().map(|fact| self.literal(fact)).collect();
                    goals.extend(own);
                } else {
                    goals.push(self.block(facts));
                }
            }
            if self.check(&goals)? {
                at += 1;
            } else {
                self.claim(&goals);
                regions.remove(at);
            }
        }
        Ok(())
    }

    /// The most readable flow under which the goals hold.
    pub(super) fn example(&mut self, goals: &[Literal]) -> Result<Option<Assignment>, String> {
        self.in_time()?;
        let wishes = self.question.frame.wishes(&self.ports());
        let found = witness::find(&mut self.solver, &wishes, goals)?;
        if found.is_none() {
            self.claim(goals);
        }
        Ok(found)
    }

    /// Some flow under which the goals hold.
    pub(super) fn any(&mut self, goals: &[Literal]) -> Result<Option<Assignment>, String> {
        if self.check(goals)? {
            return Ok(self.solver.model());
        }
        self.claim(goals);
        Ok(None)
    }

    /// Keeps in mind that these do not go together.
    fn claim(&mut self, literals: &[Literal]) {
        let terms = literals.iter().filter_map(|one| self.solver.term(*one));
        self.claims.push(Term::all(terms.cloned()));
    }

    /// Has Z3 say as well what was concluded from the other solver's answers.
    pub(super) fn confirm(&mut self) -> Result<(), String> {
        let claims = std::mem::take(&mut self.claims);
        if claims.is_empty() {
            return Ok(());
        }
        let script = self.solver.script().clone();
        let mut second = Z3::new(script, self.context.options.limits).keeping();
        for some in claims.chunks(CLAIMS) {
            self.in_time()?;
            let any = second.literal(&Term::any(some.iter().cloned()));
            self.confirmed += 1;
            match second.check(&[any]) {
                Answer::Unsat => {}
                Answer::Sat => return Err("two solvers contradict each other".to_owned()),
                Answer::Unknown(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// A literal that stands for nothing until something is excluded under it.
    pub(super) fn guard(&mut self) -> Literal {
        self.solver.guard()
    }

    /// Where the guard is assumed, leaves out the flows of which all of these hold.
    pub(super) fn exclude(&mut self, guard: Literal, all: &[Term]) {
        self.solver.exclude(guard, all);
    }

    /// Ports that changed rules name.
    fn ports(&self) -> Vec<u16> {
        let changed = self.component.changed.iter();
        let changed = changed.filter_map(|id| self.context.joint.rules.rule(*id));
        let services = changed.filter_map(|rule| match &rule.services {
            Services::Of(list) => Some(list),
            Services::All => None,
        });
        let ports = services.flatten().filter_map(|l4| match l4.ports {
            Ports::Range(first, _) => Some(first),
            _ => None,
        });
        let mut ports: Vec<_> = ports.take(8).collect();
        ports.extend([80, 8]);
        ports
    }

    /// How many questions the solver was asked.
    pub(super) const fn questions(&self) -> usize {
        self.solver.asked + self.confirmed
    }

    /// Whether some flow is one of these.
    pub(super) fn is_possible(&mut self, term: &Term) -> Result<bool, String> {
        match term {
            Term::Const(value) => Ok(*value),
            term => {
                let literal = self.assume(term);
                let possible = self.check(&[literal])?;
                if !possible {
                    self.claim(&[literal]);
                }
                Ok(possible)
            }
        }
    }

    /// Whether there is time for a question.
    fn in_time(&self) -> Result<(), String> {
        if self.context.is_late() {
            return Err("the time limit was reached".to_owned());
        }
        Ok(())
    }

    pub(super) fn check(&mut self, literals: &[Literal]) -> Result<bool, String> {
        self.in_time()?;
        match self.solver.check(literals) {
            Answer::Sat => Ok(true),
            Answer::Unsat => Ok(false),
            Answer::Unknown(why) => Err(why),
        }
    }

    pub(super) fn assume(&mut self, term: &Term) -> Literal {
        self.solver.literal(term)
    }

    pub(super) fn literal(&mut self, fact: &Fact) -> Literal {
        if let Some(known) = self.literals.get(fact) {
            return *known;
        }
        let literal = self.solver.literal(&fact.term(&self.question.frame));
        self.literals.insert(fact.clone(), literal);
        literal
    }

    /// "Not all of these facts hold."
    pub(super) fn block(&mut self, facts: &[Fact]) -> Literal {
        let terms = facts.iter().map(|fact| fact.term(&self.question.frame));
        let term = Term::all(terms).negate();
        self.solver.literal(&term)
    }

    /// All facts that hold of a flow, the best for a description first: those that changed rules speak of.
    pub(super) fn facts(&self, values: &Assignment) -> Vec<Fact> {
        let (frame, node) = (&self.question.frame, self.component.node);
        let holds = |fact: &Fact| fact.term(frame).eval(values);
        let mut facts: Vec<Fact> = Vec::new();
        for wants_match in [true, false] {
            for id in &self.component.changed {
                let known = self.question.encoded.get(id);
                let known = known.zip(self.context.joint.rules.rule(*id));
                let Some((_, rule)) = known.filter(|(encoded, _)| {
                    encoded.selects_in(values) && encoded.matches_in(values) == wants_match
                }) else {
                    continue;
                };
                facts.extend(self.spoken(rule, values, wants_match));
            }
        }
        facts.retain(holds);
        let rest = self.vocabulary.iter().cloned();
        let mut rest: Vec<_> = rest.map(|fact| fact.signed(frame, node, values)).collect();
        rest.sort_by_cached_key(|fact| (fact.rank(), fact.clone()));
        facts.extend(rest);
        let mut seen = std::collections::BTreeSet::new();
        facts.retain(|fact| seen.insert(fact.clone()));
        facts
    }

    /// The facts by which a rule selects a flow.
    pub(super) fn spoken(&self, rule: &Rule, values: &Assignment, matches: bool) -> Vec<Fact> {
        let (context, frame) = (self.context, &self.question.frame);
        let mut facts = fact::of_subject(context, rule);
        if !matches {
            return facts;
        }
        let (_, peer) = frame.seats(Seat::First);
        if let Peers::Of(list) = &rule.peers {
            let fits = list.iter().find(|id| {
                let one = Peers::Of(vec![**id]);
                matching::peers(frame, peer, &context.joint.rules, &one).eval(values)
            });
            let fits = fits.map(|id| fact::of_peer(context, frame, *id));
            facts.extend(fact::with_siblings(
                context,
                frame,
                list,
                fits.unwrap_or_default(),
            ));
        }
        if let Services::Of(list) = &rule.services {
            let fits = list.iter().find(|l4| {
                let one = Services::Of(vec![(*l4).clone()]);
                matching::services(frame, &one).eval(values)
            });
            facts.extend(fits.into_iter().flat_map(fact::of_service));
        }
        facts
    }

    /// The fewest of the facts that go together with no flow for which all of `other` hold, the first ones if there is a choice.
    pub(super) fn fewest(
        &mut self,
        other: &[Literal],
        facts: &[Fact],
    ) -> Result<Vec<Fact>, String> {
        let all: Vec<_> = facts
            .iter()
            .map(|fact| (fact.clone(), self.literal(fact)))
            .collect();
        let mut assumed = other.to_vec();
        assumed.extend(all.iter().map(|(_, literal)| *literal));
        if self.check(&assumed)? {
            return Err("the facts of an example do not explain it".to_owned());
        }
        let found = self.explain(&mut other.to_vec(), false, &all)?;
        let least = found.iter().map(|(_, literal)| *literal);
        self.claim(&other.iter().copied().chain(least).collect::<Vec<_>>());
        Ok(found.into_iter().map(|(fact, _)| fact).collect())
    }

    /// A minimal part of `facts` that contradicts what is assumed, preferring the first (QuickXplain).
    fn explain(
        &mut self,
        assumed: &mut Vec<Literal>,
        grown: bool,
        facts: &[(Fact, Literal)],
    ) -> Result<Vec<(Fact, Literal)>, String> {
        if grown && !self.check(assumed)? {
            return Ok(Vec::new());
        }
        if facts.len() <= 1 {
            return Ok(facts.to_vec());
        }
        let (first, second) = facts.split_at(facts.len() / 2);
        let before = assumed.len();
        assumed.extend(first.iter().map(|(_, literal)| *literal));
        let late = self.explain(assumed, true, second)?;
        assumed.truncate(before);
        assumed.extend(late.iter().map(|(_, literal)| *literal));
        let mut early = self.explain(assumed, !late.is_empty(), first)?;
        assumed.truncate(before);
        early.extend(late);
        Ok(early)
    }

    /// What the model says of a flow on both sides; `None` if it has no policy to ask.
    pub(super) fn judge(&self, values: &Assignment) -> Result<Option<Judged>, String> {
        let witness = witness::decode(&self.question.frame, values)?;
        let direction = self.component.direction;
        let judge = |version| {
            let library = self.context.library(version);
            let stage = Stage::of_subject(library, &witness, direction, &[]);
            stage.judge(&witness, Seat::First, direction)
        };
        let [before, after] = Version::BOTH.map(judge);
        Ok(before.zip(after).map(|(before, after)| Judged {
            witness,
            before,
            after,
        }))
    }

    /// A change in all flows of which the facts hold.
    pub(super) fn change(
        &self,
        what: What,
        facts: &[Fact],
        judged: &Judged,
        values: &Assignment,
    ) -> Change {
        let cluster = &self.question.frame.dims.cluster;
        let region = Region::new(facts, self.component.node, cluster);
        let involved = self.involved(what, values);
        let [removed, added] = Version::BOTH.map(|version| {
            let own = involved
                .iter()
                .map(|id| self.context.joint.ids(*id).of(version));
            own.flatten().collect()
        });
        Change {
            what,
            direction: self.component.direction,
            subjects: vec![region.subject],
            peers: vec![region.peer],
            services: vec![region.service],
            example: Example {
                flow: judged.witness.show(self.component.direction),
                before: self.told(Version::Old, &judged.before),
                after: self.told(Version::New, &judged.after),
            },
            removed,
            added,
            except: Vec::new(),
            partly: false,
        }
    }

    fn told(&self, version: Version, judgement: &Judgement) -> Told {
        Told {
            asks: Asks::new(self.context.set(version), judgement).to_string(),
            verdict: judgement.verdict.clone(),
        }
    }

    /// Changed rules that have a part in what becomes of a flow: those that match it, or else those on account of
    /// which its subject is in default deny.
    fn involved(&self, what: What, values: &Assignment) -> Vec<RuleId> {
        let changed = self.component.changed.iter();
        let changed = changed.filter_map(|id| Some((*id, self.question.encoded.get(id)?)));
        let selecting: Vec<_> = changed
            .filter(|(_, rule)| rule.selects_in(values))
            .collect();
        let matching = selecting.iter().filter(|(_, rule)| rule.matches_in(values));
        let matching: Vec<_> = matching.map(|(id, _)| *id).collect();
        if !matching.is_empty() && !what.of_subjects() {
            return matching;
        }
        let clash = |id: RuleId| {
            let rule = self.context.joint.rules.rule(id);
            rule.is_some_and(super::conflict::may_clash)
        };
        let counts = |(id, rule): &(RuleId, &Encoded)| match what {
            What::Broken | What::Mended => clash(*id),
            _ => rule.default_deny,
        };
        let counting = selecting.into_iter().filter(counts);
        counting.map(|(id, _)| id).collect()
    }
}

/// Whether the model says of both sides what the solver says.
fn confirms(what: What, judged: &Judged) -> bool {
    let (before, after) = (&judged.before.verdict, &judged.after.verdict);
    let conflict = |verdict: &Verdict| verdict.reason == Reason::Conflict;
    match what {
        What::Opened | What::Allowed => !before.allowed && after.allowed,
        What::Isolated | What::Denied => before.allowed && !after.allowed,
        What::Broken => !conflict(before) && conflict(after),
        What::Mended => conflict(before) && !conflict(after),
        What::Terms => before.allowed && after.allowed,
    }
}
