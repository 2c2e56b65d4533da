//! What an allow does beyond letting flows pass: layer 7 and authentication.
//!
//! Of two allows that match a flow, one may be removed only if what the proxy and the datapath then ask of the flow
//! stays the same. The rules here err on the side of "it does not": a rule is called needless only where another of
//! the same effect and level matches all of its flows.

use std::collections::BTreeMap;

use policyc_ir::RuleId;
use policyc_ir::l7::{Content, Parser};
use policyc_ir::rule::{Action, Rule, RuleSet, Services};

use super::conflict::Places;
use crate::encode::Encoded;
use crate::term::Term;

/// Which rules change what is asked of a rule's flows beyond layer 4, and which do the same as it.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Whether layer 7 or authentication may have a say in the rule's flows.
    pub(super) asks: bool,
    /// Others that ask for something.
    pub(super) special: Vec<RuleId>,
    /// Others that do the same to every flow that both match.
    pub(super) same: Vec<RuleId>,
    /// Whether the rule itself asks for nothing.
    plain: bool,
    /// Whether the rule may have a part in a conflict, on account of which Cilium has no policy for its subjects.
    pub(super) clashes: bool,
}

impl Effects {
    /// Looks at a rule among others that may match its flows.
    pub(super) fn new(rules: &RuleSet, rule: &Rule, others: &[RuleId]) -> Self {
        let allows = || {
            let known = others.iter().filter_map(|id| Some((*id, rules.rule(*id)?)));
            known.filter(|(_, other)| other.action == Action::Allow)
        };
        let special: Vec<_> = allows().filter(|(_, other)| !is_plain(other)).collect();
        let plain = is_plain(rule);
        let asks = rule.action == Action::Allow && (!plain || !special.is_empty());
        // The DNS proxy reads the rules of one port together, and derived authentication depends on which entry is
        // the more specific one: there only a rule of the same peers and ports is a substitute.
        let shape_counts = is_shaped(rule)
            || special.iter().any(|(_, other)| {
                other.auth.is_some() || is_dns(other) && share_ports(rule, other)
            });
        let clashes = clashes(rules, rule, special.iter().map(|(_, other)| *other));
        let same = allows().filter(|(_, other)| {
            let shape = rule.peers == other.peers
                && rule.beside == other.beside
                && rule.services == other.services;
            has_same_effect(rule, other) && (shape || !shape_counts)
        });
        Self {
            asks,
            same: same.map(|(id, _)| id).collect(),
            special: special.into_iter().map(|(id, _)| id).collect(),
            plain,
            clashes,
        }
    }

    /// "The rule matches a flow of which layer 7 or authentication may ask something else without it."
    pub(super) fn lost(&self, id: RuleId, encoded: &BTreeMap<RuleId, Encoded>) -> Term {
        if !self.asks {
            return Term::Const(false);
        }
        let matches = |id: &RuleId| {
            let known = encoded.get(id);
            known.map_or(Term::Const(false), |rule| rule.matches.clone())
        };
        let others = if self.plain {
            Term::any(self.special.iter().map(matches))
        } else {
            Term::Const(true)
        };
        let kept = Term::any(self.same.iter().map(matches));
        Term::all([matches(&id), others, kept.negate()])
    }
}

/// Whether an allow leaves flows to layers 3 and 4 alone.
pub(crate) fn is_plain(rule: &Rule) -> bool {
    rule.l7.is_none() && rule.auth.is_none()
}

fn is_dns(rule: &Rule) -> bool {
    let l7 = rule.l7.as_ref();
    l7.is_some_and(|l7| l7.parser() == Some(Parser::Dns))
}

fn is_shaped(rule: &Rule) -> bool {
    rule.auth.is_some() || is_dns(rule)
}

/// Whether two allows of one level ask for the same.
pub(super) fn has_same_effect(rule: &Rule, other: &Rule) -> bool {
    rule.action == other.action
        && rule.level == other.level
        && rule.l7 == other.l7
        && rule.auth == other.auth
}

/// Whether the rule, or others that Cilium merges with it, may ask for things that exclude each other.
fn clashes<'a>(
    rules: &'a RuleSet,
    rule: &'a Rule,
    special: impl Iterator<Item = &'a Rule>,
) -> bool {
    if is_unusable(rule) {
        return true;
    }
    let own = (!is_plain(rule)).then_some(rule);
    let places = Places::new(rules, rule);
    let merged: Vec<_> = special
        .filter(|other| share_ports(rule, other) && places.meets(&Places::new(rules, other)))
        .chain(own)
        .collect();
    let mut rest = merged.as_slice();
    while let Some((one, more)) = rest.split_first() {
        if more.iter().any(|other| exclude(one, other)) {
            return true;
        }
        rest = more;
    }
    false
}

/// Whether Cilium computes no policy for the rule's subjects, whatever else there is.
pub(crate) fn is_unusable(rule: &Rule) -> bool {
    let listener = rule.l7.as_ref().and_then(|l7| l7.listener.as_ref());
    listener.is_some_and(|listener| listener.unusable)
}

/// Whether two rules may have a part in a conflict, on account of which Cilium has no policy for their subjects.
pub(crate) fn may_clash(one: &Rule, other: &Rule) -> bool {
    share_ports(one, other) && exclude(one, other)
}

/// Whether two allows of one filter may exclude each other (Cilium's mergePortProto).
fn exclude(one: &Rule, other: &Rule) -> bool {
    fn differ<T: PartialEq>(left: Option<&T>, right: Option<&T>) -> bool {
        left.zip(right).is_some_and(|(left, right)| left != right)
    }
    if differ(one.auth.as_ref(), other.auth.as_ref()) {
        return true;
    }
    let (Some(left), Some(right)) = (&one.l7, &other.l7) else {
        return false;
    };
    let named = !left.server_names.is_empty() || !right.server_names.is_empty();
    let generic = matches!(left.content, Content::Generic(_)) && left.content != right.content;
    left.parser() != right.parser()
        || named && left != right
        || generic
        || differ(left.listener.as_ref(), right.listener.as_ref())
        || differ(left.terminating.as_ref(), right.terminating.as_ref())
        || differ(left.originating.as_ref(), right.originating.as_ref())
}

fn share_ports(rule: &Rule, other: &Rule) -> bool {
    match (&rule.services, &other.services) {
        (Services::All, Services::All) => true,
        (Services::Of(left), Services::Of(right)) => left.iter().any(|l4| right.contains(l4)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
