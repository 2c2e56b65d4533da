//! Identities by prefix, for peers that are made of prefixes.

use std::ops::Range;

use crate::cidr::Cidr;
use crate::ids::IdentityId;
use crate::rule::Peer;
use crate::universe::Identity;

use super::set::IdentitySet;

/// Prefixes of identities in order: those inside a prefix are neighbours.
#[derive(Debug)]
pub(super) struct Prefixes {
    room: usize,
    sorted: Vec<(Cidr, IdentityId)>,
}

impl Prefixes {
    /// Sorts the identities that have a prefix.
    pub(super) fn new(identities: &[Identity]) -> Self {
        let all = identities.iter().enumerate();
        let with = all.filter_map(|(at, one)| Some((one.cidr?, IdentityId::at(at))));
        let mut sorted: Vec<_> = with.collect();
        sorted.sort_unstable();
        Self {
            room: identities.len(),
            sorted,
        }
    }

    /// Those in some block of a peer and in no exception of that block.
    pub(super) fn matching(&self, peer: &Peer) -> IdentitySet {
        let mut found = Vec::new();
        for (cidr, except) in peer.blocks() {
            let whole = self.inside(cidr);
            let mut except: Vec<_> = except.iter().map(|inner| self.inside(inner)).collect();
            except.sort_unstable_by_key(|range| range.start);
            let mut at = whole.start;
            for range in except {
                found.extend(self.ids(at..range.start.min(whole.end)));
                at = at.max(range.end);
            }
            found.extend(self.ids(at..whole.end));
        }
        found.sort_unstable();
        found.dedup();
        IdentitySet::of(found, self.room)
    }

    fn ids(&self, range: Range<usize>) -> impl Iterator<Item = u32> {
        let inside = self.sorted.get(range).unwrap_or_default();
        inside.iter().map(|(_, id)| id.0)
    }

    /// Positions of what a prefix covers. Prefixes sort by first address, then length, so that a prefix comes
    /// before all that it covers, and they before all else.
    fn inside(&self, outer: &Cidr) -> Range<usize> {
        let start = self.sorted.partition_point(|(cidr, _)| cidr < outer);
        let rest = self.sorted.get(start..).unwrap_or_default();
        start..start + rest.partition_point(|(cidr, _)| outer.covers(cidr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidrs(texts: &[&str]) -> Vec<Cidr> {
        let read = texts.iter().map(|text| Cidr::parse(text).unwrap());
        read.collect()
    }

    #[test]
    fn matching_is_what_comparing_prefixes_finds() {
        let all = cidrs(&[
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.0/16",
            "10.1.0.0/16",
            "10.1.2.3/32",
            "10.255.255.255/32",
            "11.0.0.0/8",
            "::/0",
            "2001:db8::/32",
            "2001:db8:1::/48",
        ]);
        let none = Identity::default();
        let with = |cidr: &Cidr| Identity {
            cidr: Some(*cidr),
            ..Identity::default()
        };
        let identities: Vec<_> = [none]
            .into_iter()
            .chain(all.iter().rev().map(with))
            .collect();
        let prefixes = Prefixes::new(&identities);
        let excepts = [
            cidrs(&[]),
            cidrs(&["10.0.0.0/16"]),
            cidrs(&["10.1.0.0/16", "10.1.2.3/32", "10.255.0.0/16"]),
            cidrs(&["12.0.0.0/8", "0.0.0.0/0"]),
        ];
        for (cidr, except) in all
            .iter()
            .flat_map(|one| excepts.iter().map(move |e| (one, e)))
        {
            let peer = Peer::Cidr(*cidr, except.clone());
            let covered =
                |outer: &Cidr, inner: &Identity| inner.cidr.is_some_and(|own| outer.covers(&own));
            let wanted = identities.iter().enumerate().filter(|(_, identity)| {
                covered(cidr, identity) && !except.iter().any(|outer| covered(outer, identity))
            });
            let wanted: Vec<_> = wanted.map(|(at, _)| IdentityId::at(at)).collect();
            let found: Vec<_> = prefixes.matching(&peer).iter().collect();
            assert_eq!(found, wanted, "{cidr} except {except:?}");
        }
    }
}
