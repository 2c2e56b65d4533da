//! Reads policies from YAML text, as the command line does.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

/// From the syntax of intents to the verifier.
pub mod intents;

use policyc_diag::render::{Format, Style, render};
use policyc_diag::{Diagnostic, SourceMap};
use policyc_ir::normalise::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;

/// Policies and where they were written.
pub struct World {
    pub sources: SourceMap,
    pub rules: RuleSet,
    pub settings: Settings,
}

impl World {
    /// Policies from one text; it must be admissible.
    pub fn new(name: &str, text: &str) -> Self {
        Self::with(name, text, Settings::default())
    }

    pub fn with(name: &str, text: &str, settings: Settings) -> Self {
        let mut sources = SourceMap::new();
        let source = sources.add(name, text);
        let parsed = policyc_syntax::parse(&source);
        assert_eq!(parsed.diagnostics, [], "{text}");
        let (policies, faults) = PolicySet::admit(&parsed.documents, &settings);
        let errors: Vec<_> = faults.iter().filter(|fault| fault.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let rules = normalise(&policies, &settings);
        Self {
            sources,
            rules,
            settings,
        }
    }

    pub fn show(&self, findings: &[Diagnostic]) -> String {
        render(Format::Plain, findings, &self.sources, Style::default())
    }
}

/// A CiliumNetworkPolicy from its `spec`, which is indented by two spaces.
pub fn cnp(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n{spec}---\n"
    )
}

/// Numbers of the findings' codes.
pub fn codes(findings: &[Diagnostic]) -> Vec<&'static str> {
    let numbers = findings.iter().map(|finding| finding.code.entry().number);
    numbers.collect()
}
