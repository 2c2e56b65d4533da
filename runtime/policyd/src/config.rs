//! The configuration file: which node this is, how it is reached, and which pod is behind which interface.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use policy_abi::{arena, event};
use serde::Deserialize;

use crate::failure::Failure;
use crate::files;

/// Longest configuration file, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// Most endpoints of a node: half of the table's slots, so that probing stays short.
pub const ENDPOINTS_MAX: usize = arena::ENDPOINT_SLOTS as usize / 2;
/// Most devices of a node.
pub const DEVICES_MAX: usize = 64;
/// Longest interface name the kernel allows.
const INTERFACE_MAX: usize = 15;

/// The configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this node, as in the bundle.
    pub node: String,
    /// Folder in the BPF file system in which maps and links are pinned.
    #[serde(default = "default_pin_dir")]
    pub pin_dir: PathBuf,
    /// Folder that keeps the highest accepted revision and the bundle in force.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Whether all pods, and the node, are in audit mode: what the policy would drop passes, and is counted and reported.
    #[serde(default)]
    pub audit: bool,
    /// What a pod gets for a packet of its own that the policy drops.
    #[serde(default)]
    pub deny_response: DenyResponse,
    /// Events (new connections and drops) that each CPU may report per second; 0 for none.
    #[serde(default = "default_events")]
    pub events_per_second: u32,
    /// How the node's own policy is enforced.
    #[serde(default)]
    pub host: Host,
    /// Which pod is behind which interface.
    #[serde(default, rename = "endpoint")]
    pub endpoints: Vec<Endpoint>,
}

/// What a pod gets for a packet of its own that the policy drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DenyResponse {
    /// Nothing.
    #[default]
    None,
    /// An ICMP error, "administratively prohibited".
    Icmp,
}

/// How the node's own policy is enforced: what `nodeSelector` policies say of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Whether it is. If not, a bundle with such policies for this node is refused.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// The devices by which the node is reached.
    #[serde(default)]
    pub devices: Devices,
    /// Whether the node is in audit mode.
    #[serde(default)]
    pub audit: bool,
}

/// Whether the node's own policy is enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// It is.
    #[default]
    On,
    /// A bundle with policies for this node is refused.
    Off,
}

/// The devices by which the node is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "`devices` must be `auto` or a list of names")]
pub enum Devices {
    /// Those that have an address by which the bundle knows the node, or lead elsewhere by default.
    Auto(Auto),
    /// These.
    Named(Vec<String>),
}

impl Default for Devices {
    fn default() -> Self {
        Self::Auto(Auto::Auto)
    }
}

/// The word for devices that are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// The word.
    Auto,
}

/// A pod and the host's end of its veth pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Name of the interface on the host's side.
    pub interface: String,
    /// "namespace/pod", as in the bundle.
    pub pod: String,
    /// Whether this pod is in audit mode.
    #[serde(default)]
    pub audit: bool,
}

/// Events per second and CPU unless configured.
pub fn default_events() -> u32 {
    event::RATE
}

/// Where pins are unless configured.
pub fn default_pin_dir() -> PathBuf {
    PathBuf::from("/sys/fs/bpf/policyd")
}

/// Where state is unless configured.
pub fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/policyd")
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, has unknown keys, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = files::read_text(path, BYTES_MAX)?;
        Self::parse(&text).map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))
    }

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// If it is not TOML, has unknown keys, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let config: Self =
            toml::from_str(text).map_err(|error| Failure::usage(error.to_string().trim_end()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.node.is_empty() {
            return Err(Failure::usage(
                "`node` is empty; it must be the name of this node",
            ));
        }
        for (key, path) in [("pin_dir", &self.pin_dir), ("state_dir", &self.state_dir)] {
            if !path.is_absolute() {
                return Err(Failure::usage(format!(
                    "`{key}` is `{}`; it must be an absolute path",
                    path.display()
                )));
            }
        }
        if self.endpoints.len() > ENDPOINTS_MAX {
            let found = self.endpoints.len();
            return Err(Failure::usage(format!(
                "{found} endpoints are configured; at most {ENDPOINTS_MAX} are allowed"
            )));
        }
        self.check_endpoints()?;
        self.check_devices()
    }

    fn check_devices(&self) -> Result<(), Failure> {
        let Devices::Named(devices) = &self.host.devices else {
            return Ok(());
        };
        if devices.is_empty() || devices.len() > DEVICES_MAX {
            return Err(Failure::usage(format!(
                "`host.devices` names {} devices; it must be `auto` or name 1 to {DEVICES_MAX}",
                devices.len()
            )));
        }
        let mut known: BTreeSet<&str> = self.interfaces();
        for device in devices {
            if !is_interface_name(device) {
                return Err(Failure::usage(format!(
                    "`{device}` is not an interface name"
                )));
            }
            if !known.insert(device) {
                return Err(Failure::usage(format!(
                    "interface `{device}` is configured twice"
                )));
            }
        }
        Ok(())
    }

    /// Interfaces of pods.
    pub fn interfaces(&self) -> BTreeSet<&str> {
        let endpoints = self.endpoints.iter();
        endpoints.map(|pod| pod.interface.as_str()).collect()
    }

    fn check_endpoints(&self) -> Result<(), Failure> {
        let (mut interfaces, mut pods) = (BTreeSet::new(), BTreeSet::new());
        for Endpoint { interface, pod, .. } in &self.endpoints {
            if !is_interface_name(interface) {
                return Err(Failure::usage(format!(
                    "`{interface}` is not an interface name"
                )));
            }
            let is_pod = pod.split_once('/').is_some_and(|(namespace, name)| {
                !namespace.is_empty() && !name.is_empty() && !name.contains('/')
            });
            if !is_pod {
                return Err(Failure::usage(format!(
                    "`{pod}` is not of the form `namespace/pod`"
                )));
            }
            if !interfaces.insert(interface) {
                return Err(Failure::usage(format!(
                    "interface `{interface}` is configured twice"
                )));
            }
            if !pods.insert(pod) {
                return Err(Failure::usage(format!("pod `{pod}` is configured twice")));
            }
        }
        Ok(())
    }
}

/// The kernel's own rule for interface names.
fn is_interface_name(name: &str) -> bool {
    let forbidden =
        |byte: u8| byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte == 0;
    !name.is_empty()
        && name.len() <= INTERFACE_MAX
        && name != "."
        && name != ".."
        && !name.bytes().any(forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let failure = Config::parse(text).unwrap_err();
        assert_eq!(failure.cause().exit_code(), 2);
        failure.to_string()
    }

    #[test]
    fn defaults_fill_what_is_left_out() {
        let config =
            Config::parse("node = 'a'\n[[endpoint]]\ninterface = 'veth-web'\npod = 'shop/web'")
                .unwrap();
        assert_eq!(config.pin_dir, default_pin_dir());
        assert_eq!(config.state_dir, default_state_dir());
        assert_eq!(config.endpoints.len(), 1);
        assert_eq!(config.endpoints[0].pod, "shop/web");
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(message("node = 'a'\nspeed = 3").contains("unknown field `speed`"));
        assert!(
            message("node = 'a'\n[[endpoint]]\ninterface='i'\npod='a/b'\nmtu=1")
                .contains("unknown field `mtu`")
        );
        assert!(message("").contains("missing field `node`"));
    }

    #[test]
    fn contradictions_are_errors() {
        let endpoint = |interface: &str, pod: &str| {
            format!("[[endpoint]]\ninterface='{interface}'\npod='{pod}'\n")
        };
        let with = |endpoints: String| message(&format!("node='a'\n{endpoints}"));
        assert!(
            with(endpoint("x", "a/b") + &endpoint("x", "a/c"))
                .contains("interface `x` is configured twice")
        );
        assert!(
            with(endpoint("x", "a/b") + &endpoint("y", "a/b"))
                .contains("pod `a/b` is configured twice")
        );
        assert!(with(endpoint("x", "web")).contains("not of the form"));
        assert!(with(endpoint("a/b", "a/b")).contains("not an interface name"));
        assert!(with(endpoint("sixteen-letters-", "a/b")).contains("not an interface name"));
        assert!(message("node=''").contains("`node` is empty"));
        assert!(message("node='a'\npin_dir='x'").contains("absolute path"));
        let devices = |list: &str| message(&format!("node='a'\n[host]\ndevices={list}"));
        assert!(devices("[]").contains("names 0 devices"));
        assert!(devices("['a/b']").contains("not an interface name"));
        assert!(devices("['eth0', 'eth0']").contains("`eth0` is configured twice"));
        assert!(devices("'all'").contains("`auto` or a list of names"));
        let pod = endpoint("x", "a/b");
        assert!(
            message(&format!("node='a'\n[host]\ndevices=['x']\n{pod}"))
                .contains("`x` is configured twice")
        );
        let many: String = (0..=ENDPOINTS_MAX)
            .map(|n| endpoint(&format!("v{n}"), &format!("a/p{n}")))
            .collect();
        assert!(with(many).contains("at most 1024"));
    }
}
