//! `policyd`: see `policyd --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that prints"
)]

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use policyd::cli::{Cli, execute};

fn main() -> ExitCode {
    let mut print = |line: &str| writeln!(std::io::stdout(), "{line}").is_ok();
    match execute(Cli::parse(), &mut print, &mut |line| {
        eprintln!("policyd: {line}");
    }) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("policyd: {failure}");
            ExitCode::from(failure.cause().exit_code())
        }
    }
}
