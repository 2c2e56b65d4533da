//! Reads policies from YAML text, as the command line does.

/// From the syntax of intents to the verifier.
pub(crate) mod intents;

use policyc_diag::render::{Format, Style, render};
use policyc_diag::{Diagnostic, SourceMap};
use policyc_ir::inventory::Inventory;
use policyc_ir::normalise::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;

/// Policies and where they were written.
pub(crate) struct World {
    pub(crate) sources: SourceMap,
    pub(crate) rules: RuleSet,
    pub(crate) settings: Settings,
}

impl World {
    /// Policies from one text; it must be admissible.
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let settings = Settings::default();
        let mut sources = SourceMap::new();
        let source = sources.add(name, text);
        let parsed = policyc_syntax::parse(&source);
        assert_eq!(parsed.diagnostics, [], "{text}");
        let (policies, faults) = PolicySet::admit(&parsed.documents, &settings);
        let errors: Vec<_> = faults.iter().filter(|fault| fault.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let rules = normalise(&policies, &Inventory::default(), &settings);
        Self {
            sources,
            rules,
            settings,
        }
    }

    pub(crate) fn show(&self, findings: &[Diagnostic]) -> String {
        render(Format::Plain, findings, &self.sources, Style::default())
    }
}
