//! What users type.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use policyc_diag::render;

/// Options that say what the cluster is like.
mod cluster;
/// `policyc diff`.
mod diff;
/// `policyc graph`.
mod graph;
/// `policyc intents` and `policyc guard`.
mod intents;

pub use cluster::{Cluster, Enforce, Localhost};
pub use diff::{Diff, DiffFormat, DiffStage};
pub use graph::{Drawing, Graph, GroupBy};
pub use intents::{Guard, Intents, Output, Preset, Presets};

/// Compiler and offline verifier for Cilium and Kubernetes network policies.
#[derive(Debug, Parser)]
#[command(
    name = "policyc",
    version,
    after_help = "Exit codes: 0 clean, 1 findings, 2 usage or unreadable input, 3 undecided or internal."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find mistakes in policies, for every pod that could exist.
    #[command(
        after_help = "Examples:\n  policyc check policies/\n  policyc check policies/ --inventory cluster.yaml --intents intents.pol\n  kubectl get cnp -A -o yaml | policyc check -"
    )]
    Check(Check),
    /// Prove intents: who must, may and must never reach whom, for every pod that could exist.
    #[command(
        after_help = "Examples:\n  policyc intents policies/ --intents intents.pol\n  policyc intents policies/ --intents intents.pol --inventory cluster.yaml\n  policyc intents --preset host > host.intent"
    )]
    Intents(Intents),
    /// Prove guards: what the policies of a tenant may not say.
    #[command(after_help = "Example:\n  policyc guard policies/ --guards guards.pol")]
    Guard(Guard),
    /// Compile policies and an inventory into a signed bundle.
    #[command(
        after_help = "Examples:\n  policyc build --policies policies/ --inventory cluster.yaml --key key.pem --output policy.bundle\n  policyc build --policies policies/ --inventory cluster.yaml --key key.pem --prove\n  policyc build --policies policies/ --inventory cluster.yaml --emit=model"
    )]
    Build(Build),
    /// Show what a bundle holds, after checking all of it.
    #[command(
        after_help = "Examples:\n  policyc inspect policy.bundle --key key.pub.pem\n  policyc inspect policy.bundle --format json"
    )]
    Inspect(Inspect),
    /// Would Cilium accept each document?
    #[command(
        after_help = "Examples:\n  policyc validate policies/\n  policyc validate --format jsonl - < policy.yaml"
    )]
    Validate(Validate),
    /// Answer flows, one JSON line each.
    #[command(
        after_help = "Examples:\n  policyc verdicts --policies policies/ --inventory cluster.yaml --flows flows.jsonl\n\nA flow: {\"id\":1,\"direction\":\"ingress\",\"subject\":\"shop/web\",\"peer\":\"ip:192.0.2.1\",\"protocol\":\"TCP\",\"port\":443}\nA peer: NAMESPACE/POD, node:NAME, ip:ADDRESS, fqdn:NAME, or an entity\nA request, optional: \"request\":{\"http\":{\"method\":\"GET\",\"path\":\"/\",\"host\":\"api\"}}, {\"dns\":\"example.com\"} or {\"tls\":\"example.com\"}"
    )]
    Verdicts(Verdicts),
    /// Explain one flow: every rule's part in it, and what little would change the answer.
    #[command(
        after_help = "Examples:\n  policyc trace policies/ --inventory cluster.yaml --from shop/web-0 --to shop/api-0 --port 8080\n  policyc trace policies/ --inventory cluster.yaml --from shop/web-0 --to kube-system/dns-0 --port 53/udp\n  policyc trace policies/ --inventory cluster.yaml --from ip:192.0.2.1 --to shop/api-0 --protocol icmp --port 8\n\nA peer: NAMESPACE/POD, node:NAME, ip:ADDRESS, fqdn:NAME, or an entity such as host or world-ipv4\n\nExit codes: 0 allowed, 1 denied, 2 usage, 3 undecided"
    )]
    Trace(Trace),
    /// Show what two sets of policies decide differently, for every pod that could exist.
    #[command(
        after_help = "Examples:\n  policyc diff main policies/\n  policyc diff old/ new/ --inventory cluster.yaml\n  policyc diff v1.2:policies HEAD:policies --format md\n\nA side is a file or folder, `-` for standard input, a git revision, or REVISION:PATH. A revision alone means the\npath that the other side names, or else the current folder.\n\nExit codes: 0 equal, 1 different, 2 usage or invalid input, 3 undecided or internal"
    )]
    Diff(Diff),
    /// Show who can open connections to whom, and through whom.
    #[command(
        after_help = "Examples:\n  policyc graph policies/ --inventory cluster.yaml --format html > reach.html\n  policyc graph policies/ --inventory cluster.yaml --from shop/web-0              # blast radius\n  policyc graph policies/ --inventory cluster.yaml --exposed --hops 2 --format mermaid\n  policyc graph policies/ --inventory cluster.yaml --from shop/web-0 --to data/db-0 --format json"
    )]
    Graph(Graph),
    /// Count the entries that policies take in Cilium's own policy maps.
    #[command(
        after_help = "Examples:\n  policyc budget policies/ --inventory cluster.yaml\n  policyc budget policies/ --inventory cluster.yaml --against old/\n  policyc budget policies/ --inventory cluster.yaml --against main\n  policyc budget policies/ --inventory cluster.yaml --format jsonl"
    )]
    Budget(Budget),
    /// Make a key pair for signing bundles.
    #[command(
        after_help = "Example:\n  policyc keygen --output key.pem      # also writes key.pub.pem"
    )]
    Keygen(Keygen),
    /// Explain a diagnostic code.
    #[command(
        after_help = "Examples:\n  policyc explain E0101\n  policyc explain unknown-field\n  policyc explain            # lists all codes"
    )]
    Explain(Explain),
}

/// Where policies are.
#[derive(Args, Clone, Debug, Default)]
pub struct Policies {
    /// Policy files or folders, `-` for standard input.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// More policy files or folders.
    #[arg(long = "policies", value_name = "PATH", num_args = 1..)]
    pub more: Vec<PathBuf>,
}

impl Policies {
    /// All paths, in the order given.
    pub fn all(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.more).cloned().collect()
    }
}

/// Where the inventory is.
#[derive(Args, Clone, Debug, Default)]
pub struct Inventory {
    /// Kubernetes objects: files or folders, `-` for standard input.
    #[arg(long = "inventory", value_name = "PATH", num_args = 1..)]
    pub objects: Vec<PathBuf>,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// Snippets for a terminal.
    Human,
    /// One line a finding.
    Plain,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// GitHub annotations.
    Github,
}

impl Format {
    /// The renderer's name for it.
    pub const fn render(self) -> render::Format {
        match self {
            Self::Human => render::Format::Human,
            Self::Plain => render::Format::Plain,
            Self::Json => render::Format::Json,
            Self::Sarif => render::Format::Sarif,
            Self::Github => render::Format::Github,
        }
    }
}

/// A stage whose product is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The syntax tree.
    Parse,
    /// Accepted policies.
    Validate,
    /// Flat rules with defaults spelt out.
    Normalise,
    /// Identities, addresses, and what each selector matches.
    Resolve,
    /// What applies to each pod.
    Model,
    /// What the solver may be asked about rules, as SMT-LIB.
    #[value(alias = "smt2")]
    Verify,
    /// Tables, endpoints, addresses.
    Lower,
    /// The bundle's sections.
    Bundle,
}

/// `policyc check`.
#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// Files of intents and guards that the policies must keep.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) intents: Vec<PathBuf>,
    /// Intents that come with this tool, beside those in files.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) preset: Presets,
    /// Print the product of a stage instead of findings.
    #[arg(long, value_name = "STAGE")]
    pub(crate) emit: Option<Stage>,
    /// How to write findings.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
    /// Lowest severity that counts as a finding for the exit code.
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    pub(crate) fail_on: FailOn,
    /// Seconds for all questions to the solver together.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) deadline: u64,
    /// Seconds for one question to the solver.
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub(crate) per_question: u64,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// Lowest severity that fails a run.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FailOn {
    /// Errors only.
    Error,
    /// Errors and warnings.
    Warning,
    /// Anything.
    Note,
}

/// `policyc build`.
#[derive(Args, Debug)]
pub struct Build {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// Where the bundle goes.
    #[arg(long, short, value_name = "FILE", default_value = "policy.bundle")]
    pub(crate) output: PathBuf,
    /// Private key (PEM) that signs the bundle.
    #[arg(long, value_name = "FILE", conflicts_with = "unsigned")]
    pub(crate) key: Option<PathBuf>,
    /// Write a bundle without a signature; policyd refuses it unless told otherwise.
    #[arg(long)]
    pub(crate) unsigned: bool,
    /// Revision; policyd does not go back to a lower one.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) revision: u64,
    /// Prove that the bundle decides as the policies say, for every identity, protocol, port and address, and note it
    /// in the bundle.
    #[arg(long)]
    pub(crate) prove: bool,
    /// Compile rules for layer 7 and DNS names although policyd has no proxy yet: what they would allow is dropped.
    #[arg(long)]
    pub(crate) without_proxy: bool,
    /// Only pods of this node.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Ranges that pods get addresses from, besides those of the inventory's nodes.
    #[arg(long = "pod-cidr", value_name = "CIDR")]
    pub(crate) pod_cidrs: Vec<String>,
    /// Print the product of a stage; nothing is written.
    #[arg(long, value_name = "STAGE")]
    pub(crate) emit: Option<Stage>,
    /// What to compile for; Cilium's maps are printed, as text or with `--format json`, and nothing is written.
    #[arg(long, value_name = "TARGET", default_value = "tables")]
    pub(crate) target: Target,
    /// How to write findings.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// What policies are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The tables of `policyd`.
    Tables,
    /// The policy maps of Cilium's agent.
    CiliumLpm,
}

/// `policyc inspect`.
#[derive(Args, Debug)]
pub struct Inspect {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Public keys (PEM) to check the signature with.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// How to write it.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: TextOrJson,
}

/// Text or one JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// Text.
    Human,
    /// One JSON document.
    Json,
}

/// `policyc validate`.
#[derive(Args, Debug)]
pub struct Validate {
    #[command(flatten)]
    pub(crate) policies: Policies,
    /// How to write the verdicts.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: TextOrLines,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// Text or JSON lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextOrLines {
    /// Text.
    Human,
    /// One JSON line a document.
    Jsonl,
}

/// `policyc verdicts`.
#[derive(Args, Debug)]
pub struct Verdicts {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// Flows as JSON lines, `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: PathBuf,
    /// The local node; the inventory's first if absent.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// `policyc trace`.
#[derive(Args, Debug)]
pub struct Trace {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// Who opens the connection.
    #[arg(long, value_name = "PEER")]
    pub(crate) from: String,
    /// Who it is opened to.
    #[arg(long, value_name = "PEER")]
    pub(crate) to: String,
    /// Destination port by number, or by the name that the receiver gives it; for ICMP, the type.
    #[arg(long, value_name = "PORT[/PROTOCOL]")]
    pub(crate) port: Option<String>,
    /// IP protocol by name or number [default: tcp].
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) protocol: Option<String>,
    /// The local node; the inventory's first if absent.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// How to write the explanation.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: TextOrJson,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// `policyc budget`.
#[derive(Args, Debug)]
pub struct Budget {
    #[command(flatten)]
    pub(crate) policies: Policies,
    #[command(flatten)]
    pub(crate) inventory: Inventory,
    /// What the policies were before, to show the change: files or folders, or a git revision, alone or as REV:PATH.
    #[arg(long, value_name = "PATH|REV", num_args = 1..)]
    pub(crate) against: Vec<String>,
    /// Entries that a map has room for (`bpf-policy-map-max`) [default: 16384].
    #[arg(long, value_name = "ENTRIES", value_parser = clap::value_parser!(u32).range(256..=65_536))]
    pub(crate) limit: Option<u32>,
    /// The local node; the inventory's first if absent.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// How to write it.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: TextJsonOrLines,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// Text, one JSON document, or JSON lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextJsonOrLines {
    /// Text.
    Human,
    /// One JSON document.
    Json,
    /// One JSON line an endpoint, with all of its entries.
    Jsonl,
}

/// `policyc keygen`.
#[derive(Args, Debug)]
pub struct Keygen {
    /// Where the private key goes; the public key goes beside it as `.pub.pem`.
    #[arg(long, short, value_name = "FILE", default_value = "key.pem")]
    pub(crate) output: PathBuf,
}

/// `policyc explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// Number or name of the code; all are listed if absent.
    pub(crate) code: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
