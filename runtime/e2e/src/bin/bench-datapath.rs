//! `bench-datapath POLICYD [PART…]`: measures the datapath. Needs root; `make bench-datapath` runs it.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use policyd_e2e::bench;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(policyd) = arguments.next().map(PathBuf::from) else {
        let _said = writeln!(io::stderr(), "usage: bench-datapath POLICYD [PART…]");
        return ExitCode::from(2);
    };
    let parts: Vec<String> = arguments.collect();
    match bench::run(&policyd, &parts, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _said = writeln!(io::stderr(), "bench-datapath: {error}");
            ExitCode::FAILURE
        }
    }
}
