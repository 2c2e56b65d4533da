//! Connections and what is known of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use policy_abi::conntrack::{
    Key, OTHER_LIFETIME, TCP_CLOSING_LIFETIME, TCP_LIFETIME, TCP_SYN_LIFETIME,
};
use policy_abi::ipcache::V4;
use policy_abi::proto;

use super::read::{Address, Packet};
use crate::datapath::Direction;
use crate::packet::{FIN, RST};

/// What a connection is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// The interface.
    pub interface: u32,
    /// The other end's address.
    pub remote: Address,
    /// The ports of both ends; an ICMP echo's identifier counts as the pod's.
    pub ports: (u16, u16),
    /// The protocol.
    pub protocol: u8,
}

impl From<Key> for Connection {
    fn from(key: Key) -> Self {
        let [a, b, c, d, ..] = key.remote;
        let remote = if key.family == V4 {
            Ipv4Addr::new(a, b, c, d).into()
        } else {
            Ipv6Addr::from(key.remote).into()
        };
        Self {
            interface: key.ifindex,
            remote: Address::new(remote),
            ports: (key.local_port, key.remote_port),
            protocol: key.protocol,
        }
    }
}

impl Connection {
    /// The connection of a packet going in `direction`.
    pub fn of(interface: u32, packet: &Packet, direction: Direction) -> Self {
        let (source, destination) = (packet.source_port, packet.destination_port);
        let (remote, ports) = match direction {
            Direction::Egress => (packet.destination, (source, destination)),
            Direction::Ingress => (packet.source, (destination, source)),
        };
        Self {
            interface,
            remote,
            // An ICMP message has no ports, but an echo has an identifier, which is read as the source port.
            ports: if packet.is_icmp() { (source, 0) } else { ports },
            protocol: packet.protocol,
        }
    }
}

/// One direction that a connection can be opened in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Opened {
    until: Duration,
    generation: u64,
    is_passing: bool,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    egress: Opened,
    ingress: Opened,
    /// TCP flags that the pod has sent, and those that it was sent.
    pub flags: (u8, u8),
}

impl Known {
    fn opened(&self, opener: Direction) -> Opened {
        match opener {
            Direction::Egress => self.egress,
            Direction::Ingress => self.ingress,
        }
    }

    fn opened_mut(&mut self, opener: Direction) -> &mut Opened {
        match opener {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    /// Whether the connection is open in a direction.
    pub fn is_open(&self, opener: Direction, now: Duration) -> bool {
        now < self.opened(opener).until
    }

    /// The generation that last allowed a direction.
    pub fn generation(&self, opener: Direction) -> u64 {
        self.opened(opener).generation
    }

    /// Whether a direction was allowed without the node's policy being asked.
    pub fn is_passing(&self, opener: Direction) -> bool {
        self.opened(opener).is_passing
    }

    /// Forgets that a direction is open.
    pub(super) fn close(&mut self, opener: Direction) {
        self.opened_mut(opener).until = Duration::ZERO;
    }

    /// Takes note of a packet that passes.
    pub(super) fn see(
        &mut self,
        packet: &Packet,
        direction: Direction,
        (opener, is_passing): (Direction, bool),
        generation: u64,
        now: Duration,
    ) {
        match direction {
            Direction::Egress => self.flags.0 |= packet.tcp_flags,
            Direction::Ingress => self.flags.1 |= packet.tcp_flags,
        }
        let until = now + Duration::from_nanos(self.lifetime(packet.protocol));
        *self.opened_mut(opener) = Opened {
            until,
            generation,
            is_passing,
        };
    }

    fn lifetime(&self, protocol: u8) -> u64 {
        match self.flags {
            _ if protocol != proto::TCP => OTHER_LIFETIME,
            _ if self.is_closing() => TCP_CLOSING_LIFETIME,
            (0, _) | (_, 0) => TCP_SYN_LIFETIME,
            _ => TCP_LIFETIME,
        }
    }

    /// Reset by either end, or finished by both.
    fn is_closing(&self) -> bool {
        let (own, peer) = self.flags;
        own & RST != 0 || peer & RST != 0 || (own & FIN != 0 && peer & FIN != 0)
    }

    /// Whether a packet with the same ports belongs to another connection than this.
    pub(super) fn is_over(&self, packet: &Packet, now: Duration) -> bool {
        let is_open = [Direction::Egress, Direction::Ingress]
            .into_iter()
            .any(|opener| self.is_open(opener, now));
        !is_open || (packet.is_opening() && self.is_closing())
    }
}

/// All connections.
#[derive(Clone, Debug, Default)]
pub struct Connections(BTreeMap<Connection, Known>);

impl Connections {
    /// What is known of one.
    pub fn get(&self, key: &Connection) -> Option<&Known> {
        self.0.get(key)
    }

    pub(super) fn set(&mut self, key: Connection, known: Known) {
        self.0.insert(key, known);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
