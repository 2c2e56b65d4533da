//! Replacing the policy of a node, by the daemon as it is shipped.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use policy_abi::arena::{Read as _, header, record};
use policy_abi::proto;
use policy_abi::reason::Reason;
use policy_bundle::Contents;
use policy_bundle::write::{Endpoint, Ipcache, encode};
use serde_json::{Value, json};

use super::median;
use crate::arena::{Arena, Image};
use crate::topology::{Topology, ensure_bpffs};

/// Pods of the node, and identities of the cluster, each with an address.
const PODS: u16 = 110;
const IDENTITIES: u32 = 20_000;
/// Identities and ports that a pod's policy names.
const NAMED: u32 = 32;
const PORTS: u32 = 8;
/// Replacements that are measured, after those that are not.
const REPLACEMENTS: u16 = 20;
const WARM_UP: u16 = 3;

/// Milliseconds of replacing a node's policy.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// From the signal to the new generation in force at every pod, the reading and checking of the bundle included.
    pub median: f64,
    pub most: f64,
    /// Time that the daemon had a processor for it, which other things going on do not change.
    pub processor: f64,
    /// The first start: loading programs, making maps, attaching.
    pub first: f64,
    /// Bytes of the bundle, and of the tables in it.
    pub bundle_bytes: usize,
    pub tables_bytes: u32,
}

impl fmt::Display for Replacement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "replacing the policy of {PODS} pods ({IDENTITIES} identities and addresses, {} bytes of tables, {} of \
             bundle): median {:.1} ms, most {:.1} ms, {:.1} ms of them on a processor; first start {:.0} ms",
            self.tables_bytes,
            self.bundle_bytes,
            self.median,
            self.most,
            self.processor,
            self.first
        )
    }
}

impl Replacement {
    pub(super) fn json(&self) -> Value {
        json!({
            "pods": PODS,
            "identities": IDENTITIES,
            "tables_bytes": self.tables_bytes,
            "bundle_bytes": self.bundle_bytes,
            "median_ms": self.median,
            "most_ms": self.most,
            "processor_ms": self.processor,
            "first_start_ms": self.first,
        })
    }
}

/// Measures on a node made for it.
pub(super) fn measure(policyd: &Path) -> io::Result<Replacement> {
    let node = Node::new(policyd)?;
    let contents = contents();
    let tables_bytes = contents.arena.u32(header::USED);
    let bundle_bytes = node.write(&contents, 1)?;
    let start = Instant::now();
    let mut daemon = node.start()?;
    daemon.wait_for(1)?;
    let first = start.elapsed().as_secs_f64() * 1e3;
    let (mut times, before) = (Vec::new(), daemon.processor()?);
    for revision in (2..).take(usize::from(WARM_UP + REPLACEMENTS)) {
        node.write(&contents, revision)?;
        let start = Instant::now();
        daemon.reload()?;
        daemon.wait_for(revision)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let processor = (daemon.processor()? - before) / f64::from(WARM_UP + REPLACEMENTS);
    let times: Vec<f64> = times.into_iter().skip(WARM_UP.into()).collect();
    let most = times.iter().copied().fold(0.0, f64::max);
    Ok(Replacement {
        median: median(times),
        most,
        processor,
        first,
        bundle_bytes,
        tables_bytes,
    })
}

/// Every pod has a policy of its own in both directions.
fn contents() -> Contents {
    let images: Vec<Image> = (0..u32::from(PODS) * 2).map(image).collect();
    let records = [
        (record::ALLOW, Reason::Allowed, 0),
        (record::DENY, Reason::DefaultDeny, 0),
    ];
    let arena = Arena::new(IDENTITIES, 0, &records, &images);
    let used = arena.bytes().u32(header::USED) as usize;
    let pod = |number: u16| Endpoint {
        name: format!("bench/pod-{number}"),
        node: Some(0),
        ipv4: Some(address(u32::from(number) + 1)),
        ipv6: None,
        identity: u32::from(number) + 1,
        ingress: arena.image(usize::from(number) * 2),
        egress: arena.image(usize::from(number) * 2 + 1),
    };
    let known = |identity| Ipcache {
        address: IpAddr::V4(address(identity)),
        prefix_len: 32,
        identity,
        node: None,
        own: None,
    };
    Contents {
        revision: 0,
        manifest: String::new(),
        arena: arena.bytes().get(..used).unwrap_or_default().to_vec(),
        ipcache: (1..IDENTITIES).map(known).collect(),
        endpoints: (0..PODS).map(pod).collect(),
        rules: Vec::new(),
        identities: (0..IDENTITIES)
            .map(|number| format!("app=bench-{number}"))
            .collect(),
        nodes: vec!["bench".to_owned()],
        host_identity: 1,
        certificate: None,
        logs: Vec::new(),
        proxies: Vec::new(),
        hosts: Vec::new(),
    }
}

fn address(identity: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | identity)
}

fn image(number: u32) -> Image {
    let mut peers = vec![0; IDENTITIES as usize];
    for peer in 0..NAMED {
        let at = (number * 977 + peer * 613 + 1) % IDENTITIES;
        if let Some(class) = peers.get_mut(at as usize) {
            *class = u16::try_from(peer % 4 + 1).unwrap_or_default();
        }
    }
    let mut ports = vec![0; 65_536];
    for port in 0..PORTS {
        let at = (number * 31 + port * 1009 + 80) % 65_536;
        if let Some(class) = ports.get_mut(at as usize) {
            *class = u16::try_from(port % 4 + 1).unwrap_or_default();
        }
    }
    let cell = |peer: usize, port: usize| if peer != 0 && port >= peer { 1 } else { 2 };
    Image {
        peers,
        ports: BTreeMap::from([(proto::slot(proto::TCP), ports)]),
        cells: (0..5)
            .map(|peer| (0..5).map(|port| cell(peer, port)).collect())
            .collect(),
    }
}

/// A namespace with an interface for each pod, and the daemon's files. Removed when dropped.
struct Node {
    topology: Topology,
    policyd: PathBuf,
    folder: PathBuf,
    pins: PathBuf,
}

impl Node {
    fn new(policyd: &Path) -> io::Result<Self> {
        let name = format!("policyd-bench-{}", std::process::id());
        let node = Self {
            topology: Topology::new(0)?,
            policyd: policyd.to_owned(),
            folder: std::env::temp_dir().join(&name),
            pins: ensure_bpffs()?.join(&name),
        };
        fs::create_dir_all(&node.folder)?;
        let mut config = format!(
            "node = 'bench'\npin_dir = '{}'\nstate_dir = '{}'\n",
            node.pins.display(),
            node.folder.join("state").display()
        );
        let mut links = String::new();
        for number in 0..PODS {
            let _written = writeln!(
                config,
                "[[endpoint]]\ninterface = 'bench{number}'\npod = 'bench/pod-{number}'"
            );
            let _written = writeln!(
                links,
                "link add bench{number} type veth peer name peer{number}"
            );
        }
        fs::write(node.folder.join("config.toml"), config)?;
        let batch = node.folder.join("links");
        fs::write(&batch, links)?;
        let mut command = Command::new("ip");
        command
            .args(["-n", &node.topology.node, "-batch"])
            .arg(batch);
        if !command.status()?.success() {
            return Err(io::Error::other("the interfaces cannot be made"));
        }
        Ok(node)
    }

    /// Writes a bundle and says how long it is.
    fn write(&self, contents: &Contents, revision: u64) -> io::Result<usize> {
        let contents = Contents {
            revision,
            ..contents.clone()
        };
        let bytes = encode(&contents, None).map_err(io::Error::other)?;
        fs::write(self.folder.join("bundle"), &bytes)?;
        Ok(bytes.len())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.topology.node))
            .arg(&self.policyd)
            .args(arguments)
            .arg("--config")
            .arg(self.folder.join("config.toml"));
        command
    }

    fn start(&self) -> io::Result<Daemon> {
        let mut command = self.command(&["run", "--allow-unsigned"]);
        command.arg("--bundle").arg(self.folder.join("bundle"));
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let lines = child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("the daemon has no output"))?;
        Ok(Daemon {
            child,
            lines: BufReader::new(lines),
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nothing to be done about failures here.
        let _detached = self.command(&["detach"]).output();
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

/// The running daemon; ended when dropped.
struct Daemon {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Daemon {
    fn reload(&self) -> io::Result<()> {
        let id = self.child.id().to_string();
        if Command::new("kill").args(["-HUP", &id]).status()?.success() {
            Ok(())
        } else {
            Err(io::Error::other("the daemon is gone"))
        }
    }

    /// Milliseconds that it has had a processor.
    fn processor(&self) -> io::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id()))?;
        let nanoseconds = text
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok());
        let nanoseconds: u64 = nanoseconds.ok_or_else(|| io::Error::other("no such file"))?;
        Ok(Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3)
    }

    fn wait_for(&mut self, revision: u64) -> io::Result<()> {
        let wanted = format!("in force: revision {revision},");
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Err(io::Error::other(format!("the daemon has ended: {seen}")));
            }
            if line.contains(&wanted) {
                return Ok(());
            }
            seen += &line;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be gone already.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
