//! `bench-datapath POLICYD`: measures the datapath. Needs root; `make bench-datapath` runs it.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use policyd_e2e::bench;

fn main() -> ExitCode {
    let Some(policyd) = std::env::args_os().nth(1).map(PathBuf::from) else {
        let _said = writeln!(io::stderr(), "usage: bench-datapath POLICYD");
        return ExitCode::from(2);
    };
    match bench::run(&policyd, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _said = writeln!(io::stderr(), "bench-datapath: {error}");
            ExitCode::FAILURE
        }
    }
}
