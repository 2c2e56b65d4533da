//! What the benchmark's programs and its user space agree on. No product program uses any of it.

/// Most decisions of one run.
pub const DECISIONS: u32 = 32;
/// Distance of the ports that rules name, so that they lie on different pages.
pub const PORT_STEP: u16 = 61;
/// First of those ports.
pub const PORT_FIRST: u16 = 1024;
/// Record of what no rule decides.
pub const NOTHING: u32 = 1;
/// Record of the first rule.
pub const FIRST_RULE: u32 = 2;

/// What the keys of a run are drawn from.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Start of the random numbers.
    pub seed: u64,
    /// Decisions of one run.
    pub decisions: u32,
    /// Identities that there are, the unknown one included.
    pub identities: u32,
    /// Identities that rules name.
    pub named: u32,
    /// Distance of those.
    pub stride: u32,
    /// Ports that rules name.
    pub ports: u32,
    /// Bits of what is waited for that the next key depends on: none, or all of them, so that decisions cannot overlap.
    pub chain: u32,
}

/// Key of the reference's policy map, in the layout of Cilium's: everything that an entry may leave out comes last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyKey {
    /// Identity, 0 for any.
    pub identity: u32,
    /// Direction in the highest bit.
    pub direction: u8,
    /// Protocol, 0 for any.
    pub protocol: u8,
    /// Port in network order; its low bits may be left out.
    pub port: [u8; 2],
}

/// Value of the reference's policy map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyValue {
    /// Port of a proxy, 0 for none.
    pub proxy_port: u16,
    /// Whether this denies (1), and bits of protocol and port in the key, shifted by 3.
    pub deny: u8,
    /// Authentication, 0 for none.
    pub auth: u8,
    /// Higher ones win.
    pub precedence: u32,
    /// Number of the record that says the same.
    pub record: u32,
}

/// Bits of a policy key that never are left out: identity and direction.
pub const STATIC_BITS: u32 = 40;
/// Bits of a whole policy key.
pub const KEY_BITS: u32 = 64;

const _: () = assert!(size_of::<Config>() == 32);
const _: () = assert!(size_of::<PolicyKey>() == 8 && size_of::<PolicyValue>() == 12);

/// A decision as one number: what all ways of deciding must agree on.
#[inline(always)]
pub const fn decision(record: u32, passes: bool) -> u32 {
    record.wrapping_mul(2).wrapping_add(passes as u32)
}

/// Random numbers for keys.
#[inline(always)]
pub const fn advance(state: u64) -> u64 {
    state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
}

/// Identity and port that a random number stands for. One in eight is of any identity, one in eight has any port.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "as many bits as are wanted, and numbers below limits of that many"
)]
pub const fn key(config: &Config, random: u64) -> (u32, u16) {
    let (high, low) = (random >> 40, (random >> 16) & 0xff_ffff);
    let identity = if random >> 61 == 0 {
        scale(high, config.identities)
    } else {
        1 + scale(high, config.named) * config.stride
    };
    let port = if (random >> 58).is_multiple_of(8) {
        low as u16
    } else {
        PORT_FIRST + scale(low, config.ports) as u16 * PORT_STEP
    };
    (identity, port)
}

/// A number below `limit`, from one of 24 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "it is below a `u32`")]
const fn scale(random: u64, limit: u32) -> u32 {
    (((random & 0xff_ffff) * limit as u64) >> 24) as u32
}
