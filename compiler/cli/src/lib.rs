//! The command line: reads files, runs the stages, prints.
//!
//! **Invariant.** The only crate that reads files or prints. It holds no meaning of its own: each command is a few
//! calls into the stages.

/// What users type.
pub mod args;
/// Cluster settings: the defaults of a release, then a file, then options.
mod cluster;
/// One file per command.
mod command;
/// Exit codes, the same in every format.
pub mod exit;
/// Files, folders and standard input, within limits.
mod input;
/// From files of intents to what the verifier proves.
mod intents;
/// Layer 7 of a verdict as JSON.
mod l7;
/// Whether an image fits the maps of the eBPF object.
mod object;
/// The only place that prints.
mod output;
/// The two ends of a flow, by name.
mod party;
/// The stages in order, as far as a command needs them.
mod pipeline;

use args::{Cli, Command};
use exit::Exit;

/// Runs a command.
pub fn run(cli: Cli) -> Exit {
    let result = match cli.command {
        Command::Check(args) => command::check::run(&args),
        Command::Intents(args) => command::intents::run(&args),
        Command::Guard(args) => command::guard::run(&args),
        Command::Build(args) => command::build::run(&args),
        Command::Inspect(args) => command::inspect::run(&args),
        Command::Validate(args) => command::validate::run(&args),
        Command::Verdicts(args) => command::verdicts::run(&args),
        Command::Trace(args) => command::trace::run(&args),
        Command::Diff(args) => command::diff::run(&args),
        Command::Graph(args) => command::graph::run(&args),
        Command::Budget(args) => command::budget::run(&args),
        Command::Keygen(args) => command::keygen::run(&args),
        Command::Explain(args) => command::explain::run(&args),
    };
    result.unwrap_or_else(|error| {
        output::complain(&error.to_string());
        error.exit
    })
}
