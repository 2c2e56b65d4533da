//! Intents about the pods of an inventory, and about paths through them.
//!
//! Parties that no rule tells apart have the same openings, so classes of them are asked, not pods. A path is a row of
//! connections: it starts with anybody and goes on through pods.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use policyc_diag::Diagnostic;
use policyc_ir::model::Model;
use policyc_ir::model::request::Request;
use policyc_ir::port::Protocol;
use policyc_ir::reach::{Class, Matrix, Party, Reach};
use policyc_ir::settings::Settings;
use rayon::prelude::*;

use super::{Answer, Claim, Intent, Place, settle, text};
use crate::{Report, Stats};

/// Who is in an end.
mod member;
/// Protocols and ports of openings.
mod point;
/// Connections and paths that break an intent, or keep one.
mod search;
/// Tests against trying every flow.
#[cfg(test)]
mod tests;
/// From an opening to what is told of it.
mod voice;

use point::Point;
use search::{Asking, each};

/// A cluster's pods and their openings.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Verdicts.
    pub model: &'a Model<'a>,
    /// Who can open connections to whom.
    pub reach: &'a Reach,
    /// Settings of the cluster.
    pub settings: &'a Settings,
}

/// Checks the intents that are about an inventory; the others are passed over.
pub fn check_in_inventory(ground: Ground<'_>, intents: &[Intent]) -> Report {
    let mut report = Report::default();
    let asked: Vec<_> = intents
        .iter()
        .filter(|one| one.place.is_inventory())
        .collect();
    if asked.is_empty() {
        return report;
    }
    let context = Context::new(ground);
    let answers = asked.par_iter().map(|one| context.answer(one));
    let answers: Vec<_> = answers.collect();
    for (intent, answer) in asked.into_iter().zip(answers) {
        report.stats += Stats {
            subjects: 1,
            ..Stats::default()
        };
        let finding = settle(intent, answer, &mut report.stats);
        report.findings.extend(finding);
    }
    policyc_diag::diagnostic::sort(&mut report.findings);
    report
}

/// Says of the intents that need an inventory that there is none.
pub fn without_inventory(intents: &[Intent]) -> Vec<Diagnostic> {
    let asked = intents.iter().filter(|one| one.place.is_inventory());
    asked.map(text::no_inventory).collect()
}

struct Context<'a> {
    ground: Ground<'a>,
    matrix: Matrix,
    /// A protocol that no rule speaks of.
    unspoken: Protocol,
}

/// The members of an end, by class.
type Members = BTreeMap<usize, Vec<Party>>;

/// A connection between members of two classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    from: Party,
    to: Party,
    point: Point,
}

/// What breaks an intent.
enum Breach {
    /// These connections pass.
    Open(Vec<Hop>),
    /// This one is blocked.
    Blocked(Hop),
    /// Nothing of the kind could exist.
    Nothing,
}

impl<'a> Context<'a> {
    fn new(ground: Ground<'a>) -> Self {
        Self {
            ground,
            matrix: ground.reach.matrix(),
            unspoken: point::unspoken(ground.model.resolved.rules),
        }
    }

    /// # Errors
    /// Requests that cannot be told apart, or about which more would have to be known.
    fn answer(&self, intent: &Intent) -> Result<Answer, String> {
        let (from, to) = (self.members(intent, true), self.members(intent, false));
        for (members, name) in [(&from, "source"), (&to, "destination")] {
            if members.is_empty() {
                return Ok(Answer::Empty(text::nobody(intent, name)));
            }
        }
        let requests = self.requests(intent)?;
        let doubt = OnceCell::new();
        let asking = Asking {
            context: self,
            intent,
            doubt: &doubt,
        };
        let (breach, request) = match intent.claim {
            Claim::May => {
                let breach = asking.nowhere(&requests, &from, &to);
                (breach, requests.first().and_then(Option::as_ref))
            }
            Claim::Never => each(&requests, |request| asking.open(request, &from, &to)),
            Claim::Must => each(&requests, |request| asking.unreached(request, &from, &to)),
        };
        // What is not known may break an intent that nothing else breaks, or keep one that nothing else keeps.
        match (breach, doubt.get(), intent.claim) {
            (None | Some(Breach::Nothing), Some(what), Claim::Never | Claim::Must)
            | (Some(_), Some(what), Claim::May) => Err(format!("it depends on {what}")),
            (None, ..) => Ok(Answer::Holds),
            (Some(breach), ..) => Ok(self.tell(intent, breach, request)),
        }
    }

    /// One request of each kind that rules tell apart, or none for an intent that asks none.
    fn requests(&self, intent: &Intent) -> Result<Vec<Option<Request>>, String> {
        let Some(asked) = &intent.request else {
            return Ok(vec![None]);
        };
        let rules = self.ground.model.resolved.rules.rules();
        let kinds = asked.kinds(rules.iter())?;
        Ok(kinds.into_iter().map(Some).collect())
    }

    /// The finding of a breach, if the model confirms it.
    fn tell(&self, intent: &Intent, breach: Breach, request: Option<&Request>) -> Answer {
        let rules = self.ground.model.resolved.rules;
        let (path, passes) = match breach {
            Breach::Nothing => return Answer::Empty(text::no_flow(intent)),
            Breach::Open(path) => (path, true),
            Breach::Blocked(hop) => (vec![hop], false),
        };
        let told = voice::told(self.ground, &path, request);
        if told.passes() != passes || told.ends.is_empty() {
            return Answer::Empty(text::not_confirmed(intent, &told.flow));
        }
        Answer::Broken(if passes {
            text::passes(rules, intent, &told)
        } else {
            text::blocked(rules, intent, &told)
        })
    }

    fn class(&self, at: usize) -> Option<&Class> {
        self.ground.reach.classes().get(at)
    }

    fn members(&self, intent: &Intent, source: bool) -> Members {
        let end = if source { &intent.from } else { &intent.to };
        let is_one = |party: &Party| member::is_in(&self.ground, end, *party, source);
        let classes = self.ground.reach.classes().iter().enumerate();
        let members = classes.map(|(at, class)| {
            let parties = class.parties.iter().copied();
            (at, parties.filter(is_one).collect::<Vec<_>>())
        });
        members.filter(|(_, parties)| !parties.is_empty()).collect()
    }
}

impl Place {
    const fn is_inventory(self) -> bool {
        matches!(self, Self::Inventory { .. })
    }

    /// Connections in a row, at most.
    const fn hops(self) -> u32 {
        match self {
            Self::Possible => 1,
            Self::Inventory { hops } => hops,
        }
    }
}
