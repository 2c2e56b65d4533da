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
    /// Dropped: the policy demands authentication, which the datapath cannot establish.
    AuthRequired = 15,
    /// Passed although the policy says no: the endpoint is in audit mode.
    Audited = 16,
    /// Dropped: to a service whose backends the policy tells apart.
    MixedService = 17,
    /// Dropped: to a service that has no backend at this port, as far as the bundle knows.
    NoBackend = 18,
    /// Passed: at a device of the node's, but no business of the node's policy. It is forwarded, or the node has none.
    Unjudged = 19,
    /// Dropped: a proxy has the last word, and none runs.
    NoProxy = 20,
}

impl Reason {
    /// The reason of a number, `None` for one that is not in use.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Allowed,
            1 => Self::Reply,
            2 => Self::Essential,
            3 => Self::PolicyDeny,
            4 => Self::DefaultDeny,
            5 => Self::Malformed,
            6 => Self::UnknownL3,
            7 => Self::UnknownL4,
            8 => Self::Spoofed,
            9 => Self::Misdelivered,
            10 => Self::NoEndpoint,
            11 => Self::NoGeneration,
            12 => Self::LostFragment,
            13 => Self::InvalidTables,
            14 => Self::ConntrackFull,
            15 => Self::AuthRequired,
            16 => Self::Audited,
            17 => Self::MixedService,
            18 => Self::NoBackend,
            19 => Self::Unjudged,
            20 => Self::NoProxy,
            _ => return None,
        })
    }

    /// Whether a packet with this reason passes.
    #[inline(always)]
    pub const fn passes(self) -> bool {
        matches!(
            self,
            Self::Allowed | Self::Reply | Self::Essential | Self::Audited | Self::Unjudged
        )
    }

    /// Whether the policy said no, as opposed to a packet that never got to be asked about.
    #[inline(always)]
    pub const fn is_policy(self) -> bool {
        matches!(
            self,
            Self::PolicyDeny
                | Self::DefaultDeny
                | Self::AuthRequired
                | Self::MixedService
                | Self::NoBackend
                | Self::NoProxy
        )
    }
}

/// Number of reasons, the length of the counters per reason.
pub const COUNT: u32 = 21;

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
    (Reason::AuthRequired, "auth-required"),
    (Reason::Audited, "audited"),
    (Reason::MixedService, "mixed-service"),
    (Reason::NoBackend, "no-backend"),
    (Reason::Unjudged, "unjudged"),
    (Reason::NoProxy, "no-proxy"),
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
