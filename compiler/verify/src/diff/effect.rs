//! Layer 7 and authentication of flows that both sides allow.
//!
//! What they ask of a flow is a function of which rules match it, by which of their peers and ports. Flows that agree
//! in this are a cell: the model judges one of them, and that holds for all. Cells are looked at one by one, those in
//! which both sides ask the same are passed over, and when none is left nothing else differs.

use policyc_ir::RuleId;
use policyc_ir::l7::Parser;
use policyc_ir::port::{L4, Ports};
use policyc_ir::rule::{Action, Direction, Level, Peer, Rule, Services};

use super::asks::Asks;
use super::component::Found;
use super::fact::Fact;
use super::joint::Version;
use super::search::{Judged, Search};
use super::{What, conflict};
use crate::encode::Seat;
use crate::term::{Assignment, Term};

/// Rules by the filters that Cilium makes of them.
mod filters;

/// Cells that are looked at, times the rules that may have a part in them. What counts is not time, so that the result is
/// the same on every machine.
const EFFORT: usize = 600_000;

/// Finds flows of which proxies or authentication ask something else.
pub(super) fn search(search: &mut Search<'_>, found: &mut Found) {
    let rules = known(search);
    if !rules.iter().any(|(_, rule, _)| conflict::may_clash(rule)) {
        return;
    }
    let (atoms, cuts, doubtful) = atoms(search, &rules);
    let whole = whole(search, &rules).and(settled(search).negate());
    if let Err(why) = cells(search, &whole, &atoms, &cuts, doubtful, found) {
        found.undecided.push(why);
    }
}

/// A rule of the component, and "it matches the flow".
type Known<'a> = (RuleId, &'a Rule, Term);

/// Rules of the component with what they match.
fn known<'a>(search: &Search<'a>) -> Vec<Known<'a>> {
    let question = search.question;
    let each = question.encoded.iter().filter_map(|(id, encoded)| {
        let rule = question.rules.get(id)?;
        Some((*id, rule, encoded.matches.clone()))
    });
    each.collect()
}

/// Whether two rules name the same ports somewhere, so that they may become one filter.
fn merges(rule: &Rule, other: &Rule) -> bool {
    match (&rule.services, &other.services) {
        (Services::Of(own), Services::Of(others)) => own.iter().any(|l4| others.contains(l4)),
        (own, others) => own == others,
    }
}

/// "Both sides allow it, some rule asks for more than layer 4, and not the same rules match it on both sides."
fn whole(search: &Search<'_>, rules: &[Known<'_>]) -> Term {
    let question = search.question;
    let (old, new) = (&question.old, &question.new);
    let special = rules
        .iter()
        .filter(|(_, rule, _)| conflict::may_clash(rule));
    let special = Term::any(special.map(|(.., matches)| matches.clone()));
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

/// "Both sides ask the same of it, since rules of both sides alone speak of terms, and one of both sides speaks of none."
///
/// Which proxy has a flow is decided among the rules with terms (the model's rank of filters). A rule without any matters
/// to that proxy in two ways: it lets everything pass beside the others, which a rule of both sides does already, and
/// merged with one of the same ports it opens that one.
fn settled(search: &Search<'_>) -> Term {
    let context = search.context;
    let rules = known(search);
    if rules.iter().any(|(_, rule, _)| rule.level != Level::NORMAL) {
        return Term::Const(false);
    }
    let changed = |id: RuleId| context.joint.is_changed(id);
    let allows = || {
        let all = rules.iter();
        all.filter(|(_, rule, _)| rule.action == Action::Allow)
    };
    let with = || allows().filter(|(_, rule, _)| conflict::may_clash(rule));
    let without = || allows().filter(|(_, rule, _)| !conflict::may_clash(rule));
    let kept = |(id, rule, _): &&Known<'_>| {
        let mut others = without();
        !changed(*id)
            && rule.auth.is_none()
            && !others.any(|(id, other, _)| changed(*id) && merges(rule, other))
    };
    let opens = |(id, rule, _): &&Known<'_>| {
        let parser = rule.l7.as_ref().and_then(|l7| l7.parser());
        let opens = matches!(parser, Some(Parser::Http | Parser::Tls | Parser::Crd));
        !changed(*id) && rule.auth.is_none() && opens
    };
    let any =
        |rules: Vec<&Known<'_>>| Term::any(rules.into_iter().map(|(.., matches)| matches.clone()));
    let mut both = [Term::Const(true), Term::Const(true)];
    for version in Version::BOTH {
        let here = without().filter(|(id, ..)| context.joint.has(version, *id));
        let alone = here.clone().filter(|(_, rule, _)| {
            let mut with = with();
            !with.any(|(_, other, _)| merges(rule, other))
        });
        let [some, beside] = &mut both;
        *some = some.clone().and(any(here.collect()));
        *beside = beside.clone().and(any(alone.collect()));
    }
    let [some, beside] = both;
    let others = any(with().filter(|one| !opens(one)).collect());
    let odd = any(with().filter(|one| !kept(one) && !opens(one)).collect());
    // Outside default deny proxies let everything pass.
    let flips = search.question.flips();
    let beside = Term::all([beside, odd.negate(), flips.negate()]);
    some.and(others.negate()).or(beside)
}

/// What tells cells apart, ports at which they end, and whether that may not be all.
fn atoms(search: &Search<'_>, rules: &[Known<'_>]) -> (Vec<Term>, Vec<Fact>, bool) {
    let (question, context) = (search.question, search.context);
    let (_, peer) = question.frame.seats(Seat::First);
    let mut atoms = vec![question.old.enforced.clone(), question.new.enforced.clone()];
    if search.component.direction == Direction::Ingress && context.settings.allow_localhost {
        atoms.push(peer.is_host());
    }
    let authenticated = rules.iter().any(|(_, rule, _)| rule.auth.is_some());
    let leveled = rules.iter().any(|(_, rule, _)| rule.level != Level::NORMAL);
    let each = |(_, rule, _): &&Known<'_>| {
        leveled || rule.action == Action::Allow && conflict::may_clash(rule)
    };
    for (id, rule, _) in rules.iter().filter(each) {
        let pairs = filters::pairs(rule).map(|(l4, peer)| (*id, l4, peer));
        atoms.extend(pairs.map(|pair| filters::any(search, &[pair])));
    }
    if !leveled {
        atoms.extend(filters::plain(search, rules, authenticated));
    }
    let ranks =
        |rule: &Rule| rule.action == Action::Allow && (authenticated || conflict::may_clash(rule));
    let ranked = rules.iter().filter(|(_, rule, _)| ranks(rule));
    let ranked: Vec<_> = ranked.flat_map(|(_, rule, _)| ports(rule)).collect();
    let (cuts, mut doubtful) = cuts(&ranked);
    let beside = rules.iter().flat_map(|(_, rule, _)| &rule.beside);
    let mut beside = beside.filter_map(|id| context.joint.rules.peer(*id));
    doubtful |= beside.any(|peer| matches!(peer, Peer::Fqdn(_)));
    atoms.extend(cuts.iter().map(|cut| cut.term(&question.frame)));
    atoms.retain(|atom| !matches!(atom, Term::Const(_)));
    (atoms, cuts, doubtful)
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
    let guard = search.guard();
    let mut goals = vec![search.assume(whole), guard];
    let mut reported = 0;
    let cells = EFFORT / search.component.near.len().max(1);
    for _ in 0..cells {
        let Some(values) = search.any(&goals)? else {
            return Ok(());
        };
        if doubtful {
            let why = "ranges from a named port, or DNS names beside anyone, go with other rules";
            return Err(why.to_owned());
        }
        let cell = cell(whole, atoms, &values);
        let (differs, judged) = judged(search, &values)?;
        if !judged.before.verdict.allowed || !judged.after.verdict.allowed {
            let flow = judged.witness.show(search.component.direction);
            found
                .faults
                .push(format!("the model does not confirm that {flow} passes"));
            return Ok(());
        }
        if !differs {
            search.exclude(guard, &cell);
            continue;
        }
        if reported == search.context.options.sets {
            found.more = true;
            return Ok(());
        }
        reported += 1;
        let cell = Term::all(cell);
        let (here, other) = (search.assume(&cell), search.assume(&cell.negate()));
        let readable = search.example(&[goals.as_slice(), &[here]].concat())?;
        let values = readable.unwrap_or(values);
        let (_, judged) = self::judged(search, &values)?;
        let facts = facts(search, cuts, &values);
        let fewest = search.fewest(&[other], &facts)?;
        goals.push(search.block(&fewest));
        found
            .changes
            .push(search.change(What::Terms, &fewest, &judged, &values));
    }
    Err("proxies and authentication tell too many kinds of flows apart".to_owned())
}

/// What holds of the flows that agree with this one in all atoms.
fn cell(whole: &Term, atoms: &[Term], values: &Assignment) -> Vec<Term> {
    let atoms = atoms.iter().map(|atom| {
        if atom.eval(values) {
            atom.clone()
        } else {
            atom.clone().negate()
        }
    });
    atoms.chain([whole.clone()]).collect()
}

/// All that can be said of a flow.
fn facts(search: &Search<'_>, cuts: &[Fact], values: &Assignment) -> Vec<Fact> {
    let (frame, node) = (&search.question.frame, search.component.node);
    let mut facts = search.facts(values);
    let cuts = cuts.iter();
    facts.extend(cuts.map(|cut| cut.clone().signed(frame, node, values)));
    facts
}

/// What the model says of a flow, and whether both sides ask the same of it.
fn judged(search: &Search<'_>, values: &Assignment) -> Result<(bool, Judged), String> {
    let judged = search.judge(values)?;
    let judged = judged.ok_or("an example's subject has no policy")?;
    let asks = |version, judgement| Asks::new(search.context.set(version), judgement);
    let before = asks(Version::Old, &judged.before);
    Ok((before != asks(Version::New, &judged.after), judged))
}
