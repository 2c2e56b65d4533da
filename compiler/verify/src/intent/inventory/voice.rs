//! From connections to what is told of them.

use std::fmt::Write as _;

use policyc_ir::label::Source;
use policyc_ir::model::request::{Answer, Request};
use policyc_ir::reach::Party;
use policyc_ir::rule::Direction;

use super::{Ground, Hop, member, point};
use crate::intent::request::show;
use crate::intent::told::{DESTINATION, End, SOURCE, Told};

/// Connections in a row, with what both ends of each say; over the last one the request is asked.
pub(super) fn told(ground: Ground<'_>, path: &[Hop], request: Option<&Request>) -> Told {
    let mut flow = String::new();
    let mut ends = Vec::new();
    for (at, hop) in path.iter().enumerate() {
        let asked = request.filter(|_| at + 1 == path.len());
        if flow.is_empty() {
            flow = name(&ground, hop.from);
        }
        let protocol = hop.point.protocol;
        let _ = write!(flow, " → {} on ", name(&ground, hop.to));
        let _ = if protocol.is_icmp() {
            write!(flow, "{protocol} type {}", hop.point.port)
        } else if protocol.has_ports() {
            write!(flow, "{protocol}/{}", hop.point.port)
        } else {
            write!(flow, "{protocol}")
        };
        let [out, into] = point::verdicts(&ground, hop.from, hop.to, hop.point);
        let [left, right] = asked.map_or([None, None], |request| {
            point::answers(&ground, (hop.from, hop.to, hop.point), request)
        });
        let sides = [
            (out, left, hop.from, Direction::Egress, &SOURCE),
            (into, right, hop.to, Direction::Ingress, &DESTINATION),
        ];
        for (verdict, answer, party, direction, words) in sides {
            if let Some(verdict) = verdict {
                let refuses = verdict.allowed && answer == Some(Answer::Refused);
                ends.push(End {
                    verdict,
                    selecting: selecting(&ground, party, direction),
                    party: name(&ground, party),
                    words,
                    refuses,
                });
            }
        }
        if let Some(request) = asked {
            let _ = write!(flow, ", asking {},", show(request));
        }
    }
    Told { flow, ends }
}

fn selecting(ground: &Ground<'_>, party: Party, direction: Direction) -> Vec<policyc_ir::RuleId> {
    let Party::Endpoint(at) = party else {
        return Vec::new();
    };
    let policy = ground.model.policy_of(at);
    policy.map_or_else(Vec::new, |policy| policy.direction(direction).rules.clone())
}

/// A pod's name, a prefix, or what kind of party it is.
fn name(ground: &Ground<'_>, party: Party) -> String {
    let universe = ground.model.universe();
    if let Party::Endpoint(at) = party {
        let endpoint = universe.endpoint(at);
        return endpoint.map_or_else(String::new, |endpoint| endpoint.name.to_string());
    }
    let Some(identity) = universe.identity(member::identity(ground, party)) else {
        return String::new();
    };
    if let [name, ..] = identity.names.as_slice() {
        return name.to_string();
    }
    if let Some(cidr) = identity.cidr {
        return cidr.to_string();
    }
    let reserved = identity.labels.iter();
    let reserved = reserved.filter(|(key, _)| key.source == Source::Reserved);
    let names: Vec<_> = reserved.map(|(key, _)| key.name.to_string()).collect();
    names.join(", ")
}
