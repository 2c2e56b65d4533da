//! Addresses and prefixes as the maps want them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use policy_abi::ipcache::{PREFIX_BASE, V4, V6};
use policy_bundle::{Bundle, Ipcache};

/// An address or prefix with its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    bytes: [u8; 16],
    prefix_len: u8,
    identity: u32,
}

/// All addresses of a bundle as this node sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Full-length ones, for the exact hash.
    pub(crate) hosts: Vec<Address>,
    /// The others, for the trie.
    pub(crate) prefixes: Vec<Address>,
}

impl Addresses {
    /// Addresses of the node itself get the identity of the host. `own`: that identity, and addresses that the node has,
    /// if its own policy is enforced; what the bundle says of an address counts more, unless that is another node's.
    pub(crate) fn new(
        bundle: &Bundle<'_>,
        node: Option<u32>,
        own: Option<(u32, &BTreeSet<IpAddr>)>,
    ) -> Self {
        let mut all = Self::default();
        for entry in bundle.ipcache() {
            let is_here = |own: (u32, &BTreeSet<IpAddr>)| own.1.contains(&entry.address);
            let is_taken_over = entry.node.is_some() && own.is_some_and(is_here);
            let is_own = node.is_some() && entry.node == node;
            let address = address(
                &entry,
                if is_own {
                    entry.own.unwrap_or(bundle.host_identity())
                } else if let Some((identity, _)) = own.filter(|_| is_taken_over) {
                    identity
                } else {
                    entry.identity
                },
            );
            if address.is_full() {
                all.hosts.push(address);
            } else {
                all.prefixes.push(address);
            }
        }
        if let Some((identity, own)) = own {
            all.add_own(identity, own);
        }
        all
    }
}

impl Addresses {
    fn add_own(&mut self, identity: u32, own: &BTreeSet<IpAddr>) {
        let known = self.hosts.iter().map(|host| (host.family, host.bytes));
        let known: BTreeSet<_> = known.collect();
        let fresh = own.iter().map(|address| spread(*address));
        let fresh = fresh.filter(|one| !known.contains(one));
        self.hosts.extend(fresh.map(|(family, bytes)| Address {
            family,
            bytes,
            prefix_len: if family == V4 { 32 } else { 128 },
            identity,
        }));
    }
}

/// An address as keys want it.
fn spread(address: IpAddr) -> (u8, [u8; 16]) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            (V4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(address) => (V6, address.octets()),
    }
}

fn address(entry: &Ipcache, identity: u32) -> Address {
    let (family, bytes) = spread(entry.address);
    Address {
        family,
        bytes,
        prefix_len: entry.prefix_len,
        identity,
    }
}

impl Address {
    fn is_full(&self) -> bool {
        self.prefix_len == if self.family == V4 { 32 } else { 128 }
    }

    /// [`policy_abi::ipcache::HostKey`] as it stands in the map.
    pub(crate) fn host_key(&self, slot: u8) -> Vec<u8> {
        [&self.bytes[..], &[self.family, slot, 0, 0, 0, 0, 0, 0]].concat()
    }

    /// Length and [`policy_abi::ipcache::PrefixKey`] as they stand in the map.
    pub(crate) fn prefix_key(&self, slot: u8) -> Vec<u8> {
        let length = PREFIX_BASE + u32::from(self.prefix_len);
        [
            &length.to_ne_bytes()[..],
            &[slot, self.family, 0, 0],
            &self.bytes,
        ]
        .concat()
    }

    /// The value in either map.
    pub(crate) fn value(&self) -> [u8; 4] {
        self.identity.to_ne_bytes()
    }
}

/// Where the slot stands in a key of the exact hash.
pub(crate) const HOST_SLOT_AT: usize = 17;
/// Where the slot stands in a key of the trie.
pub(crate) const PREFIX_SLOT_AT: usize = 4;

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use policy_abi::ipcache::{HostKey, PrefixKey};

    use super::*;

    #[test]
    fn keys_are_laid_out_as_the_abi_says() {
        assert_eq!(offset_of!(HostKey, address), 0);
        assert_eq!(offset_of!(HostKey, family), 16);
        assert_eq!(offset_of!(HostKey, slot), HOST_SLOT_AT);
        assert_eq!(4 + offset_of!(PrefixKey, slot), PREFIX_SLOT_AT);
        assert_eq!(offset_of!(PrefixKey, family), 1);
        assert_eq!(offset_of!(PrefixKey, address), 4);
        let entry = Ipcache {
            address: "10.1.0.0".parse().unwrap(),
            prefix_len: 16,
            identity: 5,
            node: None,
            own: None,
        };
        let address = address(&entry, entry.identity);
        let mut prefix = vec![48, 0, 0, 0, 1, 4, 0, 0, 10, 1];
        prefix.resize(24, 0);
        assert_eq!(address.prefix_key(1), prefix);
        let mut host = vec![10, 1];
        host.resize(16, 0);
        host.extend([4, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(address.host_key(1), host);
        assert_eq!(address.value(), [5, 0, 0, 0]);
    }
}
