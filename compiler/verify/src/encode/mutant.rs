//! Faults that tests put into the encoding, to see that they would be noticed.

use std::cell::Cell;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// `NotIn` does not accept an absent label.
    NotInNeedsLabel,
    /// Two pods of one namespace may see different labels of it.
    NamespacesUntied,
    /// Default deny holds for everyone.
    AlwaysEnforced,
    /// Denies are forgotten.
    AllowWins,
    /// Exceptions of prefixes are forgotten.
    NoExceptions,
    /// A pass leaves the flow to the next level instead of the next tier.
    PassStays,
}

impl Mutant {
    pub(crate) const ALL: [Self; 6] = [
        Self::NotInNeedsLabel,
        Self::NamespacesUntied,
        Self::AlwaysEnforced,
        Self::AllowWins,
        Self::NoExceptions,
        Self::PassStays,
    ];
}

thread_local! {
    static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Puts a fault into what this thread encodes from now on, or takes it out.
pub(crate) fn set(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

pub(crate) fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}
