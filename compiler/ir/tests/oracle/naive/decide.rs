//! Keys of the policy map that a flow meets, and which of them the datapath takes.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use policyc_ir::rule::Direction;

use super::entry::{Act, Service};
use super::filter::{Given, Side};
use super::peer::{ANYONE, Other};
use super::text::{ALL, Port};
use super::{Subject, World};

/// What is said of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `allow`, `deny`, `redirect` or `error`.
    pub(crate) verdict: &'static str,
    /// Whether the subject is in default deny.
    pub(crate) enforced: bool,
    /// For a deny `policy` or `default`, else empty.
    pub(crate) reason: &'static str,
    /// The authentication that is demanded.
    pub(crate) auth: String,
    /// The proxy.
    pub(crate) shown: Option<Shown>,
}

/// A proxy and what it looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Which proxy.
    pub(crate) parser: &'static str,
    /// HTTP rules as JSON.
    pub(crate) http: BTreeSet<String>,
    /// DNS rules as JSON.
    pub(crate) dns: BTreeSet<String>,
    /// TLS server names.
    pub(crate) server_names: BTreeSet<String>,
    /// Listener.
    pub(crate) listener: Option<String>,
    /// Whether an allow without a proxy matches too.
    pub(crate) plain: bool,
}

/// A key of the policy map that matches the flow, with what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    /// Whether it is for the peer's own identity, not for everyone.
    own: bool,
    /// Bits of protocol and port that it fixes, 0 to 24.
    bits: u32,
    /// Tier and priority, lower first.
    pub(super) level: (u8, u32),
    /// The service of its filter.
    pub(super) service: &'a Service,
    /// Whether the map does without it, since everyone is given the same on this port. Proxies have it.
    spare: bool,
    /// What the selector was given.
    pub(super) given: &'a Given,
}

impl Key<'_> {
    /// The low byte of Cilium's precedence.
    fn low(&self) -> u8 {
        match self.given.act {
            Act::Deny => 255,
            Act::Allow => self
                .given
                .proxy
                .priority()
                .map_or(1, |priority| 255 - priority),
            Act::Pass => 0,
        }
    }

    /// Whether the datapath has one key for both.
    fn shares(&self, other: &Self) -> bool {
        self.own == other.own && self.bits == other.bits
    }

    /// Whether the datapath does the same for both.
    fn same(&self, other: &Self) -> bool {
        let of = |key: &Self| {
            (
                key.level,
                key.given.act,
                key.low(),
                key.given.proxy.listener.clone(),
                key.given.auth.clone(),
            )
        };
        of(self) == of(other)
    }

    pub(super) fn precedence(&self) -> (Reverse<(u8, u32)>, u8) {
        (Reverse(self.level), self.low())
    }
}

impl World<'_> {
    /// The selectors of a side that select the other one.
    pub(crate) fn facing<'a>(&self, side: &'a Side, other: &'a Other) -> Facing<'a> {
        let mut filters = Vec::new();
        for ((tier, service), selects) in &side.filters {
            let key = |own, given: &'a Given| Key {
                own,
                bits: 0,
                level: (*tier, given.priority),
                service,
                spare: false,
                given,
            };
            let anyone = selects.get(&ANYONE).filter(|_| service.port != ALL);
            let anyone = anyone.map(|given| key(false, given));
            for (select, given) in selects
                .iter()
                .filter(|(select, _)| self.selects(select, other))
            {
                let mut key = key(*select != ANYONE, given);
                key.spare = key.own && anyone.is_some_and(|anyone| anyone.same(&key));
                filters.push(key);
            }
        }
        Facing {
            side,
            other,
            filters,
        }
    }

    /// The ports a name stands for: the subject's own on ingress; on egress what the pods with the labels of the other
    /// one, as far as they have the name, agree on.
    fn named(&self, facing: &Facing<'_>, name: &str, protocol: u8) -> Option<u16> {
        let number = |pod: usize| {
            let ports = self.cluster.pods[pod].ports.iter();
            ports
                .filter(|(known, own, _)| known == name && *own == protocol)
                .map(|(_, _, number)| *number)
                .next_back()
        };
        match (facing.side.direction, facing.side.subject) {
            (Direction::Ingress, Subject::Pod(pod)) => number(pod),
            (Direction::Ingress, Subject::Host) => None,
            (Direction::Egress, _) => {
                let labels = self.pod_labels(facing.other.pod?);
                let like =
                    (0..self.cluster.pods.len()).filter(|pod| self.pod_labels(*pod) == labels);
                let mut given: Vec<_> = like.filter_map(number).collect();
                given.sort_unstable();
                given.dedup();
                if given.len() == 1 { given.pop() } else { None }
            }
        }
    }

    /// What is said of a protocol and port.
    pub(crate) fn ask(&self, facing: &Facing<'_>, protocol: u8, port: u16) -> Answer {
        let side = facing.side;
        let answer = |verdict, reason| Answer {
            verdict,
            enforced: side.enforced,
            reason,
            auth: String::new(),
            shown: None,
        };
        if side.conflict {
            return Answer {
                enforced: false,
                ..answer("error", "")
            };
        }
        if !side.applies {
            return answer("allow", "");
        }
        let keys = self.keys(facing, protocol, port);
        let Some((winner, loser)) = look_up(&keys) else {
            return answer("deny", "default");
        };
        if winner.given.act == Act::Deny {
            return answer("deny", "policy");
        }
        let auth = demanded(&keys, &winner, loser.as_ref());
        let shown = winner
            .given
            .proxy
            .parser()
            .map(|parser| show(parser, &keys, &winner));
        let verdict = if shown.is_some() { "redirect" } else { "allow" };
        Answer {
            auth,
            shown,
            ..answer(verdict, "")
        }
    }

    /// The key that decides on a flow.
    pub(super) fn winner<'a>(
        &self,
        facing: &Facing<'a>,
        protocol: u8,
        port: u16,
    ) -> Option<Key<'a>> {
        let keys = self.keys(facing, protocol, port);
        look_up(&keys).map(|(winner, _)| winner)
    }

    /// Everything that matches a flow.
    pub(super) fn every_key<'a>(
        &self,
        facing: &Facing<'a>,
        protocol: u8,
        port: u16,
    ) -> Vec<Key<'a>> {
        let matching = facing.filters.iter().filter_map(|key| {
            let (named, bits) = self.bits(facing, key.service, protocol, port)?;
            // Names are looked up for each identity on egress, so nobody shares the key.
            let own = key.own || (named && facing.side.direction == Direction::Egress);
            Some(Key { own, bits, ..*key })
        });
        matching.collect()
    }

    fn keys<'a>(&self, facing: &Facing<'a>, protocol: u8, port: u16) -> Vec<Key<'a>> {
        let mut keys = self.every_key(facing, protocol, port);
        keys.retain(|key| !key.spare);
        // A pass leaves to the next tier what comes after it in its own.
        let passes: Vec<_> = keys
            .iter()
            .filter(|key| key.given.act == Act::Pass)
            .map(|key| key.level)
            .collect();
        keys.retain(|key| {
            key.given.act != Act::Pass
                && !passes
                    .iter()
                    .any(|pass| pass.0 == key.level.0 && pass.1 < key.level.1)
        });
        keys
    }

    /// Whether a service matches by name, and how many bits of protocol and port it fixes.
    fn bits(
        &self,
        facing: &Facing<'_>,
        service: &Service,
        protocol: u8,
        port: u16,
    ) -> Option<(bool, u32)> {
        if service.protocol == 0 {
            return Some((false, 0));
        }
        if service.protocol != protocol {
            return None;
        }
        let (named, first, last) = match &service.port {
            Port::Range(first, last) => (false, *first, *last),
            Port::Named(name, end) => {
                let first = self.named(facing, name, protocol)?;
                (true, first, first.max(*end))
            }
        };
        (first..=last)
            .contains(&port)
            .then(|| (named, 8 + fixed(first, last, port)))
    }
}

/// What of a side faces another.
#[derive(Debug)]
pub(crate) struct Facing<'a> {
    side: &'a Side,
    other: &'a Other,
    filters: Vec<Key<'a>>,
}

/// The bits that the prefix around a port fixes, when a range is cut into the fewest prefixes.
fn fixed(first: u16, last: u16, port: u16) -> u32 {
    (0..=16)
        .find(|bits| {
            let size = 1_u32 << (16 - bits);
            let start = u32::from(port) / size * size;
            start >= u32::from(first) && start + size - 1 <= u32::from(last)
        })
        .unwrap()
}

/// The key that decides, and what else was found.
fn look_up<'a>(keys: &[Key<'a>]) -> Option<(Key<'a>, Option<Key<'a>>)> {
    let best = |own: bool| {
        keys.iter()
            .copied()
            .filter(|key| key.own == own)
            .max_by_key(|key| (key.precedence(), key.bits))
    };
    match (best(true), best(false)) {
        (Some(own), Some(all)) => {
            let all_wins = (all.precedence(), all.bits) > (own.precedence(), own.bits);
            Some(if all_wins {
                (all, Some(own))
            } else {
                (own, Some(all))
            })
        }
        (own, all) => Some((own.or(all)?, None)),
    }
}

/// What the proxy looks at: all that shares the deciding key.
fn show(parser: &'static str, keys: &[Key<'_>], winner: &Key<'_>) -> Shown {
    let mut shown = Shown {
        parser,
        http: BTreeSet::new(),
        dns: BTreeSet::new(),
        server_names: BTreeSet::new(),
        listener: None,
        plain: keys
            .iter()
            .any(|key| key.given.act == Act::Allow && key.given.proxy.parser().is_none()),
    };
    for key in keys
        .iter()
        .filter(|key| key.shares(winner) && key.precedence() == winner.precedence())
    {
        shown.http.extend(key.given.proxy.http.iter().cloned());
        shown.dns.extend(key.given.proxy.dns.iter().cloned());
        shown
            .server_names
            .extend(key.given.proxy.server_names.iter().cloned());
        let listener = key
            .given
            .proxy
            .listener
            .as_ref()
            .map(|(name, _)| name.clone());
        shown.listener = shown.listener.into_iter().chain(listener).min();
    }
    shown
}

/// What a key demands, as a number that grows with the mode.
fn mode(auth: Option<&str>) -> Option<u8> {
    auth.map(|mode| match mode {
        "disabled" => 0,
        "required" => 1,
        _ => 2,
    })
}

/// The explicit demand at a key: the highest of all that share it.
fn explicit(keys: &[Key<'_>], at: &Key<'_>) -> Option<u8> {
    let same = keys
        .iter()
        .filter(|key| key.shares(at) && key.level == at.level && key.given.act == Act::Allow);
    same.filter_map(|key| mode(key.given.auth.as_deref())).max()
}

/// The demand a key has from the closest broader one of the same identity that makes one.
fn derived(keys: &[Key<'_>], at: &Key<'_>) -> Option<u8> {
    let broader = keys.iter().filter(|key| {
        key.own == at.own
            && key.bits < at.bits
            && key.level <= at.level
            && key.given.act == Act::Allow
    });
    let closest = broader
        .filter(|key| explicit(keys, key).is_some())
        .max_by_key(|key| key.bits)?;
    explicit(keys, closest)
}

/// The authentication that the deciding key demands.
fn demanded(keys: &[Key<'_>], winner: &Key<'_>, loser: Option<&Key<'_>>) -> String {
    let name = |mode, derived| match mode {
        0 => String::new(),
        1 => format!("spire{derived}"),
        _ => format!("test-always-fail{derived}"),
    };
    if let Some(own) = explicit(keys, &keeper(keys, winner)) {
        return name(own, "");
    }
    let own = derived(keys, winner).unwrap_or_default();
    let other = loser.filter(|loser| loser.precedence() == winner.precedence());
    let other = other.and_then(|loser| explicit(keys, loser).or_else(|| derived(keys, loser)));
    name(own.max(other.unwrap_or_default()), " (derived)")
}

/// A narrower key of the same identity with a demand of its own stays beside a redirect that covers it, takes over where
/// the redirect leads and, being narrower, is found instead.
fn keeper<'a>(keys: &[Key<'a>], winner: &Key<'a>) -> Key<'a> {
    let covered = |key: &&Key<'_>| key.own == winner.own && key.bits >= winner.bits;
    let keeps = |key: &&Key<'_>| {
        key.level == winner.level && key.given.act == Act::Allow && key.given.auth.is_some()
    };
    let redirects = winner.given.proxy.parser().is_some();
    let kept = keys
        .iter()
        .filter(|_| redirects)
        .filter(covered)
        .filter(keeps);
    kept.copied()
        .max_by_key(|key| (key.bits, key.own))
        .unwrap_or(*winner)
}
