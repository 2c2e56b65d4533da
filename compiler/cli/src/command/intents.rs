//! `policyc intents`: who must, may and must never reach whom.

use std::time::Duration;

use policyc_ir::policy::Reading;
use policyc_verify::{Options, Stats};

use crate::args::{Intents, Output, Preset, Presets};
use crate::exit::{Error, Exit};
use crate::pipeline;
use crate::{intents, output};

pub(crate) fn run(args: &Intents) -> Result<Exit, Error> {
    let policies = args.policies.all();
    if policies.is_empty() && args.files.is_empty() && args.preset == Some(Preset::Host) {
        output::print(intents::HOST);
        return Ok(Exit::Clean);
    }
    if args.files.is_empty() && args.preset.is_none() {
        return Err(Error::usage(
            "no intents given: name files with `--intents`, or take `--preset host`",
        ));
    }
    let objects = &args.inventory.objects;
    let mut front = pipeline::front(&policies, objects, &args.cluster, Reading::Strict)?;
    let preset = args.preset.map_or(Presets::None, |_| Presets::Host);
    let stats = intents::check(&args.files, preset, &mut front, &options(&args.output))?;
    output::remark(&remark("intents and guards hold", stats));
    let found = std::mem::take(&mut front.diagnostics);
    let exit = output::findings(
        found,
        &front.sources,
        args.output.format,
        args.output.fail_on,
    );
    Ok(front.exit(exit))
}

/// The limits that were asked for.
pub(super) fn options(output: &Output) -> Options {
    Options {
        total: Duration::from_secs(output.deadline),
        ..Options::default()
    }
}

/// What is said of a run to a person who watches.
pub(super) fn remark(what: &str, stats: Stats) -> String {
    let known = match stats.known {
        0 => String::new(),
        known => format!(", {known} expected failures"),
    };
    format!(
        "{} of {} {what}{known}; {} questions to the solver",
        stats.proven, stats.subjects, stats.questions
    )
}
