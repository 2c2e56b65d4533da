//! Layer 7 and authentication of flows that both sides allow.
//!
//! What they ask of a flow is a function of which rules match it, by which of their peers and ports. Flows that agree
//! in this are a cell: the model judges one of them, and that holds for all. Cells are looked at one by one, those in
//! which both sides ask the same are passed over, and when none is left nothing else differs.

use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Action, Direction, Level, Peer, Peers, Rule, Services};

use super::asks::Asks;
use super::component::Found;
use super::fact::Fact;
use super::joint::Version;
use super::search::Search;
use super::{REGIONS, What, conflict};
use crate::encode::{Seat, matching};
use crate::term::Term;

/// Cells that are looked at.
const CELLS: usize = 256;

/// Finds flows of which proxies or authentication ask something else.
pub(super) fn search(search: &mut Search<'_>, found: &mut Found) {
    let rules: Vec<_> = near(search).collect();
    if !rules.iter().any(|(rule, _)| conflict::may_clash(rule)) {
        return;
    }
    let (atoms, cuts, doubtful) = atoms(search, &rules);
    let whole = whole(search, &rules);
    if let Err(why) = cells(search, &whole, &atoms, &cuts, doubtful, found) {
        found.undecided.push(why);
    }
}

/// Rules of the component with what they match.
fn near<'a>(search: &Search<'a>) -> impl Iterator<Item = (&'a Rule, Term)> {
    let question = search.question;
    question.encoded.iter().filter_map(|(id, encoded)| {
        let rule = question.rules.get(id)?;
        Some((rule, encoded.matches.clone()))
    })
}

/// "Both sides allow it, some rule asks for more than layer 4, and not the same rules match it on both sides."
fn whole(search: &Search<'_>, rules: &[(&Rule, Term)]) -> Term {
    let question = search.question;
    let (old, new) = (&question.old, &question.new);
    let special = rules.iter().filter(|(rule, _)| conflict::may_clash(rule));
    let special = Term::any(special.map(|(_, matches)| matches.clone()));
    let changed = search.component.changed.iter();
    let changed = changed.filter_map(|id| Some(question.encoded.get(id)?.matches.clone()));
    let changed = Term::any(changed).or(old.enforced.clone().differs(new.enforced.clone()));
    Term::all([
        question.judged(),
        old.passes.clone(),
        new.passes.clone(),
        special,
        changed,
    ])
}

/// What tells cells apart, ports at which they end, and whether that may not be all.
fn atoms(search: &Search<'_>, rules: &[(&Rule, Term)]) -> (Vec<Term>, Vec<Fact>, bool) {
    let (question, context) = (search.question, search.context);
    let (_, peer) = question.frame.seats(Seat::First);
    let mut atoms = vec![question.old.enforced.clone(), question.new.enforced.clone()];
    if search.component.direction == Direction::Ingress && context.settings.allow_localhost {
        atoms.push(peer.is_host());
    }
    let leveled = rules.iter().any(|(rule, _)| rule.level != Level::NORMAL);
    let authenticated = rules.iter().any(|(rule, _)| rule.auth.is_some());
    let ranks =
        |rule: &Rule| rule.action == Action::Allow && (authenticated || conflict::may_clash(rule));
    let mut ranked = Vec::new();
    for (rule, matches) in rules {
        if ranks(rule) {
            atoms.extend(pieces(search, rule));
            ranked.extend(ports(rule));
        } else if leveled {
            atoms.push(matches.clone());
        }
    }
    for version in Version::BOTH {
        let plain = question.encoded.iter().filter(|(id, _)| {
            let rule = context.joint.rules.rule(**id);
            context.joint.has(version, **id)
                && rule.is_some_and(|rule| rule.action == Action::Allow && !ranks(rule))
        });
        atoms.push(Term::any(plain.map(|(_, encoded)| encoded.matches.clone())));
    }
    let (cuts, mut doubtful) = cuts(&ranked);
    let beside = rules.iter().flat_map(|(rule, _)| &rule.beside);
    let mut beside = beside.filter_map(|id| context.joint.rules.peer(*id));
    doubtful |= beside.any(|peer| matches!(peer, Peer::Fqdn(_)));
    atoms.extend(cuts.iter().map(|cut| cut.term(&question.frame)));
    atoms.retain(|atom| !matches!(atom, Term::Const(_)));
    (atoms, cuts, doubtful)
}

/// A rule's matches by each of its peers and ports.
fn pieces(search: &Search<'_>, rule: &Rule) -> Vec<Term> {
    let (frame, rules) = (&search.question.frame, &search.context.joint.rules);
    let (subject, peer) = frame.seats(Seat::First);
    let selects = matching::subject(frame, subject, rules, rule);
    let mut pieces = vec![selects];
    let peers = match &rule.peers {
        Peers::Any => &[],
        Peers::Of(list) => list.as_slice(),
    };
    let each = peers.iter().chain(&rule.beside);
    pieces.extend(each.map(|id| matching::peers(frame, peer, rules, &Peers::Of(vec![*id]))));
    if let Services::Of(list) = &rule.services {
        let each = list.iter();
        pieces.extend(each.map(|l4| matching::services(frame, &Services::Of(vec![l4.clone()]))));
    }
    pieces
}

fn ports(rule: &Rule) -> &[L4] {
    match &rule.services {
        Services::All => &[],
        Services::Of(list) => list,
    }
}

/// Of two allows that overlap in ports the one of the longer prefix decides, and a range is made of several prefixes:
/// the ports at which those end, for ranges that others overlap. Ranges that start at a name are not followed so far.
fn cuts(ranked: &[&L4]) -> (Vec<Fact>, bool) {
    let mut cuts = std::collections::BTreeSet::new();
    let mut doubtful = false;
    for l4 in ranked {
        let others = || ranked.iter().filter(|other| **other != *l4);
        if !others().any(|other| crate::algebra::overlap::ports_meet(l4, other)) {
            continue;
        }
        match l4.ports {
            Ports::Range(first, last) if first < last => {
                for (low, high) in blocks(first, last) {
                    cuts.extend(low.checked_sub(1).map(|below| Fact::AtMost(below, true)));
                    if high < u16::MAX {
                        cuts.insert(Fact::AtMost(high, true));
                    }
                }
            }
            Ports::Named(_, Some(_)) => doubtful = true,
            _ => {}
        }
    }
    (cuts.into_iter().collect(), doubtful)
}

/// The aligned blocks that a range of ports is made of.
fn blocks(first: u16, last: u16) -> Vec<(u16, u16)> {
    let mut found = Vec::new();
    let (mut at, last) = (u32::from(first), u32::from(last));
    while at <= last {
        let aligned = if at == 0 { 16 } else { at.trailing_zeros() };
        let mut bits = aligned.min(16);
        while at + (1 << bits) - 1 > last {
            bits -= 1;
        }
        let end = at + (1 << bits) - 1;
        let ends = u16::try_from(at).ok().zip(u16::try_from(end).ok());
        found.extend(ends);
        at = end + 1;
    }
    found
}

fn cells(
    search: &mut Search<'_>,
    whole: &Term,
    atoms: &[Term],
    cuts: &[Fact],
    doubtful: bool,
    found: &mut Found,
) -> Result<(), String> {
    let mut goals = vec![search.assume(whole)];
    let mut reported = 0;
    for _ in 0..CELLS {
        let Some(values) = search.example(&goals)? else {
            return Ok(());
        };
        if doubtful {
            let why = "ranges from a named port, or DNS names beside anyone, go with other rules";
            return Err(why.to_owned());
        }
        let cell = atoms.iter().map(|atom| {
            if atom.eval(&values) {
                atom.clone()
            } else {
                atom.clone().negate()
            }
        });
        let cell = Term::all(cell.chain([whole.clone()]));
        let other = search.assume(&cell.negate());
        let (frame, node) = (&search.question.frame, search.component.node);
        let mut facts = search.facts(&values);
        facts.extend(
            cuts.iter()
                .map(|cut| cut.clone().signed(frame, node, &values)),
        );
        let fewest = search.fewest(&[other], &facts)?;
        goals.push(search.block(&fewest));
        let Some(judged) = search.judge(&values)? else {
            return Err("an example's subject has no policy".to_owned());
        };
        let (before, after) = (&judged.before, &judged.after);
        if !before.verdict.allowed || !after.verdict.allowed {
            let flow = judged.witness.show(search.component.direction);
            found
                .faults
                .push(format!("the model does not confirm that {flow} passes"));
            return Ok(());
        }
        let asks = |version, judgement| Asks::new(search.context.set(version), judgement);
        if asks(Version::Old, before) != asks(Version::New, after) {
            if reported == REGIONS {
                found.more = true;
                return Ok(());
            }
            reported += 1;
            found
                .changes
                .push(search.change(What::Terms, &fewest, &judged, &values));
        }
    }
    Err("proxies and authentication tell too many kinds of flows apart".to_owned())
}
