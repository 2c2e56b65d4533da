//! What Cilium merges: everything that one selector is given on one port of one tier.

use std::collections::BTreeMap;

use policyc_ir::rule::Direction;
use policyc_ir::settings::{Enforcement, Settings};

use super::entry::{Act, Entry, Service};
use super::l7::{self, Conflict, Proxy};
use super::labels::Labels;
use super::peer::{ANYONE, Select};
use super::text::ALL;
use super::{Subject, World, labels};

/// What a selector is given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Within the tier, lower first.
    pub(super) priority: u32,
    /// What is done.
    pub(super) act: Act,
    /// What the proxy is asked.
    pub(super) proxy: Proxy,
    /// `authentication.mode`.
    pub(super) auth: Option<String>,
}

/// Filters of one tier and service, by selector.
pub(super) type Filters = BTreeMap<(u8, Service), BTreeMap<Select, Given>>;

/// What is in force in one direction.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    /// Which way.
    pub(crate) direction: Direction,
    /// The subject.
    pub(super) subject: Subject,
    /// Whether anything is looked up at all.
    pub(super) applies: bool,
    /// Default deny.
    pub(super) enforced: bool,
    /// Whether there is no policy since some of it cannot be merged.
    pub(super) conflict: bool,
    /// What is looked up.
    pub(super) filters: Filters,
}

/// Tier of what Cilium adds itself.
pub(super) const LAST: u8 = 255;

impl World<'_> {
    pub(super) fn side(
        &self,
        subject: Subject,
        direction: Direction,
        exempt: bool,
        labels: &Labels,
        entries: &[&Entry],
    ) -> Side {
        let Settings {
            enforcement,
            allow_localhost,
            ..
        } = *self.settings;
        let always = enforcement == Enforcement::Always || labels.contains_key("init");
        let enforced = always || entries.iter().any(|entry| entry.default_deny);
        let mut side = Side {
            direction,
            subject,
            applies: false,
            enforced,
            conflict: false,
            filters: Filters::new(),
        };
        if exempt || enforcement == Enforcement::Never || (entries.is_empty() && !always) {
            side.enforced = false;
            return side;
        }
        side.applies = true;
        for entry in entries {
            side.add(entry);
        }
        let every = Service {
            protocol: 0,
            port: ALL,
        };
        let given = |act| Given {
            priority: 0,
            act,
            proxy: Proxy::default(),
            auth: None,
        };
        let mut last = BTreeMap::new();
        if !enforced {
            last.insert(ANYONE, given(Act::Allow));
            side.observe();
        }
        if enforced
            && direction == Direction::Ingress
            && allow_localhost
            && subject != Subject::Host
            && !entries.is_empty()
        {
            last.insert(
                Select::Labels(vec![labels::equals("reserved", "host", "")]),
                given(Act::Allow),
            );
        }
        side.filters.insert((LAST, every), last);
        side
    }
}

impl Side {
    fn add(&mut self, entry: &Entry) {
        for (service, proxy) in &entry.services {
            self.conflict |= proxy.unusable;
            // On all ports, anyone stands for whoever is named beside.
            let anyone = service.port == ALL && entry.peers.contains(&ANYONE);
            for peer in entry
                .peers
                .iter()
                .filter(|peer| !anyone || **peer == ANYONE)
            {
                let given = Given {
                    priority: entry.priority,
                    act: entry.act,
                    proxy: proxy.clone(),
                    auth: entry.auth.clone(),
                };
                let filter = self
                    .filters
                    .entry((entry.tier, service.clone()))
                    .or_default();
                let merged = match filter.remove(peer) {
                    None => Ok(given),
                    Some(before) => merge(before, given),
                };
                match merged {
                    Ok(merged) => drop(filter.insert(peer.clone(), merged)),
                    Err(Conflict) => self.conflict = true,
                }
            }
        }
    }

    /// Without default deny no proxy may refuse anything.
    fn observe(&mut self) {
        for given in self.filters.values_mut().flat_map(BTreeMap::values_mut) {
            given.proxy.add_wildcard();
        }
    }
}

fn merge(one: Given, two: Given) -> Result<Given, Conflict> {
    if one.priority != two.priority {
        return Ok(if one.priority < two.priority {
            one
        } else {
            two
        });
    }
    if one.act != two.act {
        return Ok(if one.act < two.act { one } else { two });
    }
    if one.act != Act::Allow {
        return Ok(one);
    }
    Ok(Given {
        proxy: one.proxy.merge(&two.proxy)?,
        auth: l7::same(one.auth.as_ref(), two.auth.as_ref())?,
        ..one
    })
}
