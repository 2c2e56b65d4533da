//! A node with two pods and an uplink to a host outside, and the two programs that are tested.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use policyd_e2e::programs;
use policyd_e2e::topology::{self, NODE_IPV4, NODE_IPV6, Topology, within};
use policyd_e2e::traffic::Servers;
use serde_json::Value;

/// Where servers listen on the node, in pods and outside.
pub(crate) const PORTS: [u16; 4] = [80, 5353, 8080, 9090];
/// The host outside, as the last of the topology's namespaces: its interface is the node's uplink.
const UPLINK: &str = "pod2";
const OUTSIDE_IPV4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);
const OUTSIDE_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x99);
/// Addresses of the node's that the inventory does not know.
const UPLINK_IPV4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const UPLINK_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 1);

static NUMBER: AtomicU32 = AtomicU32::new(0);

static PROGRAMS: LazyLock<PathBuf> =
    LazyLock::new(|| programs::build(&["policyc", "policyd"]).unwrap());

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// `shop/web`.
    Web,
    /// `shop/client`, which no policy selects.
    Client,
    /// By the address that the inventory has.
    Node,
    /// By an address that only the node itself knows of.
    Uplink,
    Outside,
}

/// The node. Programs, pins and files are removed when it is dropped.
pub(crate) struct Node {
    topology: Topology,
    _servers: Vec<Servers>,
    folder: PathBuf,
    pin_dir: PathBuf,
}

impl Node {
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("policyd-hosts-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).unwrap();
        let pin_dir = topology::ensure_bpffs().unwrap().join(&name);
        let addresses = [
            topology::addresses(0),
            topology::addresses(1),
            (OUTSIDE_IPV4, OUTSIDE_IPV6),
        ];
        let topology = Topology::with_addresses(&addresses).unwrap();
        let pods = topology.pods.iter().map(|pod| &pod.namespace);
        let servers = pods.chain([&topology.node]);
        let servers = servers.map(|name| Servers::start(name, &PORTS).unwrap());
        let servers = servers.collect();
        let node = Self {
            topology,
            _servers: servers,
            folder,
            pin_dir,
        };
        node.ip(&format!("addr add {UPLINK_IPV4}/24 dev {UPLINK}"));
        node.ip(&format!("addr add {UPLINK_IPV6}/64 dev {UPLINK} nodad"));
        node.ip(&format!(
            "route add default via {OUTSIDE_IPV4} dev {UPLINK}"
        ));
        node.ip(&format!(
            "-6 route add default via {OUTSIDE_IPV6} dev {UPLINK}"
        ));
        node.masquerade();
        node.configure("");
        fs::write(node.folder.join("inventory.yaml"), inventory()).unwrap();
        node
    }

    /// What pods send to the host outside gets the uplink's address, except for answers to it.
    fn masquerade(&self) {
        let chain = |family: &str, from: &str| {
            format!(
                "table {family} nat {{\nchain post {{\ntype nat hook postrouting priority srcnat;\n\
                 oifname \"{UPLINK}\" {family} saddr {from} masquerade\n}}\n}}\n"
            )
        };
        let table = chain("ip", "10.77.0.0/24") + &chain("ip6", "fd77::/64");
        within(&self.topology.node, || {
            let mut nft = Command::new("nft")
                .args(["-f", "-"])
                .stdin(Stdio::piped())
                .spawn()?;
            let mut input = nft
                .stdin
                .take()
                .ok_or_else(|| io::Error::other("no pipe"))?;
            input.write_all(table.as_bytes())?;
            drop(input);
            assert!(nft.wait()?.success(), "{table}");
            Ok(())
        })
        .unwrap();
    }

    /// Writes the configuration, with these lines for the node itself.
    pub(crate) fn configure(&self, host: &str) {
        let config = format!(
            "node = 'node-a'\npin_dir = '{}'\nstate_dir = '{}'\nevents_per_second = 1000\n[host]\n{host}\n\
             [[endpoint]]\ninterface = 'pod0'\npod = 'shop/web'\n[[endpoint]]\ninterface = 'pod1'\npod = 'shop/client'\n",
            self.pin_dir.display(),
            self.folder.join("state").display()
        );
        fs::write(self.folder.join("config.toml"), config).unwrap();
    }

    pub(crate) fn address(&self, party: Party, v4: bool) -> IpAddr {
        let [web, client, _] = &self.topology.pods[..] else {
            panic!("two pods and a host outside")
        };
        let (ipv4, ipv6) = match party {
            Party::Web => (web.ipv4, web.ipv6),
            Party::Client => (client.ipv4, client.ipv6),
            Party::Node => (NODE_IPV4, NODE_IPV6),
            Party::Uplink => (UPLINK_IPV4, UPLINK_IPV6),
            Party::Outside => (OUTSIDE_IPV4, OUTSIDE_IPV6),
        };
        if v4 { ipv4.into() } else { ipv6.into() }
    }

    pub(crate) fn namespace(&self, party: Party) -> &str {
        match party {
            Party::Web => &self.topology.pods[0].namespace,
            Party::Client => &self.topology.pods[1].namespace,
            Party::Node | Party::Uplink => &self.topology.node,
            Party::Outside => &self.topology.pods[2].namespace,
        }
    }

    /// Compiles policies and proves the bundle.
    pub(crate) fn compile(&self, policies: &str, revision: u32) {
        fs::write(self.folder.join("policies.yaml"), policies).unwrap();
        let mut build = self.policyc("build");
        build.args(["--policies", "policies.yaml", "--unsigned", "--prove"]);
        build.args(["--output", "bundle", "--revision", &revision.to_string()]);
        let output = build.output().unwrap();
        assert!(output.status.success(), "{policies}\n{}", errors(&output));
    }

    /// Puts the bundle into force.
    pub(crate) fn enforce(&self) {
        let output = self.run(&["--once"]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }

    /// The same as on a kernel without tcx.
    pub(crate) fn enforce_without_tcx(&self) {
        let mut run = self.run(&["--once"]);
        let run = policyd_e2e::old_kernel::without_tcx(&mut run);
        let output = run.output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }

    /// Why the bundle is refused.
    pub(crate) fn refusal(&self) -> String {
        let output = self.run(&["--once"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        errors(&output)
    }

    /// Starts the daemon.
    pub(crate) fn start(&self) -> Daemon {
        let mut child = self.run(&[]).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Daemon { child, lines }
    }

    /// Answers of the model to questions, in order.
    pub(crate) fn ask(&self, questions: &[Value]) -> Vec<bool> {
        let numbered = questions.iter().enumerate().map(|(id, question)| {
            let mut question = question.clone();
            question["id"] = id.into();
            question.to_string()
        });
        let lines: Vec<String> = numbered.collect();
        fs::write(self.folder.join("flows.jsonl"), lines.join("\n")).unwrap();
        let mut ask = self.policyc("verdicts");
        ask.args(["--policies", "policies.yaml", "--flows", "flows.jsonl"]);
        let output = ask.output().unwrap();
        let answers = String::from_utf8(output.stdout.clone()).unwrap();
        let mut found = vec![None; questions.len()];
        for line in answers.lines() {
            let answer: Value = serde_json::from_str(line).unwrap();
            let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
            found[id] = Some(match answer["verdict"].as_str() {
                Some("allow") => true,
                Some("deny") => false,
                _ => panic!("{line}"),
            });
        }
        let whole = |answer: Option<bool>| answer.unwrap_or_else(|| panic!("{}", errors(&output)));
        found.into_iter().map(whole).collect()
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.policyd(&["status", "--format", "json"]).output();
        serde_json::from_slice(&output.unwrap().stdout).unwrap()
    }

    /// Events that nobody has read yet.
    pub(crate) fn events(&self) -> Vec<Value> {
        let output = self.policyd(&["events", "--no-follow"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn doctor(&self) -> String {
        let output = self.policyd(&["doctor"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn detach(&self) {
        let output = self.policyd(&["detach"]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }

    /// Names of the links and programs that are pinned.
    pub(crate) fn links(&self) -> Vec<String> {
        let version = policy_abi::ABI_VERSION;
        let folder = self.pin_dir.join(format!("v{version}/links"));
        let entries = fs::read_dir(folder).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Runs `ip` in the node's namespace.
    pub(crate) fn ip(&self, line: &str) {
        let mut command = Command::new("ip");
        command
            .args(["-n", &self.topology.node])
            .args(line.split(' '));
        assert!(command.status().unwrap().success(), "ip {line}");
    }

    fn policyc(&self, command: &str) -> Command {
        let mut policyc = Command::new(PROGRAMS.join("policyc"));
        policyc.current_dir(&self.folder);
        policyc.args([command, "--inventory", "inventory.yaml", "--host-firewall"]);
        policyc
    }

    fn run(&self, arguments: &[&str]) -> Command {
        let mut command = self.policyd(&["run", "--allow-unsigned"]);
        command.arg("--bundle").arg(self.folder.join("bundle"));
        command.args(arguments);
        command
    }

    /// The daemon's program in the node's namespace.
    fn policyd(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.topology.node));
        command.arg(PROGRAMS.join("policyd")).args(arguments);
        command.arg("--config").arg(self.folder.join("config.toml"));
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nothing to be done about failures here.
        let _detached = self.policyd(&["detach"]).output();
        let _removed = fs::remove_dir_all(&self.pin_dir);
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Daemon {
    /// Waits for a line that contains a text.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut seen = String::new();
        while !seen.lines().last().unwrap_or_default().contains(text) {
            let read = self.lines.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "no `{text}` in:\n{seen}");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn inventory() -> String {
    let mut out = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\napiVersion: v1\nkind: Node\n\
         metadata: {{name: node-a}}\nspec: {{podCIDRs: [10.77.0.0/24, 'fd77::/64']}}\n\
         status: {{addresses: [{{type: InternalIP, address: {NODE_IPV4}}}, {{type: InternalIP, address: '{NODE_IPV6}'}}]}}\n"
    );
    for (number, name) in (0..).zip(["web", "client"]) {
        let (ipv4, ipv6) = topology::addresses(number);
        _ = write!(
            out,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}\n\
             spec: {{nodeName: node-a}}\nstatus: {{phase: Running, podIPs: [{{ip: {ipv4}}}, {{ip: '{ipv6}'}}]}}\n"
        );
    }
    out
}
