//! One value of each set that rules leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::cidr::Cidr;
use policyc_ir::port::Ports;
use policyc_ir::rule::{Rule, Services};

use crate::algebra::selector::Asked;
use crate::algebra::values::Values;
use crate::encode::dims::{ABSENT, Domain, FIRST, OTHER};

/// How values are picked where several fit.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    /// The most readable; these ports first.
    Nice(Vec<u16>),
    /// At random, repeatably; the state is never zero.
    Random(u64),
}

impl Pick {
    /// A position below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        match self {
            Self::Nice(_) => 0,
            Self::Random(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
                usize::try_from(*state % count).unwrap_or(0)
            }
        }
    }

    /// One of the list.
    pub(super) fn one_of<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let at = self.below(list.len());
        list.get(at).copied()
    }
}

/// What all of them ask for; `None` if nothing meets it.
pub(super) fn meet<'a>(all: impl Iterator<Item = Option<&'a Asked>>) -> Option<Asked> {
    let mut met: BTreeMap<Arc<str>, Values> = BTreeMap::new();
    for asked in all {
        for (name, values) in asked? {
            match met.get_mut(name) {
                Some(known) => {
                    *known = known.meet(values);
                    if known.is_empty() {
                        return None;
                    }
                }
                None => {
                    met.insert(name.clone(), values.clone());
                }
            }
        }
    }
    Some(met.into_iter().collect())
}

/// Asks for one value more.
pub(super) fn narrow(asked: &mut Asked, name: &str, value: Arc<str>) -> Option<()> {
    let own = Values {
        absent: false,
        complement: false,
        list: vec![value],
    };
    match asked.binary_search_by(|(known, _)| (**known).cmp(name)) {
        Ok(at) => {
            let (_, known) = asked.get_mut(at)?;
            *known = known.meet(&own);
            (!known.is_empty()).then_some(())
        }
        Err(at) => {
            asked.insert(at, (name.into(), own));
            Some(())
        }
    }
}

/// What is asked of a label.
pub(super) fn find<'a>(asked: &'a Asked, name: &str) -> Option<&'a Values> {
    let at = asked
        .binary_search_by(|(known, _)| (**known).cmp(name))
        .ok()?;
    asked.get(at).map(|(_, values)| values)
}

/// Whether a value is one of these.
pub(super) fn accepts(values: &Values, value: &str) -> bool {
    let listed = values
        .list
        .binary_search_by(|known| (**known).cmp(value))
        .is_ok();
    listed != values.complement
}

/// The code of an accepted value.
pub(super) fn pick_code(values: &Values, domain: Domain<'_>, pick: &mut Pick) -> Option<u128> {
    let named = |number: u128| {
        let (text, _) = domain.text(FIRST + number)?;
        accepts(values, &text).then_some(FIRST + number)
    };
    let count = domain.size() - FIRST;
    let absent = values.absent.then_some(ABSENT);
    let other = values.complement.then_some(OTHER);
    match pick {
        Pick::Nice(_) => absent.or_else(|| (0..count).find_map(named)).or(other),
        Pick::Random(_) => {
            let wide = values.complement;
            match pick.below(8) {
                0..4 if absent.is_some() => absent,
                0..6 if other.is_some() => other,
                _ => {
                    let start = if wide {
                        pick.below(usize::try_from(count).unwrap_or(0))
                    } else {
                        pick.below(values.list.len())
                    };
                    let some = if wide {
                        named(u128::try_from(start).unwrap_or(0))
                    } else {
                        values.list.get(start).and_then(|value| domain.code(value))
                    };
                    some.or(other).or(absent)
                }
            }
        }
    }
}

/// An address in all blocks and in none of their exceptions.
pub(super) fn within(blocks: &[(&Cidr, &[Cidr])], v4: bool, pick: &mut Pick) -> Option<u128> {
    let whole = if v4 { &Cidr::ALL_V4 } else { &Cidr::ALL_V6 };
    let narrowest = blocks
        .iter()
        .map(|(cidr, _)| *cidr)
        .max_by_key(|cidr| cidr.bits());
    let prefix = narrowest.unwrap_or(whole);
    if !blocks.iter().all(|(cidr, _)| cidr.covers(prefix)) {
        return None;
    }
    let holes: Vec<_> = blocks
        .iter()
        .flat_map(|(_, except)| except.iter())
        .map(range)
        .collect();
    let (low, high) = range(prefix);
    let example = if v4 {
        0xcb00_7107
    } else {
        0x2001_0db8_0000_0000_0000_0000_0000_0007
    };
    let start = match pick {
        Pick::Nice(_) if (low..=high).contains(&example) => example,
        Pick::Nice(_) => low,
        Pick::Random(_) => {
            let step = high.saturating_sub(low) / 16;
            low + step * u128::try_from(pick.below(16)).unwrap_or(0)
        }
    };
    free(start, high, &holes).or_else(|| free(low, high, &holes))
}

/// The first address from `start` on that is in no hole.
fn free(start: u128, high: u128, holes: &[(u128, u128)]) -> Option<u128> {
    let mut at = start;
    while let Some((_, last)) = holes
        .iter()
        .find(|(first, last)| (*first..=*last).contains(&at))
    {
        at = last.checked_add(1)?;
    }
    (at <= high).then_some(at)
}

fn range(cidr: &Cidr) -> (u128, u128) {
    let (first, width) = match cidr.address() {
        std::net::IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        std::net::IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let host = width - u32::from(cidr.bits());
    let size = 1_u128.checked_shl(host).map_or(u128::MAX, |size| size - 1);
    (first, first | size)
}

/// A port between the bounds.
pub(super) fn port(low: u16, high: u16, rules: &[&Rule], pick: &mut Pick) -> Option<u16> {
    if low > high {
        return None;
    }
    if let Pick::Nice(hints) = pick {
        let hint = hints.iter().find(|hint| (low..=high).contains(hint));
        return Some(hint.copied().unwrap_or(low));
    }
    // Ends of ranges are where verdicts change; a port that nobody names is where most rules do not match.
    let bounds = rules.iter().filter_map(|rule| match &rule.services {
        Services::Of(list) => Some(list),
        Services::All => None,
    });
    let mut ports: Vec<u16> = bounds
        .flatten()
        .filter_map(|l4| match l4.ports {
            Ports::Range(first, last) => Some([first, last]),
            _ => None,
        })
        .flatten()
        .collect();
    ports.extend([low, high, low.midpoint(high), 47_123]);
    ports.retain(|port| (low..=high).contains(port));
    pick.one_of(&ports)
}
