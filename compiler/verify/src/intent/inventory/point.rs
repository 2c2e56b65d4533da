//! Protocols and ports of openings.

use std::collections::BTreeSet;

use policyc_ir::IdentityId;
use policyc_ir::model::{Flow, Verdict};
use policyc_ir::port::{Ports as Written, Protocol};
use policyc_ir::reach::{Party, Ports};
use policyc_ir::rule::{Direction, RuleSet, Services};

use super::{Ground, member};
use crate::intent::Wanted;

/// A protocol and a port, ICMP type or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// A protocol that no rule speaks of.
pub(super) fn unspoken(rules: &RuleSet) -> Protocol {
    let services = rules
        .rules()
        .iter()
        .filter_map(|rule| match &rule.services {
            Services::Of(list) => Some(list),
            Services::All => None,
        });
    let spoken: BTreeSet<u8> = services.flatten().map(|l4| l4.protocol.0).collect();
    let free = (0..=u8::MAX).rev().find(|number| {
        let protocol = Protocol(*number);
        !spoken.contains(number) && !protocol.has_ports() && !protocol.is_icmp()
    });
    Protocol(free.unwrap_or(u8::MAX))
}

/// The verdicts of both ends, of those that have policies: of the sender, then of the receiver.
pub(super) fn verdicts(
    ground: &Ground<'_>,
    from: Party,
    to: Party,
    point: Point,
) -> [Option<Verdict>; 2] {
    let ask = |subject, peer, direction| match subject {
        Party::Endpoint(subject) => Some(ground.model.eval(&Flow {
            subject,
            direction,
            peer: member::identity(ground, peer),
            protocol: point.protocol,
            port: point.port,
        })),
        Party::Outside(_) => None,
    };
    [
        ask(from, to, Direction::Egress),
        ask(to, from, Direction::Ingress),
    ]
}

/// Points of the services of an intent.
pub(super) struct Points<'a> {
    pub(super) ground: Ground<'a>,
    pub(super) wanted: &'a Wanted,
    pub(super) unspoken: Protocol,
}

impl Points<'_> {
    /// Whether it depends on the receiver which port is meant.
    pub(super) fn by_name(&self) -> bool {
        let mut all = self.wanted.each.iter().flatten();
        all.any(|l4| matches!(l4.ports, Written::Named(..)))
    }

    /// One that passes both ends, or is blocked at one.
    pub(super) fn find(
        &self,
        opening: &Ports,
        from: Party,
        to: Party,
        passes: bool,
    ) -> Option<Point> {
        if passes && opening.is_empty() || !passes && opening.is_any() {
            return None;
        }
        let ranges = self.ranges(to);
        let families = [self.family(from), self.family(to)];
        self.candidates(opening, &ranges).into_iter().find(|point| {
            let foreign = families.contains(&Some(true)) && point.protocol == Protocol::ICMPV6
                || families.contains(&Some(false)) && point.protocol == Protocol::ICMP;
            let verdicts = || verdicts(&self.ground, from, to, *point);
            !foreign
                && self.means(&ranges, *point)
                && verdicts().iter().flatten().all(|one| one.allowed) == passes
        })
    }

    /// The listed ports as numbers, for a receiver.
    fn ranges(&self, to: Party) -> Vec<(Protocol, u16, u16)> {
        let universe = self.ground.model.universe();
        let identity = member::identity(&self.ground, to);
        let all = self.wanted.each.iter().flatten();
        let ranges = all.filter_map(|l4| match &l4.ports {
            Written::All => Some((l4.protocol, 0, u16::MAX)),
            Written::Range(first, last) => Some((l4.protocol, *first, *last)),
            Written::Named(name, last) => {
                let first = universe.named_port(identity, name, l4.protocol)?;
                Some((l4.protocol, first, last.unwrap_or(first).max(first)))
            }
        });
        ranges.collect()
    }

    /// Whether the intent is about a point.
    fn means(&self, ranges: &[(Protocol, u16, u16)], point: Point) -> bool {
        if self.wanted.each.is_empty() {
            return true;
        }
        let listed = ranges.iter().any(|(protocol, first, last)| {
            *protocol == point.protocol && (*first..=*last).contains(&point.port)
        });
        listed != self.wanted.except
    }

    /// Points at which anything can change, the most readable first.
    fn candidates(&self, opening: &Ports, ranges: &[(Protocol, u16, u16)]) -> Vec<Point> {
        let mut protocols = vec![Protocol::TCP, Protocol::UDP];
        protocols.extend(Protocol::WITH_PORTS);
        protocols.extend([Protocol::ICMP, Protocol::ICMPV6, self.unspoken]);
        let spans = opening.spans();
        protocols.extend(spans.iter().filter_map(|span| span.protocol));
        protocols.extend(ranges.iter().map(|(protocol, ..)| *protocol));
        let mut points: Vec<Point> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut add = |protocol: Protocol, port: u16| {
            let fits = if protocol.has_ports() {
                true
            } else if protocol.is_icmp() {
                port <= 255
            } else {
                port == 0
            };
            let point = Point { protocol, port };
            if fits && seen.insert(point) {
                points.push(point);
            }
        };
        for (protocol, first, _) in ranges {
            add(*protocol, *first);
        }
        for protocol in protocols {
            for port in [80, 8, 0] {
                add(protocol, port);
            }
            let own = ranges.iter().filter(|range| range.0 == protocol);
            for (_, first, last) in own {
                add(protocol, *first);
                add(protocol, last.saturating_add(1));
            }
            for span in spans.iter().filter(|span| span.protocol == Some(protocol)) {
                add(protocol, span.first);
                add(protocol, span.last.saturating_add(1));
            }
        }
        points
    }

    /// Whether a party has IPv4 addresses only, or IPv6 addresses only.
    fn family(&self, party: Party) -> Option<bool> {
        let Party::Outside(id) = party else {
            return None;
        };
        let identity = self.ground.model.universe().identity(id)?;
        let has = |name: &str| identity.labels.has_name(name);
        match (has("world-ipv4"), has("world-ipv6"), identity.cidr) {
            (true, false, _) => Some(true),
            (false, true, _) => Some(false),
            (_, _, cidr) => cidr.map(|cidr| cidr.is_ipv4()),
        }
        .filter(|_| id != IdentityId::UNKNOWN)
    }
}
