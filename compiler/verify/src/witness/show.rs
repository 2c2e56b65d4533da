//! Text forms of examples.

use std::fmt::Write as _;

use policyc_ir::label::{CLUSTER, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT};
use policyc_ir::rule::Direction;

use super::{Address, Label, Party, Witness};
use crate::algebra::kind::Kind;

impl Witness {
    /// `pod shop/example with app=web → pod data/example with app=db on tcp/5432`, the first side being the subject.
    pub(crate) fn show(&self, direction: Direction) -> String {
        let [subject, peer] = &self.sides;
        let (from, to) = match direction {
            Direction::Ingress => (peer, subject),
            Direction::Egress => (subject, peer),
        };
        format!(
            "{} → {} on {}",
            self.party(from),
            self.party(to),
            self.layer4()
        )
    }

    /// One side.
    pub(crate) fn party(&self, party: &Party) -> String {
        match party {
            Party::Pod(labels) => self.pod(labels),
            Party::Address(address) => show_address(address),
            Party::Node(kind, labels) => show_node(*kind, labels),
            Party::Reserved(kind) => kind.name().to_owned(),
        }
    }

    fn pod(&self, labels: &[Label]) -> String {
        let mut text = String::from("pod ");
        let namespace = labels.iter().find(|label| &*label.name == NAMESPACE);
        match namespace {
            Some(label) if label.invented => text.push_str("<any other namespace>"),
            Some(label) => text.push_str(&label.value),
            None => {}
        }
        text.push_str("/example");
        let (mut own, mut inherited, mut about) = (Vec::new(), Vec::new(), Vec::new());
        for label in labels {
            if let Some(name) = label.name.strip_prefix(NAMESPACE_LABELS) {
                inherited.push(format!("{name}={}", value(label)));
            } else if &*label.name == SERVICE_ACCOUNT {
                if !label.invented {
                    about.push(format!("service account {}", label.value));
                }
            } else if &*label.name == CLUSTER {
                if label.value != self.cluster {
                    about.push(format!("in cluster {}", value(label)));
                }
            } else if &*label.name != NAMESPACE {
                own.push(format!("{}={}", label.name, value(label)));
            }
        }
        if !own.is_empty() {
            let _ = write!(text, " with {}", own.join(","));
        }
        for part in about {
            let _ = write!(text, ", {part}");
        }
        if !inherited.is_empty() {
            let _ = write!(text, " in a namespace labelled {}", inherited.join(","));
        }
        text
    }

    fn layer4(&self) -> String {
        let protocol = self.protocol;
        let plain = if protocol.is_icmp() {
            format!("{protocol} type {}", self.port)
        } else if protocol.has_ports() {
            format!("{protocol}/{}", self.port)
        } else {
            format!("{protocol}")
        };
        let (here, elsewhere): (Vec<_>, Vec<_>) = self
            .names
            .iter()
            .partition(|(_, number)| *number == self.port);
        let mut about = Vec::new();
        if !here.is_empty() {
            let names: Vec<&str> = here.iter().map(|(name, _)| &**name).collect();
            about.push(format!(
                "which the destination names `{}`",
                names.join("`, `")
            ));
        }
        for (name, number) in elsewhere {
            about.push(format!(
                "where the destination names port {number} `{name}`"
            ));
        }
        if about.is_empty() {
            return plain;
        }
        format!("{plain} ({})", about.join(", "))
    }
}

fn value(label: &Label) -> String {
    if label.invented {
        "<any other value>".to_owned()
    } else {
        label.value.to_string()
    }
}

fn show_address(party: &Address) -> String {
    let mut text = format!("address {}", party.ip);
    if !party.names.is_empty() {
        let _ = write!(text, " of {}", party.names.join(", "));
    }
    if party.api {
        text.push_str(", where the API server listens");
    }
    text
}

fn show_node(kind: Kind, labels: &[Label]) -> String {
    let labels: Vec<_> = labels
        .iter()
        .filter(|label| &*label.name != CLUSTER)
        .map(|label| format!("{}={}", label.name, value(label)))
        .collect();
    if labels.is_empty() {
        return kind.name().to_owned();
    }
    format!("{}, labelled {}", kind.name(), labels.join(","))
}
