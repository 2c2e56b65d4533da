//! What a question leaves of the graph.

use policyc_ir::model::Model;
use policyc_ir::reach::{Class, Closure, Matrix, Party, Reach};

use crate::args::Graph;
use crate::exit::Error;
use crate::party;
use crate::pipeline::Front;

/// Classes and arrows that answer the question.
pub(super) struct Selection {
    /// Every opening that a path may take.
    pub(super) matrix: Matrix,
    /// What paths of any length lead to.
    pub(super) closure: Closure,
    /// Steps from the start, if there is one.
    from: Option<Vec<Option<u32>>>,
    /// Steps to the end, if there is one.
    to: Option<Vec<Option<u32>>>,
    hops: u32,
}

impl Selection {
    pub(super) fn new(
        args: &Graph,
        front: &Front,
        model: &Model<'_>,
        reach: &Reach,
    ) -> Result<Self, Error> {
        let all = reach.matrix();
        let classes = reach.classes();
        let inside = |at: usize| classes.get(at).is_some_and(Class::is_pods);
        let find = |name: &String| class_of(name, front, model, reach);
        let internet = || {
            let each = classes.iter().enumerate();
            let found = each.filter(|(_, class)| class.internet);
            found.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let starts = match &args.from {
            Some(name) => Some(vec![find(name)?]),
            None => args.exposed.then(internet),
        };
        let end = args.to.as_ref().map(find).transpose()?;
        let hops = args.hops.unwrap_or(u32::MAX);
        let inner = all.passing(inside);
        let closure = Closure::new(&inner);
        let matrix = match &starts {
            Some(starts) => all.passing(|at| inside(at) || starts.contains(&at)),
            None => all,
        };
        Ok(Self {
            from: starts.map(|starts| matrix.distances(starts, hops)),
            // The first step may leave from outside, the others may not.
            to: end.map(|end| to_end(&matrix, &inner, end, hops)),
            matrix,
            closure,
            hops,
        })
    }

    /// Whether a class is on a path that was asked for.
    pub(super) fn has(&self, class: usize) -> bool {
        let (Some(from), Some(to)) = (
            step(self.from.as_ref(), class),
            step(self.to.as_ref(), class),
        ) else {
            return false;
        };
        from.saturating_add(to) <= self.hops
    }

    /// Whether an opening is on a path that was asked for. No path comes back to its start or goes on behind its end.
    pub(super) fn has_opening(&self, from: usize, to: usize) -> bool {
        let after = step(self.to.as_ref(), to);
        let (Some(before), Some(after)) = (step(self.from.as_ref(), from), after) else {
            return false;
        };
        let back = self.from.is_some() && step(self.from.as_ref(), to) == Some(0);
        let beyond = self.to.is_some() && step(self.to.as_ref(), from) == Some(0);
        let steps = before.saturating_add(after).saturating_add(1);
        let between = from == to || !back && !beyond;
        between && steps <= self.hops && self.matrix.has(from, to)
    }

    /// Steps from the start to a class, if there is a start.
    pub(super) fn distance(&self, class: usize) -> Option<u32> {
        self.from.as_ref()?.get(class).copied().flatten()
    }
}

/// Steps, 0 if nobody asked for them.
fn step(steps: Option<&Vec<Option<u32>>>, class: usize) -> Option<u32> {
    match steps {
        None => Some(0),
        Some(steps) => steps.get(class).copied().flatten(),
    }
}

/// Steps from each class to an end, where those outside can only be the first.
fn to_end(matrix: &Matrix, inner: &Matrix, end: usize, hops: u32) -> Vec<Option<u32>> {
    let mut steps = inner.reversed().distances([end], hops);
    let first = (0..matrix.len()).map(|from| {
        let next = policyc_ir::reach::members(matrix.row(from));
        let nearest = next.filter_map(|to| steps.get(to).copied().flatten()).min();
        nearest.map(|nearest| nearest.saturating_add(1))
    });
    let first: Vec<_> = first.collect();
    for (known, first) in steps.iter_mut().zip(first) {
        if known.is_none() {
            *known = first.filter(|steps| *steps <= hops);
        }
    }
    steps
}

/// The class of a pod, a node, an address or an entity.
fn class_of(name: &str, front: &Front, model: &Model<'_>, reach: &Reach) -> Result<usize, Error> {
    let universe = model.universe();
    let wrong = |message: String| Error::usage(message);
    let party = if let Ok(id) = party::subject(universe, front, name) {
        Some(Party::Endpoint(id))
    } else {
        let id = party::peer(universe, front, name).map_err(wrong)?;
        let mut endpoints = universe.endpoints().iter();
        let known = endpoints.position(|endpoint| endpoint.identity == id);
        known
            .map(|at| Party::Endpoint(policyc_ir::EndpointId::at(at)))
            .or(Some(Party::Outside(id)))
    };
    let mut classes = reach.classes().iter();
    let found = classes.position(|class| party.is_some_and(|party| class.parties.contains(&party)));
    found.ok_or_else(|| wrong(format!("nothing in the cluster has the identity `{name}`")))
}
