//! Protocols and ports of openings.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use policyc_ir::IdentityId;
use policyc_ir::model::request::{Answer, Request};
use policyc_ir::model::{Flow, Verdict};
use policyc_ir::port::{L4, Ports as Written, Protocol};
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
    let flows = flows(ground, from, to, point);
    flows.map(|flow| flow.map(|flow| ground.model.eval(&flow)))
}

/// What becomes of a request at both ends, of those that have policies.
pub(super) fn answers(
    ground: &Ground<'_>,
    (from, to, point): (Party, Party, Point),
    request: &Request,
) -> [Option<Answer>; 2] {
    let flows = flows(ground, from, to, point);
    flows.map(|flow| flow.map(|flow| ground.model.request(&flow, request)))
}

fn flows(ground: &Ground<'_>, from: Party, to: Party, point: Point) -> [Option<Flow>; 2] {
    let flow = |subject, peer, direction| match subject {
        Party::Endpoint(subject) => Some(Flow {
            subject,
            direction,
            peer: member::identity(ground, peer),
            protocol: point.protocol,
            port: point.port,
        }),
        Party::Outside(_) => None,
    };
    [
        flow(from, to, Direction::Egress),
        flow(to, from, Direction::Ingress),
    ]
}

/// Points of the services of an intent.
pub(super) struct Points<'a> {
    pub(super) ground: Ground<'a>,
    pub(super) wanted: &'a Wanted,
    pub(super) unspoken: Protocol,
    /// What is asked once connected.
    pub(super) request: Option<&'a Request>,
    /// What the answer about a request was found to depend on, beyond what is known.
    pub(super) doubt: &'a OnceCell<String>,
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
        // What passes everywhere does so without a proxy, and so passes whatever is asked.
        if passes && opening.is_empty() || !passes && opening.is_any() {
            return None;
        }
        let ranges = self.ranges(to);
        let mut cuts: Vec<_> = opening
            .spans()
            .iter()
            .filter_map(|span| Some((span.protocol?, span.first, span.last)))
            .collect();
        if self.request.is_some() {
            cuts.extend(self.spoken(from, Direction::Egress, to));
            cuts.extend(self.spoken(to, Direction::Ingress, to));
        }
        let families = [self.family(from), self.family(to)];
        self.candidates(&cuts, &ranges).into_iter().find(|point| {
            let foreign = families.contains(&Some(true)) && point.protocol == Protocol::ICMPV6
                || families.contains(&Some(false)) && point.protocol == Protocol::ICMP;
            !foreign && self.means(&ranges, *point) && self.passes(from, to, *point) == Some(passes)
        })
    }

    /// Whether what is asked gets through; `None` if that is not known.
    fn passes(&self, from: Party, to: Party, point: Point) -> Option<bool> {
        let verdicts = verdicts(&self.ground, from, to, point);
        let allowed = verdicts.iter().flatten().all(|one| one.allowed);
        let Some(request) = self.request.filter(|_| allowed) else {
            return Some(allowed);
        };
        let mut known = Some(true);
        for answer in answers(&self.ground, (from, to, point), request) {
            match answer {
                None | Some(Answer::Passed) => {}
                Some(Answer::Refused) => return Some(false),
                Some(Answer::Unknown(what)) => {
                    // The first one is told.
                    let _ = self.doubt.set(what);
                    known = None;
                }
            }
        }
        known
    }

    /// The ports that a party's rules speak of: within an opening, requests may be treated otherwise at each.
    fn spoken(&self, party: Party, direction: Direction, to: Party) -> Vec<(Protocol, u16, u16)> {
        let Party::Endpoint(at) = party else {
            return Vec::new();
        };
        let rules = self.ground.model.resolved.rules;
        let policy = self.ground.model.policy_of(at);
        let applied = policy.map_or(&[][..], |policy| &policy.direction(direction).rules);
        let applied = applied.iter().filter_map(|id| rules.rule(*id));
        let services = applied.filter_map(|rule| match &rule.services {
            Services::Of(list) => Some(list),
            Services::All => None,
        });
        self.numbers(services.flatten(), to).collect()
    }

    /// The listed ports as numbers, for a receiver.
    fn ranges(&self, to: Party) -> Vec<(Protocol, u16, u16)> {
        self.numbers(self.wanted.each.iter().flatten(), to)
            .collect()
    }

    fn numbers<'b>(
        &self,
        all: impl Iterator<Item = &'b L4>,
        to: Party,
    ) -> impl Iterator<Item = (Protocol, u16, u16)> {
        let universe = self.ground.model.universe();
        let identity = member::identity(&self.ground, to);
        all.filter_map(move |l4| match &l4.ports {
            Written::All => Some((l4.protocol, 0, u16::MAX)),
            Written::Range(first, last) => Some((l4.protocol, *first, *last)),
            Written::Named(name, last) => {
                let first = universe.named_port(identity, name, l4.protocol)?;
                Some((l4.protocol, first, last.unwrap_or(first).max(first)))
            }
        })
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
    fn candidates(
        &self,
        cuts: &[(Protocol, u16, u16)],
        ranges: &[(Protocol, u16, u16)],
    ) -> Vec<Point> {
        let mut protocols = vec![Protocol::TCP, Protocol::UDP];
        protocols.extend(Protocol::WITH_PORTS);
        protocols.extend([Protocol::ICMP, Protocol::ICMPV6, self.unspoken]);
        protocols.extend(cuts.iter().map(|(protocol, ..)| *protocol));
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
            for (_, first, last) in cuts.iter().filter(|cut| cut.0 == protocol) {
                add(protocol, *first);
                add(protocol, last.saturating_add(1));
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
