//! Rules of which Cilium can follow only one: it then computes no policy for their subjects.
//!
//! Which pairs exclude each other is asked of the model's own merging. Rules for proxies and authentication exist at
//! one level only, so a third rule makes no difference, unless it is a deny that takes the place of the pair.

use policyc_ir::RuleId;
use policyc_ir::model::{Facts, Filters};
use policyc_ir::rule::{Action, Peers, Rule, RuleSet, Services};

/// Whether a rule may have a part in a conflict.
pub(super) const fn may_clash(rule: &Rule) -> bool {
    rule.l7.is_some() || rule.auth.is_some()
}

/// Pairs of a set's rules that exclude each other; a rule that cannot be followed at all is a pair with itself.
pub(super) fn pairs(rules: &RuleSet, ids: &[RuleId]) -> Vec<(RuleId, RuleId)> {
    let special = ids.iter().filter_map(|id| Some((*id, rules.rule(*id)?)));
    let special: Vec<_> = special.filter(|(_, rule)| may_clash(rule)).collect();
    let facts = Facts::new(rules);
    let mut found = Vec::new();
    let mut rest = special.as_slice();
    while let Some(((id, rule), more)) = rest.split_first() {
        if Filters::of(&facts, &[*id], true).is_err() {
            found.push((*id, *id));
        }
        for (other_id, other) in more {
            let may = rule.direction == other.direction
                && (rule.l7 != other.l7
                    || rule.auth != other.auth
                    || rule
                        .l7
                        .as_ref()
                        .is_some_and(|l7| !l7.server_names.is_empty()));
            if may
                && share_key(rule, other)
                && Filters::of(&facts, &[*id, *other_id], true).is_err()
            {
                found.push((*id, *other_id));
            }
        }
        rest = more;
    }
    found
}

/// Whether some deny may take the place of a pair.
pub(super) fn is_doubtful(rules: &RuleSet, ids: &[RuleId], pairs: &[(RuleId, RuleId)]) -> bool {
    let denies = ids.iter().filter_map(|id| rules.rule(*id));
    let denies: Vec<_> = denies.filter(|rule| rule.action == Action::Deny).collect();
    pairs
        .iter()
        .filter_map(|(id, _)| rules.rule(*id))
        .any(|rule| {
            let mut denies = denies.iter();
            denies.any(|deny| deny.direction == rule.direction && share_key(deny, rule))
        })
}

/// Whether two rules name the same ports and may name the same peer.
fn share_key(left: &Rule, right: &Rule) -> bool {
    let services = match (&left.services, &right.services) {
        (Services::All, Services::All) => true,
        (Services::Of(left), Services::Of(right)) => left.iter().any(|l4| right.contains(l4)),
        _ => false,
    };
    let peers = match (&left.peers, &right.peers) {
        // Equal selectors have more than one form, so only plain cases are told apart.
        (Peers::Of(left), Peers::Of(right)) => !left.is_empty() && !right.is_empty(),
        _ => true,
    };
    services && peers
}
