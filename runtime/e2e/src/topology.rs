//! A node and its pods as network namespaces.
//!
//! ```text
//!   pod 0                 pod 1          …    each in a namespace of its own: 10.77.0.10+n, fd77::10+n
//!     eth0                  eth0
//!       │                     │
//!   pod0 fe80::1          pod1 fe80::1        host sides, in the node's namespace: programs attach here
//!       └──────── node ───────┘               routes between them; 10.77.255.1 on loopback
//! ```

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::sys;

/// Most pods of one topology.
pub const PODS_MAX: u8 = 64;
/// Name of a pod's interface in its own namespace.
pub const POD_INTERFACE: &str = "eth0";
/// What names of namespaces start with; the process and a number follow.
const PREFIX: &str = "pe2e-";
/// Where the `ip` command keeps namespaces.
const NAMESPACES: &str = "/run/netns";
/// Where pinned BPF objects live.
const BPFFS: &str = "/sys/fs/bpf";
/// Type number of that file system.
const BPFFS_MAGIC: i64 = 0xcafe_4a11;
/// Topologies made by this process, to keep names apart.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Gateway of all pods: an address of the node's own.
pub const NODE_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 255, 1);
/// The node's IPv6 address.
pub const NODE_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0xff, 1);

/// A pod: a namespace with one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Name of the pod's namespace.
    pub namespace: String,
    /// Name of the interface's host side, in the node's namespace.
    pub interface: String,
    /// Index of that interface.
    pub ifindex: u32,
    /// IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address.
    pub ipv6: Ipv6Addr,
}

/// A node and its pods. Everything is removed when this is dropped.
#[derive(Debug)]
pub struct Topology {
    /// Name of the node's namespace.
    pub node: String,
    /// The pods, numbered from 0.
    pub pods: Vec<Pod>,
}

impl Topology {
    /// Makes a node with this many pods. Namespaces that a killed process left behind are removed first.
    pub fn new(pods: u8) -> io::Result<Self> {
        Self::with_addresses(&(0..pods).map(addresses).collect::<Vec<_>>())
    }

    /// Makes a node with a pod for each pair of addresses.
    pub fn with_addresses(pods: &[(Ipv4Addr, Ipv6Addr)]) -> io::Result<Self> {
        if pods.len() > usize::from(PODS_MAX) {
            return Err(io::Error::other(format!(
                "a topology has at most {PODS_MAX} pods"
            )));
        }
        remove_leftovers()?;
        let name = format!(
            "{PREFIX}{}-{}",
            std::process::id(),
            MADE.fetch_add(1, Ordering::Relaxed)
        );
        let node = format!("{name}-node");
        // Exists from here on, so that a failure below cleans up too.
        let mut topology = Self {
            node,
            pods: Vec::new(),
        };
        topology.make_node()?;
        for (number, addresses) in pods.iter().enumerate() {
            topology.make_pod(&name, number, *addresses)?;
        }
        topology.meet()?;
        Ok(topology)
    }

    fn make_node(&self) -> io::Result<()> {
        ip(&["netns", "add", &self.node])?;
        for settings in [
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
            "net.ipv6.conf.default.accept_dad=0",
        ] {
            set(&self.node, settings)?;
        }
        self.ip(&["link", "set", "lo", "up"])?;
        self.ip(&["addr", "add", &format!("{NODE_IPV4}/32"), "dev", "lo"])?;
        self.ip(&[
            "addr",
            "add",
            &format!("{NODE_IPV6}/128"),
            "dev",
            "lo",
            "nodad",
        ])
    }

    fn make_pod(
        &mut self,
        name: &str,
        number: usize,
        (ipv4, ipv6): (Ipv4Addr, Ipv6Addr),
    ) -> io::Result<()> {
        let namespace = format!("{name}-pod{number}");
        let interface = format!("pod{number}");
        ip(&["netns", "add", &namespace])?;
        self.pods.push(Pod {
            namespace: namespace.clone(),
            interface: interface.clone(),
            ifindex: 0,
            ipv4,
            ipv6,
        });
        set(&namespace, "net.ipv6.conf.default.accept_dad=0")?;
        let (v4, v6) = (ipv4.to_string(), ipv6.to_string());
        self.ip(&[
            "link",
            "add",
            &interface,
            "type",
            "veth",
            "peer",
            "name",
            POD_INTERFACE,
            "netns",
            &namespace,
        ])?;
        self.ip(&["addr", "add", "fe80::1/64", "dev", &interface, "nodad"])?;
        self.ip(&["link", "set", &interface, "up"])?;
        let gateway = NODE_IPV4.to_string();
        for line in [
            vec!["link", "set", "lo", "up"],
            vec!["addr", "add", &format!("{v4}/32"), "dev", POD_INTERFACE],
            vec![
                "addr",
                "add",
                &format!("{v6}/128"),
                "dev",
                POD_INTERFACE,
                "nodad",
            ],
            vec!["link", "set", POD_INTERFACE, "up"],
            vec![
                "route",
                "add",
                &gateway,
                "dev",
                POD_INTERFACE,
                "scope",
                "link",
            ],
            vec![
                "route",
                "add",
                "default",
                "via",
                &gateway,
                "dev",
                POD_INTERFACE,
            ],
            vec![
                "-6",
                "route",
                "add",
                "default",
                "via",
                "fe80::1",
                "dev",
                POD_INTERFACE,
            ],
        ] {
            ip(&[&["-n", &namespace], line.as_slice()].concat())?;
        }
        self.ip(&["route", "add", &v4, "dev", &interface])?;
        self.ip(&["-6", "route", "add", &v6, "dev", &interface])?;
        let ifindex = self.ifindex(&interface)?;
        self.pods
            .last_mut()
            .map(|pod| pod.ifindex = ifindex)
            .ok_or_else(|| io::Error::other("no pod"))
    }

    /// Lets node and pods learn each other's link-layer addresses, so that the first packet of a test is not the
    /// one that waits for it.
    fn meet(&self) -> io::Result<()> {
        for pod in &self.pods {
            for address in [IpAddr::V4(pod.ipv4), IpAddr::V6(pod.ipv6)] {
                let flow = crate::traffic::Flow::icmp(&self.node, address);
                flow.observe_until(crate::traffic::Observed::Answered)?;
            }
        }
        Ok(())
    }

    /// Index of an interface of the node, as the kernel's own files tell it.
    fn ifindex(&self, interface: &str) -> io::Result<u32> {
        let output = Command::new("ip")
            .args(["-n", &self.node, "-o", "link", "show", "dev", interface])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.split(':').next().unwrap_or_default();
        number
            .trim()
            .parse()
            .map_err(|_| io::Error::other(format!("no index for interface `{interface}`")))
    }

    fn ip(&self, arguments: &[&str]) -> io::Result<()> {
        ip(&[&["-n", self.node.as_str()], arguments].concat())
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        for namespace in self
            .pods
            .iter()
            .map(|pod| &pod.namespace)
            .chain([&self.node])
        {
            // Nothing to be done about a failure here; the next topology tries again.
            let _removed = ip(&["netns", "del", namespace]);
        }
    }
}

/// Addresses of a pod that [`Topology::new`] makes.
pub fn addresses(number: u8) -> (Ipv4Addr, Ipv6Addr) {
    let last = 10_u8.wrapping_add(number);
    (
        Ipv4Addr::new(10, 77, 0, last),
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(last)),
    )
}

/// Runs a function on a thread of its own inside a named namespace.
pub fn within<T: Send>(
    namespace: &str,
    run: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let file = File::open(Path::new(NAMESPACES).join(namespace))?;
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            sys::enter_network(file.as_fd())?;
            run()
        });
        inside
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace failed")))
    })
}

/// Sees to it that pinned objects have a place to live, and says where.
pub fn ensure_bpffs() -> io::Result<PathBuf> {
    let path = PathBuf::from(BPFFS);
    if sys::file_system(&path)? != BPFFS_MAGIC {
        sys::mount_bpffs(&path)?;
    }
    Ok(path)
}

/// Removes namespaces whose process is gone.
pub fn remove_leftovers() -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else {
        return Ok(());
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another process may be doing the same.
            let _removed = ip(&["netns", "del", &name]);
        }
    }
    Ok(())
}

/// Writes a setting of a namespace, which shows only to threads inside it.
fn set(namespace: &str, setting: &str) -> io::Result<()> {
    let (name, value) = setting
        .split_once('=')
        .ok_or_else(|| io::Error::other("not a setting"))?;
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    within(namespace, || std::fs::write(path, value))
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "`ip {}`: {}",
        arguments.join(" "),
        message.trim()
    )))
}
