//! Sets of label values.

use std::sync::Arc;

use policyc_ir::selector::Operator;

/// The values a label may have; its absence is a member of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Values {
    /// Whether the label may be absent.
    pub(crate) absent: bool,
    /// Whether `list` holds the values left out instead.
    pub(crate) complement: bool,
    /// Sorted, without repeats.
    pub(crate) list: Vec<Arc<str>>,
}

impl Values {
    /// What an operator accepts.
    pub(crate) fn of(operator: &Operator) -> Self {
        let (absent, complement, list) = match operator {
            Operator::In(values) => (false, false, values.clone()),
            Operator::NotIn(values) => (true, true, values.clone()),
            Operator::Exists => (false, true, Vec::new()),
            Operator::DoesNotExist => (true, false, Vec::new()),
        };
        Self {
            absent,
            complement,
            list,
        }
    }

    /// All that are no members.
    pub(crate) fn opposite(&self) -> Self {
        Self {
            absent: !self.absent,
            complement: !self.complement,
            list: self.list.clone(),
        }
    }

    /// Whether a value, or its absence, is a member.
    pub(crate) fn has(&self, value: Option<&str>) -> bool {
        value.map_or(self.absent, |value| {
            let listed = self.list.binary_search_by(|known| (**known).cmp(value));
            listed.is_ok() != self.complement
        })
    }

    /// Members of both.
    pub(crate) fn meet(&self, other: &Self) -> Self {
        let contains = |set: &Self, value: &Arc<str>| set.list.binary_search(value).is_ok();
        let (complement, list) = match (self.complement, other.complement) {
            (true, true) => {
                let mut list: Vec<_> = self.list.iter().chain(&other.list).cloned().collect();
                list.sort();
                list.dedup();
                (true, list)
            }
            (false, negative) => (false, keep(&self.list, |v| contains(other, v) != negative)),
            (true, false) => (false, keep(&other.list, |v| !contains(self, v))),
        };
        Self {
            absent: self.absent && other.absent,
            complement,
            list,
        }
    }

    /// Whether something is in both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        if self.absent && other.absent || self.complement && other.complement {
            return true;
        }
        let listed = |one: &Self, set: &Self| {
            let inside = |value: &Arc<str>| set.list.binary_search(value).is_ok();
            one.list.iter().any(|value| inside(value) != set.complement)
        };
        if self.complement {
            listed(other, self)
        } else {
            listed(self, other)
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.absent && !self.complement && self.list.is_empty()
    }

    /// Whether absence is all that is in it.
    pub(crate) fn only_absent(&self) -> bool {
        self.absent && !self.complement && self.list.is_empty()
    }
}

fn keep(list: &[Arc<str>], wanted: impl Fn(&Arc<str>) -> bool) -> Vec<Arc<str>> {
    list.iter().filter(|value| wanted(value)).cloned().collect()
}
