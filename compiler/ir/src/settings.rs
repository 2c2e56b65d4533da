//! Cluster settings that change what policies mean. Names and defaults are those of Cilium's agent.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: Version::DEFAULT,
            enforcement: Enforcement::Default,
            allow_localhost: true,
            host_firewall: false,
            non_default_deny: true,
            default_local_cluster: true,
            cluster: "default".into(),
            node_selector_labels: false,
            extended_protocols: false,
            l7_proxy: true,
            icmp_rules: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

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
