//! The node: its packets at its devices, and its say in those of its pods.

use policy_abi::arena::Read as _;
use policy_abi::reason::Reason;
use policy_abi::{endpoint, proto};

use super::read::{self, Address, Packet, Part, read};
use super::{Connection, Model, is_discovery};
use crate::datapath::{Direction, Meeting};

/// ICMPv6 types: neighbours that know better ways, packets that are too big, memberships.
const REDIRECT: u16 = 137;
const TOO_BIG: u16 = 2;
const MEMBERSHIP: [u16; 4] = [130, 131, 132, 143];

impl Meeting {
    /// Whether a packet to a pod is none of the node's own.
    pub(super) fn is_passing_to_pod(self) -> bool {
        !self.at_device && self.direction == Direction::Ingress && self.came_by != 0
    }
}

impl Model {
    pub(super) fn judge_at_device(&mut self, meeting: Meeting, frame: &[u8]) -> Reason {
        let direction = meeting.direction;
        let is_out = direction == Direction::Egress;
        let is_arp = read(frame).is_err_and(|reason| reason == Reason::Essential);
        if is_arp {
            return Reason::Essential;
        }
        if read::is_of_link(frame) || (is_out && read::is_for_vlan(frame)) || self.node() == 0 {
            return Reason::Unjudged;
        }
        if let Some((source, destination)) = read::ends(frame) {
            let near = if is_out { source } else { destination };
            if !self.is_nodes(near) {
                return Reason::Unjudged;
            }
        }
        let packet = read(frame);
        if is_out && meeting.came_by != 0 {
            if let Some(packet) = packet.ok().and_then(|packet| self.join(packet, meeting)) {
                self.let_pass(&packet);
            }
            return Reason::Unjudged;
        }
        let packet = match packet {
            Ok(packet) => packet,
            Err(reason) => return reason,
        };
        if is_essential(&packet, direction) {
            return Reason::Essential;
        }
        match self.join(packet, meeting) {
            Some(packet) => self.judge_whole(&packet, meeting),
            None => Reason::LostFragment,
        }
    }

    /// Takes note of a masqueraded packet, unless it belongs to what is known already.
    fn let_pass(&mut self, packet: &Packet) {
        let key = Connection::of(0, packet, Direction::Egress);
        if let Some(known) = self.connections.get(&key).copied() {
            let is_open = |opener| known.is_open(opener, self.now);
            let kept = if is_open(Direction::Ingress) {
                Some(Direction::Ingress)
            } else {
                let is_passing = known.is_passing(Direction::Egress);
                (is_open(Direction::Egress) && is_passing).then_some(Direction::Egress)
            };
            if let Some(opener) = kept {
                let (mut known, now) = (known, self.now);
                let way = (opener, known.is_passing(opener));
                known.see(
                    packet,
                    Direction::Egress,
                    way,
                    known.generation(opener),
                    now,
                );
                self.connections.set(key, known);
                return;
            }
            if is_open(Direction::Egress) {
                return;
            }
        }
        if packet.can_open() {
            self.remember(key, packet, Direction::Egress, (Direction::Egress, true));
        }
    }

    /// Whether an address is one of the node's.
    fn is_nodes(&self, address: Address) -> bool {
        let own = self.tables().u32(self.node() + endpoint::IDENTITY);
        self.generation.hosts.get(&address) == Some(&own)
    }

    /// Interface that connections are known by.
    pub(super) fn scope(&self, meeting: Meeting) -> u32 {
        if meeting.at_device { 0 } else { self.interface }
    }

    /// Where the node's slot is, 0 if it has none.
    pub(super) fn node(&self) -> u32 {
        endpoint::find(self.tables(), endpoint::NODE)
    }
}

/// Whether a packet passes at a device whatever the policy says.
fn is_essential(packet: &Packet, direction: Direction) -> bool {
    let is_on_link = packet.source.is_on_link() || packet.destination.is_on_link();
    let far_is_on_link = direction == Direction::Ingress || packet.destination.is_on_link();
    if is_discovery(packet) {
        return packet.destination_port != REDIRECT && far_is_on_link;
    }
    if packet.source.ip().is_ipv4()
        || packet.protocol != proto::ICMPV6
        || packet.part != Part::Whole
    {
        return false;
    }
    let kind = packet.destination_port;
    (MEMBERSHIP.contains(&kind) && packet.hop_limit == 1 && is_on_link)
        || (kind == TOO_BIG && direction == Direction::Egress)
}
