//! What two sets of policies decide differently, for every possible flow.
//!
//! ```text
//! old, new ─joint→ rules that only one side has ─component→ those that may share subjects ─question→ terms
//!          ─search→ regions in which all flows differ ─replay (ir::model, both sides)→ changes
//! ```
//!
//! Rules that both sides have are set aside: a flow can differ only if its subject is selected by a rule that one side
//! lacks. Where no flow is left that differs, the sets are proven equal.

use std::time::Instant;

use policyc_ir::RuleId;
use policyc_ir::model::Verdict;
use policyc_ir::rule::{Direction, RuleSet};
use policyc_ir::settings::{Enforcement, Settings};
use rayon::prelude::*;

use crate::Options;

/// What is asked of a flow beyond layer 4.
mod asks;
/// Rules that may share subjects, and the search for their differences.
mod component;
/// Rules of which Cilium can follow only one.
mod conflict;
/// Layer 7 and authentication of flows that both sides allow.
mod effect;
/// What can be said of a flow, in the words of the rules.
mod fact;
/// What is asked about each kind of change.
mod goal;
/// Two sets as one, and which rules both have.
mod joint;
/// The verdicts of both sides as terms.
mod question;
/// Sets of flows as people read them.
pub mod region;
/// Fewest facts that make a difference certain.
mod search;
/// Both sides against trying every flow of tiny universes.
#[cfg(test)]
mod tests;
/// All that a changed rule speaks of, with exceptions.
mod wide;
/// The questions as SMT-LIB text.
mod written;

pub use region::{Except, Party, Service};
pub use written::questions;

/// What two sets decide differently.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// What changes, the most consequential first.
    pub changes: Vec<Change>,
    /// What could not be decided, and why.
    pub undecided: Vec<String>,
    /// Answers of the solver that the model does not confirm: faults of this tool.
    pub faults: Vec<String>,
    /// Whether there are more changes than were looked for.
    pub more: bool,
    /// How it was found.
    pub stats: Stats,
}

/// How a difference was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rules that both sides have, word for word after normalising.
    pub shared: usize,
    /// Rules that only the old side has.
    pub removed: usize,
    /// Rules that only the new side has.
    pub added: usize,
    /// Questions put to a solver.
    pub questions: usize,
}

impl Difference {
    /// Whether the sets are proven equal.
    pub fn is_equal(&self) -> bool {
        self.changes.is_empty() && self.is_decided()
    }

    /// Whether every question was answered.
    pub fn is_decided(&self) -> bool {
        self.undecided.is_empty() && self.faults.is_empty()
    }
}

/// What a change does to its flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The subjects leave default deny: what no rule matches passes from now on.
    Opened,
    /// The flows pass from now on.
    Allowed,
    /// Proxies or authentication ask something else of flows that pass before and after.
    Terms,
    /// Cilium computes no policy for the subjects any more, since rules exclude each other.
    Broken,
    /// The flows are dropped from now on.
    Denied,
    /// The subjects come into default deny: what no rule matches is dropped from now on.
    Isolated,
    /// Cilium computes a policy for the subjects again.
    Mended,
}

impl What {
    /// Whether it is about subjects as a whole, so that peers and services are not part of it.
    pub const fn of_subjects(self) -> bool {
        matches!(
            self,
            Self::Opened | Self::Broken | Self::Mended | Self::Isolated
        )
    }
}

/// A set of flows that all change in one way: every subject with every peer on every service, but for exceptions.
#[derive(Clone, Debug)]
pub struct Change {
    /// In which way.
    pub what: What,
    /// The direction, as subjects see it.
    pub direction: Direction,
    /// Whose policy it is.
    pub subjects: Vec<Party>,
    /// The other ends.
    pub peers: Vec<Party>,
    /// Protocols and ports.
    pub services: Vec<Service>,
    /// Flows of these that stay as they are.
    pub except: Vec<Except>,
    /// Whether other flows of these stay as they are as well, since other rules decide them as before.
    pub partly: bool,
    /// One of the flows.
    pub example: Example,
    /// Rules that only the old side has and that have a part in it, as ids of that side.
    pub removed: Vec<RuleId>,
    /// Rules that only the new side has and that have a part in it.
    pub added: Vec<RuleId>,
}

/// A flow, and what the model says of it.
#[derive(Clone, Debug)]
pub struct Example {
    /// `pod shop/example with app=web → …`.
    pub flow: String,
    /// What the old side says.
    pub before: Told,
    /// What the new side says.
    pub after: Told,
}

/// What one side says of a flow.
#[derive(Clone, Debug)]
pub struct Told {
    /// The verdict; its rules are ids of that side.
    pub verdict: Verdict,
    /// What proxies and authentication ask of the flow; empty if nothing.
    pub asks: String,
}

/// Finds what two sets decide differently, or proves that they are equal.
pub fn compare(old: &RuleSet, new: &RuleSet, settings: &Settings, options: &Options) -> Difference {
    let joint = joint::Joint::new(old, new);
    let mut difference = Difference {
        stats: joint.stats(),
        ..Difference::default()
    };
    // Where nothing is enforced every flow passes, whatever rules say.
    if settings.enforcement == Enforcement::Never {
        return difference;
    }
    let context = component::Context::new(&joint, [old, new], settings, options, deadline(options));
    let components = component::split(&context);
    let found: Vec<_> = if components.len() > 1 {
        let each = components.par_iter();
        each.map(|one| component::run(&context, one)).collect()
    } else {
        let each = components.iter();
        each.map(|one| component::run(&context, one)).collect()
    };
    for found in found {
        difference.changes.extend(found.changes);
        difference.undecided.extend(found.undecided);
        difference.faults.extend(found.faults);
        difference.more |= found.more;
        difference.stats.questions += found.questions;
    }
    difference.undecided.sort();
    difference.undecided.dedup();
    difference.changes = region::merge(difference.changes);
    difference
}

fn deadline(options: &Options) -> Option<Instant> {
    Instant::now().checked_add(options.total)
}
