//! Which flows to try, and what the model expects of them.

use std::net::IpAddr;

use policyd_e2e::numbers::Numbers;
use policyd_e2e::topology::Topology;
use policyd_e2e::traffic::{Flow, Protocol};
use serde_json::{Value, json};

use crate::cluster::{self, Kind, OUTSIDE, PODS, SERVICES, Service, TCP, TCP_PORT, UDP, UDP_PORT};

/// A flow from one party to another, or to a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    from: usize,
    to: To,
    v4: bool,
    protocol: Protocol,
    port: u16,
}

#[derive(Clone, Copy, Debug)]
enum To {
    Party(usize),
    Service(&'static Service),
}

/// What is to be seen of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expected {
    /// An answer.
    Answer,
    /// None: somebody's policy denies it.
    Denied,
    /// None: the service's backends are not decided alike.
    Mixed,
    /// None: nobody is there.
    Nobody,
}

/// Random flows, and every service from every pod.
pub(crate) fn choose(numbers: &mut Numbers, count: usize) -> Vec<Choice> {
    let mut choices = Vec::new();
    for from in 0..=OUTSIDE {
        for service in SERVICES.iter().filter(|one| !one.backends.contains(&from)) {
            for (v4, protocol) in [
                (true, Protocol::Tcp),
                (false, Protocol::Udp),
                (false, Protocol::Tcp),
            ] {
                // Only pods see services.
                if from != OUTSIDE {
                    choices.push(to_service(from, service, v4, protocol));
                }
            }
        }
    }
    while choices.len() < count {
        let (from, to) = (
            numbers.below::<usize>(OUTSIDE as u64 + 1),
            numbers.below::<usize>(OUTSIDE as u64 + 1),
        );
        if from == to {
            continue;
        }
        let protocol =
            *numbers.choose(&[Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Icmp]);
        choices.push(Choice {
            from,
            to: To::Party(to),
            v4: numbers.once_in(2),
            protocol,
            port: match protocol {
                Protocol::Tcp => *numbers.choose(&TCP),
                Protocol::Udp => UDP,
                Protocol::Icmp => 0,
            },
        });
    }
    choices
}

fn to_service(from: usize, service: &'static Service, v4: bool, protocol: Protocol) -> Choice {
    let (own, behind) = match protocol {
        Protocol::Udp => UDP_PORT,
        _ => TCP_PORT,
    };
    let headless = service.kind == Kind::Headless;
    Choice {
        from,
        to: To::Service(service),
        v4,
        protocol,
        port: if headless { behind } else { own },
    }
}

impl Choice {
    /// The flow as it is tried.
    pub(crate) fn flow(&self, topology: &Topology) -> Flow {
        let namespace = &topology.pods[self.from].namespace;
        let to: IpAddr = match self.to {
            To::Party(to) => cluster::address(to, self.v4),
            To::Service(service) => service
                .address(self.v4)
                .unwrap_or_else(|| cluster::address(service.backends[0], self.v4)),
        };
        match self.protocol {
            Protocol::Tcp => Flow::tcp(namespace, to, self.port),
            Protocol::Udp => Flow::udp(namespace, to, self.port),
            Protocol::Icmp => Flow::icmp(namespace, to),
        }
    }

    /// Kind of the service asked for.
    pub(crate) fn service(&self) -> Option<Kind> {
        match self.to {
            To::Party(_) => None,
            To::Service(service) => Some(service.kind),
        }
    }

    /// Whoever may get to see it, and where.
    fn ends(&self) -> Vec<usize> {
        match self.to {
            To::Party(to) => vec![to],
            To::Service(service) => service.backends.to_vec(),
        }
    }

    /// Both sides' questions, by end; a host outside is not asked.
    pub(crate) fn questions(&self) -> Vec<[Option<Value>; 2]> {
        let port = match (self.to, self.protocol) {
            (_, Protocol::Icmp) => {
                if self.v4 {
                    8
                } else {
                    128
                }
            }
            (To::Service(_), Protocol::Tcp) => TCP_PORT.1,
            (To::Service(_), Protocol::Udp) => UDP_PORT.1,
            (To::Party(_), _) => self.port,
        };
        let protocol = match (self.protocol, self.v4) {
            (Protocol::Tcp, _) => "TCP",
            (Protocol::Udp, _) => "UDP",
            (Protocol::Icmp, true) => "ICMP",
            (Protocol::Icmp, false) => "ICMPv6",
        };
        let name = |party: usize| PODS.get(party).map(|pod| format!("shop/{}", pod.name));
        let ask = |direction: &str, subject: usize, peer: usize| {
            let outside = || format!("ip:{}", cluster::address(peer, self.v4));
            let peer = name(peer).unwrap_or_else(outside);
            let subject = name(subject)?;
            Some(
                json!({"direction": direction, "subject": subject, "peer": peer, "protocol": protocol, "port": port}),
            )
        };
        let ends = self.ends().into_iter();
        ends.map(|end| {
            [
                ask("egress", self.from, end),
                ask("ingress", end, self.from),
            ]
        })
        .collect()
    }

    /// What follows from the answers; `None` if it depends on which backend is chosen.
    pub(crate) fn expected(answers: &[[bool; 2]]) -> Option<Expected> {
        let Some([egress, ingress]) = answers.first().copied() else {
            return Some(Expected::Nobody);
        };
        if answers.iter().any(|[other, _]| *other != egress) {
            return Some(Expected::Mixed);
        }
        if !egress {
            return Some(Expected::Denied);
        }
        if answers.iter().any(|[_, other]| *other != ingress) {
            return None;
        }
        Some(if ingress {
            Expected::Answer
        } else {
            Expected::Denied
        })
    }
}
