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

/// The prefixes of all groups, each with the groups that it is in itself. A prefix stands right before those it
/// covers.
pub(super) struct Prefixes<'a>(BTreeMap<Cidr, Vec<Named<'a>>>);

/// A group under its name.
type Named<'a> = (&'a Arc<str>, &'a CidrGroup);

impl<'a> Prefixes<'a> {
    /// Looks through all groups.
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        let mut prefixes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, group) in &inventory.cidr_groups {
            for cidr in &group.cidrs {
                prefixes.entry(*cidr).or_default().push((name, group));
            }
        }
        Self(prefixes)
    }

    /// The groups with such labels. Every prefix is judged with the labels of all groups that cover it; where a prefix
    /// within a matching one does not match, it becomes an exception.
    pub(super) fn labelled(&self, selector: &Selector, except: &[Cidr]) -> Peer {
        let judged: BTreeMap<Cidr, bool> = self
            .0
            .keys()
            .map(|cidr| (*cidr, matches(selector, &self.covering(*cidr))))
            .collect();
        let matching = judged.iter().filter(|(_, matches)| **matches);
        let blocks = matching.map(|(cidr, _)| {
            let within = judged
                .range(cidr..)
                .take_while(|(other, _)| cidr.covers(other));
            let without = within.filter(|(_, matches)| !**matches);
            let mut left_out: Vec<_> = without.map(|(other, _)| *other).collect();
            left_out.extend_from_slice(except);
            left_out.sort_unstable();
            left_out.dedup();
            (*cidr, left_out)
        });
        let blocks = blocks.collect();
        Peer::Group(text(&format!("cidrgroups {selector}"), except), blocks)
    }

    fn covering(&self, cidr: Cidr) -> Vec<Named<'a>> {
        let lengths = 0..=cidr.bits();
        let outer = lengths.filter_map(|len| self.0.get(&Cidr::new(cidr.address(), len)?));
        outer.flatten().copied().collect()
    }
}

fn text(name: &str, except: &[Cidr]) -> Arc<str> {
    if except.is_empty() {
        return name.into();
    }
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    format!("{name} except {}", except.join(",")).into()
}

fn matches(selector: &Selector, covering: &[Named<'_>]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Key;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    fn group(labels: &[(&str, &str)], cidrs: &[&str]) -> CidrGroup {
        let pairs = labels.iter();
        CidrGroup {
            labels: pairs
                .map(|(name, value)| (Arc::from(*name), Arc::from(*value)))
                .collect(),
            cidrs: cidrs.iter().map(|text| cidr(text)).collect(),
        }
    }

    #[test]
    fn a_prefix_has_the_labels_of_all_groups_it_lies_in() {
        let mut inventory = Inventory::default();
        for (name, one) in [
            ("wide", group(&[("kind", "office")], &["10.0.0.0/8"])),
            ("site", group(&[("kind", "vpn")], &["10.1.0.0/16"])),
            (
                "lab",
                group(&[("site", "a")], &["10.1.2.0/24", "20.0.0.0/8"]),
            ),
        ] {
            inventory.cidr_groups.insert(name.into(), one);
        }
        let prefixes = Prefixes::of(&inventory);
        let among = |key: &str, values: &[&str]| {
            let values = values.iter().map(|value| Arc::from(*value)).collect();
            Requirement::new(Key::parse(key), Operator::In(values))
        };
        let not = |requirement: Requirement| match requirement.operator {
            Operator::In(values) => Requirement::new(requirement.key, Operator::NotIn(values)),
            _ => requirement,
        };
        let exists = |key: &str| Requirement::exists(Key::parse(key));
        for (requirements, wanted) in [
            (
                vec![among("kind", &["office"])],
                "10.0.0.0/8 10.1.0.0/16 10.1.2.0/24",
            ),
            (vec![among("kind", &["vpn"])], "10.1.0.0/16 10.1.2.0/24"),
            (
                vec![not(among("kind", &["vpn"])), exists("kind")],
                "10.0.0.0/8 but 10.1.0.0/16,10.1.2.0/24",
            ),
            (vec![among("kind", &["vpn"]), exists("site")], "10.1.2.0/24"),
            (vec![exists("cidrgroup:site")], "10.1.2.0/24 20.0.0.0/8"),
            (vec![exists("k8s:site")], ""),
        ] {
            let selector = Selector::new(requirements);
            let Peer::Group(_, blocks) = prefixes.labelled(&selector, &[]) else {
                panic!("no group");
            };
            let shown = blocks.iter().map(|(cidr, except)| {
                let except: Vec<_> = except.iter().map(ToString::to_string).collect();
                if except.is_empty() {
                    cidr.to_string()
                } else {
                    format!("{cidr} but {}", except.join(","))
                }
            });
            let shown = shown.collect::<Vec<_>>().join(" ");
            assert_eq!(shown, wanted, "{selector}");
        }
    }
}
