//! Statements of who must, may and must never reach whom, and their proof.
//!
//! `A must not reach B on P` says: no flow from a possible party in A to a possible party in B on P gets through the
//! policies of both ends; `must reach`, that all of them do; `may reach`, that some do on each of the services. A pod of
//! the local cluster is an end with policies, anything else is one without.

use std::sync::Arc;

use policyc_diag::{Diagnostic, Span};
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;
use rayon::prelude::*;

use crate::{Options, Report, Stats};

/// What an end is and how it is put together from written parts.
pub mod end;
/// Intents about the pods of an inventory, and about paths through them.
pub mod inventory;
/// From an intent to a question, and from its answer to a finding.
mod proof;
/// An intent as terms.
pub(crate) mod question;
/// From statements as written to intents and guards.
pub mod read;
/// Requests that an intent is about.
mod request;
/// Protocols and ports from written parts.
pub mod service;
/// Proofs against trying every flow of tiny universes.
#[cfg(test)]
mod tests;
/// What people read.
mod text;
/// A flow and what the policies of both ends say of it, ready to be told.
mod told;

pub use end::End;
pub use inventory::{Ground, check_in_inventory, without_inventory};
pub use read::{Statements, read};
pub use request::Asked;
pub use service::Wanted;

/// What is claimed of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// None passes.
    Never,
    /// All pass.
    Must,
    /// Some pass, on each of the services.
    May,
}

/// Which flows a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Those of every party that could exist.
    Possible,
    /// Those of an inventory.
    Inventory {
        /// Connections in a row, at most; the services are those of the last.
        hops: u32,
    },
}

/// A claim about the flows from one end to another.
#[derive(Clone, Debug)]
pub struct Intent {
    /// As it was written, on one line.
    pub text: Arc<str>,
    /// Where it was written.
    pub span: Span,
    /// What is claimed.
    pub claim: Claim,
    /// Whether the claim is known not to hold, and it is to be told when it does.
    pub fails: bool,
    /// Who opens connections.
    pub from: End,
    /// Who they go to.
    pub to: End,
    /// On which protocols and ports.
    pub services: Wanted,
    /// What is asked once connected.
    pub request: Option<Asked>,
    /// Among whom.
    pub place: Place,
}

/// How an intent was answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It holds.
    Holds,
    /// It does not, and this is why.
    Broken(Diagnostic),
    /// It says nothing, or this tool is at fault.
    Empty(Diagnostic),
}

/// Proves intents, once the rules have been read.
#[derive(Debug)]
pub struct Prover<'a>(question::Context<'a>);

impl<'a> Prover<'a> {
    /// Reads the rules. The time limit counts from here.
    pub fn new(rules: &'a RuleSet, settings: &'a Settings, options: &'a Options) -> Self {
        let deadline = crate::deadline(options);
        Self(question::Context::new(rules, settings, options, deadline))
    }

    /// Proves each intent about possible parties or finds a flow that breaks it; those about an inventory are passed
    /// over.
    pub fn check(&self, intents: &[Intent]) -> Report {
        let possible = |intent: &&Intent| intent.place == Place::Possible;
        let asked: Vec<_> = intents.iter().filter(possible).collect();
        // A thread costs a solver context, which a few intents are not worth.
        let check = |intent: &&Intent| proof::check(&self.0, intent);
        let answers: Vec<_> = if asked.len() > 16 {
            asked.par_iter().map(check).collect()
        } else {
            asked.iter().map(check).collect()
        };
        let mut report = Report::default();
        for (intent, (answer, stats)) in asked.into_iter().zip(answers) {
            report.stats += stats;
            report
                .findings
                .extend(settle(intent, answer, &mut report.stats));
        }
        policyc_diag::diagnostic::sort(&mut report.findings);
        report
    }
}

/// What the solver is asked about intents, as SMT-LIB text. Those whose requests cannot be told apart are left out.
pub fn intent_questions(
    rules: &RuleSet,
    settings: &Settings,
    intents: &[Intent],
) -> Vec<crate::Question> {
    let options = Options::default();
    let context = question::Context::new(rules, settings, &options, None);
    let possible = intents.iter().filter(|one| one.place == Place::Possible);
    let asked = possible.filter_map(|intent| {
        let question = question::Question::new(&context, intent).ok()?;
        Some(question.texts(intent))
    });
    asked.flatten().collect()
}

/// [`Prover::check`] for rules that are asked about once.
pub fn check_intents(
    rules: &RuleSet,
    settings: &Settings,
    intents: &[Intent],
    options: &Options,
) -> Report {
    if intents.iter().all(|intent| intent.place != Place::Possible) {
        return Report::default();
    }
    Prover::new(rules, settings, options).check(intents)
}

/// What is to be told of an answer, given whether the intent was expected to fail.
pub(crate) fn settle(
    intent: &Intent,
    answer: Result<Answer, String>,
    stats: &mut Stats,
) -> Option<Diagnostic> {
    match answer {
        Ok(Answer::Holds) if intent.fails => Some(text::no_longer_fails(intent)),
        Ok(Answer::Holds) => {
            stats.proven += 1;
            None
        }
        Ok(Answer::Broken(_)) if intent.fails => {
            stats.known += 1;
            None
        }
        Ok(Answer::Broken(finding) | Answer::Empty(finding)) => Some(finding),
        Err(why) => {
            stats.undecided += 1;
            Some(text::undecided(intent, &why))
        }
    }
}
