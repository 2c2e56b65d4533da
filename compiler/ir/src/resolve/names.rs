//! Identities by DNS name, for peers that are names.

use std::collections::BTreeMap;

use crate::fqdn::{Fqdn, canonical};
use crate::universe::Identity;

use super::set::IdentitySet;

/// Positions by name.
#[derive(Debug)]
pub(super) struct Names {
    room: usize,
    by_name: BTreeMap<String, Vec<u32>>,
}

impl Names {
    /// Indexes the identities that have names.
    pub(super) fn new(identities: &[Identity]) -> Self {
        let mut by_name: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        for (at, identity) in (0..).zip(identities) {
            for name in &identity.names {
                by_name.entry(canonical(name)).or_default().push(at);
            }
        }
        Self {
            room: identities.len(),
            by_name,
        }
    }

    /// Those with a name that is selected. Only patterns need to look at every name.
    pub(super) fn matching(&self, fqdn: &Fqdn) -> IdentitySet {
        let mut found: Vec<u32> = if let (Some(name), None) = (&fqdn.name, &fqdn.pattern) {
            let found = self.by_name.get(&canonical(name));
            found.cloned().unwrap_or_default()
        } else {
            let all = self.by_name.iter();
            let matching = all.filter(|(name, _)| fqdn.matches(name));
            matching.flat_map(|(_, list)| list).copied().collect()
        };
        found.sort_unstable();
        found.dedup();
        IdentitySet::of(found, self.room)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn matching_is_what_comparing_names_finds() {
        let of = |names: &[&str]| Identity {
            names: names.iter().map(|name| Arc::from(*name)).collect(),
            ..Identity::default()
        };
        let identities = [
            of(&[]),
            of(&["a.example.com"]),
            of(&["a.example.com", "b.example.com."]),
            of(&["example.org"]),
        ];
        let names = Names::new(&identities);
        let texts = [
            None,
            Some("a.example.com"),
            Some("B.example.com"),
            Some("x"),
        ];
        let patterns = [None, Some("*.example.com"), Some("*"), Some("*.org")];
        for (name, pattern) in texts
            .iter()
            .flat_map(|name| patterns.map(|other| (*name, other)))
        {
            let fqdn = Fqdn::new(name, pattern);
            let wanted = (0..4).zip(&identities);
            let wanted = wanted.filter(|(_, one)| one.names.iter().any(|name| fqdn.matches(name)));
            let wanted: Vec<u32> = wanted.map(|(at, _)| at).collect();
            let found: Vec<_> = names.matching(&fqdn).iter().map(|id| id.0).collect();
            assert_eq!(found, wanted, "{fqdn}");
        }
    }
}
