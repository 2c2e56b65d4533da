//! Intents and guards: from files to what the verifier proves.

use std::path::PathBuf;

use policyc_diag::{Diagnostic, Severity, Source, SourceMap};
use policyc_ir::model::Model;
use policyc_ir::reach::Reach;
use policyc_ir::resolve::Resolved;
use policyc_ir::settings::Settings;
use policyc_syntax::grammar::intent as written;
use policyc_verify::intent::{self, Statements};
use policyc_verify::{
    Ground, Intent, Options, Stats, check_guards, check_in_inventory, check_intents,
    guard_questions, intent_questions,
};

use crate::args::Presets;
use crate::exit::Error;
use crate::input;
use crate::pipeline::Front;

/// What nodes need of each other.
pub(crate) const HOST: &str = include_str!("../../../policies/host.intent");

/// What it is called in findings.
const HOST_NAME: &str = "<preset host>";

/// Reads files of statements; those at fault are left out and their diagnostics say why.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn read(
    paths: &[PathBuf],
    sources: &mut SourceMap,
) -> Result<(Statements, Vec<Diagnostic>), Error> {
    let files = input::read_all(paths, sources)?;
    Ok(understand(&files))
}

fn understand(files: &[Source]) -> (Statements, Vec<Diagnostic>) {
    let (mut statements, mut diagnostics) = (Vec::new(), Vec::new());
    for source in files {
        let (read, faults) = written::parse(source);
        statements.extend(read);
        diagnostics.extend(faults);
    }
    let (read, faults) = intent::read(&statements);
    diagnostics.extend(faults);
    (read, diagnostics)
}

/// Checks the intents and guards of files, and a preset. Findings join those of the run.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn check(
    paths: &[PathBuf],
    preset: Presets,
    front: &mut Front,
    options: &Options,
) -> Result<Stats, Error> {
    let (statements, faults) = read(paths, &mut front.sources)?;
    front.diagnostics.extend(faults);
    let mut stats = Stats::default();
    let intents = check_intents(&front.rules, &front.settings, &statements.intents, options);
    let guards = check_guards(&front.rules, &front.settings, &statements.guards, options);
    for report in [intents, guards] {
        stats += report.stats;
        front.diagnostics.extend(report.findings);
    }
    stats += in_inventory(&statements.intents, front)?;
    stats += host(preset, front, options);
    Ok(stats)
}

/// What the solver is asked about the intents and guards of files, as SMT-LIB text.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn questions(paths: &[PathBuf], front: &mut Front) -> Result<String, Error> {
    let (statements, faults) = read(paths, &mut front.sources)?;
    front.diagnostics.extend(faults);
    let (rules, settings) = (&front.rules, &front.settings);
    let intents = intent_questions(rules, settings, &statements.intents);
    let guards = guard_questions(rules, settings, &statements.guards);
    let texts = intents.into_iter().chain(guards);
    Ok(texts.map(|one| one.text + "\n").collect())
}

/// Intents about the pods there are.
fn in_inventory(intents: &[Intent], front: &mut Front) -> Result<Stats, Error> {
    let missing = intent::without_inventory(intents);
    if missing.is_empty() {
        return Ok(Stats::default());
    }
    if !front.has_inventory {
        front.diagnostics.extend(missing);
        return Ok(Stats::default());
    }
    let universe = front.universe(&front.settings, None);
    let resolved = Resolved::new(&front.rules, &universe);
    let model = Model::build(&resolved, &front.settings);
    let reach = Reach::new(&model).map_err(|error| Error::usage(error.to_string()))?;
    let ground = Ground {
        model: &model,
        reach: &reach,
        settings: &front.settings,
    };
    let report = check_in_inventory(ground, intents);
    front.diagnostics.extend(report.findings);
    Ok(report.stats)
}

/// The preset for nodes. Policies for nodes are taken as enforced: that is what they were written for.
fn host(preset: Presets, front: &mut Front, options: &Options) -> Stats {
    let node = |rule: &policyc_ir::rule::Rule| rule.subject.node;
    let about_nodes = front.rules.rules().iter().any(node);
    let wanted = match preset {
        Presets::Auto => about_nodes,
        Presets::Host => true,
        Presets::None => false,
    };
    if !wanted {
        return Stats::default();
    }
    let source = front.sources.add(HOST_NAME, HOST);
    let (statements, faults) = understand(&[source]);
    front.diagnostics.extend(faults);
    let settings = Settings {
        host_firewall: true,
        ..front.settings.clone()
    };
    let mut report = check_intents(&front.rules, &settings, &statements.intents, options);
    if preset == Presets::Auto {
        for finding in &mut report.findings {
            finding.severity = finding.severity.min(Severity::Warning);
            finding.notes.push(
                "`--preset none` leaves this out; `policyc intents --preset host` prints the intents, to adapt them"
                    .to_owned(),
            );
        }
    }
    front.diagnostics.extend(report.findings);
    report.stats
}
