//! What a line says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::endpoint::NODE_INDEX;
use policy_abi::event::{BY_NODE, Event, KNOWN_ADDRESSES, KNOWN_PORTS, NO_IDENTITY};
use policy_abi::ipcache::V4;
use policy_abi::proto;
use policy_abi::reason::{self, Reason};
use serde::Serialize;

use super::names::{Rule, Table};
use crate::failure::Failure;
use crate::sys::{clock, net};

/// An event for people and programs. What is not known is left out.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    /// Seconds since 1970.
    time: f64,
    generation: u64,
    /// `passed`, `dropped`, or `audited`: passed although the policy says no.
    verdict: &'static str,
    reason: &'static str,
    /// What the policy said to a packet that was only audited.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
    /// `to-pod` or `from-pod`; `to-node` or `from-node` at a device of the node's.
    direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    /// `node` if the node's policy decided about a packet between a pod and its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    ifindex: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(flatten)]
    packet: Option<Addresses>,
    #[serde(flatten)]
    transport: Option<Transport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Peer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RuleName<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    cookie: u32,
    /// `log.value` of the rules that decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<&'a str>,
    bytes: u32,
    /// Events left out since the last one of the same CPU.
    #[serde(skip_serializing_if = "is_zero")]
    lost: u32,
}

#[derive(Debug, Serialize)]
struct Addresses {
    source: IpAddr,
    destination: IpAddr,
    protocol: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Transport {
    Ports {
        source_port: u16,
        destination_port: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        tcp_flags: Option<String>,
    },
    Icmp {
        icmp_type: u8,
        icmp_id: u16,
    },
}

#[derive(Debug, Serialize)]
struct Peer<'a> {
    identity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct RuleName<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references over"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl<'a> Line<'a> {
    pub(super) fn new(event: &Event, names: Option<&'a Table>) -> Self {
        let reason = name_of(event.reason);
        let is_passed = Reason::from_number(event.reason).is_some_and(Reason::passes);
        let is_audited = event.reason == Reason::Audited as u8;
        let verdict = match (is_audited, is_passed) {
            (true, _) => "audited",
            (_, true) => "passed",
            (_, false) => "dropped",
        };
        Self {
            time: clock::since_1970(event.time),
            generation: event.generation,
            verdict,
            reason,
            policy: is_audited.then(|| name_of(event.verdict)),
            direction: match (event.egress == 0, event.endpoint & NODE_INDEX == 0) {
                (true, true) => "to-pod",
                (false, true) => "from-pod",
                (true, false) => "to-node",
                (false, false) => "from-node",
            },
            pod: names.and_then(|names| names.pod(event)),
            node: names.and_then(|names| names.node(event)),
            by: (event.known & BY_NODE != 0).then_some("node"),
            ifindex: event.ifindex,
            interface: net::name(event.ifindex),
            packet: addresses(event),
            transport: transport(event),
            peer: peer(event, names),
            rule: event
                .has_rule()
                .then(|| rule(event.rule, names.and_then(|names| names.rule(event)))),
            cookie: event.cookie,
            log: names.map_or_else(Vec::new, |names| names.log(event)),
            bytes: event.length,
            lost: event.lost,
        }
    }

    pub(super) fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string(self)
            .map_err(|error| Failure::internal(format!("an event cannot be written: {error}")))
    }
}

fn name_of(number: u8) -> &'static str {
    reason::ALL
        .get(usize::from(number))
        .map_or("unknown", |(_, name)| name)
}

fn addresses(event: &Event) -> Option<Addresses> {
    if event.known & KNOWN_ADDRESSES == 0 {
        return None;
    }
    let address = |bytes: [u8; 16]| {
        let [a, b, c, d, ..] = bytes;
        if event.family == V4 {
            Ipv4Addr::new(a, b, c, d).into()
        } else {
            Ipv6Addr::from(bytes).into()
        }
    };
    let (local, remote) = (address(event.local), address(event.remote));
    let (source, destination) = if event.egress == 0 {
        (remote, local)
    } else {
        (local, remote)
    };
    Some(Addresses {
        source,
        destination,
        protocol: protocol(event.protocol),
    })
}

fn protocol(number: u8) -> String {
    match number {
        proto::TCP => "tcp".to_owned(),
        proto::UDP => "udp".to_owned(),
        proto::SCTP => "sctp".to_owned(),
        proto::ICMP => "icmp".to_owned(),
        proto::ICMPV6 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

fn transport(event: &Event) -> Option<Transport> {
    if event.known & KNOWN_PORTS == 0 {
        return None;
    }
    let (source_port, destination_port) = if event.egress == 0 {
        (event.remote_port, event.local_port)
    } else {
        (event.local_port, event.remote_port)
    };
    match event.protocol {
        proto::ICMP | proto::ICMPV6 => Some(Transport::Icmp {
            icmp_type: event.icmp_type,
            icmp_id: event.local_port,
        }),
        proto::TCP | proto::UDP | proto::SCTP => Some(Transport::Ports {
            source_port,
            destination_port,
            tcp_flags: (event.protocol == proto::TCP).then(|| tcp_flags(event.tcp_flags)),
        }),
        _ => None,
    }
}

/// Names of the flags that are set, lowest bit first.
fn tcp_flags(flags: u8) -> String {
    let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    let set: Vec<&str> = names
        .iter()
        .enumerate()
        .filter(|(bit, _)| flags & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    set.join(",")
}

fn peer<'a>(event: &Event, names: Option<&'a Table>) -> Option<Peer<'a>> {
    (event.identity != NO_IDENTITY).then(|| Peer {
        identity: event.identity,
        labels: names.and_then(|names| names.identity(event)),
    })
}

fn rule(index: u32, known: Option<&Rule>) -> RuleName<'_> {
    RuleName {
        index,
        key: known.map(|rule| rule.key.as_str()),
        name: known.map(|rule| rule.name.as_str()),
        file: known.map(|rule| rule.file.as_str()),
        line: known.map(|rule| rule.line),
    }
}

#[cfg(test)]
mod tests {
    use policy_abi::arena::record;

    use super::*;

    fn event() -> Event {
        let mut local = [0; 16];
        local[..4].copy_from_slice(&[10, 0, 0, 1]);
        let mut remote = [0; 16];
        remote[..4].copy_from_slice(&[10, 0, 0, 2]);
        Event {
            time: 1,
            generation: 7,
            local,
            remote,
            ifindex: 0,
            endpoint: 0,
            identity: NO_IDENTITY,
            rule: record::NO_RULE,
            cookie: 0,
            length: 60,
            lost: 0,
            local_port: 80,
            remote_port: 40_000,
            protocol: proto::TCP,
            family: V4,
            egress: 0,
            reason: Reason::DefaultDeny as u8,
            verdict: Reason::DefaultDeny as u8,
            icmp_type: 0,
            tcp_flags: 0x12,
            known: KNOWN_ADDRESSES | KNOWN_PORTS,
        }
    }

    fn json(event: &Event) -> serde_json::Value {
        serde_json::from_str(&Line::new(event, None).to_json().unwrap()).unwrap()
    }

    #[test]
    fn ends_stand_in_the_packets_order() {
        let to_pod = json(&event());
        assert_eq!(to_pod["source"], "10.0.0.2");
        assert_eq!(to_pod["destination_port"], 80);
        assert_eq!(to_pod["tcp_flags"], "syn,ack");
        assert_eq!(
            (&to_pod["verdict"], &to_pod["reason"]),
            (&"dropped".into(), &"default-deny".into())
        );
        let from_pod = json(&Event {
            egress: 1,
            ..event()
        });
        assert_eq!(from_pod["source"], "10.0.0.1");
        assert_eq!(from_pod["destination_port"], 40_000);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let line = json(&Event {
            known: 0,
            ..event()
        });
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "bytes",
                "direction",
                "generation",
                "ifindex",
                "reason",
                "time",
                "verdict"
            ]
        );
    }

    #[test]
    fn audit_tells_what_the_policy_said() {
        let line = json(&Event {
            reason: Reason::Audited as u8,
            verdict: Reason::PolicyDeny as u8,
            protocol: proto::ICMP,
            icmp_type: 8,
            ..event()
        });
        assert_eq!(
            (&line["verdict"], &line["policy"]),
            (&"audited".into(), &"policy-deny".into())
        );
        assert_eq!(line["icmp_type"], 8);
    }

    #[test]
    fn events_are_read_as_they_are_written() {
        use std::mem::offset_of;
        let mut bytes = [0; policy_abi::event::BYTES];
        bytes[offset_of!(Event, rule)] = 9;
        bytes[offset_of!(Event, remote_port)] = 8;
        bytes[offset_of!(Event, reason)] = 7;
        bytes[offset_of!(Event, known)] = 6;
        bytes[offset_of!(Event, lost)] = 5;
        let event = Event::from_bytes(&bytes).unwrap();
        assert_eq!(
            (
                event.rule,
                event.remote_port,
                event.reason,
                event.known,
                event.lost
            ),
            (9, 8, 7, 6, 5)
        );
        assert_eq!(Event::from_bytes(&bytes[1..]), None);
    }
}
