//! Cluster settings that change what policies mean. Names and defaults are those of Cilium's agent.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::label::filter::Filter;
use crate::port::Protocol;
use crate::rule::Kind;

/// A release of Cilium, as far as it changes what policies mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The `1` of `1.20`.
    pub major: u8,
    /// The `20` of `1.20`.
    pub minor: u8,
}

impl Version {
    /// The release whose meaning is taken unless another is named.
    pub const DEFAULT: Self = Self::new(1, 20);

    /// The oldest release whose meaning is known.
    pub const OLDEST: Self = Self::new(1, 17);
    /// The newest one.
    pub const NEWEST: Self = Self::DEFAULT;

    /// A release by its two numbers.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A version that is not two or three numbers with points between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidVersion;

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version is two numbers such as `1.20`")
    }
}

impl std::error::Error for InvalidVersion {}

impl FromStr for Version {
    type Err = InvalidVersion;

    /// Takes `1.20`, and `v1.20.3` too: patch releases do not change what policies mean.
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
            return Err(InvalidVersion);
        };
        if let Some(patch) = parts.next() {
            number::<u32>(patch)?;
        }
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

/// Digits only: the standard library would take a sign as well.
fn number<N: FromStr>(text: &str) -> Result<N, InvalidVersion> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(InvalidVersion)
}

/// `enable-policy`: when policy is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// For subjects that some rule selects.
    Default,
    /// For all; without rules everything is denied.
    Always,
    /// For none.
    Never,
}

/// Cluster settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the agent, under its own name"
)]
pub struct Settings {
    /// The release of Cilium.
    pub version: Version,
    /// `enable-policy`.
    pub enforcement: Enforcement,
    /// `allow-localhost` is `always` (or `auto` on Kubernetes): the host may reach its pods unless denied.
    pub allow_localhost: bool,
    /// `enable-host-firewall`: node policies are enforced.
    pub host_firewall: bool,
    /// `enable-non-default-deny-policies`: `enableDefaultDeny` is honoured.
    pub non_default_deny: bool,
    /// `policy-default-local-cluster`: peers are of the local cluster unless they say otherwise.
    pub default_local_cluster: bool,
    /// `cluster-name`.
    pub cluster: Arc<str>,
    /// `enable-node-selector-labels`.
    pub node_selector_labels: bool,
    /// `enable-extended-ip-protocols`.
    pub extended_protocols: bool,
    /// `enable-l7-proxy`.
    pub l7_proxy: bool,
    /// `enable-icmp-rules`.
    pub icmp_rules: bool,
    /// `enable-sctp`: without it, the datapath drops SCTP whatever policies say.
    pub sctp: bool,
    /// `policy-audit-mode`: what policies deny is reported and passes. Verdicts are those of the policies all the same.
    pub audit: bool,
    /// `enable-ipv4`.
    pub ipv4: bool,
    /// `enable-ipv6`.
    pub ipv6: bool,
    /// `bpf-policy-map-max`: entries that an endpoint's policy map has room for.
    pub policy_map_max: u32,
    /// `labels`: which labels exist for policy.
    pub labels: Filter,
    /// Kinds of policies that the agent does not watch (`enable-k8s-networkpolicy` and its like).
    pub unwatched: BTreeSet<Kind>,
}

impl Settings {
    /// The defaults of a release.
    ///
    /// Two of them are not the agent's: SCTP is carried and ClusterNetworkPolicy is watched, since who writes such a
    /// policy has switched it on.
    pub fn of(version: Version) -> Self {
        Self {
            version,
            enforcement: Enforcement::Default,
            allow_localhost: true,
            host_firewall: false,
            non_default_deny: true,
            default_local_cluster: version >= Version::new(1, 19),
            cluster: "default".into(),
            node_selector_labels: false,
            extended_protocols: false,
            l7_proxy: true,
            icmp_rules: true,
            sctp: true,
            audit: false,
            ipv4: true,
            ipv6: true,
            policy_map_max: 16_384,
            labels: Filter::default(),
            unwatched: BTreeSet::new(),
        }
    }

    /// The reserved label of addresses outside the cluster: one for all, or where there are two families, for each.
    pub const fn world(&self, ipv4: bool) -> &'static str {
        match (self.ipv4 && self.ipv6, ipv4) {
            (false, _) => "world",
            (true, true) => "world-ipv4",
            (true, false) => "world-ipv6",
        }
    }

    /// Whether the datapath carries flows of a protocol at all; others are dropped before policy is asked.
    pub fn carries(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::SCTP => self.sctp,
            Protocol::TCP | Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6 => true,
            _ => self.extended_protocols,
        }
    }
}

impl Default for Settings {
    /// Those of [`Version::DEFAULT`].
    fn default() -> Self {
        Self::of(Version::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_of_the_local_cluster_since_1_19() {
        let local = |minor| Settings::of(Version::new(1, minor)).default_local_cluster;
        assert_eq!([17, 18, 19, 20].map(local), [false, false, true, true]);
    }

    #[test]
    fn some_protocols_are_carried_only_if_a_setting_says_so() {
        let mut settings = Settings::default();
        let gre = Protocol(47);
        assert!(settings.carries(Protocol::SCTP) && !settings.carries(gre));
        (settings.sctp, settings.extended_protocols) = (false, true);
        assert!(!settings.carries(Protocol::SCTP) && settings.carries(gre));
        assert!(settings.carries(Protocol::TCP) && settings.carries(Protocol::ICMPV6));
    }

    #[test]
    fn versions_are_read_ordered_and_written() {
        let read = |text: &str| text.parse::<Version>().ok();
        assert_eq!(read("1.18"), Some(Version::new(1, 18)));
        assert_eq!(read("v1.19.3"), Some(Version::new(1, 19)));
        for wrong in [
            "", "1", "1.", "1.x", "+1.2", "1.2.", "1.2.3.4", "1.300", "1.20-rc",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(
            Version::new(1, 9) < Version::new(1, 18) && Version::new(1, 255) < Version::new(2, 0)
        );
        assert_eq!(Version::default().to_string(), "1.20");
    }
}
