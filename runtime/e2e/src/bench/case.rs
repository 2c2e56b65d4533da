//! One policy as tables and as entries of a prefix map.
//!
//! The policy names a number of identities and, for each and for any identity, a number of TCP ports. Every pair of
//! them has a rule of its own choosing, so that no two identities can share a class.

use std::collections::BTreeMap;

use policy_abi::arena::{Read as _, header, record};
use policy_abi::bench::{
    Config, FIRST_RULE, KEY_BITS, NOTHING, PORT_FIRST, PORT_STEP, PolicyKey, PolicyValue, advance,
    decision, key,
};
use policy_abi::reason::Reason;
use policy_abi::{lookup, proto};

use crate::arena::{Arena, Image};

/// Rules that decide; odd ones deny.
const RULES: u32 = 4096;
/// Bits of an entry's key behind the identity and direction: protocol and port.
const EXPLICIT_BITS: u8 = 24;

/// A policy of a size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// Entries of the prefix map, those of any identity included.
    pub(super) entries: u32,
    /// Identities that there are.
    pub(super) identities: u32,
}

impl Case {
    /// Ports that rules name.
    fn ports(self) -> u32 {
        match self.entries {
            ..1_000 => 12,
            1_000..50_000 => 64,
            _ => 128,
        }
    }

    /// Identities that rules name; "any" takes the place of one.
    fn named(self) -> u32 {
        (self.entries / self.ports()).max(2) - 1
    }

    /// What keys are drawn from.
    pub(super) fn config(self, seed: u64, decisions: u32, chain: u32) -> Config {
        Config {
            seed,
            decisions,
            identities: self.identities,
            named: self.named(),
            stride: ((self.identities - 1) / self.named()).max(1),
            ports: self.ports(),
            chain,
        }
    }

    /// Rule and precedence of an identity's class (0 is "any") and a port.
    fn entry(class: u32, port: u32) -> (u32, u32) {
        let mixed = (u64::from(class) << 32 | u64::from(port))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let [a, b, c, ..] = mixed.to_be_bytes();
        let rule = u32::from(u16::from_be_bytes([a, b])) % RULES;
        (rule, u32::from(c % 4))
    }

    /// Rule that decides: the higher precedence wins, then the more specific entry.
    fn decide(class: u32, port: u32) -> u32 {
        let (own, any) = (Self::entry(class, port), Self::entry(0, port));
        if class == 0 || any.1 > own.1 {
            any.0
        } else {
            own.0
        }
    }

    fn port(number: u32) -> u16 {
        u16::try_from(number).unwrap_or_default() * PORT_STEP + PORT_FIRST
    }

    /// All entries of the prefix map, with whole keys.
    pub(super) fn prefixes(self) -> Vec<(u32, PolicyKey, PolicyValue)> {
        let config = self.config(0, 0, 0);
        let entry = |class: u32, number: u32| {
            let (rule, precedence) = Self::entry(class, number);
            let identity = if class == 0 {
                0
            } else {
                1 + (class - 1) * config.stride
            };
            let key = PolicyKey {
                identity,
                direction: 0,
                protocol: proto::TCP,
                port: Self::port(number).to_be_bytes(),
            };
            let value = PolicyValue {
                proxy_port: 0,
                deny: EXPLICIT_BITS << 3 | u8::from(rule % 2 == 1),
                auth: 0,
                precedence,
                record: FIRST_RULE + rule,
            };
            (KEY_BITS, key, value)
        };
        (0..=self.named())
            .flat_map(|class| (0..self.ports()).map(move |number| (class, number)))
            .map(|(class, number)| entry(class, number))
            .collect()
    }

    /// The same as tables.
    pub(super) fn tables(self) -> Arena {
        let config = self.config(0, 0, 0);
        let mut peers = vec![0; self.identities as usize];
        for class in 1..=self.named() {
            let identity = 1 + (class - 1) * config.stride;
            if let Some(peer) = peers.get_mut(identity as usize) {
                *peer = u16::try_from(class).unwrap_or_default();
            }
        }
        let mut ports = vec![0; 65_536];
        for number in 0..self.ports() {
            if let Some(class) = ports.get_mut(usize::from(Self::port(number))) {
                *class = u16::try_from(number + 1).unwrap_or_default();
            }
        }
        let record = |rule: u32| u16::try_from(FIRST_RULE + rule).unwrap_or_default();
        let row = |class: u32| {
            let decided = (0..self.ports()).map(|number| record(Self::decide(class, number)));
            let nothing = u16::try_from(NOTHING).unwrap_or_default();
            std::iter::once(nothing).chain(decided).collect()
        };
        let image = Image {
            peers,
            ports: BTreeMap::from([(proto::slot(proto::TCP), ports)]),
            cells: (0..=self.named()).map(row).collect(),
        };
        with_rules(Arena::new(self.identities, 0, &records(), &[image]))
    }

    /// What all decisions of a run fold to, worked out here. Those who wait for records know of other keys.
    pub(super) fn expected(arena: &Arena, config: &Config, for_records: bool) -> u64 {
        let tables = arena.bytes();
        let image = tables.u32(header::IMAGES_AT);
        let start = (config.seed, 0);
        let (_, sum) = (0..config.decisions).fold(start, |(state, sum), _| {
            let (identity, port) = key(config, state);
            let lookup::Verdict { passes, record } =
                lookup::verdict(tables, image, identity, proto::TCP, port);
            let rule = tables.u32(lookup::record_at(tables, record) + record::RULE);
            let waited_for = if for_records { rule } else { u32::from(passes) };
            let next = advance(state ^ u64::from(waited_for & config.chain));
            (next, advance(sum ^ u64::from(decision(record, passes))))
        });
        sum
    }
}

/// Record 1 decides where no rule does.
fn records() -> Vec<(u8, Reason, u8)> {
    let ruled = (0..RULES).map(|rule| {
        if rule % 2 == 0 {
            (record::ALLOW, Reason::Allowed, 0)
        } else {
            (record::DENY, Reason::PolicyDeny, 0)
        }
    });
    std::iter::once((record::DENY, Reason::DefaultDeny, 0))
        .chain(ruled)
        .collect()
}

fn with_rules(mut arena: Arena) -> Arena {
    for rule in 0..RULES {
        let at = lookup::record_at(arena.bytes(), rule + FIRST_RULE);
        arena.set(at + record::RULE, rule);
    }
    arena
}
