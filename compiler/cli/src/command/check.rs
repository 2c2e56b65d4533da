//! `policyc check`: mistakes in policies, for every pod that could exist.

use std::time::Duration;

use policyc_diag::{Diagnostic, codes};
use policyc_ir::model::Model;
use policyc_ir::policy::Reading;
use policyc_ir::resolve::Resolved;
use policyc_ir::settings::Settings;
use policyc_ir::{frontend, lint};
use policyc_verify::{Limits, Options, Stats};

use crate::args::{Check, Stage};
use crate::command::emit;
use crate::exit::{Error, Exit};
use crate::pipeline::{self, Front};
use crate::{cluster, intents, output};

pub(crate) fn run(args: &Check) -> Result<Exit, Error> {
    let policies = args.policies.all();
    let mut front = pipeline::front(
        &policies,
        &args.inventory.objects,
        &args.cluster,
        Reading::Strict,
    )?;
    let settings = front.settings.clone();
    if let Some(stage) = args.emit {
        return emit_stage(args, &mut front, &settings, stage);
    }
    front
        .diagnostics
        .extend(front.documents.iter().flat_map(lint::written));
    front.diagnostics.extend(lint::open_services(&front.rules));
    let mut conflicts = Vec::new();
    if front.has_inventory {
        let universe = front.universe(&settings, None);
        let resolved = Resolved::new(&front.rules, &universe);
        front.diagnostics.extend(lint::matched(&resolved));
        conflicts = lint::conflicts(&Model::build(&resolved, &settings));
        front.diagnostics.extend(mixed(&front, &settings));
    }
    let beyond = cluster::beyond(&front.rules, &settings);
    front.diagnostics.extend(beyond);
    let options = Options {
        total: Duration::from_secs(args.deadline),
        limits: Limits {
            time: Duration::from_secs(args.per_question),
            ..Limits::default()
        },
        progress: Some(output::progress),
        ..Options::default()
    };
    let report = policyc_verify::check(&front.rules, &settings, &options);
    let findings = with_conflicts(report.findings, conflicts);
    front.diagnostics.extend(findings);
    let proofs = intents::check(&args.intents, args.preset, &mut front, &options)?;
    output::remark(&remark(&front, report.stats, proofs));
    let found = std::mem::take(&mut front.diagnostics);
    let exit = output::findings(found, &front.sources, args.format, args.fail_on);
    Ok(front.exit(exit))
}

/// Services whose backends policies tell apart, for the pods of the inventory on all nodes.
fn mixed(front: &Front, settings: &Settings) -> Vec<Diagnostic> {
    let universe = front.universe_of_bundle(settings, None);
    let ranges = front.inventory.pod_ranges();
    let frontends = frontend::frontends(&front.inventory, &universe, &ranges);
    if frontends.is_empty() {
        return Vec::new();
    }
    let resolved = Resolved::new(&front.rules, &universe);
    lint::mixed(&Model::build(&resolved, settings), &frontends, None)
}

/// Adds rules that exclude each other for pods of the inventory. Where such a pair was found among all possible pods,
/// one finding says it, as severe as the inventory makes it.
fn with_conflicts(mut found: Vec<Diagnostic>, conflicts: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for conflict in conflicts {
        let same =
            |one: &&mut Diagnostic| (one.code, &one.message) == (conflict.code, &conflict.message);
        match found.iter_mut().find(same) {
            Some(known) => known.severity = conflict.severity,
            None => found.push(conflict),
        }
    }
    found
}

fn emit_stage(
    args: &Check,
    front: &mut Front,
    settings: &Settings,
    stage: Stage,
) -> Result<Exit, Error> {
    let Some(mut text) = emit::front(front, settings, || front.universe(settings, None), stage)
    else {
        return Err(Error::usage(
            "`check` stops before this stage: `policyc build --emit` prints it",
        ));
    };
    if stage == Stage::Verify {
        text.push_str(&intents::questions(&args.intents, front)?);
    }
    output::print(&text);
    output::findings_aside(front.diagnostics.clone(), &front.sources);
    Ok(front.exit(output::exit_of(&front.diagnostics, args.fail_on)))
}

fn remark(front: &Front, rules: Stats, intents: Stats) -> String {
    let refused = |diagnostic: &&Diagnostic| diagnostic.code == codes::NOT_SUPPORTED;
    let refused = front.diagnostics.iter().filter(refused).count();
    let left_out = if refused == 0 {
        String::new()
    } else {
        ", some policies left out".to_owned()
    };
    format!(
        "{} policies, {} rules{left_out}, {} of {} intents proven; {} questions to the solver",
        front.policies.policies().len(),
        front.rules.rules().len(),
        intents.proven,
        intents.subjects,
        rules.questions + intents.questions
    )
}
