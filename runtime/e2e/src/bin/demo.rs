//! `demo POLICYC POLICYD`: shows the product at work. To be run from the repository's root folder; `make demo` does.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use policyd_e2e::demo::{self, Error, Options};

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [policyc, policyd] = paths.as_slice() else {
        let _said = writeln!(io::stderr(), "usage: demo POLICYC POLICYD");
        return ExitCode::from(2);
    };
    let options = Options {
        policyc: policyc.clone(),
        policyd: policyd.clone(),
        colour: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    match demo::run(&options, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _said = writeln!(io::stderr(), "demo: {error}");
            // What shells report for a process that a signal ended.
            ExitCode::from(match error {
                Error::Stopped(signal) => 128_u8.saturating_add(signal),
                Error::Failed(_) => 1,
            })
        }
    }
}
