//! Statements of what must never pass, and their proof.

use policyc_diag::Span;
use policyc_ir::rule::{RuleSet, Services};
use policyc_ir::settings::Settings;

use crate::{Options, Report};

/// Placeholder.
#[derive(Clone, Debug)]
pub struct Intent {
    pub span: Span,
    pub services: Services,
}

/// Placeholder.
pub fn check_intents(
    _rules: &RuleSet,
    _settings: &Settings,
    _intents: &[Intent],
    _options: &Options,
) -> Report {
    Report::default()
}
