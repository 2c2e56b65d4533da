//! Rules that cannot do what they say.
//!
//! Rules are taken in groups: one per direction and namespace, then the cluster-wide ones. Within a group the last
//! rule is asked first and a rule found needless no longer counts for those before it, so all of the reported
//! rules can be removed together, and of two equal rules only the later is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use policyc_diag::Diagnostic;
use policyc_ir::RuleId;
use policyc_ir::model::Conflict;
use policyc_ir::rule::{Direction, RuleSet};
use policyc_ir::settings::{Enforcement, Settings};
use rayon::prelude::*;

use crate::algebra::overlap::Algebra;
use crate::replay::Library;
use crate::witness::Witness;
use crate::{Options, Report, Stats};

/// A solver that knows a group's rules, and the terms it is asked about.
mod asker;
/// Rules that exclude each other, so that Cilium has no policy for the pods that both select.
mod conflict;
/// Which rules together match all that another matches.
mod cover;
/// What an allow does beyond letting flows pass: layer 7 and authentication.
pub(crate) mod effect;
/// Flows that show what a finding says.
mod example;
/// The questions of a group, one rule after the other.
mod group;
/// Selectors that nothing possible matches.
mod impossible;
/// Layer 7 rules that restrict nothing, because layer 4 lets the same connections through.
mod layer7;
/// The rules around one that is asked about.
mod near;
/// The questions as SMT-LIB text.
pub(crate) mod questions;
/// What is said of a rule, with a flow that shows it.
mod report;
/// What people read.
mod text;

/// The solver's answers against trying every flow of tiny universes.
#[cfg(test)]
mod tests;

/// After how many rules progress is told.
const TICK: usize = 32;

/// What every question needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) rules: &'a RuleSet,
    pub(crate) algebra: &'a Algebra<'a>,
    pub(crate) library: &'a Library<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) options: &'a Options,
    pub(crate) deadline: Option<Instant>,
    /// How many rules have been asked about.
    pub(crate) done: &'a AtomicUsize,
}

impl Context<'_> {
    pub(crate) fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// One more rule has been asked about.
    fn tick(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(progress) = self.options.progress.filter(|_| done.is_multiple_of(TICK)) {
            progress(done, self.rules.rules().len());
        }
    }
}

/// Rules that are asked about together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// Those asked about.
    pub(crate) own: Vec<RuleId>,
    /// Others that may concern the same subjects.
    pub(crate) others: Vec<RuleId>,
}

/// What came of a group.
#[derive(Debug, Default)]
pub(crate) struct Found {
    findings: Vec<Diagnostic>,
    needless: Vec<RuleId>,
    conflicts: BTreeMap<Conflict, Witness>,
    stats: Stats,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.needless.extend(other.needless);
        self.stats += other.stats;
        for (conflict, witness) in other.conflicts {
            self.conflicts.entry(conflict).or_insert(witness);
        }
    }

    /// The solver gave up on a rule.
    fn undecided(&mut self, context: &Context<'_>, id: RuleId, why: &str) {
        self.stats.undecided += 1;
        let diagnostic = text::undecided(context.rules, id, why);
        self.findings.push(diagnostic);
    }
}

/// All lints.
pub(crate) fn run(
    rules: &RuleSet,
    settings: &Settings,
    options: &Options,
    deadline: Option<Instant>,
) -> Report {
    let algebra = Algebra::new(rules, settings);
    let mut report = Report {
        findings: impossible::findings(&algebra),
        stats: Stats::default(),
    };
    // Where nothing is enforced no rule matters, and there is nothing to say about any of them.
    if settings.enforcement == Enforcement::Never {
        return report;
    }
    let clashing = conflict::pairs(&algebra);
    let mut library = Library::new(rules, settings);
    let harmonious = |direction: &Direction| {
        let of = |id| rules.rule(id).map(|rule| rule.direction);
        !clashing.iter().any(|(one, _)| of(*one) == Some(*direction))
    };
    library.set_harmonious(Direction::BOTH.into_iter().filter(harmonious).collect());
    let context = Context {
        rules,
        algebra: &algebra,
        library: &library,
        settings,
        options,
        deadline,
        done: &AtomicUsize::new(0),
    };
    // A thread costs a solver context, which a few rules are not worth.
    let parallel = rules.rules().len() > 64;
    let ask = |direction| one_direction(&context, direction, parallel);
    let (ingress, egress) = if parallel {
        rayon::join(|| ask(Direction::Ingress), || ask(Direction::Egress))
    } else {
        (ask(Direction::Ingress), ask(Direction::Egress))
    };
    let mut all = Found::default();
    for found in std::iter::once(conflict::run(&context, &clashing))
        .chain(ingress)
        .chain(egress)
    {
        all.add(found);
    }
    report.findings.extend(all.findings);
    report.stats += all.stats;
    let conflicts = conflict::findings(&context, &all.conflicts);
    report.findings.extend(conflicts);
    if report.stats.undecided > 0 && context.is_late() {
        let message = format!(
            "the time limit of {} s was reached, so {} rules were not checked",
            options.total.as_secs(),
            report.stats.undecided
        );
        let code = policyc_diag::codes::UNDECIDED;
        report.findings.push(Diagnostic::new(code, message));
    }
    report
}

/// All groups of a direction, the cluster-wide rules last: what was found needless before no longer counts for them.
fn one_direction(context: &Context<'_>, direction: Direction, parallel: bool) -> Vec<Found> {
    let (namespaced, wide) = groups(context.algebra, context.settings, direction);
    let one = |group: &Group| group::run(context, group, &BTreeSet::new());
    let mut found: Vec<_> = if parallel {
        namespaced.par_iter().map(one).collect()
    } else {
        namespaced.iter().map(one).collect()
    };
    let needless = found
        .iter()
        .flat_map(|found| found.needless.iter().copied())
        .collect();
    found.push(group::run(context, &wide, &needless));
    found
}

/// The groups of a direction: one per namespace and one for nodes, then that of cluster-wide rules.
pub(crate) fn groups(
    algebra: &Algebra<'_>,
    settings: &Settings,
    direction: Direction,
) -> (Vec<Group>, Group) {
    let mut by_namespace: BTreeMap<Arc<str>, Vec<RuleId>> = BTreeMap::new();
    let (mut wide, mut nodes) = (Vec::new(), Vec::new());
    for (id, rule) in algebra.rules.iter() {
        if rule.direction != direction || !algebra.has_subject(rule) {
            continue;
        }
        match &rule.subject.namespace {
            // Without the host firewall nothing about nodes is enforced.
            _ if rule.subject.node && !settings.host_firewall => {}
            _ if rule.subject.node => nodes.push(id),
            Some(namespace) => by_namespace.entry(namespace.clone()).or_default().push(id),
            None => wide.push(id),
        }
    }
    let groups = by_namespace.into_values().map(|own| {
        let others = others(algebra, &own, |rule| rule.subject.namespace.is_none());
        Group { own, others }
    });
    let nodes = Group {
        own: nodes,
        others: Vec::new(),
    };
    let groups = groups.chain([nodes]).collect();
    let others = others(algebra, &wide, |rule| rule.subject.namespace.is_some());
    (groups, Group { own: wide, others })
}

/// Rules of another kind whose subject some rule of `own` may share.
fn others(
    algebra: &Algebra<'_>,
    own: &[RuleId],
    wanted: impl Fn(&policyc_ir::rule::Rule) -> bool,
) -> Vec<RuleId> {
    let mut near = algebra.near(own);
    near.retain(|id| algebra.rules.rule(*id).is_some_and(&wanted));
    near
}
