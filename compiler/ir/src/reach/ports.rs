//! Sets of protocols and ports.

use std::collections::BTreeMap;
use std::fmt;

use rayon::prelude::*;

use crate::port::Protocol;

/// Ports of a protocol that lie side by side and pass on the same terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The protocol; `None` for all that no rule speaks of.
    pub protocol: Option<Protocol>,
    /// The first port, or ICMP type.
    pub first: u16,
    /// The last one.
    pub last: u16,
    /// Whether a proxy on either side has the last word.
    pub proxied: bool,
    /// Whether either side demands authentication first.
    pub authenticated: bool,
}

impl Span {
    const fn is_whole(self) -> bool {
        self.first == 0 && self.last == u16::MAX
    }
}

/// A set of protocols and ports: spans in order, none touching another on the same terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    spans: Vec<Span>,
    /// Whether it holds every port of every protocol, on no terms.
    any: bool,
}

/// The set of no port.
pub(super) static NONE: Ports = Ports {
    spans: Vec::new(),
    any: false,
};

/// The position of [`NONE`] in every pool.
pub(super) const NONE_ID: u32 = 0;
/// The position of [`Ports::ALL`] in every pool.
pub(super) const ALL_ID: u32 = 1;

impl Ports {
    /// Every port of every protocol.
    pub(super) const ALL: Self = Self {
        spans: Vec::new(),
        any: true,
    };

    /// A set of spans in order. It is [`Self::ALL`] if they hold all of `protocols` protocols on no terms.
    pub(super) fn new(mut spans: Vec<Span>, protocols: usize) -> Self {
        spans.dedup_by(|next, last| {
            let terms = |span: &Span| (span.protocol, span.proxied, span.authenticated);
            let joined = terms(next) == terms(last) && last.last.checked_add(1) == Some(next.first);
            if joined {
                last.last = next.last;
            }
            joined
        });
        let free = |span: &Span| span.is_whole() && !span.proxied && !span.authenticated;
        if spans.len() == protocols && spans.iter().all(free) {
            return Self::ALL;
        }
        Self { spans, any: false }
    }

    /// Whether there is no port in it.
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty() && !self.any
    }

    /// Whether it holds every port of every protocol, on no terms.
    pub const fn is_any(&self) -> bool {
        self.any
    }

    /// Its spans in order; none if it holds every port on no terms.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Whether a proxy has a say on any of its ports.
    pub fn proxied(&self) -> bool {
        self.spans.iter().any(|span| span.proxied)
    }

    /// Whether authentication is demanded on any of its ports.
    pub fn authenticated(&self) -> bool {
        self.spans.iter().any(|span| span.authenticated)
    }

    /// What is in both, on the terms of both.
    pub(super) fn meet(&self, other: &Self) -> Self {
        match (self.any, other.any) {
            (true, _) => return other.clone(),
            (_, true) => return self.clone(),
            _ => {}
        }
        let mut spans = Vec::new();
        let mut others = other.spans.as_slice();
        for mine in &self.spans {
            let start = (mine.protocol, mine.first);
            let skipped = others.partition_point(|their| (their.protocol, their.last) < start);
            others = others.get(skipped..).unwrap_or_default();
            let end = (mine.protocol, mine.last);
            let overlapping = others
                .iter()
                .take_while(|their| (their.protocol, their.first) <= end);
            spans.extend(overlapping.map(|their| Span {
                protocol: mine.protocol,
                first: mine.first.max(their.first),
                last: mine.last.min(their.last),
                proxied: mine.proxied || their.proxied,
                authenticated: mine.authenticated || their.authenticated,
            }));
        }
        // Two sets of which neither is `ALL` have less than it in common.
        Self::new(spans, usize::MAX)
    }
}

impl fmt::Display for Ports {
    /// `any`, or ranges by protocol such as `tcp/80,443 udp/53`; `other` stands for every protocol that no rule speaks
    /// of. A `*` marks ports on which a proxy has a say, a `!` those that demand authentication.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.any {
            return f.write_str("any");
        }
        let mut last = None;
        for span in &self.spans {
            let begins = last != Some(span.protocol);
            if last.is_some() {
                f.write_str(if begins { " " } else { "," })?;
            }
            if begins {
                match span.protocol {
                    Some(protocol) => write!(f, "{protocol}")?,
                    None => f.write_str("other")?,
                }
                f.write_str(if span.is_whole() { "" } else { "/" })?;
            }
            last = Some(span.protocol);
            match (span.first, span.last) {
                _ if span.is_whole() => {}
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
            f.write_str(if span.proxied { "*" } else { "" })?;
            f.write_str(if span.authenticated { "!" } else { "" })?;
        }
        Ok(())
    }
}

/// Distinct sets.
#[derive(Debug)]
pub(super) struct Pool {
    sets: Vec<Ports>,
    known: BTreeMap<Ports, u32>,
}

impl Default for Pool {
    fn default() -> Self {
        let mut pool = Self {
            sets: Vec::new(),
            known: BTreeMap::new(),
        };
        pool.id(NONE.clone());
        pool.id(Ports::ALL);
        pool
    }
}

impl Pool {
    /// The position of a set.
    pub(super) fn id(&mut self, set: Ports) -> u32 {
        *self.known.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            u32::try_from(self.sets.len() - 1).unwrap_or(NONE_ID)
        })
    }

    /// How many sets there are.
    pub(super) const fn len(&self) -> usize {
        self.sets.len()
    }

    /// What each two sets have in common, row by row; adds it to the pool.
    pub(super) fn meets(&mut self) -> Vec<u32> {
        let sets = self.sets.clone();
        let mut ids = Vec::with_capacity(sets.len() * sets.len());
        for one in &sets {
            let row: Vec<_> = sets.par_iter().map(|other| one.meet(other)).collect();
            ids.extend(row.into_iter().map(|set| self.id(set)));
        }
        ids
    }

    /// All sets by position.
    pub(super) fn finish(self) -> Vec<Ports> {
        self.sets
    }
}
