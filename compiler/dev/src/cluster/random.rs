//! Reproducible chance.

/// A stream of numbers that depends on the seed alone (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let below = self.next() % (end as u64).max(1);
        usize::try_from(below).unwrap_or(0)
    }

    /// Whether something happens that does so in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    #[expect(
        clippy::indexing_slicing,
        reason = "every list here is written out or checked to have elements"
    )]
    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// `count` different ones of several, in their order.
    pub(super) fn some<'a, T>(&mut self, count: usize, list: &'a [T]) -> Vec<&'a T> {
        let mut chosen = Vec::with_capacity(count);
        for (at, one) in list.iter().enumerate() {
            let (wanted, left) = (count.saturating_sub(chosen.len()), list.len() - at);
            if self.below(left) < wanted {
                chosen.push(one);
            }
        }
        chosen
    }
}
