//! Good packets with random changes: the datapath reads them as the second reader does.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy_abi::proto;
use policy_abi::reason::Reason;
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::packet::{self, Ip, SYN};

use crate::random::Numbers;
use crate::reader::{Read, Unreadable, local, read, remote};
use crate::world::{
    CLIENT, EGRESS, EXTENDED, GUARDED, INGRESS, PUBLIC, World, back, between, foe, friend, icmp_of,
    pod,
};

const PACKETS: usize = 20_000;

fn ports_of(direction: Direction) -> [u16; 3] {
    if direction == Ingress {
        INGRESS
    } else {
        EGRESS
    }
}

/// A good packet, from one of the headers that there are.
fn good(numbers: &mut Numbers, direction: Direction) -> Vec<u8> {
    let ipv6 = numbers.below::<u8>(2) == 1;
    let [tcp, udp, sctp] = ports_of(direction);
    let icmp = icmp_of(ipv6);
    let (protocol, payload) = match numbers.below::<u8>(6) {
        0 => (proto::TCP, packet::tcp(CLIENT, tcp, SYN)),
        1 => (proto::TCP, packet::tcp(CLIENT, PUBLIC, SYN)),
        2 => (proto::UDP, packet::udp(CLIENT, udp)),
        3 => (proto::SCTP, packet::sctp(CLIENT, sctp)),
        4 => (icmp, packet::echo(icmp, false, 5)),
        _ => (47, vec![0; 8]),
    };
    let peer = if numbers.below::<u8>(4) == 0 {
        foe(ipv6)
    } else {
        friend(ipv6)
    };
    let mut ip: Ip = between(direction, peer, protocol);
    if ipv6 {
        for _ in 0..numbers.below::<u8>(4) {
            let kind = [0, 43, 60][numbers.below::<usize>(3)];
            ip = ip.extension(kind, &[0, 0, 0, 0, 0, 0, 0]);
        }
    } else {
        ip = ip.options(&vec![1; numbers.below::<usize>(4) * 4]);
    }
    ip.frame(&payload)
}

/// Changes a byte or two, or the length; not so that the kernel's test run refuses the frame.
fn mutate(numbers: &mut Numbers, frame: &mut Vec<u8>) {
    let least = if frame[12] == 0x86 { 54 } else { 34 };
    for _ in 0..numbers.below::<u8>(3) {
        let length = u64::try_from(frame.len()).unwrap();
        // Not the EtherType, by which the kernel itself chooses what to check.
        let at = 14 + numbers.below::<usize>(length - 14);
        frame[at] = match numbers.below::<u8>(3) {
            0 => numbers.below(256),
            1 => frame[at] ^ (1 << numbers.below::<u8>(8)),
            _ => frame[at].wrapping_add(1),
        };
    }
    match numbers.below::<u8>(6) {
        0 => frame.truncate(least + numbers.below::<usize>(40)),
        1 => frame.extend_from_slice(&[0; 9]),
        _ => {}
    }
}

/// What becomes of a packet in a world without connections. `None` where that depends on earlier packets.
fn expected(frame: &[u8], direction: Direction) -> Option<Reason> {
    let packet = match read(frame) {
        Err(Unreadable::Arp) => return Some(Reason::Essential),
        Err(Unreadable::UnknownL3) => return Some(Reason::UnknownL3),
        Err(Unreadable::Malformed) => return Some(Reason::Malformed),
        Ok(packet) => packet,
    };
    let ipv6 = packet.source.len() == 16;
    if local(&packet, direction) != octets(pod(ipv6)) {
        return Some(if direction == Egress {
            Reason::Spoofed
        } else {
            Reason::Misdelivered
        });
    }
    if packet.is_fragment || packet.hop_limit == 255 {
        return None;
    }
    if packet.protocol == icmp_of(!ipv6) {
        return Some(Reason::UnknownL4);
    }
    Some(verdict(&packet, direction, ipv6))
}

/// The policy of the world, in words.
fn verdict(packet: &Read, direction: Direction, ipv6: bool) -> Reason {
    let peer = remote(packet, direction);
    let (is_friend, is_foe) = (
        peer == octets(friend(ipv6)) || peer == octets(pod(ipv6)),
        peer == octets(foe(ipv6)),
    );
    let [tcp, udp, sctp] = ports_of(direction);
    match (packet.protocol, packet.port) {
        _ if is_foe => Reason::PolicyDeny,
        (proto::TCP, PUBLIC) => Reason::Allowed,
        (proto::TCP, GUARDED) if is_friend => Reason::AuthRequired,
        (proto::TCP, port) if is_friend && port == tcp => Reason::Allowed,
        (proto::UDP, port) if is_friend && port == udp => Reason::Allowed,
        (proto::SCTP, port) if is_friend && port == sctp => Reason::Allowed,
        (proto::ICMP, 8 | 13) | (proto::ICMPV6, 128) | (47, _) if is_friend => Reason::Allowed,
        _ => Reason::DefaultDeny,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[test]
fn changed_packets_are_read_alike() {
    policyd_e2e::require_root!();
    let mut numbers = Numbers::new(0x0123_4567_89ab_cdef);
    let mut seen = BTreeMap::new();
    // One world per direction: without packets the other way, nothing is a reply.
    for direction in [Ingress, Egress] {
        let mut world = World::with_flags(EXTENDED);
        for _ in 0..PACKETS / 2 {
            let mut frame = good(&mut numbers, direction);
            mutate(&mut numbers, &mut frame);
            let Some(reason) = expected(&frame, direction) else {
                continue;
            };
            world.expect(direction, &frame, reason);
            *seen.entry(reason).or_insert(0) += 1;
        }
        let other = world.datapath.reasons(back(direction)).unwrap();
        assert!(other.iter().all(|count| *count == 0));
    }
    let reasons = [
        Reason::Allowed,
        Reason::PolicyDeny,
        Reason::DefaultDeny,
        Reason::Malformed,
        Reason::UnknownL4,
    ];
    assert!(
        reasons
            .iter()
            .all(|reason| seen.get(reason).is_some_and(|count| *count > 5)),
        "{seen:?}"
    );
}
