//! The node: namespaces, servers, the daemon and its files.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cast::{Exchange, Kind, PARTIES, PROBES, Party};
use super::rescue::{self, Made};
use super::{Error, Options, check_stopped, command, steps};
use crate::topology::{self, Topology};
use crate::traffic::{Flow, Protocol, Servers};

/// What names of folders start with; the process follows.
const PREFIX: &str = "policyd-demo-";
/// How long the daemon may take to put a bundle into force.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two looks at the status.
const PAUSE: Duration = Duration::from_millis(50);

/// A folder for keys, bundle, configuration and state. Removed when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        remove_leftovers(&parent)?;
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        // Fails if it exists: keys must not go into a folder that somebody else has made.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| {
                Error::Failed(format!("`{}` cannot be made: {error}", path.display()))
            })?;
        rescue::remember(Made::Folder(path.clone()));
        Ok(Self(path))
    }

    pub(super) fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    pub(super) fn public_key(&self) -> PathBuf {
        self.0.join("key.pub.pem")
    }

    pub(super) fn bundle(&self) -> PathBuf {
        self.0.join("policy.bundle")
    }

    pub(super) fn flows(&self) -> PathBuf {
        self.0.join("flows.jsonl")
    }

    fn config(&self) -> PathBuf {
        self.0.join("policyd.toml")
    }

    fn log(&self) -> PathBuf {
        self.0.join("policyd.log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing to be done about a failure here.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// The node with its pods and the hosts outside. Daemon, pins and namespaces are removed when this is dropped.
#[derive(Debug)]
pub(super) struct Node<'a> {
    options: &'a Options,
    folder: &'a Folder,
    pins: PathBuf,
    daemon: Option<Child>,
    topology: Topology,
    _servers: Vec<Servers>,
}

impl<'a> Node<'a> {
    pub(super) fn new(options: &'a Options, folder: &'a Folder) -> Result<Self, Error> {
        let bpffs = topology::ensure_bpffs()?;
        remove_leftovers(&bpffs)?;
        let behind: Vec<_> = behind_node()
            .map(|party| (party.ipv4, party.ipv6))
            .collect();
        let topology = Topology::with_addresses(&behind)?;
        let names = topology.pods.iter().map(|pod| &pod.namespace);
        for name in names.chain([&topology.node]) {
            rescue::remember(Made::Namespace(name.clone()));
        }
        let pins = bpffs.join(format!("{PREFIX}{}", std::process::id()));
        rescue::remember(Made::Folder(pins.clone()));
        check_stopped()?;
        let node = Self {
            options,
            folder,
            pins,
            daemon: None,
            _servers: servers(&topology)?,
            topology,
        };
        fs::write(folder.config(), node.config())?;
        Ok(node)
    }

    /// The daemon's configuration: which pod is behind which interface.
    fn config(&self) -> String {
        let state = self.folder.0.join("state");
        let mut text = format!(
            "node = '{}'\npin_dir = '{}'\nstate_dir = '{}'\n",
            steps::NODE,
            self.pins.display(),
            state.display()
        );
        let pods = behind_node().zip(&self.topology.pods);
        for (party, pod) in pods.filter(|(party, _)| party.kind == Kind::Pod) {
            let (interface, name) = (&pod.interface, party.name);
            // Writing to a string cannot fail.
            let _written = write!(
                text,
                "[[endpoint]]\ninterface = '{interface}'\npod = '{name}'\n"
            );
        }
        text
    }

    /// The flow that an exchange stands for.
    pub(super) fn flow(&self, exchange: &Exchange) -> Flow {
        let from = namespace(&self.topology, &exchange.pair.from);
        let to = exchange.pair.to.address(exchange.pair.family);
        let port = exchange.probe.port;
        match exchange.probe.protocol {
            Protocol::Tcp => Flow::tcp(from, to, port),
            Protocol::Udp => Flow::udp(from, to, port),
            Protocol::Icmp => Flow::icmp(from, to),
        }
    }

    /// The daemon's command line as a person would type it on the node.
    pub(super) fn command_line(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.options.policyd);
        command.args(arguments);
        command::line(self.complete(&mut command, arguments))
    }

    fn complete<'c>(&self, command: &'c mut Command, arguments: &[&str]) -> &'c mut Command {
        command.arg("--config").arg(self.folder.config());
        if arguments.contains(&"run") {
            command.arg("--bundle").arg(self.folder.bundle());
            command.arg("--key").arg(self.folder.public_key());
        }
        command
    }

    /// The daemon's program in the node's namespace. It dies with this process, however that ends.
    fn policyd(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "nsenter"]);
        command.arg(format!("--net=/run/netns/{}", self.topology.node));
        command.arg(&self.options.policyd).args(arguments);
        self.complete(&mut command, arguments);
        command
    }

    /// Starts the daemon and waits until a newer generation than this is in force; returns that generation.
    pub(super) fn start(&mut self, older: u64) -> Result<u64, Error> {
        let log = File::create(self.folder.log())?;
        let mut command = self.policyd(&["run"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        self.daemon = Some(command.stderr(log).spawn()?);
        let start = Instant::now();
        loop {
            check_stopped()?;
            let generation = self.generation()?;
            if generation > older && self.log()?.contains("in force") {
                return Ok(generation);
            }
            let has_ended = match &mut self.daemon {
                Some(daemon) => daemon.try_wait()?.is_some(),
                None => true,
            };
            if has_ended || start.elapsed() > PATIENCE {
                return Err(Error::Failed(format!(
                    "policyd does not put the bundle into force; it said:\n{}",
                    self.log()?
                )));
            }
            thread::sleep(PAUSE);
        }
    }

    /// What the daemon has said since it was last started.
    pub(super) fn log(&self) -> Result<String, Error> {
        Ok(fs::read_to_string(self.folder.log())?)
    }

    fn generation(&self) -> Result<u64, Error> {
        let said = command::run(&mut self.policyd(&["status", "--format", "json"]), 0)?;
        let status: Value = serde_json::from_str(&said.stdout)
            .map_err(|error| Error::Failed(format!("the status is not JSON: {error}")))?;
        status
            .get("generation")
            .and_then(Value::as_u64)
            .ok_or_else(|| Error::Failed("the status tells no generation".to_owned()))
    }

    /// The status for people.
    pub(super) fn status(&self) -> Result<String, Error> {
        command::run(&mut self.policyd(&["status"]), 0).map(|said| said.stdout)
    }

    /// Ends the daemon as a crash would. The number of its process.
    pub(super) fn kill(&mut self) -> io::Result<Option<u32>> {
        let Some(mut daemon) = self.daemon.take() else {
            return Ok(None);
        };
        daemon.kill()?;
        daemon.wait()?;
        Ok(Some(daemon.id()))
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        // Nothing to be done about failures here; the next demo tries again.
        let _killed = self.kill();
        let _detached = self.policyd(&["detach"]).output();
        let _removed = fs::remove_dir_all(&self.pins);
    }
}

/// The parties behind interfaces of the node, in the order of the topology's pods.
fn behind_node() -> impl Iterator<Item = &'static Party> {
    PARTIES.iter().filter(|party| party.kind != Kind::Node)
}

/// The namespace that a party lives in: the node's own unless it is behind one of its interfaces.
fn namespace<'t>(topology: &'t Topology, party: &Party) -> &'t str {
    let found = behind_node()
        .zip(&topology.pods)
        .find(|(other, _)| *other == party);
    found.map_or(&topology.node, |(_, pod)| &pod.namespace)
}

/// Servers on every port that will be asked, everywhere: then silence can only mean a drop.
fn servers(topology: &Topology) -> Result<Vec<Servers>, Error> {
    let mut ports: Vec<u16> = PROBES
        .iter()
        .filter(|probe| probe.protocol != Protocol::Icmp)
        .map(|probe| probe.port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let start = |party| Ok(Servers::start(namespace(topology, party), &ports)?);
    PARTIES.iter().map(start).collect()
}

/// Removes folders of demos whose process is gone. A demo that was killed cannot clean up.
fn remove_leftovers(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX);
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another demo may be doing the same, or it is somebody else's.
            let _removed = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}
