//! CIDR groups as prefixes.
//!
//! Cilium gives each prefix of a group the group's labels, and a prefix inherits those of the prefixes it lies in
//! (its ipcache metadata). A selector of groups thus sees the labels of all groups that an address lies in at once;
//! one label may have several values, and `In` asks for any of them, `NotIn` for none.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cidr::Cidr;
use crate::inventory::{CidrGroup, Inventory};
use crate::label::Source;
use crate::rule::Peer;
use crate::selector::{Operator, Requirement, Selector};

/// The label by which a group is known by name.
const NAME: &str = "io.cilium.policy.cidrgroupname/";

/// The group of a name: nothing if there is none.
pub(super) fn named(name: &Arc<str>, except: &[Cidr], inventory: &Inventory) -> Peer {
    let cidrs = inventory
        .cidr_groups
        .get(name)
        .map_or(&[][..], |group| &group.cidrs);
    let blocks = cidrs.iter().map(|cidr| (*cidr, except.to_vec()));
    Peer::Group(
        text(&format!("cidrgroup:{NAME}{name}"), except),
        blocks.collect(),
    )
}

/// The groups with such labels. Every prefix of every group is judged with the labels of all that cover it; where a
/// prefix within a matching one does not match, it becomes an exception.
pub(super) fn labelled(selector: &Selector, except: &[Cidr], inventory: &Inventory) -> Peer {
    let groups: Vec<_> = inventory.cidr_groups.iter().collect();
    let prefixes: BTreeMap<Cidr, bool> = groups
        .iter()
        .flat_map(|(_, group)| &group.cidrs)
        .map(|cidr| (*cidr, matches(selector, *cidr, &groups)))
        .collect();
    let matching = prefixes.iter().filter(|(_, matches)| **matches);
    let blocks = matching.map(|(cidr, _)| {
        let within = |(other, matches): (&Cidr, &bool)| {
            (!matches && other != cidr && cidr.covers(other)).then_some(*other)
        };
        let mut left_out: Vec<_> = prefixes.iter().filter_map(within).collect();
        left_out.extend_from_slice(except);
        left_out.sort_unstable();
        left_out.dedup();
        (*cidr, left_out)
    });
    let blocks = blocks.collect();
    Peer::Group(text(&format!("cidrgroups {selector}"), except), blocks)
}

fn text(name: &str, except: &[Cidr]) -> Arc<str> {
    if except.is_empty() {
        return name.into();
    }
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    format!("{name} except {}", except.join(",")).into()
}

fn matches(selector: &Selector, prefix: Cidr, groups: &[(&Arc<str>, &CidrGroup)]) -> bool {
    let covering: Vec<_> = groups
        .iter()
        .filter(|(_, group)| group.cidrs.iter().any(|cidr| cidr.covers(&prefix)))
        .collect();
    let mut requirements = selector.requirements().iter();
    requirements.all(|requirement| {
        let values: Vec<&str> = covering
            .iter()
            .filter_map(|(name, group)| value(requirement, name, group))
            .collect();
        let among = |wanted: &[Arc<str>]| {
            let mut values = values.iter();
            values.any(|value| wanted.iter().any(|one| &**one == *value))
        };
        match &requirement.operator {
            Operator::In(wanted) => among(wanted),
            Operator::NotIn(wanted) => !among(wanted),
            Operator::Exists => !values.is_empty(),
            Operator::DoesNotExist => values.is_empty(),
        }
    })
}

/// The value of a requirement's key on one group; the name label has none.
fn value<'a>(requirement: &Requirement, name: &str, group: &'a CidrGroup) -> Option<&'a str> {
    let key = &requirement.key;
    let source = match &key.source {
        Source::Any => true,
        Source::Other(source) => &**source == "cidrgroup",
        _ => false,
    };
    if !source {
        return None;
    }
    if key.name.strip_prefix(NAME) == Some(name) {
        return Some("");
    }
    let mut labels = group.labels.iter();
    labels
        .find(|(label, _)| *label == key.name)
        .map(|(_, value)| &**value)
}
