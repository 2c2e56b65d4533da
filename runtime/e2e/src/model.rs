//! What becomes of a packet, worked out in user space: a reference for the datapath.
//!
//! Written for clarity and from the protocols' documents. Only the tables are read by the datapath's own code, which is
//! the point of its being shared; everything around them is done a second time.

/// Connections and what is known of them.
mod connections;
/// The node: its packets at its devices, and its say in those of its pods.
mod node;
/// From bytes to a packet.
mod read;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use policy_abi::arena::{Read as _, UNKNOWN, header, record};
use policy_abi::reason::Reason;
use policy_abi::{endpoint, lookup, proto};

pub use connections::{Connection, Connections, Known};
pub use read::{Address, Packet, Part, read};

use crate::datapath::{Direction, Meeting};

/// Destination ports of neighbour discovery: its ICMPv6 types.
const DISCOVERY: std::ops::RangeInclusive<u16> = 133..=137;

/// The tables, addresses and endpoint of one generation.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// The tables with the endpoint in them.
    pub tables: Vec<u8>,
    /// Identities of full-length addresses.
    pub hosts: BTreeMap<Address, u32>,
    /// Identities of prefixes: address, bits, identity.
    pub prefixes: Vec<(Address, u32, u32)>,
}

/// A pod's interface as the datapath should treat it.
#[derive(Clone, Debug)]
pub struct Model {
    interface: u32,
    /// What is in force.
    pub generation: Generation,
    /// The time since the start.
    pub now: Duration,
    /// Connections.
    pub connections: Connections,
    fragments: BTreeMap<Fragment, (u16, u16, u8)>,
}

/// What the fragments of a packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fragment {
    at_device: bool,
    id: u32,
    source: Address,
    destination: Address,
    protocol: u8,
    is_egress: bool,
}

impl Model {
    /// An interface without connections.
    pub fn new(interface: u32, generation: Generation) -> Self {
        Self {
            interface,
            generation,
            now: Duration::ZERO,
            connections: Connections::default(),
            fragments: BTreeMap::new(),
        }
    }

    /// What becomes of a frame.
    pub fn judge(&mut self, meeting: impl Into<Meeting>, frame: &[u8]) -> Reason {
        let meeting = meeting.into();
        if meeting.at_device {
            self.judge_at_device(meeting, frame)
        } else {
            self.judge_at_pod(meeting, frame)
        }
    }

    fn judge_at_pod(&mut self, meeting: Meeting, frame: &[u8]) -> Reason {
        let direction = meeting.direction;
        let packet = match read(frame) {
            Ok(packet) => packet,
            Err(reason) => return reason,
        };
        let is_discovery = is_discovery(&packet);
        if !self.is_own(&packet, direction, is_discovery) {
            return match direction {
                Direction::Egress => Reason::Spoofed,
                Direction::Ingress => Reason::Misdelivered,
            };
        }
        if is_discovery && (direction == Direction::Ingress || packet.destination.is_on_link()) {
            return Reason::Essential;
        }
        match self.join(packet, meeting) {
            Some(packet) => self.judge_whole(&packet, meeting),
            None => Reason::LostFragment,
        }
    }

    /// Whether the pod's end of a packet is the pod's.
    fn is_own(&self, packet: &Packet, direction: Direction, is_discovery: bool) -> bool {
        let own = match direction {
            Direction::Egress => packet.source,
            Direction::Ingress => packet.destination,
        };
        let is_unspecified = direction == Direction::Egress && own.octets() == [0; 16];
        self.has_address(own) || (is_discovery && (is_unspecified || own.is_on_link()))
    }

    fn has_address(&self, address: Address) -> bool {
        let (tables, at) = (self.tables(), self.endpoint());
        let flags = tables.u32(at + endpoint::FLAGS);
        let word = |offset: u32| tables.u32(at + offset).to_le_bytes();
        match address.ip() {
            IpAddr::V4(address) => {
                flags & endpoint::HAS_IPV4 != 0 && word(endpoint::IPV4) == address.octets()
            }
            IpAddr::V6(address) => {
                let own = [0, 4, 8, 12].map(|part| word(endpoint::IPV6 + part));
                flags & endpoint::HAS_IPV6 != 0 && own.as_flattened() == address.octets()
            }
        }
    }

    /// Gives a later fragment what the first one said.
    fn join(&mut self, mut packet: Packet, meeting: Meeting) -> Option<Packet> {
        let fragment = Fragment {
            at_device: meeting.at_device,
            id: packet.id,
            source: packet.source,
            destination: packet.destination,
            protocol: if packet.source.ip().is_ipv4() {
                packet.protocol
            } else {
                0
            },
            is_egress: meeting.direction == Direction::Egress,
        };
        let (ports, protocol) = (
            (packet.source_port, packet.destination_port),
            packet.protocol,
        );
        match packet.part {
            Part::Whole => {}
            Part::First => {
                self.fragments
                    .insert(fragment, (ports.0, ports.1, protocol));
            }
            Part::Later(_) => {
                let (source, destination, protocol) = self.fragments.get(&fragment)?;
                (packet.source_port, packet.destination_port) = (*source, *destination);
                packet.protocol = *protocol;
            }
        }
        Some(packet)
    }

    fn judge_whole(&mut self, packet: &Packet, meeting: Meeting) -> Reason {
        let is_ipv4 = packet.source.ip().is_ipv4();
        let flags = self.tables().u32(header::FLAGS);
        let is_judged = match packet.protocol {
            proto::ICMP => is_ipv4,
            proto::ICMPV6 => !is_ipv4,
            proto::TCP | proto::UDP | proto::SCTP => true,
            _ => flags & header::FLAG_EXTENDED_PROTOCOLS != 0,
        };
        if !is_judged {
            return Reason::UnknownL4;
        }
        if self.is_related(packet, meeting) {
            return Reason::Reply;
        }
        let is_fragmentation_needed = packet.part == Part::Whole
            && packet.protocol == proto::ICMP
            && (packet.destination_port, packet.icmp_code) == (3, 4);
        if is_fragmentation_needed && flags & header::FLAG_FRAG_NEEDED != 0 {
            return Reason::Essential;
        }
        self.judge_connection(packet, meeting)
    }

    /// Whether a packet is an error about a packet of a connection that the generation in force has allowed.
    fn is_related(&self, packet: &Packet, meeting: Meeting) -> bool {
        let direction = meeting.direction;
        let Some(quoted) = packet.quotation() else {
            return false;
        };
        // The quoted packet went the other way.
        let (local, remote) = match direction {
            Direction::Egress => (quoted.destination, quoted.source),
            Direction::Ingress => (quoted.source, quoted.destination),
        };
        let is_fitting = match direction {
            Direction::Egress => local == packet.source && remote == packet.destination,
            Direction::Ingress => local == packet.destination,
        };
        let key = Connection::of(self.scope(meeting), &quoted, direction.reversed());
        is_fitting
            && self.connections.get(&key).is_some_and(|known| {
                [Direction::Egress, Direction::Ingress]
                    .into_iter()
                    .any(|opener| {
                        known.is_open(opener, self.now)
                            && (known.generation(opener) == self.generation.number
                                || (meeting.at_device && known.is_passing(opener)))
                    })
            })
    }

    fn judge_connection(&mut self, packet: &Packet, meeting: Meeting) -> Reason {
        let direction = meeting.direction;
        let key = Connection::of(self.scope(meeting), packet, direction);
        let opener = direction.reversed();
        let (now, generation) = (self.now, self.generation.number);
        let known = self.connections.get(&key).copied();
        if let Some(mut known) = known
            && packet.can_reply()
            && known.is_open(opener, now)
        {
            let is_passing = known.is_passing(opener);
            let still = known.generation(opener) == generation
                || (meeting.at_device && is_passing)
                || self
                    .policy(&key, opener, packet.asked_when_opened(), is_passing)
                    .passes();
            if still {
                known.see(packet, direction, (opener, is_passing), generation, now);
                self.connections.set(key, known);
                return Reason::Reply;
            }
            known.close(opener);
            self.connections.set(key, known);
        }
        let is_passing = meeting.is_passing_to_pod();
        let reason = self.policy(&key, direction, packet.destination_port, is_passing);
        if reason == Reason::Spoofed {
            return reason;
        }
        let is_denied = !reason.passes() || reason == Reason::Audited;
        if is_denied
            && packet.can_continue()
            && self.allows(&key, opener, packet.asked_when_opened())
        {
            self.remember(key, packet, direction, (opener, false));
            return Reason::Reply;
        }
        if reason.passes() && packet.can_open() {
            self.remember(key, packet, direction, (direction, is_passing));
        }
        reason
    }

    /// Takes note of the connection of a packet that passes.
    fn remember(
        &mut self,
        key: Connection,
        packet: &Packet,
        direction: Direction,
        opener: (Direction, bool),
    ) {
        let known = self.connections.get(&key).copied();
        let mut known = known
            .filter(|known| !known.is_over(packet, self.now))
            .unwrap_or_default();
        known.see(packet, direction, opener, self.generation.number, self.now);
        self.connections.set(key, known);
    }

    /// What the tables say; in audit mode, no is yes.
    fn policy(&self, key: &Connection, opener: Direction, port: u16, is_passing: bool) -> Reason {
        let (reason, at) = self.decides(key, opener, port, is_passing);
        let is_final = matches!(reason, Reason::InvalidTables | Reason::Spoofed);
        if !reason.passes() && !is_final && self.is_audited(at) {
            Reason::Audited
        } else {
            reason
        }
    }

    /// Whether the tables allow a packet of the node's own or a pod's, whatever the mode.
    fn allows(&self, key: &Connection, opener: Direction, port: u16) -> bool {
        self.decides(key, opener, port, false).0.passes()
    }

    /// What the tables say, and the endpoint whose tables decide: the node's, if it is the other end and alone says no.
    fn decides(
        &self,
        key: &Connection,
        opener: Direction,
        port: u16,
        is_passing: bool,
    ) -> (Reason, u32) {
        let own = match key.interface {
            0 => self.node(),
            _ => self.endpoint(),
        };
        let peer = self.identity(key.remote);
        let is_itself = self.tables().u32(own + endpoint::IDENTITY) == peer;
        if key.interface == 0 && opener == Direction::Ingress && is_itself {
            return (Reason::Spoofed, own);
        }
        let reason = self.says((own, opener), peer, key.protocol, port);
        let (node, tables) = (self.node(), self.tables());
        let is_with_node = key.interface != 0
            && !is_passing
            && node != 0
            && peer == tables.u32(node + endpoint::IDENTITY);
        if is_with_node && (reason.passes() || self.is_audited(own)) {
            let pod = tables.u32(own + endpoint::IDENTITY);
            let of_node = self.says((node, opener.reversed()), pod, key.protocol, port);
            if !of_node.passes() {
                return (of_node, node);
            }
        }
        (reason, own)
    }

    fn is_audited(&self, at: u32) -> bool {
        self.tables().u32(at + endpoint::FLAGS) & endpoint::AUDIT != 0
    }

    /// What an endpoint's tables say, by the code that the datapath uses as well.
    fn says(
        &self,
        (at, direction): (u32, Direction),
        peer: u32,
        protocol: u8,
        port: u16,
    ) -> Reason {
        let tables = self.tables();
        let image = tables.u32(match direction {
            Direction::Ingress => at + endpoint::INGRESS,
            Direction::Egress => at + endpoint::EGRESS,
        });
        let lookup::Verdict { passes, record } =
            lookup::verdict(tables, image, peer, protocol, port);
        let at = lookup::record_at(tables, record);
        let is_allowed = lookup::action(tables, at) == record::ALLOW;
        let is_record = (1..tables.u32(header::RECORDS)).contains(&record);
        let reason = match Reason::from_number(lookup::reason(tables, at)) {
            Some(reason) if is_record && reason.passes() == is_allowed => reason,
            _ => return Reason::InvalidTables,
        };
        if passes != lookup::passes(tables, at) {
            Reason::InvalidTables
        } else if is_allowed && !passes {
            Reason::AuthRequired
        } else {
            reason
        }
    }

    /// The full-length address counts, else the longest prefix.
    fn identity(&self, address: Address) -> u32 {
        if let Some(identity) = self.generation.hosts.get(&address) {
            return *identity;
        }
        let prefixes = self.generation.prefixes.iter();
        let fitting = prefixes.filter(|(prefix, bits, _)| address.is_in(*prefix, *bits));
        fitting
            .max_by_key(|(_, bits, _)| *bits)
            .map_or(UNKNOWN, |(_, _, identity)| *identity)
    }

    fn tables(&self) -> &[u8] {
        &self.generation.tables
    }

    fn endpoint(&self) -> u32 {
        endpoint::find(self.tables(), self.interface)
    }
}

/// Whether a packet is neighbour discovery that comes from this very link.
fn is_discovery(packet: &Packet) -> bool {
    packet.source.ip().is_ipv6()
        && packet.protocol == proto::ICMPV6
        && packet.part == Part::Whole
        && packet.hop_limit == 255
        && DISCOVERY.contains(&packet.destination_port)
}
