//! The walk over the levels.

use std::sync::Arc;

use super::{Enforced, Filter, Flow, Model, Reason, Redirect, Verdict, authentication, filter};
use crate::ids::RuleId;
use crate::l7::Rules;
use crate::port::{L4, Ports};
use crate::rule::{Action, Direction, Level, Tier};
use crate::universe::NamedPorts;

/// How the levels decided.
enum Walk {
    /// A level's rules of this action.
    Decided(Action, Level),
    /// None did.
    Open,
}

impl Model<'_> {
    /// The verdict of one direction's rules, for an endpoint with these named ports and a policy without conflict.
    /// Only `peer`, `direction`, `protocol` and `port` of the flow are read.
    pub fn judge(&self, enforced: &Enforced, ports: &NamedPorts, flow: &Flow) -> Verdict {
        let matching = |id: &RuleId| {
            let rule = self.resolved.rules.rule(*id)?;
            self.matches(rule, ports, flow)
                .then_some((rule.level, rule.action, *id))
        };
        let hits: Vec<_> = enforced.rules.iter().filter_map(matching).collect();
        let (action, level) = match walk(hits.iter().map(|(level, action, _)| (*level, *action))) {
            Walk::Decided(action, level) => (action, level),
            Walk::Open => return self.unmatched(enforced, flow),
        };
        let decided = hits
            .iter()
            .filter(|(at, does, _)| *at == level && *does == action);
        let mut verdict = Verdict {
            rules: decided.map(|(_, _, id)| *id).collect(),
            ..Verdict::new(
                action == Action::Allow,
                Reason::Rule(action),
                enforced.default_deny,
            )
        };
        if action == Action::Allow {
            self.terms(&mut verdict, enforced, level, ports, flow);
        }
        verdict
    }

    /// Finds the terms of an allow among the merged rules.
    fn terms(
        &self,
        verdict: &mut Verdict,
        enforced: &Enforced,
        level: Level,
        ports: &NamedPorts,
        flow: &Flow,
    ) {
        let Some(filters) = &enforced.filters else {
            return;
        };
        let entries = filters.0.iter().filter(|filter| !filter.superfluous);
        let hits = entries.filter_map(|filter| self.hit(filter, ports, flow));
        let hits: Vec<_> = hits.collect();
        let of = |action| hits.iter().filter(move |hit| hit.filter.action == action);
        // What a pass skips is no allow of this flow.
        let skipped = |hit: &Hit<'_>| {
            let at = hit.filter.level;
            of(Action::Pass).any(|pass| pass.filter.level.tier == at.tier && pass.filter.level < at)
        };
        let matching: Vec<_> = of(Action::Allow)
            .copied()
            .filter(|hit| !skipped(hit))
            .collect();
        let here = matching.iter().filter(|hit| hit.filter.level == level);
        let here: Vec<_> = here.copied().collect();
        verdict.auth = authentication::demand(&here);
        let Some(rank) = here.iter().map(Hit::rank).max() else {
            return;
        };
        let deciding = here.iter().filter(|hit| hit.rank() == rank);
        let mut l7 = deciding.filter_map(|hit| hit.filter.l7.as_deref());
        let Some((first, parser)) = l7.next().and_then(|first| Some((first, first.parser()?)))
        else {
            return;
        };
        let mut merged = Rules::clone(first);
        l7.for_each(|more| filter::join(&mut merged, more));
        let plain = matching.iter().any(|hit| hit.filter.redirect().is_none())
            || !enforced.default_deny
            || enforced.localhost && self.universe().is_host(flow.peer);
        verdict.redirect = Some(Arc::new(Redirect {
            parser,
            l7: merged,
            plain,
        }));
    }

    /// Whether the packet passes where no rule decides.
    fn unmatched(&self, enforced: &Enforced, flow: &Flow) -> Verdict {
        let (allowed, reason) = match enforced.default_deny {
            false => (true, Reason::NotEnforced),
            true if enforced.localhost && self.universe().is_host(flow.peer) => {
                (true, Reason::Localhost)
            }
            true => (false, Reason::DefaultDeny),
        };
        Verdict::new(allowed, reason, enforced.default_deny)
    }

    /// A filter, if it matches a flow.
    pub(super) fn hit<'a>(
        &self,
        filter: &'a Filter,
        ports: &NamedPorts,
        flow: &Flow,
    ) -> Option<Hit<'a>> {
        let mut peer = filter.peer.iter();
        let matches = peer.all(|peer| self.resolved.peer(*peer).contains(flow.peer));
        let len = self.prefix_len(filter, ports, flow).filter(|_| matches)?;
        let named = |l4: &L4| matches!(l4.ports, Ports::Named(..));
        let by_name = flow.direction == Direction::Egress && filter.l4.as_ref().is_some_and(named);
        let own = by_name || filter.peer.is_some();
        Some(Hit { filter, len, own })
    }

    /// Bits of protocol and port that a filter's map entry for the flow fixes: 0, 8, or 8 and the port's. `None` if
    /// it does not match the flow.
    fn prefix_len(&self, filter: &Filter, ports: &NamedPorts, flow: &Flow) -> Option<u8> {
        let Some(l4) = &filter.l4 else {
            return Some(0);
        };
        if l4.protocol != flow.protocol {
            return None;
        }
        let (first, last) = self.range(l4, ports, flow)?;
        let matches = (first..=last).contains(&flow.port);
        matches.then(|| match l4.ports {
            Ports::All => 8,
            _ => 8 + block_len(first, last, flow.port),
        })
    }
}

/// A filter that matches the flow.
#[derive(Clone, Copy)]
pub(super) struct Hit<'a> {
    pub(super) filter: &'a Filter,
    /// Bits of protocol and port that its map entry fixes.
    pub(super) len: u8,
    /// Whether its map entry is for the peer's own identity: also that of a rule for anyone whose port is named by each
    /// peer.
    pub(super) own: bool,
}

impl Hit<'_> {
    /// Which of a level's allows decides: a redirect before none, the lower listener priority; then the longer
    /// layer 4 prefix; then a peer before anyone (Cilium's precedence and the datapath's comparison).
    pub(super) fn rank(&self) -> (u8, u8, bool) {
        (self.precedence(), self.len, self.own)
    }

    /// The low byte of Cilium's precedence.
    pub(super) fn precedence(&self) -> u8 {
        let redirect = self.filter.redirect();
        redirect.map_or(1, |priority| u8::MAX - priority)
    }
}

/// The length of the aligned block that holds a port, among the fewest blocks that make up a range.
fn block_len(first: u16, last: u16, port: u16) -> u8 {
    let fits = |len: &u8| {
        let ones = u16::MAX.checked_shr(u32::from(*len)).unwrap_or(0);
        port & !ones >= first && port | ones <= last
    };
    (0..=16).find(fits).unwrap_or(16)
}

/// Asks level after level; a pass skips the rest of its tier.
fn walk(hits: impl Iterator<Item = (Level, Action)>) -> Walk {
    let mut hits: Vec<_> = hits.collect();
    let rank = |action| match action {
        Action::Deny => 0,
        Action::Allow => 1,
        Action::Pass => 2,
    };
    hits.sort_by_key(|(level, action)| (*level, rank(*action)));
    let mut skipped: Option<Tier> = None;
    for (level, action) in hits {
        if skipped == Some(level.tier) {
            continue;
        }
        match action {
            Action::Pass => skipped = Some(level.tier),
            _ => return Walk::Decided(action, level),
        }
    }
    Walk::Open
}
