//! Intents about the pods of an inventory, and about paths through them.
//!
//! Parties that no rule tells apart have the same openings, so classes of them are asked, not pods. A path is a row of
//! connections: it starts with anybody and goes on through pods.

use std::collections::BTreeMap;

use policyc_diag::Diagnostic;
use policyc_ir::model::Model;
use policyc_ir::port::Protocol;
use policyc_ir::reach::{Class, Matrix, Party, Reach};
use policyc_ir::settings::Settings;
use rayon::prelude::*;

use super::{Answer, Claim, Intent, Place, Wanted, settle, text};
use crate::{Report, Stats};

/// Who is in an end.
mod member;
/// Protocols and ports of openings.
mod point;
/// Tests against trying every flow.
#[cfg(test)]
mod tests;
/// From an opening to what is told of it.
mod voice;

use point::{Point, Points};

/// A cluster's pods and their openings.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Verdicts.
    pub model: &'a Model<'a>,
    /// Who can open connections to whom.
    pub reach: &'a Reach,
    /// Settings of the cluster.
    pub settings: &'a Settings,
}

/// Checks the intents that are about an inventory; the others are passed over.
pub fn check_in_inventory(ground: Ground<'_>, intents: &[Intent]) -> Report {
    let mut report = Report::default();
    let asked: Vec<_> = intents
        .iter()
        .filter(|one| one.place.is_inventory())
        .collect();
    if asked.is_empty() {
        return report;
    }
    let context = Context::new(ground);
    let answers = asked.par_iter().map(|one| context.answer(one));
    let answers: Vec<_> = answers.collect();
    for (intent, answer) in asked.into_iter().zip(answers) {
        report.stats += Stats {
            subjects: 1,
            ..Stats::default()
        };
        let finding = settle(intent, Ok(answer), &mut report.stats);
        report.findings.extend(finding);
    }
    policyc_diag::diagnostic::sort(&mut report.findings);
    report
}

/// Says of the intents that need an inventory that there is none.
pub fn without_inventory(intents: &[Intent]) -> Vec<Diagnostic> {
    let asked = intents.iter().filter(|one| one.place.is_inventory());
    asked.map(text::no_inventory).collect()
}

struct Context<'a> {
    ground: Ground<'a>,
    matrix: Matrix,
    /// A protocol that no rule speaks of.
    unspoken: Protocol,
}

/// The members of an end, by class.
type Members = BTreeMap<usize, Vec<Party>>;

/// A connection between members of two classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    from: Party,
    to: Party,
    point: Point,
}

/// What breaks an intent.
enum Breach {
    /// These connections pass.
    Open(Vec<Hop>),
    /// This one is blocked.
    Blocked(Hop),
    /// Nothing of the kind could exist.
    Nothing,
}

/// How far each class is from some of them, in connections that a path can take.
struct Steps {
    passing: Matrix,
    steps: Vec<Option<u32>>,
}

impl Steps {
    fn to(&self, at: usize) -> Option<u32> {
        self.steps.get(at).copied().flatten()
    }

    /// Classes that are near enough, the nearest first.
    fn order(&self) -> Vec<usize> {
        let near = (0..self.steps.len()).filter(|at| self.to(*at).is_some());
        let mut order: Vec<_> = near.collect();
        order.sort_by_key(|at| (self.to(*at), *at));
        order
    }
}

impl<'a> Context<'a> {
    fn new(ground: Ground<'a>) -> Self {
        Self {
            ground,
            matrix: ground.reach.matrix(),
            unspoken: point::unspoken(ground.model.resolved.rules),
        }
    }

    fn answer(&self, intent: &Intent) -> Answer {
        let (from, to) = (self.members(intent, true), self.members(intent, false));
        for (members, name) in [(&from, "source"), (&to, "destination")] {
            if members.is_empty() {
                return Answer::Empty(text::nobody(intent, name));
            }
        }
        let breach = match intent.claim {
            Claim::Never => self.open(intent, &from, &to),
            Claim::Must => self.unreached(intent, &from, &to),
            Claim::May => self.nowhere(intent, &from, &to),
        };
        let rules = self.ground.model.resolved.rules;
        match breach {
            None => Answer::Holds,
            Some(Breach::Nothing) => Answer::Empty(text::no_flow(intent)),
            Some(Breach::Open(path)) => {
                let told = voice::told(self.ground, &path);
                if told.ends.is_empty() || !told.passes() {
                    return Answer::Empty(text::not_confirmed(intent, &told.flow));
                }
                Answer::Broken(text::passes(rules, intent, &told))
            }
            Some(Breach::Blocked(hop)) => {
                let told = voice::told(self.ground, &[hop]);
                if told.passes() {
                    return Answer::Empty(text::not_confirmed(intent, &told.flow));
                }
                Answer::Broken(text::blocked(rules, intent, &told))
            }
        }
    }

    fn class(&self, at: usize) -> Option<&Class> {
        self.ground.reach.classes().get(at)
    }

    fn members(&self, intent: &Intent, source: bool) -> Members {
        let end = if source { &intent.from } else { &intent.to };
        let is_one = |party: &Party| member::is_in(&self.ground, end, *party, source);
        let classes = self.ground.reach.classes().iter().enumerate();
        let members = classes.map(|(at, class)| {
            let parties = class.parties.iter().copied();
            (at, parties.filter(is_one).collect::<Vec<_>>())
        });
        members.filter(|(_, parties)| !parties.is_empty()).collect()
    }

    fn points<'b>(&'b self, on: &'b Wanted) -> Points<'b> {
        Points {
            ground: self.ground,
            wanted: on,
            unspoken: self.unspoken,
        }
    }

    /// A path that must not be.
    fn open(&self, intent: &Intent, from: &Members, to: &Members) -> Option<Breach> {
        let points = self.points(&intent.services);
        let steps = self.steps(intent, from);
        let last = steps.order().into_iter().find_map(|via| {
            let senders = self.senders(&steps, from, via);
            Some((via, self.last_hop(via, &senders, to, &points)?))
        });
        if let Some((via, last)) = last {
            return Some(Breach::Open(self.path(&steps, from, via, last)));
        }
        let some = self.blocked(from, to, &points);
        some.is_none().then_some(Breach::Nothing)
    }

    /// A pair that is not connected as it must be: by a single connection on all of the services, or by a path whose
    /// last connection is on some port of each.
    fn unreached(&self, intent: &Intent, from: &Members, to: &Members) -> Option<Breach> {
        let points = self.points(&intent.services);
        if intent.place.hops() == 1 {
            if let Some(hop) = self.blocked(from, to, &points) {
                return Some(Breach::Blocked(hop));
            }
            let steps = self.steps(intent, from);
            let mut open = steps.order().into_iter().filter_map(|via| {
                let senders = self.senders(&steps, from, via);
                self.last_hop(via, &senders, to, &points)
            });
            return open.next().is_none().then_some(Breach::Nothing);
        }
        for part in intent.services.parts() {
            let points = self.points(&part);
            for (source, senders) in from {
                let start = Members::from([(*source, senders.clone())]);
                let steps = self.steps(intent, &start);
                for (target, receivers) in to {
                    for receiver in receivers.iter().filter(|one| senders.as_slice() != [**one]) {
                        let end = Members::from([(*target, vec![*receiver])]);
                        let reached = steps.order().into_iter().any(|via| {
                            let senders = self.senders(&steps, &start, via);
                            self.last_hop(via, &senders, &end, &points).is_some()
                        });
                        let blocked = (!reached).then(|| self.blocked(&start, &end, &points));
                        if let Some(hop) = blocked.flatten() {
                            return Some(Breach::Blocked(hop));
                        }
                    }
                }
            }
        }
        None
    }

    /// A pair, if on one of the services there is a path between none.
    fn nowhere(&self, intent: &Intent, from: &Members, to: &Members) -> Option<Breach> {
        let steps = self.steps(intent, from);
        for part in intent.services.parts() {
            let points = self.points(&part);
            let reached = steps.order().into_iter().any(|via| {
                let senders = self.senders(&steps, from, via);
                self.last_hop(via, &senders, to, &points).is_some()
            });
            if !reached {
                let hop = self.blocked(from, to, &points);
                return Some(hop.map_or(Breach::Nothing, Breach::Blocked));
            }
        }
        None
    }

    /// How far classes are before the last connection. Paths start anywhere and lead through pods.
    fn steps(&self, intent: &Intent, from: &Members) -> Steps {
        let pods = |at: usize| self.class(at).is_some_and(Class::is_pods);
        let passing = self.matrix.passing(|at| pods(at) || from.contains_key(&at));
        let hops = intent.place.hops().saturating_sub(1);
        let mut steps = passing.distances(from.keys().copied(), hops);
        for (at, step) in steps.iter_mut().enumerate() {
            // What comes back from outside comes from somebody else.
            if !pods(at) && !from.contains_key(&at) {
                *step = None;
            }
        }
        Steps { passing, steps }
    }

    /// Those of a class that a path can have come to.
    fn senders(&self, steps: &Steps, from: &Members, at: usize) -> Vec<Party> {
        match from.get(&at) {
            Some(members) if steps.to(at) == Some(0) => members.clone(),
            _ => {
                let class = self.class(at);
                class.map_or_else(Vec::new, |class| class.parties.clone())
            }
        }
    }

    /// A connection from one of a class to a destination.
    fn last_hop(
        &self,
        via: usize,
        senders: &[Party],
        to: &Members,
        points: &Points<'_>,
    ) -> Option<Hop> {
        to.iter().find_map(|(class, receivers)| {
            let opening = self.ground.reach.opening(via, *class);
            let mut pairs = Self::few(senders, receivers, points);
            pairs.find_map(|(from, to)| {
                let point = points.find(opening, from, to, true)?;
                Some(Hop { from, to, point })
            })
        })
    }

    /// A connection of those meant that is blocked.
    fn blocked(&self, from: &Members, to: &Members, points: &Points<'_>) -> Option<Hop> {
        from.iter().find_map(|(source, senders)| {
            to.iter().find_map(|(target, receivers)| {
                let opening = self.ground.reach.opening(*source, *target);
                let mut pairs = Self::few(senders, receivers, points);
                pairs.find_map(|(from, to)| {
                    let point = points.find(opening, from, to, false)?;
                    Some(Hop { from, to, point })
                })
            })
        })
    }

    /// Pairs of two parties that policies have a say about. Where ports go by number one pair of two classes stands for
    /// all.
    fn few<'b>(
        senders: &'b [Party],
        receivers: &'b [Party],
        points: &Points<'_>,
    ) -> impl Iterator<Item = (Party, Party)> + 'b {
        let outside = |party: &Party| matches!(party, Party::Outside(_));
        let one = !points.by_name();
        let pairs = receivers.iter().flat_map(move |to| {
            let others = senders.iter().filter(move |from| *from != to);
            let others = others.filter(move |from| !(outside(from) && outside(to)));
            others.map(|from| (*from, *to)).take(1)
        });
        pairs.take(if one { 1 } else { usize::MAX })
    }

    /// Walks back from the sender of the last connection to a source.
    fn path(&self, steps: &Steps, from: &Members, via: usize, last: Hop) -> Vec<Hop> {
        let everything = Wanted::default();
        let points = self.points(&everything);
        let mut path = vec![last];
        let (mut at, mut receiver) = (via, last.from);
        while let Some(distance) = steps.to(at).filter(|steps| *steps > 0) {
            let nearer = |before: &usize| {
                steps.to(*before) == Some(distance - 1) && steps.passing.has(*before, at)
            };
            let before = (0..steps.steps.len()).filter(nearer).find_map(|before| {
                let senders = self.senders(steps, from, before);
                let one = Members::from([(at, vec![receiver])]);
                Some((before, self.last_hop(before, &senders, &one, &points)?))
            });
            let Some((before, hop)) = before else { break };
            path.push(hop);
            (at, receiver) = (before, hop.from);
        }
        path.reverse();
        path
    }
}

impl Place {
    const fn is_inventory(self) -> bool {
        matches!(self, Self::Inventory { .. })
    }

    /// Connections in a row, at most.
    const fn hops(self) -> u32 {
        match self {
            Self::Possible => 1,
            Self::Inventory { hops } => hops,
        }
    }
}
