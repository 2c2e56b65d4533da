//! `policyc check`: mistakes in policies, for every pod that could exist.

use crate::args::{Check, Stage};
use crate::command::emit;
use crate::exit::{Error, Exit};
use crate::{output, pipeline};

pub(crate) fn run(args: &Check) -> Result<Exit, Error> {
    let settings = args.cluster.settings();
    let front = pipeline::front(&args.policies.all(), &args.inventory.objects, &settings)?;
    if let Some(stage) = args.emit {
        let Some(text) = emit::front(&front, &settings, None, stage) else {
            let message =
                format!("`check` does not make the product of stage `{stage:?}`, `build` does");
            return Err(Error::usage(message.to_lowercase()));
        };
        output::print(&text);
        output::findings_aside(front.diagnostics.clone(), &front.sources);
        return Ok(output::exit_of(&front.diagnostics, args.fail_on));
    }
    let _ = Stage::Verify;
    Ok(output::findings(
        front.diagnostics,
        &front.sources,
        args.format,
        args.fail_on,
    ))
}
