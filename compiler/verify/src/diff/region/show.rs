//! Text forms.

use std::fmt;

use policyc_ir::label::{CLUSTER, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT};
use policyc_ir::port::Protocol;
use policyc_ir::rule::Direction;

use super::{Asked, Except, Party, Service};
use crate::algebra::kind::Kind;
use crate::algebra::values::Values;

impl fmt::Display for Party {
    /// `pods with app=web in namespace shop`, `anyone except 10.0.0.0/8`, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut except = Vec::new();
        if self.is_pods() {
            f.write_str(&self.pods(&self.labels))?;
        } else if let Some(cidr) = self.inside.first() {
            write!(f, "addresses in {cidr}")?;
        } else if self.names.iter().any(|(_, holds)| *holds) {
            f.write_str("addresses")?;
        } else {
            f.write_str(&self.group(&mut except))?;
        }
        let of = self.names.iter().filter(|(_, holds)| *holds);
        let of: Vec<_> = of.map(|(fqdn, _)| format!("`{fqdn}`")).collect();
        if !of.is_empty() {
            write!(f, " of {}", of.join(" and "))?;
        }
        if !self.is_pods() {
            except.extend(self.labels.iter().map(|(name, values)| {
                let one = Asked::from([(name.clone(), values.opposite())]);
                self.pods(&one)
            }));
        }
        let nodes = self
            .nodes
            .iter()
            .map(|(name, values)| format!("nodes with {}", label(name, &values.opposite())));
        except.extend(nodes);
        except.extend(self.outside.iter().map(ToString::to_string));
        let not = self.names.iter().filter(|(_, holds)| !*holds);
        except.extend(not.map(|(fqdn, _)| format!("those of `{fqdn}`")));
        if except.is_empty() {
            return Ok(());
        }
        write!(f, " except {}", listed(&except, "and"))
    }
}

impl Party {
    /// A name for a set of kinds; those that are left out are exceptions if they are the fewer.
    fn group(&self, except: &mut Vec<String>) -> String {
        let anyone = if self.subject {
            "every endpoint"
        } else {
            "anyone"
        };
        // Addresses and pods that are not known yet need no word of their own beside pods.
        let passing = Kind::UNKNOWN.bit() | if self.subject { Kind::INIT.bit() } else { 0 };
        let unspoken = if self.has_pods() { passing } else { 0 };
        let (own, all) = (self.kinds & !unspoken, self.possible & !unspoken);
        if own == all {
            return anyone.to_owned();
        }
        for (name, kinds) in entities() {
            if own == kinds & all {
                return name.to_owned();
            }
        }
        let missing = all & !own;
        if own & Kind::POD.bit() != 0 && missing.count_ones() <= own.count_ones() {
            except.extend(named(missing));
            return anyone.to_owned();
        }
        listed(&named(own), "or")
    }
}

/// Sets of kinds that have a name.
fn entities() -> [(&'static str, u16); 7] {
    let of = |kinds: &[Kind]| kinds.iter().fold(0, |set, kind| set | kind.bit());
    let (v4, v6) = (of(&Kind::V4), of(&Kind::V6));
    let api = of(&[Kind::NODE_API, Kind::HOST_API, Kind::API_V4, Kind::API_V6]);
    let every = Kind::OTHERS
        .iter()
        .fold(Kind::POD.bit(), |set, kind| set | kind.bit());
    [
        ("every address outside the cluster", v4 | v6),
        ("every IPv4 address outside the cluster", v4),
        ("every IPv6 address outside the cluster", v6),
        ("the local node", of(&Kind::HOSTS)),
        ("every other node", of(&Kind::NODES)),
        ("the API server", api),
        (
            "everything in the cluster",
            every & !(v4 | v6 | Kind::UNKNOWN.bit() | Kind::WORLD.bit()),
        ),
    ]
}

/// Kinds by name; those that have a name together go by it.
fn named(kinds: u16) -> Vec<String> {
    let mut left = kinds;
    let mut names = Vec::new();
    for (name, group) in entities() {
        if group & left == group && group.count_ones() > 1 {
            names.push(name.to_owned());
            left &= !group;
        }
    }
    let all = std::iter::once(Kind::POD).chain(Kind::OTHERS);
    let rest = all.filter(|kind| left & kind.bit() != 0);
    names.extend(rest.map(|kind| match kind {
        Kind::POD => "every pod".to_owned(),
        other => other.name().to_owned(),
    }));
    names.sort();
    names.dedup();
    names
}

impl Party {
    /// `pods with app=web, tier in (a, b) in namespace shop`.
    fn pods(&self, labels: &Asked) -> String {
        let mut own = Vec::new();
        let (mut place, mut inherited) = (None, Vec::new());
        let mut about = vec![String::new()];
        let local = |values: &Values| {
            let [only] = values.list.as_slice() else {
                return false;
            };
            !values.complement && *only == self.cluster
        };
        for (name, values) in labels {
            match &**name {
                NAMESPACE => place = Some(namespace(values)),
                CLUSTER if local(values) => {}
                CLUSTER => about.push(label("cluster", values)),
                SERVICE_ACCOUNT => {
                    about.push(label("service account", values));
                }
                text => match text.strip_prefix(NAMESPACE_LABELS) {
                    Some(short) => inherited.push(label(short, values)),
                    None => own.push(label(text, values)),
                },
            }
        }
        let who = if own.is_empty() {
            "every pod".to_owned()
        } else {
            format!("pods with {}", own.join(", "))
        };
        let inherited = if inherited.is_empty() {
            String::new()
        } else {
            format!(" labelled {}", inherited.join(", "))
        };
        let place = place.unwrap_or_else(|| " in any namespace".to_owned());
        format!("{who}{place}{inherited}{}", about.join(", "))
    }
}

fn namespace(values: &Values) -> String {
    let list = values.list.iter().map(ToString::to_string);
    let list: Vec<_> = list.collect();
    match (values.complement, list.as_slice()) {
        (true, []) => " in any namespace".to_owned(),
        (true, list) => format!(" in any namespace but {}", listed(list, "and")),
        (false, [one]) => format!(" in namespace {one}"),
        (false, list) => format!(" in namespace {}", listed(list, "or")),
    }
}

/// `app=web`, `app in (a, b)`, `app!=web`, `app`, `!app`.
fn label(name: &str, values: &Values) -> String {
    let list: Vec<_> = values.list.iter().map(ToString::to_string).collect();
    let all = list.join(", ");
    match (values.complement, values.absent, list.as_slice()) {
        (false, true, []) => format!("!{name}"),
        (true, false, []) => name.to_owned(),
        (true, true, []) => format!("any {name}"),
        (false, false, [one]) => format!("{name}={one}"),
        (false, false, _) => format!("{name} in ({all})"),
        (true, true, [one]) => format!("{name}!={one}"),
        (true, true, _) => format!("{name} notin ({all})"),
        (true, false, _) => format!("{name} other than {}", listed(&list, "and")),
        (false, true, _) => format!("{name} absent or {}", listed(&list, "or")),
    }
}

/// `a, b and c`.
fn listed(items: &[String], word: &str) -> String {
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {word} {last}", rest.join(", ")),
    }
}

impl Except {
    /// `from pods with app=web on tcp/80`, given the direction.
    pub fn show(&self, direction: Direction) -> String {
        let (own, other) = match direction {
            Direction::Ingress => ("to", "from"),
            Direction::Egress => ("from", "to"),
        };
        let parts = [
            self.peer.as_ref().map(|peer| format!("{other} {peer}")),
            self.subject
                .as_ref()
                .map(|subject| format!("{own} {subject}")),
            self.service.as_ref().map(|service| format!("on {service}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join(" ")
    }
}

impl fmt::Display for Service {
    /// `tcp/5432`, `tcp/80-90`, `udp`, `any protocol`, …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let icmp = self
            .protocol
            .is_some_and(|number| Protocol(number).is_icmp());
        let last = if icmp { 255 } else { u16::MAX };
        let all = self.first == 0 && self.last >= last;
        let ports = match (all, self.first == self.last) {
            (true, _) => String::new(),
            (_, true) => self.first.to_string(),
            (_, false) => format!("{}-{}", self.first, self.last.min(last)),
        };
        let given = |holds: bool| {
            let names = self.names.iter().filter(move |(_, given)| *given == holds);
            names
                .map(|(name, _)| format!("`{name}`"))
                .collect::<Vec<_>>()
        };
        let (named, others) = (given(true), given(false));
        let protocol = self.protocol.map(|number| Protocol(number).to_string());
        let ports = match (ports.is_empty(), named.is_empty()) {
            (true, true) => String::new(),
            (false, true) => ports,
            (true, false) => named.join(" and "),
            (false, false) => format!("{ports} ({})", named.join(" and ")),
        };
        match (&protocol, ports.is_empty()) {
            (None, true) => f.write_str("every protocol and port")?,
            (None, false) => write!(f, "port {ports} of every protocol")?,
            (Some(protocol), true) => f.write_str(protocol)?,
            (Some(protocol), false) => write!(f, "{protocol}/{ports}")?,
        }
        let mut except: Vec<_> = self
            .not
            .iter()
            .map(|number| Protocol(*number).to_string())
            .collect();
        except.extend(
            others
                .into_iter()
                .map(|name| format!("the port named {name}")),
        );
        if !except.is_empty() {
            write!(f, " except {}", listed(&except, "and"))?;
        }
        for (name, holds) in &self.below {
            let not = if *holds { "" } else { "not " };
            write!(f, ", {not}above the port named `{name}`")?;
        }
        Ok(())
    }
}
