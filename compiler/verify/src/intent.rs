//! Statements of what must never pass, and their proof.
//!
//! `deny from A to B on P` says: no flow from a possible party in A to a possible party in B on P gets through the
//! policies of both ends. A pod of the local cluster is an end with policies, anything else is one without.

use std::sync::Arc;

use policyc_diag::Span;
use policyc_ir::rule::{RuleSet, Services};
use policyc_ir::settings::Settings;
use rayon::prelude::*;

use crate::{Options, Report};

/// What an end is and how it is put together from written parts.
pub mod end;
/// From an intent to a question, and from its answer to a finding.
mod proof;
/// Protocols and ports from written parts.
pub mod service;
/// Proofs against trying every flow of tiny universes.
#[cfg(test)]
mod tests;
/// What people read.
mod text;

pub use end::End;

/// `deny from A to B on P`.
#[derive(Clone, Debug)]
pub struct Intent {
    /// As it was written, on one line.
    pub text: Arc<str>,
    /// Where it was written.
    pub span: Span,
    /// Who opens connections.
    pub from: End,
    /// Who they go to.
    pub to: End,
    /// On which protocols and ports.
    pub services: Services,
}

/// Proves each intent or finds a flow that breaks it.
pub fn check_intents(
    rules: &RuleSet,
    settings: &Settings,
    intents: &[Intent],
    options: &Options,
) -> Report {
    let deadline = crate::deadline(options);
    let context = proof::Context::new(rules, settings, options, deadline);
    // A thread costs a solver context, which a few intents are not worth.
    let answers: Vec<_> = if intents.len() > 16 {
        intents
            .par_iter()
            .map(|intent| proof::check(&context, intent))
            .collect()
    } else {
        intents
            .iter()
            .map(|intent| proof::check(&context, intent))
            .collect()
    };
    let mut report = Report::default();
    for (finding, stats) in answers {
        report.findings.extend(finding);
        report.stats += stats;
    }
    policyc_diag::diagnostic::sort(&mut report.findings);
    report
}
