//! From an intent to a question, and from its answer to a finding.

use policyc_ir::model::Reason;
use policyc_ir::model::request::{Answer as Said, Request};
use policyc_ir::rule::Direction;

use super::question::{Context, Question};
use super::told::{DESTINATION, End, SOURCE, Told};
use super::{Answer, Claim, Intent, request, text};
use crate::encode::{Frame, Seat};
use crate::replay::Stage;
use crate::solver::both::Both;
use crate::solver::{self, Literal, Solver};
use crate::witness::{self, Witness};
use crate::{Stats, intent::service::Wanted};

/// A flow, as the model judges it.
struct Example(Told);

impl Example {
    fn new(
        witness: &Witness,
        stage: &Stage<'_>,
        request: Option<&Request>,
    ) -> Result<Self, String> {
        let [from, to] = &witness.sides;
        let sides = [
            (Seat::First, from, Direction::Egress, &SOURCE),
            (Seat::Second, to, Direction::Ingress, &DESTINATION),
        ];
        let mut ends = Vec::new();
        for (seat, party, direction, words) in sides {
            let Some(judgement) = stage.judge(witness, seat, direction) else {
                continue;
            };
            let refuses = match request {
                Some(request) if judgement.verdict.allowed => {
                    match stage.answer(witness, seat, direction, request) {
                        Said::Passed => false,
                        Said::Refused => true,
                        Said::Unknown(what) => return Err(format!("it depends on {what}")),
                    }
                }
                _ => false,
            };
            ends.push(End {
                verdict: judgement.verdict,
                selecting: judgement.selecting,
                party: witness.party(party),
                words,
                refuses,
            });
        }
        let mut flow = witness.show(Direction::Egress);
        if let Some(request) = request {
            flow = format!("{flow}, asking {},", request::show(request));
        }
        Ok(Self(Told { flow, ends }))
    }

    /// Whether some end has no policy at all, since its rules exclude each other.
    fn conflicts(&self) -> bool {
        let mut ends = self.0.ends.iter();
        ends.any(|end| end.verdict.reason == Reason::Conflict)
    }

    /// Whether the model says so too.
    fn is_confirmed(&self, passes: bool) -> bool {
        !self.0.ends.is_empty() && self.0.passes() == passes
    }
}

/// Proves an intent or finds a flow that breaks it.
pub(super) fn check(context: &Context<'_>, intent: &Intent) -> (Result<Answer, String>, Stats) {
    let mut stats = Stats {
        subjects: 1,
        ..Stats::default()
    };
    let conflict = [(&intent.from, "source"), (&intent.to, "destination")]
        .into_iter()
        .find_map(|(end, name)| {
            let conflict = end.conflict(&context.settings.labels)?;
            Some((end, name, conflict))
        });
    if let Some((end, name, conflict)) = conflict {
        stats.by_algebra = 1;
        let finding = text::vacuous(intent, end, name, &conflict);
        return (Ok(Answer::Empty(finding)), stats);
    }
    if context.is_late() {
        let why = "the time limit for all questions was reached".to_owned();
        return (Err(why), stats);
    }
    let mut asked = match Asked::new(context, intent) {
        Ok(asked) => asked,
        Err(why) => return (Err(why), stats),
    };
    let answer = match intent.claim {
        Claim::Never => asked.refute(true),
        Claim::Must => asked.refute(false),
        Claim::May => asked.some_on_each(),
    };
    stats.questions = asked.questions;
    (answer, stats)
}

/// An intent's question and the solver that knows it.
struct Asked<'a> {
    context: &'a Context<'a>,
    intent: &'a Intent,
    frame: Frame,
    solver: Both,
    between: Literal,
    /// For each request: what is asked, that it is blocked, and that it passes.
    cases: Vec<(Option<Request>, [Literal; 2])>,
    /// Whether rules may exclude each other.
    clashes: bool,
    questions: usize,
}

impl<'a> Asked<'a> {
    fn new(context: &'a Context<'a>, intent: &'a Intent) -> Result<Self, String> {
        let question = Question::new(context, intent)?;
        let mut solver = Both::new(question.frame.script.clone(), context.options.limits);
        let between = solver.literal(&question.between);
        let cases = question.cases.into_iter().map(|case| {
            let outcomes = [&case.blocked, &case.passes];
            let outcomes = outcomes.map(|outcome| solver.literal(outcome));
            (case.request, outcomes)
        });
        let cases = cases.collect();
        Ok(Self {
            context,
            intent,
            frame: question.frame,
            solver,
            between,
            cases,
            clashes: question.clashes,
            questions: 0,
        })
    }

    /// Whether some flow fits.
    fn fits(&mut self, assumed: &[Literal]) -> Result<bool, String> {
        self.questions += 1;
        match self.solver.surely(assumed) {
            solver::Answer::Sat => Ok(true),
            solver::Answer::Unsat => Ok(false),
            solver::Answer::Unknown(why) => Err(why),
        }
    }

    fn on(&mut self, services: &Wanted) -> Literal {
        let on = services.holds(&self.frame);
        self.solver.literal(&on)
    }

    /// Holds unless a flow passes (or, if not `passes`, is blocked).
    fn refute(&mut self, passes: bool) -> Result<Answer, String> {
        let on = self.on(&self.intent.services);
        for at in 0..self.cases.len() {
            let Some(example) = self.outcome(at, on, passes)? else {
                continue;
            };
            if passes && example.conflicts() {
                return Err(conflict(&example));
            }
            return self.broken(&example, passes);
        }
        // A proof about nothing is no comfort: some party and port must exist.
        self.possible(&[self.between, on])
    }

    /// Holds if some flow passes on each of the services.
    fn some_on_each(&mut self) -> Result<Answer, String> {
        for services in &self.intent.services.parts() {
            let on = self.on(services);
            let mut passed = false;
            for at in 0..self.cases.len() {
                let Some(example) = self.outcome(at, on, true)? else {
                    continue;
                };
                if example.conflicts() {
                    return Err(conflict(&example));
                }
                if !example.is_confirmed(true) {
                    return self.unconfirmed(&example);
                }
                passed = true;
                break;
            }
            if passed {
                continue;
            }
            return match self.outcome(0, on, false)? {
                Some(example) => self.broken(&example, false),
                None => Ok(Answer::Empty(text::no_flow(self.intent))),
            };
        }
        Ok(Answer::Holds)
    }

    /// An example of a request that passes, or is blocked.
    fn outcome(&mut self, at: usize, on: Literal, passes: bool) -> Result<Option<Example>, String> {
        let Some((request, [blocked, passed])) = self.cases.get(at).cloned() else {
            return Ok(None);
        };
        let assumed = [self.between, on, if passes { passed } else { blocked }];
        if let Some(example) = self.example(&assumed, request.as_ref())? {
            self.questions += 1;
            return Ok(Some(example));
        }
        if self.fits(&assumed)? {
            return Err("the solver took its answer back".to_owned());
        }
        Ok(None)
    }

    /// The finding of a flow that breaks the intent, if the model confirms it.
    fn broken(&self, example: &Example, passes: bool) -> Result<Answer, String> {
        if !example.is_confirmed(passes) {
            return self.unconfirmed(example);
        }
        let rules = self.context.rules;
        Ok(Answer::Broken(if passes {
            text::passes(rules, self.intent, &example.0)
        } else {
            text::blocked(rules, self.intent, &example.0)
        }))
    }

    /// What proxies do together, and which rules exclude each other, is estimated on the safe side, so there the model may
    /// say otherwise.
    fn unconfirmed(&self, example: &Example) -> Result<Answer, String> {
        if self.intent.request.is_some() || self.clashes {
            return Err(format!(
                "several rules decide together about {}",
                example.0.flow
            ));
        }
        let finding = text::not_confirmed(self.intent, &example.0.flow);
        Ok(Answer::Empty(finding))
    }

    fn possible(&mut self, premise: &[Literal]) -> Result<Answer, String> {
        Ok(if self.fits(premise)? {
            Answer::Holds
        } else {
            Answer::Empty(text::no_flow(self.intent))
        })
    }

    /// The most readable flow that fits, if one does, and what the model says of it.
    fn example(
        &mut self,
        assumed: &[Literal],
        request: Option<&Request>,
    ) -> Result<Option<Example>, String> {
        let wishes = self.frame.wishes(&self.intent.services.port_hints());
        let Some(values) = witness::find(&mut self.solver, &wishes, assumed)? else {
            return Ok(None);
        };
        let witness = witness::decode(&self.frame, &values)?;
        let stage = Stage::new(&self.context.library, &witness, Seat::Second);
        Example::new(&witness, &stage, request).map(Some)
    }
}

fn conflict(example: &Example) -> String {
    format!("rules of an end of {} exclude each other", example.0.flow)
}
