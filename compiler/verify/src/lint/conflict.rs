//! Rules that exclude each other, so that Cilium has no policy for the pods that both select.
//!
//! Only rules of one level, of the very same ports and peer are merged, and merging fails only where two of them
//! exclude each other. So pairs are looked for, and each is tried on a pod that both select, in the model.

use std::collections::{BTreeMap, BTreeSet};

use policyc_diag::{Diagnostic, Severity};
use policyc_ir::model::{Conflict, Facts, Filters};
use policyc_ir::port::L4;
use policyc_ir::rule::{Direction, Level, Peer, Peers, Rule, RuleSet, Services, Tier};
use policyc_ir::selector::Selector;
use policyc_ir::{PeerId, RuleId};

use super::group::Run;
use super::{Context, Found, Group};
use crate::algebra::overlap::Algebra;
use crate::witness::Witness;

/// Rules that may be merged have one of these in common.
type Key<'a> = (Direction, Level, Option<&'a L4>, Who);

/// A peer as merging tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Anyone,
    /// All addresses of a family, as prefix or as entity; whether it is IPv4.
    Family(bool),
    Peer(PeerId),
}

/// Looks for pods that get no policy.
pub(super) fn run(context: &Context<'_>, pairs: &BTreeSet<(RuleId, RuleId)>) -> Found {
    let mut found = Found::default();
    if pairs.is_empty() {
        return found;
    }
    let group = Group::default();
    let mut run = Run::new(context, &group, &BTreeSet::new());
    for &(one, other) in pairs {
        if context.is_late() {
            found.stats.undecided += 1;
        } else if let Err(why) = run.conflict(one, other) {
            found.undecided(context, other, &why);
        }
    }
    found.stats.questions = run.questions;
    found.conflicts = run.conflicts;
    found
}

/// For each rule the first one before it that it does not go with.
pub(super) fn pairs(algebra: &Algebra<'_>) -> BTreeSet<(RuleId, RuleId)> {
    let rules = algebra.rules;
    let mut merged: BTreeMap<Key<'_>, Vec<RuleId>> = BTreeMap::new();
    for (id, rule) in rules.iter() {
        let asks = rule.l7.is_some() || rule.auth.is_some();
        let counts = !rule.subject.node || algebra.settings.host_firewall;
        if asks && counts && algebra.has_subject(rule) {
            for key in keys(rules, rule) {
                merged.entry(key).or_default().push(id);
            }
        }
    }
    let facts = Facts::new(rules);
    let mut pairs = BTreeSet::new();
    for list in merged.values() {
        for (at, id) in list.iter().enumerate() {
            let before = list.iter().take(at + 1);
            let clash = before
                .copied()
                .find(|other| clash(algebra, &facts, *other, *id));
            pairs.extend(clash.map(|other| (other, *id)));
        }
    }
    pairs
}

/// Where Cilium merges a rule with others. It does so within a tier, where the first level has the word.
pub(super) struct Places<'a>(BTreeSet<(Tier, Option<&'a L4>, Who)>);

impl<'a> Places<'a> {
    pub(super) fn new(rules: &'a RuleSet, rule: &'a Rule) -> Self {
        let keys = keys(rules, rule).into_iter();
        Self(
            keys.map(|(_, level, l4, who)| (level.tier, l4, who))
                .collect(),
        )
    }

    /// Whether it is merged with another rule of its direction.
    pub(super) fn meets(&self, other: &Self) -> bool {
        !self.0.is_disjoint(&other.0)
    }
}

fn keys<'a>(rules: &'a RuleSet, rule: &'a Rule) -> Vec<Key<'a>> {
    let peers = match &rule.peers {
        Peers::Any => rule.beside.as_slice(),
        Peers::Of(list) => list.as_slice(),
    };
    let anyone = (rule.peers == Peers::Any).then_some(Who::Anyone);
    let who = peers.iter().map(|peer| who(rules, *peer)).chain(anyone);
    let mut who: Vec<_> = who.collect();
    who.sort_unstable();
    who.dedup();
    let services: Vec<_> = match &rule.services {
        Services::All => vec![None],
        Services::Of(list) => list.iter().map(Some).collect(),
    };
    let key = |l4: Option<&'a L4>, who: &Who| (rule.direction, rule.level, l4, *who);
    let keys = services
        .iter()
        .flat_map(|l4| who.iter().map(|who| key(*l4, who)));
    keys.collect()
}

fn who(rules: &RuleSet, peer: PeerId) -> Who {
    match rules.peer(peer) {
        Some(Peer::Cidr(cidr, except)) if cidr.is_all() && except.is_empty() => {
            Who::Family(cidr.is_ipv4())
        }
        Some(Peer::Labels(selector)) => {
            let selector = rules.selector(*selector);
            let families = [("world-ipv4", true), ("world-ipv6", false)];
            let mut families = families.into_iter();
            let family = families.find(|(name, _)| *selector == Selector::reserved(name));
            family.map_or(Who::Peer(peer), |(_, ipv4)| Who::Family(ipv4))
        }
        _ => Who::Peer(peer),
    }
}

/// Whether there can be a pod that these two alone leave without a policy.
fn clash(algebra: &Algebra<'_>, facts: &Facts<'_>, one: RuleId, other: RuleId) -> bool {
    let (Some(left), Some(right)) = (algebra.rules.rule(one), algebra.rules.rule(other)) else {
        return false;
    };
    let both: &[RuleId] = if one == other { &[one] } else { &[one, other] };
    algebra.subjects_meet(left, right) && Filters::of(facts, both, true).is_err()
}

/// The findings for rules that the model refuses to merge.
pub(super) fn findings(
    context: &Context<'_>,
    conflicts: &BTreeMap<Conflict, Witness>,
) -> Vec<Diagnostic> {
    let one = |(conflict, witness): (&Conflict, &Witness)| {
        let rules = context.rules;
        let finding = policyc_ir::lint::conflict(rules, conflict);
        let [subject, _] = &witness.sides;
        let finding = finding.note(format!("for example: {}", witness.party(subject)));
        let rule = |id| rules.rule(id);
        let always = rule(conflict.first).zip(rule(conflict.second));
        let always = always.is_some_and(|(first, second)| {
            context.algebra.subject_contains(first, second)
                || context.algebra.subject_contains(second, first)
        });
        // Where neither selector implies the other, there need not ever be such a pod.
        let severity = if always {
            Severity::Error
        } else {
            Severity::Warning
        };
        Diagnostic {
            severity,
            ..finding
        }
    };
    conflicts.iter().map(one).collect()
}
