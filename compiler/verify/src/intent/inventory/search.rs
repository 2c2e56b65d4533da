//! Connections and paths that break an intent, or keep one.

use std::cell::OnceCell;

use policyc_ir::model::request::Request;
use policyc_ir::reach::{Class, Matrix, Party};

use super::point::Points;
use super::{Breach, Context, Hop, Members};
use crate::intent::{Intent, Wanted};

/// An intent that is asked about.
pub(super) struct Asking<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) intent: &'a Intent,
    /// What the answer was found to depend on, beyond what is known.
    pub(super) doubt: &'a OnceCell<String>,
}

/// The first request that breaks an intent, and how. An intent about nothing is so only if it is for every request.
pub(super) fn each<'a>(
    requests: &'a [Option<Request>],
    ask: impl Fn(Option<&'a Request>) -> Option<Breach>,
) -> (Option<Breach>, Option<&'a Request>) {
    let mut about_nothing = true;
    for request in requests.iter().map(Option::as_ref) {
        match ask(request) {
            None => about_nothing = false,
            Some(Breach::Nothing) => {}
            Some(breach) => return (Some(breach), request),
        }
    }
    (about_nothing.then_some(Breach::Nothing), None)
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

impl Asking<'_> {
    fn points<'b>(&'b self, on: &'b Wanted, request: Option<&'b Request>) -> Points<'b> {
        Points {
            ground: self.context.ground,
            wanted: on,
            unspoken: self.context.unspoken,
            request,
            doubt: self.doubt,
        }
    }

    /// A path that must not be.
    pub(super) fn open(
        &self,
        request: Option<&Request>,
        from: &Members,
        to: &Members,
    ) -> Option<Breach> {
        let points = self.points(&self.intent.services, request);
        let steps = self.steps(from);
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
    pub(super) fn unreached(
        &self,
        request: Option<&Request>,
        from: &Members,
        to: &Members,
    ) -> Option<Breach> {
        let points = self.points(&self.intent.services, request);
        if self.intent.place.hops() == 1 {
            if let Some(hop) = self.blocked(from, to, &points) {
                return Some(Breach::Blocked(hop));
            }
            let steps = self.steps(from);
            let mut open = steps.order().into_iter().filter_map(|via| {
                let senders = self.senders(&steps, from, via);
                self.last_hop(via, &senders, to, &points)
            });
            return open.next().is_none().then_some(Breach::Nothing);
        }
        for part in self.intent.services.parts() {
            let points = self.points(&part, request);
            for (source, senders) in from {
                let start = Members::from([(*source, senders.clone())]);
                let steps = self.steps(&start);
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

    /// A pair, if on one of the services there is a path between none, whichever of the requests is asked.
    pub(super) fn nowhere(
        &self,
        requests: &[Option<Request>],
        from: &Members,
        to: &Members,
    ) -> Option<Breach> {
        let steps = self.steps(from);
        for part in self.intent.services.parts() {
            let reached = requests.iter().any(|request| {
                let points = self.points(&part, request.as_ref());
                steps.order().into_iter().any(|via| {
                    let senders = self.senders(&steps, from, via);
                    self.last_hop(via, &senders, to, &points).is_some()
                })
            });
            if !reached {
                let first = requests.first().and_then(Option::as_ref);
                let hop = self.blocked(from, to, &self.points(&part, first));
                return Some(hop.map_or(Breach::Nothing, Breach::Blocked));
            }
        }
        None
    }

    /// How far classes are before the last connection. Paths start anywhere and lead through pods.
    fn steps(&self, from: &Members) -> Steps {
        let pods = |at: usize| self.context.class(at).is_some_and(Class::is_pods);
        let passing = self
            .context
            .matrix
            .passing(|at| pods(at) || from.contains_key(&at));
        let hops = self.intent.place.hops().saturating_sub(1);
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
                let class = self.context.class(at);
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
            let opening = self.context.ground.reach.opening(via, *class);
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
                let opening = self.context.ground.reach.opening(*source, *target);
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
        let points = self.points(&everything, None);
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
