//! What an inventory makes of policies that Cilium accepts.

use policyc_diag::{Diagnostic, codes};

use crate::model::{Conflict, Model};
use crate::rule::RuleSet;

/// Rules that speak of everyone because none of the services they name exists.
pub fn open_services(rules: &RuleSet) -> Vec<Diagnostic> {
    let open = rules.iter().filter(|(_, rule)| rule.unresolved);
    open.map(|(id, rule)| {
        let name = rules.name(id);
        let message = format!("no service that `{name}` names exists, so it speaks of everyone");
        Diagnostic::new(codes::OPEN_SERVICE, message)
            .label(rule.origin.span, "resolves to no service")
            .help("mend the names, or add the services and their EndpointSlices to the inventory")
            .note("Cilium takes an entry with ports and without resolved services for an entry about all peers")
    })
    .collect()
}

/// One finding per pair of rules that leaves endpoints of the universe without a policy.
pub fn conflicts(model: &Model<'_>) -> Vec<Diagnostic> {
    let found = model.policies().iter().filter_map(|policy| policy.conflict);
    let mut found: Vec<_> = found.collect();
    found.sort_unstable();
    found.dedup();
    let rules = model.resolved.rules;
    found.iter().map(|one| conflict(rules, one)).collect()
}

/// Two rules that exclude each other.
pub fn conflict(rules: &RuleSet, conflict: &Conflict) -> Diagnostic {
    let (first, second) = (rules.name(conflict.first), rules.name(conflict.second));
    let what = conflict.what;
    let message = if conflict.first == conflict.second {
        format!("`{first}` asks for {what}")
    } else {
        format!("`{first}` and `{second}` ask for {what} on the same ports of the same peers")
    };
    let mut diagnostic = Diagnostic::new(codes::CONFLICTING_RULES, message);
    for (id, text) in [(conflict.second, "this"), (conflict.first, "and this")] {
        if let Some(rule) = rules
            .rule(id)
            .filter(|_| id == conflict.second || conflict.first != conflict.second)
        {
            diagnostic = diagnostic.label(rule.origin.span, text);
        }
    }
    diagnostic
        .help("let them name different ports, or make them one rule")
        .note("Cilium computes no policy at all for their subjects: running ones keep the last, new ones never get ready")
}
