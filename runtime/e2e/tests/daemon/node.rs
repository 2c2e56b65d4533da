//! A node with two pods, a client and a server, and the daemon's files.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aya::maps::Array;
use policy_bundle::write::{Endpoint, Ipcache, Rule, encode};
use policy_bundle::{Contents, SigningKey, keys};
use policyd_e2e::programs;
use policyd_e2e::topology::{self, Pod, Topology};
use policyd_e2e::traffic::{Flow, Observed, Servers};
use serde_json::Value;

use crate::arena;

const CLIENT: u32 = 2;
const WEB: u32 = 3;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Ports on which the server answers.
const PORTS: [u16; 4] = [80, 81, 82, 83];

static NUMBER: AtomicU32 = AtomicU32::new(0);

static POLICYD: LazyLock<PathBuf> =
    LazyLock::new(|| programs::build(&["policyd"]).unwrap().join("policyd"));

/// The key that the daemon trusts.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The node. Files and pins are removed when it is dropped.
pub(crate) struct Node {
    pub(crate) topology: Topology,
    _servers: Servers,
    pub(crate) folder: PathBuf,
    pub(crate) pin_dir: PathBuf,
}

impl Node {
    /// `pod0` is the client, `pod1` the server.
    pub(crate) fn new() -> Self {
        let name = format!(
            "policyd-e2e-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).unwrap();
        let pin_dir = topology::ensure_bpffs().unwrap().join(&name);
        let topology = Topology::new(2).unwrap();
        let servers = Servers::start(&topology.pods[1].namespace, &PORTS).unwrap();
        fs::write(
            folder.join("key.pem"),
            keys::public_to_pem(&key().verifying_key()).unwrap(),
        )
        .unwrap();
        let node = Self {
            topology,
            _servers: servers,
            folder,
            pin_dir,
        };
        node.configure(&[("pod0", "shop/client"), ("pod1", "shop/web")]);
        node
    }

    pub(crate) fn configure(&self, endpoints: &[(&str, &str)]) {
        let (pins, state) = (self.pin_dir.display(), self.folder.join("state"));
        let mut text = format!(
            "node = 'node-a'\npin_dir = '{pins}'\nstate_dir = '{}'\n",
            state.display()
        );
        for (interface, pod) in endpoints {
            writeln!(
                text,
                "[[endpoint]]\ninterface = '{interface}'\npod = '{pod}'"
            )
            .unwrap();
        }
        fs::write(self.folder.join("config.toml"), text).unwrap();
    }

    /// Puts a pod into audit mode, which has to be the last one configured.
    pub(crate) fn audit(&self, pod: &str) {
        let path = self.folder.join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.trim_end().ends_with(&format!("pod = '{pod}'")));
        fs::write(path, text + "audit = true\n").unwrap();
    }

    /// Events that nobody has read yet.
    pub(crate) fn events(&self) -> Vec<Value> {
        let outcome = self.command(&["events", "--no-follow"], false);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let lines = outcome.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// A bundle in which the client may reach these ports of the server.
    pub(crate) fn write_bundle(&self, revision: u64, ports: &[u16], key: Option<&SigningKey>) {
        let file = encode(&self.contents(revision, ports), key).unwrap();
        fs::write(self.folder.join("bundle"), file).unwrap();
    }

    /// A bundle with many prefixes besides, in which the client may reach nothing.
    pub(crate) fn write_prefixes(&self, revision: u64, prefixes: u32) {
        let mut contents = self.contents(revision, &[]);
        contents.ipcache.extend((0..prefixes).map(|number| Ipcache {
            address: IpAddr::V4((0x1400_0000 + (number << 8)).into()),
            prefix_len: 24,
            identity: 0,
            node: None,
            own: None,
        }));
        fs::write(
            self.folder.join("bundle"),
            encode(&contents, Some(&key())).unwrap(),
        )
        .unwrap();
    }

    fn contents(&self, revision: u64, ports: &[u16]) -> Contents {
        let allow = |peer, ports: &[u16]| -> Vec<arena::Allow> {
            let both = |port: &u16| [(peer, TCP, *port), (peer, UDP, *port)];
            ports.iter().flat_map(both).collect()
        };
        let (ingress, egress) = (allow(CLIENT, ports), allow(WEB, &PORTS));
        let (arena, images) = arena::build(4, &[&ingress, &egress, &[]]);
        let [client, web] = &self.topology.pods[..] else {
            panic!("two pods")
        };
        let rule = |number: usize| Rule {
            key: format!("key-{number}"),
            name: format!("cnp shop/web ingress[{number}]"),
            file: "web.yaml".to_owned(),
            line: u32::try_from(number).unwrap() + 1,
        };
        Contents {
            revision,
            manifest: String::new(),
            arena,
            ipcache: [(client, CLIENT), (web, WEB)]
                .into_iter()
                .flat_map(addresses)
                .collect(),
            endpoints: vec![
                endpoint("shop/client", client, CLIENT, images[2], images[1]),
                endpoint("shop/web", web, WEB, images[0], images[2]),
            ],
            rules: (0..2 * (ports.len() + PORTS.len())).map(rule).collect(),
            identities: ["unknown", "host", "app=client", "app=web"]
                .map(str::to_owned)
                .to_vec(),
            nodes: vec!["node-a".to_owned()],
            host_identity: 1,
            certificate: None,
            logs: Vec::new(),
            proxies: Vec::new(),
            hosts: Vec::new(),
        }
    }

    /// Changes one byte in the middle of the bundle.
    pub(crate) fn damage_bundle(&self) {
        let path = self.folder.join("bundle");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    /// Checks what the client gets from ports 80 and 81, over IPv4 and IPv6.
    #[track_caller]
    pub(crate) fn expect(&self, wanted: [Observed; 2]) {
        let [client, web] = &self.topology.pods[..] else {
            panic!("two pods")
        };
        for (port, wanted) in PORTS.into_iter().zip(wanted) {
            for address in [IpAddr::V4(web.ipv4), IpAddr::V6(web.ipv6)] {
                let observed = Flow::tcp(&client.namespace, address, port)
                    .observe()
                    .unwrap();
                assert_eq!(observed, wanted, "{address} port {port}");
            }
        }
    }

    /// Connects to ports 80 and 83 for as long as `meanwhile` runs: how often, and how often the wrong thing
    /// happened.
    pub(crate) fn hammer(&self, meanwhile: impl FnOnce()) -> (u64, u64) {
        let [client, web] = &self.topology.pods[..] else {
            panic!("two pods")
        };
        let done = AtomicBool::new(false);
        let count = |port: u16, wanted: Observed| {
            let (mut tries, mut wrong) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                tries += 1;
                let observed = Flow::tcp(&client.namespace, web.ipv4, port)
                    .observe()
                    .unwrap();
                wrong += u64::from(observed != wanted);
            }
            (tries, wrong)
        };
        std::thread::scope(|scope| {
            let allowed = scope.spawn(|| count(80, Observed::Answered));
            let denied = scope.spawn(|| count(83, Observed::Silent));
            meanwhile();
            done.store(true, Ordering::Relaxed);
            let (allowed, denied) = (allowed.join().unwrap(), denied.join().unwrap());
            (allowed.0 + denied.0, allowed.1 + denied.1)
        })
    }

    /// Runs `policyd` in the node's namespace; `is_input` adds bundle and key.
    pub(crate) fn command(&self, arguments: &[&str], is_input: bool) -> Outcome {
        outcome(&mut self.prepare(arguments, is_input))
    }

    /// Runs the daemon once as on a kernel without tcx.
    pub(crate) fn once_without_tcx(&self) -> Outcome {
        let mut command = self.prepare(&["run", "--once"], true);
        outcome(policyd_e2e::old_kernel::without_tcx(&mut command))
    }

    /// Has the daemon look at a kernel without tcx.
    pub(crate) fn doctor_without_tcx(&self) -> Outcome {
        let mut command = self.prepare(&["doctor"], false);
        outcome(policyd_e2e::old_kernel::without_tcx(&mut command))
    }

    /// Has the daemon look at a kernel without BPF.
    pub(crate) fn doctor_without_bpf(&self) -> Outcome {
        let mut command = self.prepare(&["doctor"], false);
        outcome(policyd_e2e::old_kernel::without_bpf(&mut command))
    }

    /// What traffic control says in the node's namespace.
    pub(crate) fn tc(&self, line: &str) -> String {
        let mut command = Command::new("tc");
        command
            .args(["-n", &self.topology.node])
            .args(line.split(' '));
        let outcome = outcome(&mut command);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.stdout
    }

    pub(crate) fn prepare(&self, arguments: &[&str], is_input: bool) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.topology.node))
            .arg(&*POLICYD)
            .args(arguments);
        command.arg("--config").arg(self.folder.join("config.toml"));
        if is_input {
            command.arg("--bundle").arg(self.folder.join("bundle"));
            command.arg("--key").arg(self.folder.join("key.pem"));
        }
        command
    }

    pub(crate) fn once(&self) -> Outcome {
        self.command(&["run", "--once"], true)
    }

    pub(crate) fn detach(&self) -> Outcome {
        self.command(&["detach"], false)
    }

    pub(crate) fn status(&self) -> Value {
        let outcome = self.command(&["status", "--format", "json"], false);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    pub(crate) fn start(&self) -> Daemon {
        let mut child = self
            .prepare(&["run"], true)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Daemon { child, lines }
    }

    /// Where this version pins.
    pub(crate) fn pins(&self) -> PathBuf {
        let version = policy_abi::ABI_VERSION;
        self.pin_dir.join(format!("v{version}"))
    }

    /// Pins a map where the daemon expects another one.
    pub(crate) fn pin_wrong_map(&self) {
        let folder = self.pins().join("maps");
        fs::create_dir_all(&folder).unwrap();
        Array::<_, u32>::create(7, 0)
            .unwrap()
            .pin(folder.join("IPCACHE_HOST"))
            .unwrap();
    }

    pub(crate) fn remove_interface(&self) {
        self.ip("link del pod1");
    }

    /// Makes the server's interface again, as a container runtime would for a restarted pod.
    pub(crate) fn recreate_interface(&self) {
        let Pod {
            namespace,
            ipv4,
            ipv6,
            ..
        } = &self.topology.pods[1];
        let inside = |line: &str| ip(namespace, line);
        self.ip(&format!(
            "link add pod1 type veth peer name eth0 netns {namespace}"
        ));
        self.ip("addr add fe80::1/64 dev pod1 nodad");
        self.ip("link set pod1 up");
        inside(&format!("addr add {ipv4}/32 dev eth0"));
        inside(&format!("addr add {ipv6}/128 dev eth0 nodad"));
        inside("link set eth0 up");
        inside("route add 10.77.255.1 dev eth0 scope link");
        inside("route add default via 10.77.255.1 dev eth0");
        inside("-6 route add default via fe80::1 dev eth0");
        self.ip(&format!("route add {ipv4} dev pod1"));
        self.ip(&format!("-6 route add {ipv6} dev pod1"));
    }

    pub(crate) fn ip(&self, line: &str) {
        ip(&self.topology.node, line);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.detach();
        let _ = fs::remove_dir_all(&self.pin_dir);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Daemon {
    /// Waits for a line that contains a text, and returns it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.lines.read_line(&mut line).unwrap(),
                0,
                "no `{text}` in:\n{seen}"
            );
            if line.contains(text) {
                return line;
            }
            seen += &line;
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an operator would, and returns the exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal("TERM");
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ip(namespace: &str, line: &str) {
    let status = Command::new("ip")
        .args(["-n", namespace])
        .args(line.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {line}");
}

fn addresses((pod, identity): (&Pod, u32)) -> [Ipcache; 2] {
    let entry = |address, prefix_len| Ipcache {
        address,
        prefix_len,
        identity,
        node: None,
        own: None,
    };
    [
        entry(IpAddr::V4(pod.ipv4), 32),
        entry(IpAddr::V6(pod.ipv6), 128),
    ]
}

fn endpoint(name: &str, pod: &Pod, identity: u32, ingress: u32, egress: u32) -> Endpoint {
    let (ipv4, ipv6) = (Some(pod.ipv4), Some(pod.ipv6));
    Endpoint {
        name: name.to_owned(),
        node: Some(0),
        ipv4,
        ipv6,
        identity,
        ingress,
        egress,
    }
}
