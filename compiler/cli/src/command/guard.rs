//! `policyc guard`: what the policies of a tenant may not say.

use policyc_ir::policy::Reading;

use crate::args::Guard;
use crate::command::intents::{options, remark};
use crate::exit::{Error, Exit};
use crate::pipeline;
use crate::{intents, output};

pub(crate) fn run(args: &Guard) -> Result<Exit, Error> {
    let policies = args.policies.all();
    let mut front = pipeline::front(
        &policies,
        &args.inventory.objects,
        &args.cluster,
        Reading::Strict,
    )?;
    let (statements, faults) = intents::read(&args.guards, &mut front.sources)?;
    front.diagnostics.extend(faults);
    let report = policyc_verify::check_guards(
        &front.rules,
        &front.settings,
        &statements.guards,
        &options(&args.output),
    );
    front.diagnostics.extend(report.findings);
    output::remark(&remark("guards kept", report.stats));
    let found = std::mem::take(&mut front.diagnostics);
    let exit = output::findings(
        found,
        &front.sources,
        args.output.format,
        args.output.fail_on,
    );
    Ok(front.exit(exit))
}
