//! Two sets as one, and which rules both have.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::RuleId;
use policyc_ir::l7::{self, Auth};
use policyc_ir::rule::{
    Action, Builder, Direction, Level, Peers, Rule, RuleSet, Services, Subject,
};

use super::Stats;
use crate::replay::transplant;

/// One of the two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Old,
    New,
}

impl Version {
    pub(super) const BOTH: [Self; 2] = [Self::Old, Self::New];
}

/// A rule's id in the old set and in the new one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    old: Option<RuleId>,
    new: Option<RuleId>,
}

impl Ids {
    pub(super) const fn of(self, version: Version) -> Option<RuleId> {
        match version {
            Version::Old => self.old,
            Version::New => self.new,
        }
    }

    /// Whether only one side has the rule.
    pub(super) const fn is_changed(self) -> bool {
        self.old.is_none() || self.new.is_none()
    }
}

/// The rules of both sides; those that both have are in it once.
#[derive(Debug)]
pub(super) struct Joint {
    /// All rules, without their policies.
    pub(super) rules: RuleSet,
    ids: Vec<Ids>,
}

/// All that a rule does. Where it was written and what it logs changes no flow.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Deed {
    direction: Direction,
    action: Action,
    level: Level,
    subject: Subject,
    peers: Peers,
    beside: Vec<policyc_ir::PeerId>,
    services: Services,
    l7: Option<Arc<l7::Rules>>,
    auth: Option<Auth>,
    unresolved: bool,
    default_deny: bool,
    /// Its policy, where it matters in which order Cilium reads policies.
    policy: Option<String>,
}

impl Joint {
    pub(super) fn new(old: &RuleSet, new: &RuleSet) -> Self {
        let mut builder = Builder::new();
        // Which of two rules with server names comes first decides whether they go together.
        let ordered = [old, new].into_iter().flat_map(RuleSet::rules).any(|rule| {
            let l7 = rule.l7.as_ref();
            l7.is_some_and(|l7| !l7.server_names.is_empty())
        });
        let mut deeds: BTreeMap<Deed, [Vec<(RuleId, Rule)>; 2]> = BTreeMap::new();
        for (at, set) in [old, new].into_iter().enumerate() {
            for (id, rule) in set.iter() {
                let copy = transplant(set, &mut builder, rule);
                let policy = ordered.then(|| set.policies().get(rule.origin.policy.index()));
                let policy = policy.flatten().map(ToString::to_string);
                let sides = deeds.entry(deed(&copy, policy)).or_default();
                if let Some(side) = sides.get_mut(at) {
                    side.push((id, copy));
                }
            }
        }
        let mut all: Vec<(Ids, Rule)> = Vec::new();
        for [old, new] in deeds.into_values() {
            all.extend(pair(old, new));
        }
        all.sort_by_key(|(ids, _)| (ids.old.is_none(), ids.old, ids.new));
        let mut joint = Vec::new();
        for (ids, rule) in all {
            joint.push(ids);
            builder.rule(rule);
        }
        Self {
            rules: builder.finish(),
            ids: joint,
        }
    }

    /// What a rule is called on either side.
    pub(super) fn ids(&self, id: RuleId) -> Ids {
        self.ids.get(id.index()).copied().unwrap_or_default()
    }

    /// Whether a side has a rule.
    pub(super) fn has(&self, version: Version, id: RuleId) -> bool {
        self.ids(id).of(version).is_some()
    }

    /// Whether only one side has it.
    pub(super) fn is_changed(&self, id: RuleId) -> bool {
        self.ids(id).is_changed()
    }

    /// How many rules both sides have, and how many only one.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for ids in &self.ids {
            match (ids.old, ids.new) {
                (Some(_), Some(_)) => stats.shared += 1,
                (Some(_), None) => stats.removed += 1,
                (None, _) => stats.added += 1,
            }
        }
        stats
    }
}

fn deed(rule: &Rule, policy: Option<String>) -> Deed {
    let sorted = |list: &[policyc_ir::PeerId]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        list
    };
    Deed {
        direction: rule.direction,
        action: rule.action,
        level: rule.level,
        subject: rule.subject.clone(),
        peers: match &rule.peers {
            Peers::Any => Peers::Any,
            Peers::Of(list) => Peers::Of(sorted(list)),
        },
        beside: sorted(&rule.beside),
        services: rule.services.clone(),
        policy: policy.filter(|_| rule.l7.is_some()),
        l7: rule.l7.clone(),
        auth: rule.auth,
        unresolved: rule.unresolved,
        default_deny: rule.default_deny,
    }
}

/// Puts equal rules of both sides together. Repeats make no difference, except that rules for proxies may not go with
/// themselves.
fn pair(old: Vec<(RuleId, Rule)>, new: Vec<(RuleId, Rule)>) -> Vec<(Ids, Rule)> {
    let plain = |rule: &Rule| rule.l7.is_none() && rule.auth.is_none();
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    let mut pairs = Vec::new();
    let mut shared = false;
    loop {
        let (ids, rule) = match (old.next(), new.next()) {
            (None, None) => return pairs,
            (Some((id, rule)), Some((other, _))) => (
                Ids {
                    old: Some(id),
                    new: Some(other),
                },
                rule,
            ),
            (Some((_, rule)), None) | (None, Some((_, rule))) if shared && plain(&rule) => continue,
            (Some((id, rule)), None) => (
                Ids {
                    old: Some(id),
                    new: None,
                },
                rule,
            ),
            (None, Some((id, rule))) => (
                Ids {
                    old: None,
                    new: Some(id),
                },
                rule,
            ),
        };
        shared |= !ids.is_changed();
        pairs.push((ids, rule));
    }
}
