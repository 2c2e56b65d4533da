//! A flow and what the policies of both ends say of it, ready to be told.

use policyc_ir::RuleId;
use policyc_ir::model::Verdict;

/// A flow, or several in a row.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// In words.
    pub(super) flow: String,
    /// The ends that have policies.
    pub(super) ends: Vec<End>,
}

impl Told {
    /// Whether every end lets it pass.
    pub(super) fn passes(&self) -> bool {
        self.ends.iter().all(End::passes)
    }
}

/// One end.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) verdict: Verdict,
    /// Every rule that selects the party, in order.
    pub(super) selecting: Vec<RuleId>,
    /// The party, in words.
    pub(super) party: String,
    pub(super) words: &'static Words,
    /// Whether a proxy refuses the request that the intent is about.
    pub(super) refuses: bool,
}

impl End {
    /// Whether it lets everything pass.
    pub(super) fn passes(&self) -> bool {
        self.verdict.allowed && !self.refuses
    }
}

/// Words for one end of a flow.
#[derive(Debug)]
pub(super) struct Words {
    /// Which way its policies look.
    pub(super) direction: &'static str,
    pub(super) lets: &'static str,
    pub(super) place: &'static str,
}

pub(super) const SOURCE: Words = Words {
    direction: "egress from",
    lets: "lets it out of its source",
    place: "at its source",
};

pub(super) const DESTINATION: Words = Words {
    direction: "ingress to",
    lets: "lets it in at its destination",
    place: "at its destination",
};
