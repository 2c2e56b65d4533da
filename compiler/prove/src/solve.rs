//! The same question put to a solver.
//!
//! For one table: is there a group of identities, a protocol and a port for which the table's answer is not that of the
//! rules? Both sides are terms over the three, so nothing is said here about where answers change; only what each group
//! matches, and what the table holds, is taken over.

use std::collections::{BTreeMap, BTreeSet};

use policy_abi::proto;
use policyc_ir::rule::{Action, Level};
use policyc_verify::Limits;
use policyc_verify::solver::{self, Answer};
use policyc_verify::term::{Script, Term, Var};

use crate::tables::{Arena, Group, Table};

/// The variables of a flow.
struct Flow {
    group: Var,
    protocol: Var,
    port: Var,
}

/// Whether a flow passes on one side only.
pub(crate) fn ask(table: &Table, groups: &[Group], arena: &Arena<'_>, limits: Limits) -> Answer {
    let mut script = Script::default();
    let bits = usize::BITS - groups.len().leading_zeros();
    let flow = Flow {
        group: script.declare("group", u8::try_from(bits).unwrap_or(u8::MAX).max(1)),
        protocol: script.declare("protocol", 8),
        port: script.declare("port", 16),
    };
    let last = u128::try_from(groups.len().saturating_sub(1)).unwrap_or(0);
    script.assert(Term::AtMost(flow.group, last));
    let said = script.define("rules", rules(&flow, groups));
    let held = script.define("table", cells(&flow, table, groups, arena));
    script.assert(said.differs(held));
    solver::satisfiable(script, limits)
}

/// A set of groups.
fn members(flow: &Flow, groups: &[usize]) -> Term {
    let one =
        |at: &usize| u128::try_from(*at).map_or(Term::Const(false), |at| Term::Is(flow.group, at));
    Term::any(groups.iter().map(one))
}

fn ports(flow: &Flow, first: u16, last: u16) -> Term {
    let above = match first.checked_sub(1) {
        None => Term::Const(true),
        Some(below) => Term::AtMost(flow.port, u128::from(below)).negate(),
    };
    let below = match last {
        u16::MAX => Term::Const(true),
        last => Term::AtMost(flow.port, u128::from(last)),
    };
    above.and(below)
}

fn span(flow: &Flow, (protocol, first, last): (u8, u16, u16)) -> Term {
    Term::Is(flow.protocol, u128::from(protocol)).and(ports(flow, first, last))
}

/// Protocol, first and last port of what a rule matches; `None` for everything.
type Spans = Option<Vec<(u8, u16, u16)>>;

/// Groups by the spans that rules of one level and action have for them.
type Matched<'a> = BTreeMap<(Level, Action), BTreeMap<&'a Spans, Vec<usize>>>;

/// The flows that the rules let pass.
fn rules(flow: &Flow, groups: &[Group]) -> Term {
    let mut matched: Matched<'_> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        for rule in &group.applied {
            let of = matched.entry((rule.level, rule.action)).or_default();
            of.entry(&rule.spans).or_default().push(at);
        }
    }
    let open = groups.iter().enumerate();
    let open: Vec<_> = open
        .filter(|(_, group)| group.default.allowed)
        .map(|(at, _)| at)
        .collect();
    let default = members(flow, &open);
    let levels: BTreeSet<_> = matched.keys().map(|(level, _)| *level).collect();
    let match_of = |level, action| {
        let of = matched.get(&(level, action)).into_iter().flatten();
        Term::any(of.map(|(spans, groups)| {
            let spans = spans.as_ref().map_or(Term::Const(true), |spans| {
                Term::any(spans.iter().map(|one| span(flow, *one)))
            });
            members(flow, groups).and(spans)
        }))
    };
    let (mut tier, mut next_tier, mut passes) = (None, default.clone(), default);
    for level in levels.into_iter().rev() {
        if tier != Some(level.tier) {
            (tier, next_tier) = (Some(level.tier), passes.clone());
        }
        let [deny, allow, pass] =
            [Action::Deny, Action::Allow, Action::Pass].map(|action| match_of(level, action));
        let on = pass.clone().and(next_tier.clone());
        passes = deny
            .negate()
            .and(allow.or(on).or(pass.negate().and(passes)));
    }
    passes
}

/// The flows that the table lets pass, run by run as it holds them. Protocols without a slot of their own share one.
fn cells(flow: &Flow, table: &Table, groups: &[Group], arena: &Arena<'_>) -> Term {
    let mut slots: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for protocol in 0..=u8::MAX {
        slots
            .entry(proto::slot(protocol))
            .or_default()
            .push(protocol);
    }
    let mut alike: BTreeMap<Vec<(u32, u16, u16)>, Vec<usize>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        let runs = slots.iter().filter_map(|(slot, of)| {
            let runs = passing(table, group, arena, *of.first()?);
            Some(runs.into_iter().map(|(first, last)| (*slot, first, last)))
        });
        alike.entry(runs.flatten().collect()).or_default().push(at);
    }
    let named = slots.iter().filter(|(slot, _)| **slot != 0);
    let named = named.flat_map(|(_, protocols)| protocols);
    let is = |protocol: &u8| Term::Is(flow.protocol, u128::from(*protocol));
    let other = Term::any(named.map(is)).negate();
    let protocol = |slot: &u32| match slots.get(slot) {
        Some(protocols) if *slot != 0 => Term::any(protocols.iter().map(is)),
        _ => other.clone(),
    };
    Term::any(alike.iter().map(|(runs, groups)| {
        let runs = runs.iter();
        let runs = runs.map(|(slot, first, last)| protocol(slot).and(ports(flow, *first, *last)));
        members(flow, groups).and(Term::any(runs))
    }))
}

/// The ports of a protocol that a table lets pass, first and last of each range.
fn passing(table: &Table, group: &Group, arena: &Arena<'_>, protocol: u8) -> Vec<(u16, u16)> {
    let starts = arena.rows.starts(arena.bytes, table.image, protocol);
    let ends = starts.iter().skip(1).map(|next| next.saturating_sub(1));
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for (first, last) in starts.iter().zip(ends.chain([u16::MAX])) {
        let answer = arena.answer(table.image, group.peer, protocol, *first);
        if !answer.allowed {
            continue;
        }
        match ranges.last_mut() {
            Some((_, before)) if before.checked_add(1) == Some(*first) => *before = last,
            _ => ranges.push((*first, last)),
        }
    }
    ranges
}
