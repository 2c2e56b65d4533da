//! What `policyd` does not enforce yet: refused, since leaving it out would widen or narrow a policy without a word. What
//! it can only enforce by dropping more is told.

use policyc_diag::{Diagnostic, codes};
use policyc_ir::ids::EndpointId;
use policyc_ir::l7::Auth;
use policyc_ir::lint;
use policyc_ir::model::{Filter, Model};
use policyc_ir::rule::{Action, Peer, Peers, Rule, RuleSet};

use crate::Target;

/// Every reason why this model cannot be lowered.
pub(crate) fn refuse(model: &Model<'_>, target: &Target) -> Result<(), Vec<Diagnostic>> {
    let rules = model.resolved.rules;
    let mut refused = Vec::new();
    for (id, rule) in rules.iter() {
        let name = rules.name(id);
        let not_yet = |what: &str, label: &str, help: &str| {
            let message = format!("`{name}` {what}, which policyd does not enforce yet");
            let diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, message);
            diagnostic
                .label(rule.origin.span, label)
                .help(help.to_owned())
        };
        // A peer that nobody is makes an allow stricter, and anything else perhaps not.
        let stricter = target.without_proxy && rule.action == Action::Allow;
        if selects_by_name(rules, rule) && !stricter {
            let help = "build without this policy, or with `--without-proxy`, for which no address has a name";
            refused.push(not_yet(
                "selects peers by DNS name",
                "needs a DNS proxy",
                help,
            ));
        }
        if needs_proxy(rule) && !target.without_proxy {
            let help = "build without this policy, or with `--without-proxy`, which drops what this would redirect";
            refused.push(not_yet("looks at layer 7", "needs a proxy", help));
        }
    }
    refused.extend(proxied_and_authenticated(model));
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

/// Rules that ask for what nothing here gives: what they allow is dropped.
pub fn warnings(model: &Model<'_>, target: &Target) -> Vec<Diagnostic> {
    let rules = model.resolved.rules;
    let demanding = rules
        .iter()
        .filter(|(_, rule)| rule.auth.is_some_and(|auth| auth != Auth::Disabled));
    let demanding = demanding.map(|(id, rule)| {
        let message = format!("`{}` demands authentication", rules.name(id));
        Diagnostic::new(codes::AUTH_NEVER_GIVEN, message)
            .label(rule.origin.span, "what this allows is dropped")
            .help("`policyd` cannot authenticate; drop the demand where flows have to pass")
    });
    let none = |id, rule: &Rule, what: &str, help: &str| {
        let message = format!("`{}` {what}", rules.name(id));
        Diagnostic::new(codes::NO_PROXY, message)
            .label(rule.origin.span, "what this allows is dropped")
            .help(help.to_owned())
    };
    let all = || rules.iter().filter(|_| target.without_proxy);
    let proxied = all()
        .filter(|(_, rule)| needs_proxy(rule))
        .map(|(id, rule)| {
            let help =
                "`policyd` has no proxy; allow the ports without layer 7 where flows have to pass";
            none(id, rule, "looks at layer 7", help)
        });
    let by_name = all().filter(|(_, rule)| selects_by_name(rules, rule));
    let by_name = by_name.map(|(id, rule)| {
        let help = "`policyd` has no DNS proxy, so no address has a name; allow prefixes where flows have to pass";
        none(id, rule, "selects peers by DNS name", help)
    });
    demanding.chain(proxied).chain(by_name).collect()
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

fn needs_proxy(rule: &Rule) -> bool {
    rule.l7.as_ref().is_some_and(|l7| !l7.is_empty())
}

fn selects_by_name(rules: &RuleSet, rule: &Rule) -> bool {
    match &rule.peers {
        Peers::Of(list) => list
            .iter()
            .any(|peer| matches!(rules.peer(*peer), Some(Peer::Fqdn(_)))),
        Peers::Any => false,
    }
}

/// Rules for one subject of which some ask for a proxy and some for authentication. Which of them wins depends on how
/// Cilium orders entries of either kind, which the tables cannot tell apart yet.
fn proxied_and_authenticated(model: &Model<'_>) -> Option<Diagnostic> {
    let rules = model.resolved.rules;
    let endpoints = (0..model.universe().endpoints().len()).map(EndpointId::at);
    let policies = endpoints.filter_map(|id| model.policy_of(id));
    let filters = policies.flat_map(|policy| [&policy.ingress.filters, &policy.egress.filters]);
    let (proxied, asking) = filters.flatten().find_map(|filters| {
        let mut all = filters.0.iter();
        let first = |filter: &Filter| filter.rules.first().copied();
        let proxied = all.clone().find(|filter| filter.parser().is_some())?;
        let asking = all.find(|filter| filter.auth.is_some())?;
        first(proxied).zip(first(asking))
    })?;
    let message = format!(
        "`{}` looks at layer 7 and `{}` speaks of authentication, for one subject: this is not compiled yet",
        rules.name(proxied),
        rules.name(asking)
    );
    let mut diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, message);
    for (id, label) in [
        (proxied, "asks for a proxy"),
        (asking, "speaks of authentication"),
    ] {
        if let Some(rule) = rules.rule(id) {
            diagnostic = diagnostic.label(rule.origin.span, label);
        }
    }
    Some(diagnostic.help("build without one of the two"))
}
