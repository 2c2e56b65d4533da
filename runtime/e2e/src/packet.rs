//! Packets made by hand. Checksums stay zero: a policy does not look at them.

use std::net::IpAddr;

use policy_abi::proto;

/// TCP flag.
pub const FIN: u8 = 0x01;
/// TCP flag.
pub const SYN: u8 = 0x02;
/// TCP flag.
pub const RST: u8 = 0x04;
/// TCP flag.
pub const ACK: u8 = 0x10;
/// EtherType.
pub const ARP: u16 = 0x0806;
/// IPv6 extension header that says that this is a fragment.
const FRAGMENT: u8 = 44;
/// Hop limit unless told otherwise.
const HOP_LIMIT: u8 = 64;

/// An Ethernet frame.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// An IP header, of the family of its addresses.
#[derive(Clone, Debug)]
pub struct Ip {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    hop_limit: u8,
    fragment: Option<(u32, u16, bool)>,
    options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
}

impl Ip {
    /// A header for a transport protocol.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            hop_limit: HOP_LIMIT,
            fragment: None,
            options: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// Sets the hop limit.
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Makes it a fragment: identification, offset in bytes, whether more follow.
    pub fn fragment(mut self, id: u32, offset: u16, more: bool) -> Self {
        self.fragment = Some((id, offset, more));
        self
    }

    /// Sets IPv4 options, a multiple of 4 bytes.
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// Adds an IPv6 extension header: its number, and its bytes behind "next header".
    pub fn extension(mut self, kind: u8, body: &[u8]) -> Self {
        self.extensions.push((kind, body.to_vec()));
        self
    }

    /// The packet, without a link layer.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = self.ipv4_header(payload.len());
                header.extend_from_slice(&source.octets());
                header.extend_from_slice(&destination.octets());
                [header, self.options.clone(), payload.to_vec()].concat()
            }
            (source, destination) => {
                let (first, behind) = self.ipv6_chain();
                let length = u16::try_from(behind.len() + payload.len()).unwrap_or(u16::MAX);
                let mut header = vec![0x60, 0, 0, 0];
                header.extend_from_slice(&length.to_be_bytes());
                header.extend_from_slice(&[first, self.hop_limit]);
                header.extend_from_slice(&crate::datapath::spread(source).1);
                header.extend_from_slice(&crate::datapath::spread(destination).1);
                [header, behind, payload.to_vec()].concat()
            }
        }
    }

    /// The packet in an Ethernet frame.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let ethertype = if self.source.is_ipv4() {
            0x0800
        } else {
            0x86dd
        };
        ethernet(ethertype, &self.packet(payload))
    }

    fn ipv4_header(&self, payload: usize) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let length = u16::try_from(words * 4 + payload).unwrap_or(u16::MAX);
        let (id, offset, more) = self.fragment.unwrap_or_default();
        let [_, _, id_high, id_low] = id.to_be_bytes();
        let fragment = (offset / 8) | if more { 0x2000 } else { 0 };
        let mut header = vec![0x40 | u8::try_from(words).unwrap_or(15), 0];
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&[id_high, id_low]);
        header.extend_from_slice(&fragment.to_be_bytes());
        header.extend_from_slice(&[self.hop_limit, self.protocol, 0, 0]);
        header
    }

    /// Number of the first header behind the fixed one, and the extension headers.
    fn ipv6_chain(&self) -> (u8, Vec<u8>) {
        let mut headers = self.extensions.clone();
        if let Some((id, offset, more)) = self.fragment {
            let mut body = vec![0];
            body.extend_from_slice(&(offset & !7 | u16::from(more)).to_be_bytes());
            body.extend_from_slice(&id.to_be_bytes());
            headers.push((FRAGMENT, body));
        }
        let kinds: Vec<u8> = headers
            .iter()
            .map(|(kind, _)| *kind)
            .chain([self.protocol])
            .collect();
        let following = kinds.iter().skip(1);
        let behind = headers
            .iter()
            .zip(following)
            .flat_map(|((_, body), next)| [vec![*next], body.clone()].concat());
        (
            kinds.first().copied().unwrap_or(self.protocol),
            behind.collect(),
        )
    }
}

/// A TCP header without options.
pub fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    [
        &ports(source, destination)[..],
        &[0; 8],
        &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0],
    ]
    .concat()
}

/// A UDP header and no data.
pub fn udp(source: u16, destination: u16) -> Vec<u8> {
    [&ports(source, destination)[..], &[0, 8, 0, 0]].concat()
}

/// An SCTP common header.
pub fn sctp(source: u16, destination: u16) -> Vec<u8> {
    [&ports(source, destination)[..], &[0; 8]].concat()
}

/// An ICMP message: type, code, the four bytes behind the checksum, and what follows.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0], &rest[..], body].concat()
}

/// An echo request or reply with an identifier, of the family of `protocol`.
pub fn echo(protocol: u8, is_reply: bool, id: u16) -> Vec<u8> {
    let kind = match (protocol == proto::ICMP, is_reply) {
        (true, false) => 8,
        (true, true) => 0,
        (false, false) => 128,
        (false, true) => 129,
    };
    let [high, low] = id.to_be_bytes();
    icmp(kind, 0, [high, low, 0, 1], b"echo")
}

fn ports(source: u16, destination: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
    [a, b, c, d]
}
