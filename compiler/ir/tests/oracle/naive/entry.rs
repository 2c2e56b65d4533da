//! Entries: what every kind of policy comes down to before anything is merged.

use policyc_ir::rule::Direction;

use super::l7::Proxy;
use super::peer::Select;
use super::text::Port;

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// Drops.
    Deny,
    /// Lets pass.
    Allow,
    /// Leaves to the next tier.
    Pass,
}

/// Layer 4 of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    /// IP protocol, 0 for every one.
    pub(super) protocol: u8,
    /// Port.
    pub(super) port: Port,
}

/// One entry, for subjects that are found elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Which way.
    pub(super) direction: Direction,
    /// Tier, lower first.
    pub(super) tier: u8,
    /// Within the tier, lower first.
    pub(super) priority: u32,
    /// What it does.
    pub(super) act: Act,
    /// Whether it puts its subject into default deny.
    pub(super) default_deny: bool,
    /// The other side: any of these.
    pub(super) peers: Vec<Select>,
    /// Layer 4, each with what a proxy does there.
    pub(super) services: Vec<(Service, Proxy)>,
    /// `authentication.mode`.
    pub(super) auth: Option<String>,
}

/// Tier of every policy without tiers.
pub(super) const NORMAL: u8 = 200;
