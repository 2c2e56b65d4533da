//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{
    Config, DenyResponse, Host, default_events, default_pin_dir, default_state_dir,
};
use crate::detach;
use crate::doctor::Report;
use crate::events;
use crate::failure::Failure;
use crate::open::{self, Believed};
use crate::plan::Plan;
use crate::run::{self, Options};
use crate::state::State;
use crate::status::Status;
use crate::sys::net;

/// Enforces a compiled policy bundle on this node.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 fine; 1 bundle refused; 2 usage, configuration or unreadable file; 3 kernel or internal failure."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Load the bundle, attach to the configured interfaces, and watch; SIGHUP reloads bundle and configuration.
    Run {
        #[command(flatten)]
        input: Input,
        /// Apply once and exit; the kernel goes on enforcing.
        #[arg(long)]
        once: bool,
    },
    /// Show what is in force; needs no running daemon.
    Status {
        /// Configuration file; without it the default folders are looked at.
        #[arg(long)]
        config: Option<PathBuf>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Human)]
        format: Format,
    },
    /// Show what `run` would do, without touching the kernel.
    Plan {
        #[command(flatten)]
        input: Input,
    },
    /// Print new connections and drops, one JSON object a line, those that nobody has read yet first.
    Events {
        /// Configuration file; without it the default folders are looked at.
        #[arg(long)]
        config: Option<PathBuf>,
        /// End when there are no more instead of waiting for others.
        #[arg(long)]
        no_follow: bool,
    },
    /// Find out whether the kernel of this node has what is needed; changes nothing.
    Doctor {
        /// Configuration file; without it the default folders are looked at.
        #[arg(long)]
        config: Option<PathBuf>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Format::Human)]
        format: Format,
    },
    /// Remove programs and maps; traffic is no longer filtered.
    Detach {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
struct Input {
    /// Bundle file.
    #[arg(long)]
    bundle: PathBuf,
    /// Public key (PEM) that bundles must be signed with; may be given several times.
    #[arg(long)]
    key: Vec<PathBuf>,
    /// Configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Accept bundles without a signature, and do not check one that is there.
    #[arg(long)]
    allow_unsigned: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Does what the command line asks for and returns what to print. `log` gets the lines of a running daemon, `print`
/// those that come one by one; it says whether anybody listens.
///
/// # Errors
/// The failure, with the exit code it means.
pub fn execute(
    cli: Cli,
    print: &mut dyn FnMut(&str) -> bool,
    log: &mut dyn FnMut(String),
) -> Result<String, Failure> {
    match cli.command {
        Command::Run {
            input:
                Input {
                    bundle,
                    key,
                    config,
                    allow_unsigned,
                },
            once,
        } => run::run(
            Options {
                bundle,
                keys: key,
                config,
                once,
                allow_unsigned,
            },
            log,
        )
        .map(|()| String::new()),
        Command::Status { config, format } => status(config, format),
        Command::Plan { input } => plan(&input),
        Command::Doctor { config, format } => doctor(config, format, print),
        Command::Events { config, no_follow } => {
            events::read(&folders(config)?, !no_follow, print)?;
            Ok(String::new())
        }
        Command::Detach { config } => {
            detach::detach(&Config::read(&config)?)?;
            Ok("detached; traffic is no longer filtered\n".to_owned())
        }
    }
}

/// The configuration, or one that has the default folders.
fn folders(config: Option<PathBuf>) -> Result<Config, Failure> {
    match config {
        Some(path) => Config::read(&path),
        None => Ok(Config {
            node: String::new(),
            pin_dir: default_pin_dir(),
            state_dir: default_state_dir(),
            audit: false,
            deny_response: DenyResponse::None,
            events_per_second: default_events(),
            host: Host::default(),
            endpoints: Vec::new(),
        }),
    }
}

/// Prints the report even if it is a failure.
fn doctor(
    config: Option<PathBuf>,
    format: Format,
    print: &mut dyn FnMut(&str) -> bool,
) -> Result<String, Failure> {
    let report = Report::new(&folders(config)?);
    let text = match format {
        Format::Human => report.to_string(),
        Format::Json => report.to_json()?,
    };
    print(text.trim_end());
    if report.is_fit() {
        Ok(String::new())
    } else {
        Err(Failure::internal("this node cannot run policyd as it is"))
    }
}

fn status(config: Option<PathBuf>, format: Format) -> Result<String, Failure> {
    let status = Status::read(&folders(config)?)?;
    match (status, format) {
        (Some(status), Format::Human) => Ok(status.to_string()),
        (Some(status), Format::Json) => Ok(status.to_json()? + "\n"),
        (None, Format::Human) => Ok("nothing is in force\n".to_owned()),
        (None, Format::Json) => Ok("{\"generation\": 0}\n".to_owned()),
    }
}

fn plan(input: &Input) -> Result<String, Failure> {
    let config = Config::read(&input.config)?;
    let bytes = open::read(&input.bundle)?;
    let accepted = State::new(&config.state_dir).accepted()?;
    let bundle =
        Believed::read(&input.key, input.allow_unsigned)?.open(&bytes, accepted.as_ref())?;
    let plan = Plan::new(&bundle, &config, &net::index, &run::local)?;
    plan.require_interfaces()?;
    Ok(plan.to_string())
}
