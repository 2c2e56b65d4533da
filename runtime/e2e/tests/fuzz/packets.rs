//! Random packets: good ones, answers and errors about earlier ones, fragments, and all of them damaged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy_abi::proto;
use policyd_e2e::datapath::Direction::{self, Egress, Ingress};
use policyd_e2e::datapath::{Meeting, TEST_INTERFACE};
use policyd_e2e::numbers::Numbers;
use policyd_e2e::packet::{self, ACK, FIN, Ip, RST, SYN};

use crate::tables::{PEERS, node, peer, pod};

/// Ports, few enough for packets to meet again.
const PORTS: [u16; 6] = [0, 53, 80, 443, 1030, 1031];
const FLAGS: [u8; 8] = [SYN, SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST, 0];
const PROTOCOLS: [u8; 10] = [
    proto::TCP,
    proto::TCP,
    proto::UDP,
    proto::SCTP,
    0xff,
    0xff,
    47,
    50,
    51,
    99,
];
/// Stands in [`PROTOCOLS`] for ICMP of the packet's family.
const ICMP: u8 = 0xff;
/// Bytes that a frame of either family has at least: the kernel does not let shorter ones into a test run.
const LEAST: [usize; 2] = [34, 54];
/// Earlier packets that are remembered.
const MEMORY: usize = 64;
/// Most bytes of a frame.
const LONGEST: usize = 1_500;

/// What a packet is made of, so that others can refer to it.
#[derive(Clone, Debug)]
struct Sent {
    at_device: bool,
    direction: Direction,
    ipv6: bool,
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: (u16, u16),
    /// The network layer and what follows.
    bytes: Vec<u8>,
}

/// A source of packets.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    memory: Vec<Sent>,
}

impl Packets {
    /// The next packet and how it meets a program.
    pub(crate) fn next(&mut self, numbers: &mut Numbers) -> (Meeting, Vec<u8>) {
        let (at_device, direction, frame) = self.draw(numbers);
        let came_by = if numbers.once_in(3) {
            TEST_INTERFACE
        } else {
            0
        };
        let meeting = Meeting {
            direction,
            at_device,
            came_by,
        };
        (meeting, frame)
    }

    /// Whether it is at a device, which way it goes, and the packet.
    fn draw(&mut self, numbers: &mut Numbers) -> (bool, Direction, Vec<u8>) {
        let at_device = numbers.once_in(2);
        if numbers.once_in(50) {
            let direction = *numbers.choose(&[Ingress, Egress]);
            return (at_device, direction, noise(numbers));
        }
        let earlier = (!self.memory.is_empty()).then(|| numbers.choose(&self.memory).clone());
        let (at_device, direction, mut frame) = match (earlier, numbers.below::<u8>(10)) {
            (Some(sent), 0..=2) => {
                let frame = answer(numbers, &sent);
                (sent.at_device, sent.direction.reversed(), frame)
            }
            (Some(sent), 3) => (sent.at_device, sent.direction, again(numbers, &sent)),
            (Some(sent), 4) => {
                let frame = error(numbers, &sent);
                (sent.at_device, sent.direction.reversed(), frame)
            }
            (_, 5) => {
                let (direction, frame) = discovery(numbers, at_device);
                (at_device, direction, frame)
            }
            _ => {
                let (direction, frame) = self.fresh(numbers, at_device);
                (at_device, direction, frame)
            }
        };
        damage(numbers, &mut frame);
        (at_device, direction, frame)
    }

    fn fresh(&mut self, numbers: &mut Numbers, at_device: bool) -> (Direction, Vec<u8>) {
        let (direction, ipv6) = (*numbers.choose(&[Ingress, Egress]), numbers.once_in(2));
        let own = own(ipv6, at_device);
        let mut other = peer(ipv6, numbers.below(PEERS.into()));
        if numbers.once_in(3) {
            // A pod and its node.
            other = self::own(ipv6, !at_device);
        }
        let (mut source, mut destination) = match direction {
            Egress => (own, other),
            Ingress => (other, own),
        };
        // Sometimes somebody else's address, sometimes the pod's own on both sides.
        match numbers.below::<u8>(40) {
            0 => source = peer(ipv6, numbers.below(PEERS.into())),
            1 => destination = peer(ipv6, numbers.below(PEERS.into())),
            2 => (source, destination) = (own, own),
            _ => {}
        }
        let protocol = match *numbers.choose(&PROTOCOLS) {
            // Once in a while that of the other family.
            ICMP if ipv6 != numbers.once_in(30) => proto::ICMPV6,
            ICMP => proto::ICMP,
            protocol => protocol,
        };
        let ports = (*numbers.choose(&PORTS), *numbers.choose(&PORTS));
        let sent = Sent {
            at_device,
            direction,
            ipv6,
            source,
            destination,
            protocol,
            ports,
            bytes: Vec::new(),
        };
        let payload = payload(numbers, &sent, sent.ports);
        let frame = header(numbers, &sent).frame(&payload);
        let place = numbers.below::<usize>(MEMORY as u64);
        let sent = Sent {
            bytes: frame[14..].to_vec(),
            ..sent
        };
        if self.memory.len() < MEMORY {
            self.memory.push(sent);
        } else {
            self.memory[place] = sent;
        }
        (direction, frame)
    }
}

/// The address of the endpoint whose packets these are.
fn own(ipv6: bool, at_device: bool) -> IpAddr {
    if at_device { node(ipv6) } else { pod(ipv6) }
}

/// The way back, of the same protocol and with the ports exchanged.
fn answer(numbers: &mut Numbers, sent: &Sent) -> Vec<u8> {
    let back = Sent {
        source: sent.destination,
        destination: sent.source,
        ..sent.clone()
    };
    let is_icmp = matches!(sent.protocol, proto::ICMP | proto::ICMPV6);
    let payload = if is_icmp {
        packet::echo(sent.protocol, !numbers.once_in(8), sent.ports.0)
    } else {
        payload(numbers, &back, (sent.ports.1, sent.ports.0))
    };
    header(numbers, &back).frame(&payload)
}

/// The same way again.
fn again(numbers: &mut Numbers, sent: &Sent) -> Vec<u8> {
    let payload = payload(numbers, sent, sent.ports);
    header(numbers, sent).frame(&payload)
}

/// An error about a packet, from the other end or from somebody on the way.
fn error(numbers: &mut Numbers, sent: &Sent) -> Vec<u8> {
    let (protocol, kinds): (u8, &[u8]) = if sent.ipv6 {
        (proto::ICMPV6, &[1, 2, 3, 4, 5])
    } else {
        (proto::ICMP, &[3, 3, 11, 12, 5])
    };
    let mut from = sent.destination;
    if numbers.once_in(4) {
        from = peer(sent.ipv6, numbers.below(PEERS.into()));
    }
    let length = if numbers.once_in(3) {
        numbers.below::<usize>(sent.bytes.len() as u64 + 1)
    } else {
        sent.bytes.len()
    };
    let kind = *numbers.choose(kinds);
    let code = numbers.below::<u8>(6);
    let message = packet::icmp(kind, code, [0; 4], &sent.bytes[..length]);
    Ip::new(from, sent.source, protocol).frame(&message)
}

/// Neighbour discovery, real and pretended.
fn discovery(numbers: &mut Numbers, at_device: bool) -> (Direction, Vec<u8>) {
    let direction = *numbers.choose(&[Ingress, Egress]);
    let link = |last| IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last));
    let all = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    let ends = [
        own(true, at_device),
        own(true, at_device),
        link(1),
        link(2),
        all,
        peer(true, 1),
        Ipv6Addr::UNSPECIFIED.into(),
    ];
    let (source, destination) = (*numbers.choose(&ends), *numbers.choose(&ends));
    let kind = match numbers.below::<u8>(10) {
        0 => 143,
        1 => 2,
        kind => 128 + kind,
    };
    let message = packet::icmp(kind, 0, [0; 4], &[0; 16]);
    let hop_limit = *numbers.choose(&[64, 255, 255, 255, 1]);
    if numbers.once_in(10) {
        // The same in IPv4, where there is no such thing.
        let (own, any) = (own(false, at_device), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (source, destination) = match direction {
            Egress => (*numbers.choose(&[own, any]), peer(false, 1)),
            Ingress => (peer(false, 1), own),
        };
        let ip = Ip::new(source, destination, proto::ICMPV6).hop_limit(hop_limit);
        return (direction, ip.frame(&message));
    }
    let mut ip = Ip::new(source, destination, proto::ICMPV6).hop_limit(hop_limit);
    if numbers.once_in(10) {
        ip = ip.fragment(numbers.below(4), 0, numbers.once_in(2));
    }
    (direction, ip.frame(&message))
}

fn header(numbers: &mut Numbers, sent: &Sent) -> Ip {
    let mut ip = Ip::new(sent.source, sent.destination, sent.protocol);
    if sent.ipv6 && numbers.once_in(4) {
        for _ in 0..numbers.below::<u8>(8) {
            let kind = *numbers.choose(&[0, 43, 60, 60]);
            let units = numbers.below::<u8>(3);
            let mut body = vec![0; 7 + 8 * usize::from(units)];
            body[0] = units;
            if kind == 43 && numbers.once_in(8) {
                body[2] = 1;
            }
            ip = ip.extension(kind, &body);
        }
    } else if numbers.once_in(6) {
        ip = ip.options(&vec![1; numbers.below::<usize>(11) * 4]);
    }
    if numbers.once_in(12) {
        ip = ip.hop_limit(numbers.below(256));
    }
    if numbers.once_in(6) {
        let offset = *numbers.choose(&[0, 0, 0, 8, 16, 24, 64, 1_480]);
        let more = !numbers.once_in(4);
        ip = ip.fragment(numbers.below(4), offset, more);
    }
    ip
}

fn payload(numbers: &mut Numbers, sent: &Sent, (source, destination): (u16, u16)) -> Vec<u8> {
    let rest = vec![0; numbers.below::<usize>(40)];
    let header = match sent.protocol {
        proto::TCP => packet::tcp(source, destination, *numbers.choose(&FLAGS)),
        proto::UDP => packet::udp(source, destination),
        proto::SCTP => packet::sctp(source, destination),
        protocol @ (proto::ICMP | proto::ICMPV6) => {
            if numbers.once_in(4) {
                packet::icmp(numbers.below(256), numbers.below(6), [0; 4], &[])
            } else {
                packet::echo(protocol, numbers.once_in(4), source)
            }
        }
        _ => Vec::new(),
    };
    [header, rest].concat()
}

/// Changes some bytes, or the length; not so that the kernel's test run refuses the frame.
fn damage(numbers: &mut Numbers, frame: &mut Vec<u8>) {
    let least = LEAST[usize::from(frame[12] == 0x86)];
    if !numbers.once_in(4) {
        return;
    }
    for _ in 0..numbers.below::<u8>(4) {
        // Not the EtherType, by which the kernel itself chooses what to check. Mostly headers.
        let length = u64::try_from(frame.len()).unwrap();
        let reach = if numbers.once_in(2) {
            length
        } else {
            length.min(64)
        };
        let at = 14 + numbers.below::<usize>(reach - 14);
        frame[at] = match numbers.below::<u8>(3) {
            0 => numbers.below(256),
            1 => frame[at] ^ (1 << numbers.below::<u8>(8)),
            _ => frame[at].wrapping_add(1),
        };
    }
    match numbers.below::<u8>(4) {
        0 => frame.truncate(least + numbers.below::<usize>(48)),
        1 => frame.extend(vec![0; numbers.below(20)]),
        _ => {}
    }
    frame.truncate(LONGEST);
}

/// A frame of no sense at all.
fn noise(numbers: &mut Numbers) -> Vec<u8> {
    let ethertype = *numbers.choose(&[
        0x0800, 0x86dd, 0x0806, 0x8847, 0x8100, 0x88cc, 0x0000, 0xffff,
    ]);
    let length = 40 + numbers.below::<usize>(100);
    let bytes: Vec<u8> = (0..length).map(|_| numbers.below(256)).collect();
    packet::ethernet(ethertype, &bytes)
}
