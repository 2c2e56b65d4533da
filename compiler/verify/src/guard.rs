//! Statements of what policies may not say, and their proof.
//!
//! A guard is about what some policies add, whoever else allows the same: a rule of theirs *grants* a flow if it matches
//! the flow and the policies of that end, all together, let it pass. So a split prefix grants what the whole one would,
//! and what a deny takes away is not granted. A rule that passes flows on grants those that are dropped without it.

use std::sync::Arc;

use policyc_diag::Span;
use policyc_ir::rule::{Action, Direction, Policy, RuleSet};
use policyc_ir::settings::Settings;
use rayon::prelude::*;

use crate::intent::question::Context;
use crate::intent::{End, Wanted};
use crate::{Options, Report};

/// From a guard to questions, and from their answers to findings.
mod proof;
/// Answers against trying every flow of tiny universes.
#[cfg(test)]
mod tests;
/// What people read.
mod text;

/// What policies may not say, or may only say.
#[derive(Clone, Debug)]
pub struct Guard {
    /// As it was written, on one line.
    pub text: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Where it was written.
    pub span: Span,
    /// Whose policies.
    pub authors: Authors,
    /// Whether everything else is forbidden instead of this.
    pub only: bool,
    /// What they do.
    pub act: Act,
    /// Who opens connections; if it is given alone, only rules for ingress are meant.
    pub from: Option<End>,
    /// Who they go to, or who is selected; if it is given alone, only rules for egress are meant.
    pub to: Option<End>,
    /// On which protocols and ports.
    pub services: Wanted,
}

/// Whose policies a guard is about.
#[derive(Clone, Debug, Default)]
pub struct Authors {
    /// Only those that are in no namespace.
    pub clusterwide: bool,
    /// Only those in these namespaces, or (if true) in none of them.
    pub namespaces: Option<(bool, Vec<String>)>,
}

impl Authors {
    /// Whether a policy is one of theirs.
    pub fn wrote(&self, policy: &Policy) -> bool {
        let own = policy.namespace.as_deref();
        let named = self.namespaces.as_ref().is_none_or(|(outside, names)| {
            let inside = names.iter().any(|name| own == Some(name));
            inside != *outside
        });
        named && !(self.clusterwide && own.is_some())
    }
}

/// What policies do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Let flows pass.
    Allow,
    /// Deny flows.
    Deny,
    /// Pass flows on to the next tier.
    Pass,
    /// Select somebody.
    Select,
}

impl Guard {
    /// The directions whose rules it is about.
    fn directions(&self) -> &'static [Direction] {
        match (self.act, &self.from, &self.to) {
            (Act::Select, ..) | (_, Some(_), Some(_)) | (_, None, None) => &Direction::BOTH,
            (_, Some(_), None) => &[Direction::Ingress],
            (_, None, Some(_)) => &[Direction::Egress],
        }
    }

    /// Whether rules of an action can do what it is about.
    const fn concerns(&self, action: Action) -> bool {
        match self.act {
            Act::Allow => matches!(action, Action::Allow | Action::Pass),
            Act::Deny => matches!(action, Action::Deny),
            Act::Pass => matches!(action, Action::Pass),
            Act::Select => true,
        }
    }
}

/// What the solver is asked about guards, as SMT-LIB text.
pub fn guard_questions(
    rules: &RuleSet,
    settings: &Settings,
    guards: &[Guard],
) -> Vec<crate::Question> {
    let settings = &enforced(settings);
    let options = Options::default();
    let context = Context::new(rules, settings, &options, None);
    let asked = guards.iter().map(|guard| proof::texts(&context, guard));
    asked.flatten().collect()
}

/// What policies of nodes say counts whether or not this cluster enforces them.
fn enforced(settings: &Settings) -> Settings {
    Settings {
        host_firewall: true,
        ..settings.clone()
    }
}

/// Proves that guards are kept, or finds the rules that do what they forbid.
pub fn check_guards(
    rules: &RuleSet,
    settings: &Settings,
    guards: &[Guard],
    options: &Options,
) -> Report {
    if guards.is_empty() {
        return Report::default();
    }
    let settings = &enforced(settings);
    let context = Context::new(rules, settings, options, crate::deadline(options));
    let answers: Vec<_> = if guards.len() > 16 {
        let guards = guards.par_iter();
        guards.map(|guard| proof::check(&context, guard)).collect()
    } else {
        let guards = guards.iter();
        guards.map(|guard| proof::check(&context, guard)).collect()
    };
    let mut report = Report::default();
    for (findings, stats) in answers {
        report.findings.extend(findings);
        report.stats += stats;
    }
    policyc_diag::diagnostic::sort(&mut report.findings);
    report
}
