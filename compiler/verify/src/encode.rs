//! From rules to terms.
//!
//! A flow is two sides, a protocol and a port. Each side is a kind and, for pods, one small bit vector per label
//! that some rule of the slice names: 0 is "absent", 1 "some value that no rule names", then the named values. One
//! such other value is enough, because no rule compares two labels with each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::RuleId;
use policyc_ir::fqdn::Fqdn;
use policyc_ir::port::Protocol;
use policyc_ir::rule::{Action, Direction, Level, Rule, RuleSet};
use policyc_ir::settings::{Enforcement, Settings};

use crate::algebra::kind::Kind;
use crate::term::{Assignment, Script, Term, Var};

/// Labels and the values that rules name.
pub(crate) mod dims;
/// Flows that match rules, put together without a solver.
pub(crate) mod draw;
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
    /// What numbers the destination gives to names of ports.
    pub(crate) named: Vec<NamedPort>,
    /// Pairs of DNS names or patterns of which the first implies the second.
    pub(crate) implied: Vec<(Fqdn, Fqdn)>,
}

/// A name of a port.
#[derive(Debug)]
pub(crate) struct NamedPort {
    /// The name.
    pub(crate) name: Arc<str>,
    /// "The destination gives it to the flow's protocol and port."
    pub(crate) here: Var,
    /// "To its protocol and a lower port", if ranges start at the name.
    pub(crate) below: Option<Var>,
}

impl NamedPort {
    /// Its flags.
    pub(crate) fn flags(&self) -> impl Iterator<Item = Var> {
        [self.here].into_iter().chain(self.below)
    }
}

/// A rule as terms, for one assignment of sides.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    /// What it does.
    pub(crate) action: Action,
    /// When it is asked.
    pub(crate) level: Level,
    /// Whether it turns default deny on.
    pub(crate) default_deny: bool,
    /// Its subject is selected.
    pub(crate) selects: Term,
    /// It matches the flow.
    pub(crate) matches: Term,
    /// The two without definitions, for evaluation: its subject is selected, and peer and layer 4 match.
    pub(crate) plain: (Term, Term),
}

impl Encoded {
    /// Whether its subject is selected.
    pub(crate) fn selects_in(&self, values: &Assignment) -> bool {
        self.plain.0.eval(values)
    }

    /// Whether it matches the flow.
    pub(crate) fn matches_in(&self, values: &Assignment) -> bool {
        self.plain.0.eval(values) && self.plain.1.eval(values)
    }

    /// The same rule where it is known whether it selects and matches.
    pub(crate) fn known(&self, selects: bool, matches: bool) -> Self {
        Self {
            selects: Term::Const(selects),
            matches: Term::Const(matches),
            plain: (Term::Const(selects), Term::Const(matches)),
            ..*self
        }
    }
}

/// Which of the two sides is the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Seat {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
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
        let (_, peer) = self.seats(seat);
        let peers = matching::peers(self, peer, rules, &rule.peers);
        let services = matching::services(self, &rule.services);
        let mut encoded = self.encode_subject(rules, id, rule, seat);
        encoded.plain.1 = peers.and(services);
        let matches = encoded.selects.clone().and(encoded.plain.1.clone());
        let name = format!("matches.{}.{}", id.0, seat.name());
        encoded.matches = self.script.define(name, matches);
        encoded
    }

    /// Adds the definition of a rule's subject, of a rule that is known to match no flow in question.
    pub(crate) fn encode_subject(
        &mut self,
        rules: &RuleSet,
        id: RuleId,
        rule: &Rule,
        seat: Seat,
    ) -> Encoded {
        let (subject, _) = self.seats(seat);
        let plain = matching::subject(self, subject, rules, rule);
        let name = format!("selects.{}.{}", id.0, seat.name());
        Encoded {
            action: rule.action,
            level: rule.level,
            default_deny: rule.default_deny,
            selects: self.script.define(name, plain.clone()),
            matches: Term::Const(false),
            plain: (plain, Term::Const(false)),
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
        let (mut levels, mut all, mut selecting) =
            (BTreeMap::<Level, Decisions>::new(), vec![], vec![]);
        for rule in rules {
            let level = levels.entry(rule.level).or_default();
            level.of(rule.action).push(rule.matches.clone());
            selecting.push(rule.selects.clone());
            all.push(rule);
        }
        let enforced = self.enforced(all, seat, settings);
        #[cfg(test)]
        let enforced = if mutant::is(mutant::Mutant::AlwaysEnforced) {
            Term::Const(true)
        } else {
            enforced
        };
        let localhost = if direction == Direction::Ingress && settings.allow_localhost {
            let others = subject.is_host().negate();
            Term::all([peer.is_host(), others, Term::any(selecting)])
        } else {
            Term::Const(false)
        };
        let judged = judged(levels, enforced.negate().or(localhost));
        self.exempt(seat, settings).or(judged)
    }

    /// Whether the subject is in default deny, unless it is exempt.
    pub(crate) fn enforced<'a>(
        &self,
        rules: impl IntoIterator<Item = &'a Encoded>,
        seat: Seat,
        settings: &Settings,
    ) -> Term {
        let (subject, _) = self.seats(seat);
        let enforcing = rules.into_iter().filter(|rule| rule.default_deny);
        let enforcing = Term::any(enforcing.map(|rule| rule.selects.clone()));
        let forced = Term::Const(settings.enforcement == Enforcement::Always);
        enforcing.or(forced).or(subject.named("init"))
    }

    /// Whether no policy ever applies to the subject.
    pub(crate) fn exempt(&self, seat: Seat, settings: &Settings) -> Term {
        if settings.host_firewall {
            return Term::Const(false);
        }
        let (subject, _) = self.seats(seat);
        subject.named("host")
    }
}

/// What the rules of one level match, by action.
#[derive(Debug, Default)]
struct Decisions {
    denies: Vec<Term>,
    allows: Vec<Term>,
    passes: Vec<Term>,
}

impl Decisions {
    fn of(&mut self, action: Action) -> &mut Vec<Term> {
        match action {
            Action::Deny => &mut self.denies,
            Action::Allow => &mut self.allows,
            Action::Pass => &mut self.passes,
        }
    }
}

/// Whether a flow passes, from the last level to the first: within a level denies beat allows and allows beat passes,
/// which leave the flow to the next tier; what no rule of any level matches is left to the default.
fn judged(levels: BTreeMap<Level, Decisions>, default: Term) -> Term {
    let mut tier = None;
    let (mut next, mut passes) = (default.clone(), default);
    for (level, decisions) in levels.into_iter().rev() {
        if tier != Some(level.tier) {
            tier = Some(level.tier);
            next = passes.clone();
        }
        #[cfg(test)]
        let next = if mutant::is(mutant::Mutant::PassStays) {
            &passes.clone()
        } else {
            &next
        };
        let passed = Term::any(decisions.passes);
        if passed != Term::Const(false) {
            let on = passed.clone().and(next.clone());
            passes = on.or(passed.negate().and(passes));
        }
        passes = Term::any(decisions.allows).or(passes);
        #[cfg(test)]
        if mutant::is(mutant::Mutant::AllowWins) {
            continue;
        }
        passes = Term::any(decisions.denies).negate().and(passes);
    }
    passes
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
        let flags = self.named.iter().flat_map(NamedPort::flags);
        let flags = flags.map(|flag| Wish::First(vec![Term::Flag(flag).negate()]));
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
    /// Who can be the first side as a subject of policy, and who its peer. `node`: the subject is the local node.
    pub(crate) fn subject_and_peer(&mut self, direction: Direction, node: bool) {
        let [subject, peer] = &self.sides;
        let subjects = if node {
            subject.is(Kind::HOST)
        } else {
            subject.is_any(std::iter::once(Kind::POD).chain(Kind::SUBJECTS))
        };
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
