//! Which of many subjects may be one endpoint.
//!
//! Subjects of pods are not compared with each other but label by label with what is asked of the label: those that one
//! meets are an intersection of sets, one for each of its labels. The few others are compared one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::rule::Rule;
use rayon::prelude::*;

use crate::algebra::overlap::Algebra;
use crate::algebra::selector::Asked;
use crate::algebra::values::Values;

/// A set of subjects, by number.
#[derive(Clone, Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn of(len: usize, members: impl IntoIterator<Item = usize>) -> Self {
        let mut bits = Self(vec![0; len.div_ceil(64)]);
        for at in members {
            if let Some(word) = bits.0.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
        bits
    }

    fn apply(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word = with(*word, *other);
        }
    }

    fn and(&mut self, other: &Self) {
        self.apply(other, |one, other| one & other);
    }

    fn or(&mut self, other: &Self) {
        self.apply(other, |one, other| one | other);
    }

    fn without(&mut self, other: &Self) {
        self.apply(other, |one, other| one & !other);
    }

    fn members(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let set = (0..64).filter(move |bit| word >> bit & 1 == 1);
            set.map(move |bit| at * 64 + bit)
        })
    }
}

/// Subjects by what they ask of each label, and by namespace.
struct Index<'a> {
    pods: Bits,
    /// For each label and what is asked of it: the pods' subjects that leave it a value.
    labels: BTreeMap<(&'a Arc<str>, &'a Values), Bits>,
    namespaces: BTreeMap<Option<&'a str>, Bits>,
}

impl<'a> Index<'a> {
    fn new(asked: &[Option<&'a Asked>], rules: &[&'a Rule]) -> Self {
        let pods = asked.iter().enumerate();
        let pods = pods.filter_map(|(at, asked)| asked.map(|_| at));
        let pods = Bits::of(asked.len(), pods);
        Self {
            labels: labels(asked, &pods),
            namespaces: namespaces(rules),
            pods,
        }
    }

    /// The subjects that a pod may have besides one.
    fn meeting(&self, rule: &Rule, asked: &Asked) -> Bits {
        let mut all = self.pods.clone();
        for (name, values) in asked {
            if let Some(bits) = self.labels.get(&(name, values)) {
                all.and(bits);
            }
        }
        let namespace = rule.subject.namespace.as_deref();
        if let Some(bits) = namespace.and_then(|name| self.namespaces.get(&Some(name))) {
            all.and(bits);
        }
        all
    }
}

fn labels<'a>(
    asked: &[Option<&'a Asked>],
    pods: &Bits,
) -> BTreeMap<(&'a Arc<str>, &'a Values), Bits> {
    let mut by_label: BTreeMap<&Arc<str>, BTreeMap<&Values, Vec<usize>>> = BTreeMap::new();
    for (at, asked) in asked.iter().enumerate() {
        for (name, values) in asked.iter().copied().flatten() {
            let of = by_label.entry(name).or_default();
            of.entry(values).or_default().push(at);
        }
    }
    let by_label: Vec<_> = by_label.into_iter().collect();
    let all = by_label.into_par_iter().flat_map_iter(|(name, of)| {
        let of = of.into_iter();
        let of: Vec<_> = of
            .map(|(values, at)| (values, Bits::of(asked.len(), at)))
            .collect();
        let mut silent = pods.clone();
        for (_, bits) in &of {
            silent.without(bits);
        }
        let meeting = |values: &Values| {
            let mut all = silent.clone();
            let near = of.iter().filter(|(other, _)| values.meets(other));
            near.for_each(|(_, bits)| all.or(bits));
            all
        };
        let of = of
            .iter()
            .map(|(values, _)| ((name, *values), meeting(values)));
        of.collect::<Vec<_>>()
    });
    all.collect()
}

/// For each namespace its own subjects and the cluster-wide ones.
fn namespaces<'a>(rules: &[&'a Rule]) -> BTreeMap<Option<&'a str>, Bits> {
    let mut by_name: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        let namespace = rule.subject.namespace.as_deref();
        by_name.entry(namespace).or_default().push(at);
    }
    let wide = by_name.get(&None).cloned().unwrap_or_default();
    let all = by_name.into_iter().map(|(name, mut at)| {
        at.extend(&wide);
        (name, Bits::of(rules.len(), at))
    });
    all.collect()
}

/// For each subject, shown by one of its rules, those that may be one endpoint with it.
pub(super) fn all(algebra: &Algebra<'_>, rules: &[&Rule]) -> Vec<Vec<usize>> {
    let reach = |rule: &Rule| algebra.subject(rule).filter(|_| !rule.subject.node);
    let asked = rules
        .iter()
        .map(|rule| reach(rule).and_then(|reach| reach.pod.as_ref()));
    let asked: Vec<_> = asked.collect();
    let special = |rule: &Rule| reach(rule).is_none_or(|reach| reach.kinds != 0);
    let others = rules.iter().enumerate().filter(|(_, rule)| special(rule));
    let others: Vec<(usize, &Rule)> = others.map(|(at, rule)| (at, *rule)).collect();
    let index = Index::new(&asked, rules);
    let one = |(rule, asked): (&&Rule, Option<&Asked>)| {
        let mut all = match asked {
            Some(asked) => index.meeting(rule, asked),
            None => Bits::of(rules.len(), []),
        };
        if special(rule) {
            let near = others
                .iter()
                .filter(|(_, other)| algebra.subjects_meet(rule, other));
            all.or(&Bits::of(rules.len(), near.map(|(at, _)| *at)));
        }
        all.members().collect()
    };
    rules.par_iter().zip(asked).map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::tiny::{Draft, build_mixed, direction, draft, of_nodes, settings};

    fn any_draft() -> impl Strategy<Value = Draft> {
        prop_oneof![4 => draft(), 1 => of_nodes()]
    }

    proptest! {
        #[test]
        fn it_is_who_meets_when_compared_one_by_one(
            drafts in prop::collection::vec((direction(), any_draft()), 1..40),
        ) {
            let rules = build_mixed(&drafts, &BTreeSet::new());
            let settings = settings();
            let algebra = Algebra::new(&rules, &settings);
            let first: Vec<_> = rules.rules().iter().collect();
            for (rule, found) in first.iter().zip(all(&algebra, &first)) {
                let meets = |at: &usize| algebra.subjects_meet(rule, first[*at]);
                let wanted: Vec<_> = (0..first.len()).filter(meets).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
