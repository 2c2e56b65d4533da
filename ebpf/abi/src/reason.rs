//! Why a packet was passed or dropped, and the counters.

/// Reason of a verdict. The numbers are part of the ABI; new ones are added at the end.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Passed: the policy allows it, or nothing is enforced.
    Allowed = 0,
    /// Passed: reply to, or error about, a connection that was allowed.
    Reply = 1,
    /// Passed: ARP, neighbour discovery, or fragmentation-needed.
    Essential = 2,
    /// Dropped by a deny rule.
    PolicyDeny = 3,
    /// Dropped because no rule allows it.
    DefaultDeny = 4,
    /// Dropped: truncated or malformed headers.
    Malformed = 5,
    /// Dropped: neither IPv4, IPv6 nor ARP.
    UnknownL3 = 6,
    /// Dropped: an IP protocol that is not judged.
    UnknownL4 = 7,
    /// Dropped: the source is not the endpoint's own address.
    Spoofed = 8,
    /// Dropped: the destination is not the endpoint's own address.
    Misdelivered = 9,
    /// Dropped: the interface has no endpoint.
    NoEndpoint = 10,
    /// Dropped: no generation is loaded.
    NoGeneration = 11,
    /// Dropped: a later fragment whose first was not seen.
    LostFragment = 12,
    /// Dropped: the tables do not know the identity or hold an invalid record.
    InvalidTables = 13,
    /// Dropped: the connection could not be recorded.
    ConntrackFull = 14,
}

/// Number of reasons, the length of the counters per reason.
pub const COUNT: u32 = 15;

/// All reasons in order, with the names shown to people.
pub const ALL: [(Reason, &str); COUNT as usize] = [
    (Reason::Allowed, "allowed"),
    (Reason::Reply, "reply"),
    (Reason::Essential, "essential"),
    (Reason::PolicyDeny, "policy-deny"),
    (Reason::DefaultDeny, "default-deny"),
    (Reason::Malformed, "malformed"),
    (Reason::UnknownL3, "unknown-l3"),
    (Reason::UnknownL4, "unknown-l4"),
    (Reason::Spoofed, "spoofed"),
    (Reason::Misdelivered, "misdelivered"),
    (Reason::NoEndpoint, "no-endpoint"),
    (Reason::NoGeneration, "no-generation"),
    (Reason::LostFragment, "lost-fragment"),
    (Reason::InvalidTables, "invalid-tables"),
    (Reason::ConntrackFull, "conntrack-full"),
];

/// A per-CPU counter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets counted.
    pub packets: u64,
    /// Their bytes, link layer included.
    pub bytes: u64,
}

/// Records counted per generation slot; an image with more is refused.
pub const RECORDS_COUNTED: u32 = 16_384;
