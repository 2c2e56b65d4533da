//! Selectors that questions about all possible flows would get wrong in a cluster.
//!
//! The verifier takes two address families for granted, and that every pod has the labels of its namespace and
//! cluster. Where a selector makes the difference, its findings would be those of another cluster, and that must be
//! said.

use policyc_diag::{Diagnostic, codes};
use policyc_ir::SelectorId;
use policyc_ir::label::{CLUSTER, Key, NAMESPACE, Source};
use policyc_ir::rule::{Peer, Peers, Rule, RuleSet};
use policyc_ir::selector::Selector;
use policyc_ir::settings::Settings;

/// One fault for each rule with such a selector.
pub(crate) fn beyond(rules: &RuleSet, settings: &Settings) -> Vec<Diagnostic> {
    let families = settings.ipv4 && settings.ipv6;
    if settings.labels.is_default() && families {
        return Vec::new();
    }
    let reason = |key: &Key| {
        let label = Key::new(Source::K8s, key.name.clone());
        let of_k8s = matches!(key.source, Source::Any | Source::K8s);
        let general = matches!(&*key.name, NAMESPACE | CLUSTER);
        if of_k8s && general && !settings.labels.keeps(&label) {
            return Some("`labels` takes this label from every pod");
        }
        let world = key.name.starts_with("world") && key.source == Source::Reserved;
        (world && !families)
            .then_some("in a cluster of one family, this label means another set of addresses")
    };
    let found = rules.rules().iter().filter_map(|rule| {
        let asked = selectors(rules, rule).flat_map(|id| rules.selector(id).requirements());
        let (key, reason) = { asked }.find_map(|one| Some((&one.key, reason(&one.key)?)))?;
        let message = format!(
            "checks of all possible flows do not know what `{key}` selects in this cluster"
        );
        let fault = Diagnostic::new(codes::SETTING_NOT_MODELLED, message);
        Some(
            fault
                .label(rule.origin.span, reason)
                .help("`trace` and `verdicts` know it"),
        )
    });
    found.collect()
}

/// The selectors of a rule, but for those of the entity `world`: it has one for each family and one for both, and
/// together they are right in every cluster.
fn selectors<'a>(rules: &'a RuleSet, rule: &'a Rule) -> impl Iterator<Item = SelectorId> + 'a {
    let peers = match &rule.peers {
        Peers::Of(list) => list.as_slice(),
        Peers::Any => &[],
    };
    let peers = peers.iter().filter_map(|id| match rules.peer(*id)? {
        Peer::Labels(id) => Some(*id),
        _ => None,
    });
    let world = ["world", "world-ipv4", "world-ipv6"].map(Selector::reserved);
    let of_world = move |id: &SelectorId| world.contains(rules.selector(*id));
    let entity = peers.clone().filter(&of_world).count() == 3;
    let peers = peers.filter(move |id| !(entity && of_world(id)));
    std::iter::once(rule.subject.selector).chain(peers)
}
