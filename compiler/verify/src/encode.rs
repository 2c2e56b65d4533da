//! From rules to terms.
//!
//! A flow is two sides, a protocol and a port. Each side is a kind and, for pods, one small bit vector per label
//! that some rule of the slice names: 0 is "absent", 1 "some value that no rule names", then the named values. One
//! such other value is enough, because no rule compares two labels with each other.

use std::sync::Arc;

use policyc_ir::RuleId;
use policyc_ir::port::Protocol;
use policyc_ir::rule::{Action, Direction, Rule, RuleSet};
use policyc_ir::settings::{Enforcement, Settings};

use crate::algebra::kind::Kind;
use crate::term::{Script, Term, Var};

/// Labels and the values that rules name.
pub(crate) mod dims;
/// What rules match, as terms.
pub(crate) mod matching;
/// Faults that tests put into the encoding, to see that they would be noticed.
#[cfg(test)]
pub(crate) mod mutant;
/// One side of a flow.
pub(crate) mod side;

pub(crate) use dims::Dims;
pub(crate) use side::{Side, Wish};

/// The variables of a flow and what always holds of them.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Labels and their values.
    pub(crate) dims: Dims,
    /// Declarations, definitions and well-formedness so far.
    pub(crate) script: Script,
    /// The two sides. In lint questions the subject is the first one.
    pub(crate) sides: [Side; 2],
    /// IP protocol number.
    pub(crate) protocol: Var,
    /// Destination port, or ICMP type.
    pub(crate) port: Var,
    /// "The destination declares this name for this protocol and port", one flag per name.
    pub(crate) named: Vec<(Arc<str>, Var)>,
}

/// A rule as terms, for one assignment of sides.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    /// What it does.
    pub(crate) action: Action,
    /// Whether it turns default deny on.
    pub(crate) default_deny: bool,
    /// Its subject is selected.
    pub(crate) selects: Term,
    /// It matches the flow.
    pub(crate) matches: Term,
}

/// Which of the two sides is the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Frame {
    /// Subject and peer of a rule, given where the subject sits.
    pub(crate) fn seats(&self, seat: Seat) -> (&Side, &Side) {
        let [first, second] = &self.sides;
        match seat {
            Seat::First => (first, second),
            Seat::Second => (second, first),
        }
    }

    /// Adds a rule's definitions.
    pub(crate) fn encode(
        &mut self,
        rules: &RuleSet,
        id: RuleId,
        rule: &Rule,
        seat: Seat,
    ) -> Encoded {
        let (subject, peer) = self.seats(seat);
        let selects = matching::subject(self, subject, rules, rule);
        let peers = matching::peers(self, peer, rules, &rule.peers);
        let services = matching::services(self, &rule.services);
        let tag = if seat == Seat::First {
            "first"
        } else {
            "second"
        };
        let selects = self
            .script
            .define(format!("selects.{}.{tag}", id.0), selects);
        let matches = Term::all([selects.clone(), peers, services]);
        let matches = self
            .script
            .define(format!("matches.{}.{tag}", id.0), matches);
        Encoded {
            action: rule.action,
            default_deny: rule.default_deny,
            selects,
            matches,
        }
    }

    /// Whether the subject's policy lets the flow pass, given the rules that may concern it.
    pub(crate) fn verdict<'a>(
        &self,
        rules: impl IntoIterator<Item = &'a Encoded>,
        direction: Direction,
        seat: Seat,
        settings: &Settings,
    ) -> Term {
        if settings.enforcement == Enforcement::Never {
            return Term::Const(true);
        }
        let (subject, peer) = self.seats(seat);
        let (mut denies, mut allows, mut enforcing, mut selecting) =
            (vec![], vec![], vec![], vec![]);
        for rule in rules {
            match rule.action {
                Action::Deny => denies.push(rule.matches.clone()),
                Action::Allow => allows.push(rule.matches.clone()),
                Action::Pass => {}
            }
            if rule.default_deny {
                enforcing.push(rule.selects.clone());
            }
            selecting.push(rule.selects.clone());
        }
        let forced = Term::Const(settings.enforcement == Enforcement::Always);
        let enforced = Term::any(enforcing).or(forced).or(subject.named("init"));
        #[cfg(test)]
        let enforced = if mutant::is(mutant::Mutant::AlwaysEnforced) {
            Term::Const(true)
        } else {
            enforced
        };
        let localhost = if direction == Direction::Ingress && settings.allow_localhost {
            peer.is_host().and(Term::any(selecting))
        } else {
            Term::Const(false)
        };
        let passes = Term::any([Term::any(allows), enforced.negate(), localhost]);
        #[cfg(test)]
        if mutant::is(mutant::Mutant::AllowWins) {
            return passes;
        }
        let judged = Term::any(denies).negate().and(passes);
        let exempt = if settings.host_firewall {
            Term::Const(false)
        } else {
            subject.named("host")
        };
        exempt.or(judged)
    }
}

impl Frame {
    /// What an example flow should look like; `ports` are tried in this order.
    pub(crate) fn wishes(&self, ports: &[u16]) -> Vec<Wish> {
        let protocols = [
            Protocol::TCP,
            Protocol::UDP,
            Protocol::ICMP,
            Protocol::ICMPV6,
        ];
        let is = |protocol: Protocol| Term::Is(self.protocol, u128::from(protocol.0));
        let flags = self
            .named
            .iter()
            .map(|(_, flag)| Wish::First(vec![Term::Flag(*flag).negate()]));
        let ports = ports
            .iter()
            .map(|port| Term::Is(self.port, u128::from(*port)))
            .chain([Term::Is(self.port, 0).negate()]);
        let kinds = self.sides.iter().flat_map(|side| side.wishes(&self.dims));
        kinds
            .chain([Wish::First(protocols.map(is).to_vec())])
            .chain([Wish::Least(Term::Const(true), self.protocol, 8)])
            .chain(flags)
            .chain([Wish::First(ports.collect())])
            .chain([Wish::Least(Term::Const(true), self.port, 16)])
            .collect()
    }
}

impl Frame {
    /// Who can be the first side as a subject of policy, and who its peer.
    pub(crate) fn subject_and_peer(&mut self, direction: Direction) {
        let [subject, peer] = &self.sides;
        let subjects = subject.is_any(std::iter::once(Kind::POD).chain(Kind::SUBJECTS));
        let local = subject.is_local(&self.dims);
        // Where both families are known, no address is of the undivided world.
        let peers = peer
            .is_any(std::iter::once(Kind::POD).chain(Kind::OTHERS))
            .and(peer.is(Kind::WORLD).negate());
        for fact in [subjects, local, peers] {
            self.script.assert(fact);
        }
        self.destination(match direction {
            Direction::Ingress => Seat::First,
            Direction::Egress => Seat::Second,
        });
    }
}
