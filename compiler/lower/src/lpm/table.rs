//! From a policy's filters to its entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use policyc_ir::ids::{IdentityId, PeerId};
use policyc_ir::model::{Demand, Enforced, Facts, Filter, Filters, Model};
use policyc_ir::port::{L4, Ports, Protocol};
use policyc_ir::rule::{Action, Direction, Level};
use rayon::prelude::*;

use super::levels::{self, Bounds, Levels};
use super::state::{Claim, Entry, Features, Key, Pass, Slot, State, Whose};
use super::{Class, Fault, Outcome, Prefix, Row, Table};
use crate::classes::{self, Partition};

/// Whose entries a filter makes.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Anyone,
    Peer(PeerId),
    /// The local node, which may reach its own endpoints.
    Host,
}

/// The ports of a filter.
#[derive(Clone, Debug)]
enum Services {
    Known(Vec<Prefix>),
    /// A name, which each peer may give another number.
    Named(Arc<str>, Protocol, Option<u16>),
}

/// What is put in for every identity of a scope.
#[derive(Clone, Debug)]
struct Item {
    scope: Scope,
    services: Services,
    claim: Claim,
    bounds: Bounds,
}

/// The entries of one endpoint in one direction.
pub(super) fn table(
    model: &Model<'_>,
    facts: &Facts<'_>,
    key: &crate::Key<'_>,
) -> Result<Table, Fault> {
    let enforced = key.enforced;
    let filters = Filters::of(facts, &enforced.rules, enforced.default_deny);
    let Filters(filters) = filters.map_err(Fault::Conflict)?;
    let closing = closing(model, enforced);
    let levels = levels_of(model, enforced);
    let levels = Levels::new(&levels, closing.len() as u64).map_err(|_| Fault::TooManyLevels)?;
    let mut ordered: Vec<_> = filters.iter().filter(|one| !one.superfluous).collect();
    // Cilium takes the filters of a tier in any order. With authentication that shows in the entries: a deny for
    // everyone removes the allows that are there, and not those that come later.
    ordered.sort_by_key(|filter| (filter.level.tier, width(filter)));
    let mut items: Vec<_> = ordered
        .iter()
        .map(|filter| item(filter, key, &levels))
        .collect();
    items.extend(
        (levels.closing()..)
            .zip(closing)
            .map(|(number, closing)| closing_item(closing, number, levels.bounds(None))),
    );
    let features = features(&filters, &items);
    Ok(fill(model, key, &items, features))
}

/// What holds where no rule matches.
#[derive(Clone, Copy, Debug)]
enum Closing {
    AllowAll,
    AllowHost,
    DenyAll,
}

/// The rules that the agent adds in the last tier (Cilium's computePolicyEnforcementAndRules).
fn closing(model: &Model<'_>, enforced: &Enforced) -> Vec<Closing> {
    if !enforced.default_deny {
        return vec![Closing::AllowAll];
    }
    let passes = |id| {
        let rule = model.resolved.rules.rule(id);
        rule.is_some_and(|rule| rule.action == Action::Pass)
    };
    let passes = enforced.rules.iter().any(|id| passes(*id));
    let host = enforced.localhost.then_some(Closing::AllowHost);
    host.into_iter()
        .chain(passes.then_some(Closing::DenyAll))
        .collect()
}

/// The levels of a policy's rules, and whether a rule of each passes flows on.
fn levels_of(model: &Model<'_>, enforced: &Enforced) -> BTreeMap<Level, bool> {
    let mut levels = BTreeMap::new();
    let rules = enforced.rules.iter();
    for rule in rules.filter_map(|id| model.resolved.rules.rule(*id)) {
        *levels.entry(rule.level).or_default() |= rule.action == Action::Pass;
    }
    levels
}

/// How many ports a filter is about, as far as that is known.
fn width(filter: &Filter) -> u32 {
    match filter.l4.as_ref().map(|l4| &l4.ports) {
        None => u32::MAX,
        Some(Ports::All) => 1 << 16,
        Some(Ports::Range(first, last)) => u32::from(*last).saturating_sub(u32::from(*first)),
        Some(Ports::Named(..)) => 0,
    }
}

fn item(filter: &Filter, key: &crate::Key<'_>, levels: &Levels) -> Item {
    let number = levels.number(filter.level);
    let bounds = levels.bounds(Some(filter.level.tier));
    let does = match filter.action {
        Action::Deny => levels::DENY,
        Action::Allow => filter
            .redirect()
            .map_or(levels::ALLOW, |priority| u8::MAX - priority),
        Action::Pass => 0,
    };
    let precedence = levels::precedence(number, does);
    let asks = filter.auth.filter(|_| filter.action == Action::Allow);
    let claim = match filter.action {
        Action::Pass => Claim::Pass(Pass { precedence, bounds }),
        Action::Allow | Action::Deny => Claim::Entry(Entry {
            precedence,
            auth: asks.map(|mode| Demand {
                mode,
                derived: false,
            }),
            rules: filter.rules.clone().into(),
        }),
    };
    Item {
        scope: filter.peer.map_or(Scope::Anyone, Scope::Peer),
        services: services(filter.l4.as_ref(), key),
        claim,
        bounds,
    }
}

/// Named ports are the destination's: the subject's own on ingress, each peer's on egress.
fn services(l4: Option<&L4>, key: &crate::Key<'_>) -> Services {
    let Some(L4 { protocol, ports }) = l4 else {
        return Services::Known(vec![Prefix::ALL]);
    };
    let protocol = *protocol;
    Services::Known(match ports {
        Ports::All => Prefix::cover(protocol, 0, u16::MAX),
        Ports::Range(first, last) => Prefix::cover(protocol, *first, *last),
        Ports::Named(name, last) if key.direction == Direction::Egress => {
            return Services::Named(name.clone(), protocol, *last);
        }
        Ports::Named(name, last) => {
            let number = key.ports.get(&(name.clone(), protocol));
            number.map_or_else(Vec::new, |number| named(protocol, *number, *last))
        }
    })
}

fn named(protocol: Protocol, number: u16, last: Option<u16>) -> Vec<Prefix> {
    Prefix::cover(protocol, number, last.unwrap_or(number).max(number))
}

fn closing_item(closing: Closing, number: u32, bounds: Bounds) -> Item {
    let does = match closing {
        Closing::AllowAll | Closing::AllowHost => levels::ALLOW,
        Closing::DenyAll => levels::DENY,
    };
    Item {
        scope: match closing {
            Closing::AllowAll | Closing::DenyAll => Scope::Anyone,
            Closing::AllowHost => Scope::Host,
        },
        services: Services::Known(vec![Prefix::ALL]),
        claim: Claim::Entry(Entry {
            precedence: levels::precedence(number, does),
            auth: None,
            rules: Arc::default(),
        }),
        bounds,
    }
}

/// What occurs among the filters and what the agent adds (Cilium's policyFeatures).
fn features(filters: &[Filter], items: &[Item]) -> Features {
    let top = levels::precedence(0, 0);
    let below = |item: &Item| match &item.claim {
        Claim::Entry(entry) => entry.precedence < top,
        Claim::Pass(pass) => pass.precedence < top,
    };
    let deny = |item: &Item| matches!(&item.claim, Claim::Entry(entry) if entry.is_deny());
    Features {
        deny: items.iter().any(deny),
        redirect: filters.iter().any(|filter| filter.redirect().is_some()),
        ordered: items.iter().any(below),
        auth: filters.iter().any(|filter| filter.auth.is_some()),
        pass: filters.iter().any(|filter| filter.action == Action::Pass),
    }
}

/// Puts the items in, once for each class of identities that they treat alike.
fn fill(model: &Model<'_>, key: &crate::Key<'_>, items: &[Item], features: Features) -> Table {
    let (of_identity, examples) = partition(model, key, items);
    let states = examples.par_iter().map(|example| {
        let mut state = State::new(features);
        for item in items {
            put(&mut state, item, model, *example);
        }
        state.finish()
    });
    let states: Vec<_> = states.collect();
    // Identity 0 is first and matched by no peer: in its class there are anyone's entries alone.
    let anyone = states.first().map(|slots| rows(slots, Whose::Anyone));
    let mut classes: Vec<_> = states
        .iter()
        .map(|slots| Class {
            members: Vec::new(),
            rows: rows(slots, Whose::Own),
        })
        .collect();
    let of_identity: Vec<_> = of_identity.iter().map(|class| *class as usize).collect();
    for (at, class) in of_identity.iter().enumerate() {
        if let Some(class) = classes.get_mut(*class) {
            class.members.push(IdentityId::at(at));
        }
    }
    Table {
        anyone: anyone.unwrap_or_default(),
        classes,
        of_identity,
    }
}

/// Class of each identity, and one identity of each class.
fn partition(
    model: &Model<'_>,
    key: &crate::Key<'_>,
    items: &[Item],
) -> (Vec<u32>, Vec<IdentityId>) {
    let mut partition = Partition::new(model.universe().identities().len());
    let mut peers: Vec<PeerId> = items
        .iter()
        .filter_map(|item| match item.scope {
            Scope::Peer(peer) => Some(peer),
            Scope::Anyone | Scope::Host => None,
        })
        .collect();
    peers.sort_unstable();
    peers.dedup();
    for peer in peers {
        partition.split(model.resolved.peer(peer).iter());
    }
    if key.enforced.localhost {
        partition.split([IdentityId::HOST]);
    }
    if key.direction == Direction::Egress {
        let alternatives = classes::alternatives(model, key.enforced);
        for (_, members) in classes::numbers_of_names(model, &alternatives) {
            partition.split(members);
        }
    }
    partition.finish()
}

/// Puts an item in for an identity, as far as it concerns it.
fn put(state: &mut State, item: &Item, model: &Model<'_>, identity: IdentityId) {
    let whose = match item.scope {
        Scope::Anyone => Whose::Anyone,
        Scope::Peer(peer) if model.resolved.peer(peer).contains(identity) => Whose::Own,
        Scope::Host if identity == IdentityId::HOST => Whose::Own,
        Scope::Peer(_) | Scope::Host => return,
    };
    let mut insert = |whose, prefixes: &[Prefix]| {
        for prefix in prefixes {
            let key = Key {
                whose,
                prefix: *prefix,
            };
            state.insert(key, item.claim.clone(), item.bounds);
        }
    };
    match &item.services {
        Services::Known(prefixes) => insert(whose, prefixes),
        // Even where everyone is meant, a number is known for single identities only.
        Services::Named(name, protocol, last) => {
            if let Some(number) = model.universe().named_port(identity, name, *protocol) {
                insert(Whose::Own, &named(*protocol, number, *last));
            }
        }
    }
}

fn rows(slots: &BTreeMap<Key, Slot>, whose: Whose) -> Vec<Row> {
    let slots = slots.iter().filter(|(key, _)| key.whose == whose);
    slots.map(|(key, slot)| row(key.prefix, slot)).collect()
}

fn row(prefix: Prefix, slot: &Slot) -> Row {
    let Some(entry) = &slot.entry else {
        return Row {
            prefix,
            outcome: Outcome::Pass,
            precedence: u32::MAX,
            auth: None,
            rules: Arc::default(),
        };
    };
    let [does, ..] = entry.precedence.to_le_bytes();
    Row {
        prefix,
        outcome: match does {
            levels::DENY => Outcome::Deny,
            levels::ALLOW => Outcome::Allow,
            _ => Outcome::Redirect,
        },
        precedence: entry.precedence,
        auth: entry.auth,
        rules: entry.rules.clone(),
    }
}
