//! `policyc explain`: what a diagnostic code means.

use policyc_diag::Code;
use policyc_diag::codes::TABLE;

use crate::args::Explain;
use crate::exit::{Error, Exit};
use crate::output;

pub(crate) fn run(args: &Explain) -> Result<Exit, Error> {
    let Some(wanted) = &args.code else {
        let lines = TABLE
            .iter()
            .map(|entry| format!("{} {:<28} {}\n", entry.number, entry.name, entry.summary));
        output::print(&lines.collect::<String>());
        return Ok(Exit::Clean);
    };
    let Some(code) = Code::parse(wanted) else {
        let names = TABLE.iter().flat_map(|entry| [entry.name, entry.number]);
        let hint = policyc_diag::suggest::did_you_mean(wanted, names)
            .unwrap_or_else(|| "`policyc explain` lists all".to_owned());
        return Err(Error::usage(format!("there is no code `{wanted}`; {hint}")));
    };
    output::print(code.entry().page);
    Ok(Exit::Clean)
}
