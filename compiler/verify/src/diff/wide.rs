//! All that a changed rule speaks of, with exceptions.
//!
//! Where other rules decide some of a changed rule's flows as before, the exact sets of flows that differ are many and
//! odd. What people look for is the rule's own set, and what is not part of the change.

use super::fact::Fact;
use super::joint::Version;
use super::region::Except;
use super::search::Search;
use crate::term::{Assignment, Term};

/// Exceptions that are listed.
const LISTED: usize = 3;

/// Exact regions within one rule's set; with more of them the set is named as a whole.
const EXACT: usize = 1;

/// Facts, exceptions, and whether there are more exceptions than are listed.
pub(super) type Region = (Vec<Fact>, Vec<Except>, bool);

/// What has been found within the sets of rules so far.
#[derive(Debug, Default)]
pub(super) struct Wide {
    /// Sets with more exceptions than are listed, and how many exact regions were found in each.
    crowded: Vec<(Vec<Fact>, usize)>,
}

impl Search<'_> {
    /// The set of a changed rule around an exact region, if that tells more.
    pub(super) fn widen(
        &mut self,
        wide: &mut Wide,
        certain: &Term,
        values: &Assignment,
        exact: Vec<Fact>,
    ) -> Result<Region, String> {
        for own in self.own_sets(values) {
            let odd = |fact: &Fact| !own.contains(fact) && !fact.is_plain();
            if !exact.iter().any(odd) || !self.is_settled(&own)? {
                continue;
            }
            if let Some(except) = self.exceptions(certain, &own)? {
                return Ok((own, except, false));
            }
            match wide.crowded.iter_mut().find(|(known, _)| *known == own) {
                None => wide.crowded.push((own, 1)),
                Some((_, count)) if *count < EXACT => *count += 1,
                Some(_) => return Ok((own, Vec::new(), true)),
            }
            return Ok((exact, Vec::new(), false));
        }
        Ok((exact, Vec::new(), false))
    }

    /// The facts of each changed rule that matches a flow.
    fn own_sets(&self, values: &Assignment) -> Vec<Vec<Fact>> {
        let frame = &self.question.frame;
        let changed = self.component.changed.iter().filter_map(|id| {
            let encoded = self.question.encoded.get(id)?;
            let rule = self.context.joint.rules.rule(*id)?;
            encoded.matches_in(values).then_some(rule)
        });
        let sets = changed.map(|rule| {
            let mut facts = self.spoken(rule, values, true);
            facts.retain(|fact| fact.term(frame).eval(values));
            facts.sort();
            facts.dedup();
            facts
        });
        sets.collect()
    }

    /// Whether one side decides all flows of a set alike, so that the other side alone tells which of them differ.
    fn is_settled(&mut self, own: &[Fact]) -> Result<bool, String> {
        let own: Vec<_> = own.iter().map(|fact| self.literal(fact)).collect();
        for version in Version::BOTH {
            let passes = self.question.says(version).passes.clone();
            for way in [passes.clone(), passes.negate()] {
                let mut assumed = own.clone();
                assumed.push(self.assume(&way));
                if !self.check(&assumed)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The flows of a set that do not differ; `None` if they are too many sets.
    fn exceptions(&mut self, certain: &Term, own: &[Fact]) -> Result<Option<Vec<Except>>, String> {
        let differs = self.assume(certain);
        let mut within = vec![differs];
        within.extend(
            own.iter()
                .map(|fact| self.literal(fact))
                .collect::<Vec<_>>(),
        );
        let mut goals = within.clone();
        if let Some(first) = goals.first_mut() {
            *first = self.assume(&certain.clone().negate());
        }
        let mut found = Vec::new();
        while let Some(values) = self.example(&goals)? {
            if found.len() >= LISTED {
                return Ok(None);
            }
            let mut facts = self.facts(&values);
            facts.retain(|fact| !own.contains(fact));
            let fewest = self.fewest(&within, &facts)?;
            goals.push(self.block(&fewest));
            let cluster = &self.question.frame.dims.cluster;
            found.push(Except::new(own, &fewest, self.component.node, cluster));
        }
        Ok(Some(found))
    }
}
