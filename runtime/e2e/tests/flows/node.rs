//! The node: namespaces, servers, and the two programs that are tested.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use policyd_e2e::programs;
use policyd_e2e::topology::{self, Topology};
use policyd_e2e::traffic::Servers;
use serde_json::Value;

use crate::cluster::{self, PODS};

static PROGRAMS: LazyLock<PathBuf> =
    LazyLock::new(|| programs::build(&["policyc", "policyd"]).unwrap());

/// The node. Programs, pins and files are removed when it is dropped.
pub(crate) struct Node {
    pub(crate) topology: Topology,
    _servers: Vec<Servers>,
    folder: PathBuf,
    pin_dir: PathBuf,
}

impl Node {
    pub(crate) fn new() -> Self {
        let name = format!("policyd-flows-{}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).unwrap();
        let pin_dir = topology::ensure_bpffs().unwrap().join(&name);
        let topology = Topology::with_addresses(&cluster::addresses()).unwrap();
        let ports = [&cluster::TCP[..], &[cluster::UDP]].concat();
        let servers = topology.pods.iter();
        let servers = servers.map(|pod| Servers::start(&pod.namespace, &ports).unwrap());
        let servers = servers.collect();
        cluster::translate(&topology).unwrap();
        let mut config = format!(
            "node = 'node-a'\npin_dir = '{}'\nstate_dir = '{}'\n",
            pin_dir.display(),
            folder.join("state").display()
        );
        for (pod, party) in topology.pods.iter().zip(&PODS) {
            let (interface, name) = (&pod.interface, party.name);
            writeln!(
                config,
                "[[endpoint]]\ninterface = '{interface}'\npod = 'shop/{name}'"
            )
            .unwrap();
        }
        fs::write(folder.join("config.toml"), config).unwrap();
        fs::write(folder.join("inventory.yaml"), cluster::inventory()).unwrap();
        Self {
            topology,
            _servers: servers,
            folder,
            pin_dir,
        }
    }

    /// Compiles policies, proves the bundle, and puts it into force. Returns what the compiler said on the side.
    pub(crate) fn enforce(&self, policies: &str, revision: u32) -> String {
        fs::write(self.folder.join("policies.yaml"), policies).unwrap();
        let mut build = self.policyc("build");
        build.args(["--policies", "policies.yaml", "--unsigned", "--prove"]);
        build.arg("--without-proxy");
        build.args(["--output", "bundle", "--revision", &revision.to_string()]);
        let output = build.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{policies}\n{said}");
        let bundle = self.folder.join("bundle");
        let mut run = self.policyd(&["run", "--once", "--allow-unsigned"]);
        let output = run.arg("--bundle").arg(bundle).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// Answers of the model, by number.
    pub(crate) fn ask(&self, questions: &[Value]) -> Vec<bool> {
        let lines: Vec<String> = questions.iter().map(Value::to_string).collect();
        fs::write(self.folder.join("flows.jsonl"), lines.join("\n")).unwrap();
        let mut ask = self.policyc("verdicts");
        ask.args(["--policies", "policies.yaml", "--flows", "flows.jsonl"]);
        let output = ask.output().unwrap();
        let mut answers = vec![None; questions.len()];
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let answer: Value = serde_json::from_str(line).unwrap();
            let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
            answers[id] = Some(match answer["verdict"].as_str() {
                Some("allow") => true,
                // No proxy runs here.
                Some("deny" | "redirect") => false,
                _ => panic!("{line}"),
            });
        }
        answers.into_iter().map(Option::unwrap).collect()
    }

    fn policyc(&self, command: &str) -> Command {
        let mut policyc = Command::new(PROGRAMS.join("policyc"));
        policyc.current_dir(&self.folder);
        policyc.args([command, "--inventory", "inventory.yaml"]);
        policyc
    }

    /// The daemon's program in the node's namespace.
    fn policyd(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.topology.node));
        command.arg(PROGRAMS.join("policyd")).args(arguments);
        command.arg("--config").arg(self.folder.join("config.toml"));
        command
    }

    /// What is in force and what it has counted.
    pub(crate) fn status(&self) -> Value {
        let output = self.policyd(&["status", "--format", "json"]).output();
        serde_json::from_slice(&output.unwrap().stdout).unwrap()
    }

    /// Packets that were passed or dropped for a reason, both ways.
    pub(crate) fn counted(&self, reason: &str) -> u64 {
        let status = self.status();
        let packets = |way: &str| status["reasons"][way][reason]["packets"].as_u64().unwrap();
        packets("ingress") + packets("egress")
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
