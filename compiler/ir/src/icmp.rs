//! ICMP message types by name.

use crate::port::Protocol;

const V4: &[(&str, u8)] = &[
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

const V6: &[(&str, u8)] = &[
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

/// The protocol of a `family`: IPv4 if absent. `None` if it is neither `IPv4` nor `IPv6`.
pub fn family(text: Option<&str>) -> Option<Protocol> {
    match text {
        None | Some("IPv4" | "") => Some(Protocol::ICMP),
        Some("IPv6") => Some(Protocol::ICMPV6),
        Some(_) => None,
    }
}

/// The number of a type's name, which is case-sensitive.
pub fn type_number(protocol: Protocol, name: &str) -> Option<u8> {
    table(protocol)
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// The names of a family's types.
pub fn type_names(protocol: Protocol) -> impl Iterator<Item = &'static str> {
    table(protocol).iter().map(|(name, _)| *name)
}

fn table(protocol: Protocol) -> &'static [(&'static str, u8)] {
    if protocol == Protocol::ICMPV6 { V6 } else { V4 }
}
