//! Rules merged as Cilium merges them before it makes map entries.
//!
//! Rules of one tier that name the very same ports and the very same peer selector become one filter (Cilium's
//! mergePortProto): a higher priority replaces a lower one; at equal priority a deny beats an allow and an allow a pass; two allows
//! become one that asks for what both ask for. What they ask for may exclude each other, and then Cilium computes no
//! policy at all for the subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fqdn::Fqdn;
use crate::ids::{PeerId, RuleId};
use crate::l7::{Auth, Content, Http, Kafka, Listener, Parser, Rules, Tls};
use crate::port::{L4, Ports};
use crate::rule::{Action, Level, Peers, Rule, Services, Tier};

/// What merging asks of all rules, found once for all subjects.
mod facts;

pub use facts::Facts;

/// The merged rules of an endpoint in one direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filters(pub Vec<Filter>);

/// Rules with the same tier, ports and peer as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    /// When it is asked.
    pub level: Level,
    /// Its ports; every protocol if `None`.
    pub l4: Option<L4>,
    /// Its peer; anyone if `None`.
    pub peer: Option<PeerId>,
    /// What it does.
    pub action: Action,
    /// What a proxy looks at.
    pub l7: Option<Arc<Rules>>,
    /// The authentication it asks for itself.
    pub auth: Option<Auth>,
    /// The rules it is made of.
    pub rules: Vec<RuleId>,
    /// Whether it makes no map entry, since the filter for anyone on the same ports does the same as far as entries
    /// tell. Proxies have it all the same.
    pub superfluous: bool,
}

/// Two rules of which Cilium can follow only one, so that it has no policy at all for their subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The rule merged first.
    pub first: RuleId,
    /// The one that does not go with it; the same if a rule cannot be followed on its own.
    pub second: RuleId,
    /// What they ask for.
    pub what: &'static str,
}

/// What two rules ask for that excludes each other.
type Clash = &'static str;

impl Filter {
    /// The proxy it redirects to, if any.
    pub fn parser(&self) -> Option<Parser> {
        self.l7.as_ref()?.parser()
    }

    /// The listener priority of its redirect, if it has one: the lower wins.
    pub fn redirect(&self) -> Option<u8> {
        let l7 = self.l7.as_ref()?;
        let parser = l7.parser()?;
        let listener = l7.listener.as_ref().and_then(|listener| listener.priority);
        Some(listener.unwrap_or(parser.priority()))
    }
}

impl Filters {
    /// Merges rules as [`Self::of`] does; `None` if none of them speaks of layer 7 or authentication, since the rules
    /// alone then tell the verdict.
    ///
    /// # Errors
    /// Rules that exclude each other.
    pub(super) fn merge(
        facts: &Facts<'_>,
        rules: &[RuleId],
        default_deny: bool,
    ) -> Result<Option<Self>, Conflict> {
        let mut known = rules.iter().filter_map(|id| facts.set.rule(*id));
        if known.all(|rule| rule.l7.is_none() && rule.auth.is_none()) {
            return Ok(None);
        }
        Self::of(facts, rules, default_deny).map(Some)
    }

    /// Merges rules. Where the subject is not in default deny, layer 7 only watches: every filter lets all requests
    /// pass.
    ///
    /// # Errors
    /// Rules that exclude each other.
    pub fn of(facts: &Facts<'_>, rules: &[RuleId], default_deny: bool) -> Result<Self, Conflict> {
        let with_id = |id: &RuleId| facts.set.rule(*id).map(|rule| (*id, rule));
        let mut rules: Vec<_> = rules.iter().filter_map(with_id).collect();
        rules.sort_by_key(|(id, rule)| (rule.level, facts.place(rule), *id));
        // Peers first: they differ most often, and cost least to compare.
        let mut merged: BTreeMap<(Option<PeerId>, Tier, Option<L4>), Filter> = BTreeMap::new();
        for (id, rule) in rules {
            for mut filter in unmerged(id, rule)? {
                filter.peer = filter.peer.map(|peer| facts.same_selector(peer));
                let key = (filter.peer, filter.level.tier, filter.l4.clone());
                match merged.get_mut(&key) {
                    Some(existing) => {
                        let first = existing.rules.first().copied().unwrap_or(id);
                        existing.merge(filter).map_err(|what| Conflict {
                            first,
                            second: id,
                            what,
                        })?;
                    }
                    None => {
                        merged.insert(key, filter);
                    }
                }
            }
        }
        let superfluous: Vec<_> = merged
            .iter()
            .filter(|((peer, tier, l4), filter)| {
                let anyone = || merged.get(&(None, *tier, l4.clone()));
                peer.is_some() && anyone().is_some_and(|anyone| filter.is_superfluous(anyone))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in superfluous {
            if let Some(filter) = merged.get_mut(&key) {
                filter.superfluous = true;
            }
        }
        let mut filters: Vec<_> = merged.into_values().collect();
        if !default_deny {
            filters.iter_mut().for_each(Filter::open);
        }
        filters.sort();
        Ok(Self(filters))
    }
}

/// A filter for each pair of ports and peer.
fn unmerged(id: RuleId, rule: &Rule) -> Result<Vec<Filter>, Conflict> {
    let unusable = |listener: &Listener| listener.unusable;
    if rule
        .l7
        .as_ref()
        .is_some_and(|l7| l7.listener.as_ref().is_some_and(unusable))
    {
        return Err(Conflict {
            first: id,
            second: id,
            what: "a listener of a namespaced configuration from a cluster-wide policy",
        });
    }
    let peers: Vec<_> = match &rule.peers {
        Peers::Any => std::iter::once(None)
            .chain(rule.beside.iter().copied().map(Some))
            .collect(),
        Peers::Of(list) => list.iter().copied().map(Some).collect(),
    };
    let services: Vec<_> = match &rule.services {
        Services::All => vec![None],
        Services::Of(list) => list.iter().cloned().map(Some).collect(),
    };
    // On all ports, who is named beside anyone is left out.
    let anyone = matches!(rule.peers, Peers::Any);
    let pairs = services.iter().flat_map(|l4| {
        let all_ports = l4.as_ref().is_none_or(|l4| l4.ports == Ports::All);
        let kept = peers
            .iter()
            .filter(move |peer| !(anyone && all_ports && peer.is_some()));
        kept.map(move |peer| (l4.clone(), *peer))
    });
    let filters = pairs.map(|(l4, peer)| Filter {
        level: rule.level,
        l4,
        peer,
        action: rule.action,
        l7: rule.l7.clone(),
        auth: rule.auth,
        rules: vec![id],
        superfluous: false,
    });
    Ok(filters.collect())
}

impl Filter {
    /// Takes in a rule that Cilium merges after those already here.
    fn merge(&mut self, other: Self) -> Result<(), Clash> {
        let rank = |filter: &Self| {
            let action = match filter.action {
                Action::Deny => 0,
                Action::Allow => 1,
                Action::Pass => 2,
            };
            (filter.level, action)
        };
        match rank(self).cmp(&rank(&other)) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Greater => *self = other,
            std::cmp::Ordering::Equal => {
                if self.action == Action::Allow {
                    self.auth = one_of(self.auth, other.auth, "different authentication modes")?;
                    self.l7 = both(self.l7.as_deref(), other.l7.as_deref())?.map(Arc::new);
                }
                self.rules.extend(other.rules);
            }
        }
        Ok(())
    }

    /// Whether the filter for anyone on the same ports does for this peer what this one does, as far as map entries
    /// tell: then Cilium makes none for this one (its toMapState). Filters of all ports are exempt.
    fn is_superfluous(&self, anyone: &Self) -> bool {
        let listener = |filter: &Self| filter.l7.as_ref().and_then(|l7| l7.listener.clone());
        let some_ports = self.l4.as_ref().is_some_and(|l4| l4.ports != Ports::All);
        self.peer.is_some()
            && some_ports
            && (self.level, self.action, self.auth) == (anyone.level, anyone.action, anyone.auth)
            && self.redirect() == anyone.redirect()
            && listener(self) == listener(anyone)
    }

    /// Lets every request pass (Cilium's ensureWildcard).
    fn open(&mut self) {
        if let Some(l7) = &mut self.l7 {
            let mut rules = Rules::clone(l7);
            open(&mut rules.content);
            *l7 = Arc::new(rules);
        }
    }
}

/// Whichever is given; both only if they agree.
fn one_of<T: PartialEq>(
    left: Option<T>,
    right: Option<T>,
    what: Clash,
) -> Result<Option<T>, Clash> {
    match (left, right) {
        (Some(left), Some(right)) if left != right => Err(what),
        (left, right) => Ok(left.or(right)),
    }
}

/// Two allows as one (Cilium's mergeRedirect and L7ParserType.Merge).
fn both(left: Option<&Rules>, right: Option<&Rules>) -> Result<Option<Rules>, Clash> {
    let none = Rules::default();
    if left.is_none() && right.is_none() {
        return Ok(None);
    }
    let (left, right) = (left.unwrap_or(&none), right.unwrap_or(&none));
    parser(left, right)?;
    let mut server_names: Vec<_> = [&left.server_names[..], &right.server_names[..]].concat();
    server_names.sort();
    server_names.dedup();
    let contexts = "different TLS contexts";
    let terminating: Option<Tls> = one_of(
        left.terminating.clone(),
        right.terminating.clone(),
        contexts,
    )?;
    // Requests that already accumulated cannot be read once server names come without a TLS context.
    let opaque = |with: &Rules, without: &Rules| {
        has_requests(with) && !without.server_names.is_empty() && terminating.is_none()
    };
    if opaque(left, right) {
        return Err("server names for requests that stay encrypted");
    }
    Ok(Some(Rules {
        content: content(&left.content, &right.content)?,
        server_names,
        listener: listener(left.listener.as_ref(), right.listener.as_ref())?,
        terminating,
        originating: one_of(
            left.originating.clone(),
            right.originating.clone(),
            contexts,
        )?,
    }))
}

fn has_requests(rules: &Rules) -> bool {
    rules.content != Content::None
}

fn parser(left: &Rules, right: &Rules) -> Result<(), Clash> {
    match (left.parser(), right.parser()) {
        (Some(Parser::Tls), Some(Parser::Http)) | (Some(Parser::Http), Some(Parser::Tls)) => Ok(()),
        (Some(left), Some(right)) if left != right => Err("different kinds of layer 7"),
        _ => Ok(()),
    }
}

/// The lower priority wins; at equal priority there can be only one listener.
fn listener(left: Option<&Listener>, right: Option<&Listener>) -> Result<Option<Listener>, Clash> {
    let (Some(left), Some(right)) = (left, right) else {
        return Ok(left.or(right).cloned());
    };
    let priority = |listener: &Listener| listener.priority.unwrap_or(Parser::Crd.priority());
    Ok(Some(match priority(left).cmp(&priority(right)) {
        std::cmp::Ordering::Less => left.clone(),
        std::cmp::Ordering::Greater => right.clone(),
        std::cmp::Ordering::Equal if left == right => left.clone(),
        std::cmp::Ordering::Equal => return Err("different listeners of one priority"),
    }))
}

/// All requests of both; one side that does not restrict requests makes the other let all of them pass.
fn content(left: &Content, right: &Content) -> Result<Content, Clash> {
    let mut merged = left.clone();
    match (&mut merged, right) {
        (_, Content::None) => open(&mut merged),
        (Content::None, right) => {
            merged = right.clone();
            open(&mut merged);
        }
        (Content::Http(list), Content::Http(more)) => append(list, more),
        (Content::Dns(list), Content::Dns(more)) => append(list, more),
        (Content::Kafka(list), Content::Kafka(more)) => append(list, more),
        (Content::Generic(one), Content::Generic(other)) if one.protocol == other.protocol => {
            append(&mut one.rules, &other.rules);
        }
        _ => return Err("different kinds of layer 7"),
    }
    Ok(merged)
}

/// Adds to the requests of one filter those of another with the same map entry.
pub(super) fn join(one: &mut Rules, other: &Rules) {
    match (&mut one.content, &other.content) {
        (Content::Http(list), Content::Http(more)) => append(list, more),
        (Content::Dns(list), Content::Dns(more)) => append(list, more),
        (Content::Kafka(list), Content::Kafka(more)) => append(list, more),
        (Content::Generic(one), Content::Generic(other)) => append(&mut one.rules, &other.rules),
        _ => {}
    }
    append(&mut one.server_names, &other.server_names);
    one.server_names.sort();
}

fn append<T: PartialEq + Clone>(list: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

fn open(content: &mut Content) {
    match content {
        Content::None => {}
        Content::Http(list) => append(list, &[Http::default()]),
        Content::Dns(list) => append(list, &[Fqdn::new(None, Some("*"))]),
        Content::Kafka(list) => append(list, &[Kafka::default()]),
        Content::Generic(generic) => append(&mut generic.rules, &[Vec::new()]),
    }
}
