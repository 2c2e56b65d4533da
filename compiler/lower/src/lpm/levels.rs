//! Levels as numbers, and numbers as precedences (Cilium's computeTierPriorities and resolveL4Policy).
//!
//! Every level of a policy has a number, lower ones are asked first. Behind a level that passes flows on, numbers are
//! kept free for all levels of the later tiers: entries that a flow is passed to are made anew there.

use std::collections::BTreeMap;

use policyc_ir::rule::{Level, Tier};

/// The highest number a level can have.
const NUMBER_MAX: u64 = (1 << 24) - 1;

/// What a level's share of the precedence says of a deny.
pub(super) const DENY: u8 = u8::MAX;
/// What it says of an allow without a proxy.
pub(super) const ALLOW: u8 = 1;

/// The tiers of rules, in order; the last tier, of what holds where no rule matches, follows.
const TIERS: [Tier; 3] = [Tier::Admin, Tier::Normal, Tier::Baseline];

/// More levels than Cilium has numbers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyLevels;

/// The bounds of a tier, as precedences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The highest that any entry of the tier has.
    pub(super) max: u32,
    /// The lowest that any entry of the tier or its passed-to entries can have.
    pub(super) min: u32,
}

/// The numbers of a policy's levels.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    numbers: BTreeMap<Level, u32>,
    /// The first number of each tier, and of the last one.
    bases: [u32; 4],
}

impl Levels {
    /// Numbers the levels of a policy; each with whether a rule of it passes flows on. `closing` is how many levels
    /// the last tier has.
    pub(super) fn new(levels: &BTreeMap<Level, bool>, closing: u64) -> Result<Self, TooManyLevels> {
        let sizes = sizes(levels, closing);
        let [admin, normal, baseline, last] = sizes;
        if admin > NUMBER_MAX {
            return Err(TooManyLevels);
        }
        // Each tier starts where it is as far from the end as it is large.
        let bases = [0, admin - normal, admin - baseline, admin - last];
        let mut numbers = BTreeMap::new();
        for (at, tier) in TIERS.iter().enumerate() {
            let (base, gap) = (bases.get(at), sizes.get(at + 1));
            let (mut next, gap) = (*base.unwrap_or(&0), *gap.unwrap_or(&0));
            for (level, passes) in levels.iter().filter(|(level, _)| level.tier == *tier) {
                numbers.insert(*level, narrow(next)?);
                next += if *passes { gap + 1 } else { 1 };
            }
        }
        let [_, normal, baseline, last] = bases;
        Ok(Self {
            numbers,
            bases: [0, narrow(normal)?, narrow(baseline)?, narrow(last)?],
        })
    }

    /// The number of a level; of one that was not among those given, the lowest.
    pub(super) fn number(&self, level: Level) -> u32 {
        self.numbers.get(&level).copied().unwrap_or(0)
    }

    /// The first number of the last tier.
    pub(super) const fn closing(&self) -> u32 {
        let [.., last] = self.bases;
        last
    }

    /// The bounds of a tier; of the last one if `None`.
    pub(super) fn bounds(&self, tier: Option<Tier>) -> Bounds {
        let [admin, normal, baseline, last] = self.bases;
        let (base, next) = match tier {
            Some(Tier::Admin) => (admin, Some(normal)),
            Some(Tier::Normal) => (normal, Some(baseline)),
            Some(Tier::Baseline) => (baseline, Some(last)),
            None => (last, None),
        };
        Bounds {
            max: precedence(base, DENY),
            min: next.map_or(0, |next| precedence(next, 0)) + (1 << 8),
        }
    }
}

/// The precedence of an entry: of the level's number, and within it of what the entry does.
pub(super) fn precedence(number: u32, does: u8) -> u32 {
    let first = u32::try_from(NUMBER_MAX).unwrap_or(u32::MAX);
    first.saturating_sub(number) << 8 | u32::from(does)
}

/// How many numbers each tier needs with all that follow it, and the last one.
fn sizes(levels: &BTreeMap<Level, bool>, closing: u64) -> [u64; 4] {
    let mut following = rounded(closing);
    let mut sizes = [0, 0, 0, following];
    for (at, tier) in TIERS.iter().enumerate().rev() {
        let here = || levels.iter().filter(|(level, _)| level.tier == *tier);
        let (count, passes) = (
            here().count(),
            here().filter(|(_, passes)| **passes).count(),
        );
        let behind = (passes as u64 + 1).saturating_mul(following);
        following = rounded(rounded(count as u64).saturating_add(behind));
        if let Some(size) = sizes.get_mut(at) {
            *size = following;
        }
    }
    sizes
}

/// Cilium leaves some room, so that one more level seldom moves all that follow.
const fn rounded(count: u64) -> u64 {
    count.div_ceil(10).saturating_mul(10)
}

fn narrow(number: u64) -> Result<u32, TooManyLevels> {
    let fits = u32::try_from(number).ok().filter(|_| number <= NUMBER_MAX);
    fits.ok_or(TooManyLevels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(tier: Tier, priority: u32) -> Level {
        Level { tier, priority }
    }

    #[test]
    fn a_policy_without_tiers_starts_at_the_top() {
        let levels = BTreeMap::from([(Level::NORMAL, false)]);
        let levels = Levels::new(&levels, 1).unwrap();
        assert_eq!(levels.number(Level::NORMAL), 0);
        assert_eq!(levels.closing(), 10);
        assert_eq!(precedence(0, DENY), u32::MAX);
        assert_eq!(precedence(0, ALLOW), 0xffff_ff01);
        assert_eq!(precedence(10, ALLOW), 4_294_964_481);
    }

    #[test]
    fn passes_keep_room_for_the_tiers_behind_them() {
        let (deny, pass) = (level(Tier::Admin, 1000), level(Tier::Admin, 1001));
        let (accept, base) = (level(Tier::Admin, 1002), level(Tier::Baseline, 500));
        let levels = BTreeMap::from([
            (deny, false),
            (pass, true),
            (accept, false),
            (Level::NORMAL, false),
            (base, false),
        ]);
        let levels = Levels::new(&levels, 2).unwrap();
        let numbers = [deny, pass, accept, Level::NORMAL, base].map(|one| levels.number(one));
        assert_eq!(numbers, [0, 1, 32, 40, 50]);
        assert_eq!(levels.closing(), 60);
        let admin = levels.bounds(Some(Tier::Admin));
        assert_eq!((admin.max, admin.min), (u32::MAX, precedence(39, 0)));
        assert_eq!(levels.bounds(None).min, 0x100);
    }

    #[test]
    fn numbers_can_run_out() {
        let many = |tier, passes| (0..3000).map(move |at| (level(tier, at), passes));
        let levels = many(Tier::Admin, true)
            .chain(many(Tier::Baseline, true))
            .collect();
        assert_eq!(Levels::new(&levels, 1).unwrap_err(), TooManyLevels);
    }
}
