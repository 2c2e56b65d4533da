//! The graph that is drawn: groups, and what they may open to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use policyc_ir::model::Model;
use policyc_ir::reach::{Class, Party, Ports, Reach, members};
use rayon::prelude::*;

use super::group::{Key, Keys, Kind};
use super::select::Selection;
use crate::args::GroupBy;
use crate::exit::Error;

/// Groups at most: what is drawn is a row for each.
const GROUPS_MAX: usize = 5_000;
/// Sets of ports that a label shows.
const SHOWN: usize = 3;

/// Groups and edges, in order.
pub(super) struct Graph {
    pub(super) groups: Vec<Group>,
    pub(super) edges: Vec<Edge>,
}

/// Parties that are drawn as one.
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    /// Its name; within its namespace, for pods. Empty for a whole namespace.
    pub(super) name: String,
    /// How many pods it has.
    pub(super) pods: usize,
    /// Whether the internet may open a connection to one of them.
    pub(super) exposed: bool,
    /// Connections from the start that was asked for.
    pub(super) distance: Option<u32>,
    /// Pods that some pod of it reaches, through others as well.
    pub(super) reaches: usize,
    /// Groups that have a component in common can reach each other there: the components of its pods that are larger
    /// than one party.
    pub(super) components: BTreeSet<usize>,
    /// How many parties of each class it has.
    classes: BTreeMap<usize, usize>,
}

impl Group {
    /// Its name with its namespace.
    pub(super) fn full_name(&self) -> String {
        match &self.namespace {
            Some(namespace) if self.name.is_empty() => namespace.clone(),
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What some pod of one group may open to some pod of another.
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The sets of ports of its pairs.
    pub(super) ports: Vec<String>,
    /// Whether a proxy has a say on some port.
    pub(super) proxied: bool,
    /// Whether authentication is demanded on some port.
    pub(super) authenticated: bool,
}

impl Edge {
    /// Its sets of ports on one line.
    pub(super) fn label(&self) -> String {
        let shown: Vec<_> = self.ports.iter().take(SHOWN).map(String::as_str).collect();
        let mut label = shown.join(" | ");
        if self.ports.len() > SHOWN {
            _ = write!(label, " | {} more", self.ports.len() - SHOWN);
        }
        label
    }
}

impl Graph {
    pub(super) fn new(
        model: &Model<'_>,
        reach: &Reach,
        selection: &Selection,
        by: GroupBy,
    ) -> Result<Self, Error> {
        let mut groups = groups(model, reach, selection, by)?;
        let components = components(reach, selection);
        let exposed = exposed(reach);
        groups.par_iter_mut().for_each(|group| {
            let classes = group.classes.keys();
            group.exposed = group.kind != Kind::Internet
                && classes.clone().any(|class| exposed.contains(class));
            group.distance = classes
                .clone()
                .filter_map(|class| selection.distance(*class))
                .min();
            let of = classes.filter_map(|class| components.get(class).copied());
            group.components = of.collect();
            group.reaches = reaches(reach, selection, group);
        });
        let edges = edges(reach, selection, &groups);
        Ok(Self { groups, edges })
    }
}

/// The groups of all classes that were asked for.
fn groups(
    model: &Model<'_>,
    reach: &Reach,
    selection: &Selection,
    by: GroupBy,
) -> Result<Vec<Group>, Error> {
    let keys = Keys::new(model.universe(), by);
    let mut found: BTreeMap<Key, (usize, BTreeMap<usize, usize>)> = BTreeMap::new();
    let classes = reach.classes().iter().enumerate();
    for (at, class) in classes.filter(|(at, _)| selection.has(*at)) {
        for party in &class.parties {
            let key = keys.of(*party, class.internet);
            let (pods, classes) = found.entry(key).or_default();
            *pods += usize::from(matches!(party, Party::Endpoint(_)));
            *classes.entry(at).or_default() += 1;
        }
        if found.len() > GROUPS_MAX {
            return Err(Error::usage(format!(
                "more than {GROUPS_MAX} groups cannot be drawn: ask with `--from`, `--to` or `--group namespace`"
            )));
        }
    }
    let groups = found.into_iter().map(|(key, (pods, classes))| Group {
        pods: if key.kind == Kind::Pods { pods } else { 0 },
        kind: key.kind,
        namespace: key.namespace,
        name: key.name,
        exposed: false,
        distance: None,
        reaches: 0,
        components: BTreeSet::new(),
        classes,
    });
    Ok(groups.collect())
}

/// Classes that the internet may open a connection to.
fn exposed(reach: &Reach) -> BTreeSet<usize> {
    let internet = reach.classes().iter().enumerate();
    let internet = internet.filter(|(_, class)| class.internet);
    let open = internet.flat_map(|(from, _)| {
        let openings = reach.openings(from).into_iter().enumerate();
        openings.filter(|(_, set)| *set != 0).map(|(to, _)| to)
    });
    open.collect()
}

/// The component of each class in one of several parties, numbered in the order of classes.
fn components(reach: &Reach, selection: &Selection) -> BTreeMap<usize, usize> {
    let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
    let each = selection.closure.components().iter().enumerate();
    // What reaches itself in some steps is in a component with others, or with others of its class.
    let each = each.filter(|(class, _)| selection.closure.has(*class, *class));
    let inside = each.filter(|(class, _)| {
        let class = reach.classes().get(*class);
        class.is_some_and(Class::is_pods)
    });
    let numbered = inside.map(|(class, component)| {
        let next = numbers.len();
        (class, *numbers.entry(*component).or_insert(next))
    });
    numbered.collect()
}

/// Pods that some pod of a group reaches.
fn reaches(reach: &Reach, selection: &Selection, group: &Group) -> usize {
    let mut all: Vec<u64> = Vec::new();
    let mut add = |row: &[u64]| {
        all.resize(row.len().max(all.len()), 0);
        for (word, more) in all.iter_mut().zip(row) {
            *word |= more;
        }
    };
    for class in group.classes.keys() {
        add(selection.closure.row(*class));
        let inside = reach.classes().get(*class).is_some_and(Class::is_pods);
        if !inside {
            // The first step from outside is none of the closure's.
            let first = selection.matrix.row(*class);
            add(first);
            members(first).for_each(|next| add(selection.closure.row(next)));
        }
    }
    let classes = members(&all).filter_map(|at| reach.classes().get(at));
    let inside = classes.filter(|class| class.is_pods());
    inside.map(|class| class.parties.len()).sum()
}

fn edges(reach: &Reach, selection: &Selection, groups: &[Group]) -> Vec<Edge> {
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); reach.classes().len()];
    for (at, group) in groups.iter().enumerate() {
        for class in group.classes.keys() {
            if let Some(list) = of_class.get_mut(*class) {
                list.push(at);
            }
        }
    }
    let labels: Vec<String> = reach.sets().iter().map(ToString::to_string).collect();
    let from_group = |(from, group): (usize, &Group)| {
        let mut sets: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        // Neighbours mostly have the same set, which need not be looked up again.
        let mut last = vec![0; groups.len()];
        for (class, parties) in &group.classes {
            for (next, set) in reach.openings(*class).into_iter().enumerate() {
                if set == 0 || !selection.has_opening(*class, next) {
                    continue;
                }
                for to in of_class.get(next).into_iter().flatten() {
                    // A party has no connection to itself that policies judge.
                    if *to == from && *class == next && *parties < 2 {
                        continue;
                    }
                    let Some(last) = last.get_mut(*to).filter(|last| **last != set) else {
                        continue;
                    };
                    *last = set;
                    sets.entry(*to).or_default().insert(set);
                }
            }
        }
        let edge = |(to, sets): (usize, BTreeSet<usize>)| Edge::of(from, to, &sets, reach, &labels);
        sets.into_iter().map(edge).collect::<Vec<_>>()
    };
    let rows: Vec<_> = groups.par_iter().enumerate().map(from_group).collect();
    rows.into_iter().flatten().collect()
}

impl Edge {
    fn of(
        from: usize,
        to: usize,
        sets: &BTreeSet<usize>,
        reach: &Reach,
        labels: &[String],
    ) -> Self {
        let known = || sets.iter().filter_map(|set| reach.sets().get(*set));
        let names = sets.iter().filter_map(|set| labels.get(*set));
        let names: BTreeSet<_> = names.cloned().collect();
        Self {
            from,
            to,
            ports: names.into_iter().collect(),
            proxied: known().any(Ports::proxied),
            authenticated: known().any(Ports::authenticated),
        }
    }
}
