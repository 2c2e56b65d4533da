//! What `policyd` does not enforce yet: refused, since leaving it out would widen or narrow a policy without a word. What
//! it can only enforce by dropping more is told.

use policyc_diag::{Diagnostic, Span, codes};
use policyc_ir::l7::Auth;
use policyc_ir::lint;
use policyc_ir::model::Model;
use policyc_ir::rule::{Peer, Peers, Rule, RuleSet};

use crate::Target;

/// Every reason why this model cannot be lowered.
pub(crate) fn refuse(model: &Model<'_>, target: &Target) -> Result<(), Vec<Diagnostic>> {
    let rules = model.resolved.rules;
    let mut refused = Vec::new();
    for (id, rule) in rules.iter() {
        let name = rules.name(id);
        refused.extend(reasons(rules, rule).map(|(what, span, label)| {
            let message = format!("`{name}` {what}, which policyd does not enforce yet");
            let diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, message).label(span, label);
            diagnostic.help("build without this policy; `check` and `verdicts` do understand it")
        }));
    }
    refused.extend(nowhere(model));
    refused.extend(lint::open_services(rules));
    refused.extend(lint::conflicts(model));
    if target.pod_ranges.is_empty() {
        let message = "the inventory does not say which address ranges pods get";
        let diagnostic = Diagnostic::new(codes::POD_RANGES, message)
            .help("add Node objects with `spec.podCIDRs` to the inventory, or give each range with `--pod-cidr`")
            .note("without them a pod that is not in the inventory would count as an address outside the cluster");
        refused.push(diagnostic);
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}

/// Rules that demand what nothing here gives: what they allow is dropped.
pub fn warnings(model: &Model<'_>) -> Vec<Diagnostic> {
    let rules = model.resolved.rules;
    let demanding = rules
        .iter()
        .filter(|(_, rule)| rule.auth.is_some_and(|auth| auth != Auth::Disabled));
    let found = demanding.map(|(id, rule)| {
        let message = format!("`{}` demands authentication", rules.name(id));
        Diagnostic::new(codes::AUTH_NEVER_GIVEN, message)
            .label(rule.origin.span, "what this allows is dropped")
            .help("`policyd` cannot authenticate; drop the demand where flows have to pass")
    });
    found.collect()
}

/// Without nodes the tables would fit every node and say nothing about any.
fn nowhere(model: &Model<'_>) -> Option<Diagnostic> {
    let rules = model.resolved.rules;
    let mut of_nodes = rules.iter().filter(|(_, rule)| rule.subject.node);
    let (id, rule) = of_nodes.next()?;
    if !model.universe().nodes().is_empty() {
        return None;
    }
    let message = format!(
        "`{}` selects nodes, but the inventory has none",
        rules.name(id)
    );
    let diagnostic =
        Diagnostic::new(codes::NOT_SUPPORTED, message).label(rule.origin.subject, "selects nodes");
    Some(diagnostic.help("add Node objects to the inventory, or build without this policy"))
}

fn reasons(
    rules: &RuleSet,
    rule: &Rule,
) -> impl Iterator<Item = (&'static str, Span, &'static str)> {
    let by_name = match &rule.peers {
        Peers::Of(list) => list
            .iter()
            .any(|peer| matches!(rules.peer(*peer), Some(Peer::Fqdn(_)))),
        Peers::Any => false,
    };
    let entry = rule.origin.span;
    [
        (
            by_name,
            "selects peers by DNS name",
            entry,
            "needs a DNS proxy",
        ),
        (
            rule.l7.is_some(),
            "looks at layer 7",
            entry,
            "needs a proxy",
        ),
    ]
    .into_iter()
    .filter_map(|(found, what, span, label)| found.then_some((what, span, label)))
}
