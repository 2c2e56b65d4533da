//! What policies say about a flow.

use policy_abi::arena::record;
use policy_abi::reason::Reason;
use policyc_ir::RuleId;
use policyc_ir::rule::{Action, Level};

use crate::terms::Asking;

/// A rule whose peers match, with the ports that its layer 4 means for these peers.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    /// The rule.
    pub(crate) rule: RuleId,
    /// When it is asked.
    pub(crate) level: Level,
    /// What it does.
    pub(crate) action: Action,
    /// Protocol, first and last port; `None` for every protocol and port.
    pub(crate) spans: Option<Vec<(u8, u16, u16)>>,
    /// How it asks for authentication.
    pub(crate) asking: Asking,
}

impl Applied {
    /// Whether it matches a protocol and port.
    pub(crate) fn matches(&self, protocol: u8, port: u16) -> bool {
        self.spans.as_ref().is_none_or(|spans| {
            spans
                .iter()
                .any(|(of, first, last)| *of == protocol && *first <= port && port <= *last)
        })
    }
}

/// What a record must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whether the flow passes, if it meets what is asked of it besides: authentication, or a proxy's consent.
    pub(crate) allowed: bool,
    /// The number of the reason.
    pub(crate) reason: u8,
    /// The rule that decided, [`record::NO_RULE`] if none did.
    pub(crate) rule: u32,
    /// The authentication demanded, 0 for none.
    pub(crate) auth: u8,
    /// What it says for logs, by position from 1 in the bundle; 0 for nothing.
    pub(crate) cookie: u32,
    /// The proxy that has the last word, by position from 1 in the bundle; 0 for none.
    pub(crate) proxy: u32,
}

impl Wanted {
    /// What holds where no rule decides.
    pub(crate) const fn without_rule(allowed: bool) -> Self {
        let reason = if allowed {
            Reason::Allowed
        } else {
            Reason::DefaultDeny
        };
        Self {
            allowed,
            reason: reason as u8,
            rule: record::NO_RULE,
            auth: record::AUTH_NONE,
            cookie: 0,
            proxy: 0,
        }
    }

    /// Whether the datapath lets pass what it is told this of.
    pub(crate) const fn passes(&self) -> bool {
        self.allowed && self.auth == record::AUTH_NONE && self.proxy == 0
    }

    fn by(rule: RuleId, allowed: bool) -> Self {
        let reason = if allowed {
            Reason::Allowed
        } else {
            Reason::PolicyDeny
        };
        Self {
            allowed,
            reason: reason as u8,
            rule: rule.0,
            auth: record::AUTH_NONE,
            cookie: 0,
            proxy: 0,
        }
    }
}

/// The decision of rules that match a flow, in any order: the levels from the last to the first. In each an allow
/// replaces what the later ones said, a deny replaces that, and a pass puts back what the next tier said. Also the level
/// and action that decided; what they come with is not told yet.
pub(crate) fn decide(matching: &[&Applied], default: Wanted) -> (Wanted, Option<(Level, Action)>) {
    let default = (default, None);
    let mut all: Vec<_> = matching
        .iter()
        .map(|one| (one.level, one.action, one.rule))
        .collect();
    all.sort_unstable_by_key(|(level, _, rule)| (*level, *rule));
    let (mut tier, mut next_tier, mut says) = (None, default, default);
    for level in all.chunk_by(|one, other| one.0 == other.0).rev() {
        let of = |action| level.iter().find(|one| one.1 == action);
        let Some((at, _, _)) = level.first() else {
            continue;
        };
        if tier != Some(at.tier) {
            (tier, next_tier) = (Some(at.tier), says);
        }
        if of(Action::Pass).is_some() {
            says = next_tier;
        }
        if let Some((_, _, rule)) = of(Action::Allow) {
            says = (Wanted::by(*rule, true), Some((*at, Action::Allow)));
        }
        if let Some((_, _, rule)) = of(Action::Deny) {
            says = (Wanted::by(*rule, false), Some((*at, Action::Deny)));
        }
    }
    says
}
