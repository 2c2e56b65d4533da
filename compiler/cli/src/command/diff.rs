//! `policyc diff`: what two sets of policies decide differently, for every possible flow.

use std::time::Duration;

use policyc_diag::{Diagnostic, SourceMap, codes};
use policyc_ir::RuleId;
use policyc_ir::policy::Reading;
use policyc_verify::Options;
use policyc_verify::diff::{self, Change, Difference, Told};

use crate::args::{Diff, DiffFormat, DiffStage};
use crate::exit::{Error, Exit};
use crate::pipeline::{self, Front};
use crate::{cluster, output};

/// Pods of the inventory that a change is about.
mod affected;
/// Policies of a revision.
mod git;
/// Text form.
mod human;
/// JSON form.
mod json;
/// Markdown, for a comment on a pull request.
mod markdown;
/// Which files each side means.
pub(super) mod side;
/// What changes, in words.
mod words;

use affected::Affected;

/// Both sides, and what they decide differently.
struct Found<'a> {
    names: [&'a str; 2],
    fronts: [&'a Front; 2],
    difference: &'a Difference,
    /// For each change; none without an inventory.
    affected: Option<Vec<Affected>>,
}

pub(crate) fn run(args: &Diff) -> Result<Exit, Error> {
    let mut maps = [SourceMap::new(), SourceMap::new()];
    let files = side::read(&args.old, &args.new, &mut maps)?;
    let [old_map, new_map] = maps;
    let [old_files, new_files] = &files;
    let read = |map, files: &[_]| {
        let objects = &args.inventory.objects;
        pipeline::front_of(map, files, objects, &args.cluster, Reading::Cilium)
    };
    let (old, new) = (read(old_map, old_files)?, read(new_map, new_files)?);
    if let Some(exit) = unanswerable(args, &old, &new) {
        return Ok(exit);
    }
    if args.emit == Some(DiffStage::Verify) {
        let questions = diff::questions(&old.rules, &new.rules, &new.settings);
        let texts = questions.into_iter().map(|one| one.text + "\n");
        output::print(&texts.collect::<String>());
        return Ok(Exit::Clean);
    }
    let options = Options {
        total: Duration::from_secs(args.deadline),
        ..Options::default()
    };
    let mut difference = diff::compare(&old.rules, &new.rules, &new.settings, &options);
    let affected = new
        .has_inventory
        .then(|| affected::find(&new, &mut difference));
    let found = Found {
        names: [&args.old, &args.new],
        fronts: [&old, &new],
        difference: &difference,
        affected,
    };
    output::print(&match args.format {
        DiffFormat::Human => human::text(&found),
        DiffFormat::Json => json::text(&found),
        DiffFormat::Md => markdown::text(&found),
    });
    Ok(exit(&found))
}

/// What was found beats nothing, and what was not decided beats both.
fn exit(found: &Found<'_>) -> Exit {
    let doubts = found.fronts.iter().flat_map(|front| front.beyond());
    if !found.difference.is_decided() || doubts.count() > 0 {
        Exit::Undecided
    } else if found.difference.changes.is_empty() {
        Exit::Clean
    } else {
        Exit::Findings
    }
}

/// Says what is wrong with either side, and whether no answer can be given for it.
fn unanswerable(args: &Diff, old: &Front, new: &Front) -> Option<Exit> {
    for (name, front) in [(&args.old, old), (&args.new, new)] {
        let mut found = front.diagnostics.clone();
        found.extend(front.beyond());
        if !found.is_empty() {
            output::complain(&format!("about `{name}`:"));
            output::findings_aside(found, &front.sources);
        }
    }
    let unsupported = |front: &Front| {
        let mut found = front.diagnostics.iter();
        found.any(|one| one.code == codes::NOT_SUPPORTED)
    };
    if !new.settled {
        output::complain("no difference: the cluster's settings could not be understood");
        return Some(Exit::Usage);
    }
    if unsupported(old) || unsupported(new) {
        output::complain("no difference: some policies cannot be compiled yet");
        return Some(Exit::Undecided);
    }
    // What is wrong with the old side is past; the agent does without it.
    if new.has_errors() {
        output::complain(&format!("no difference: `{}` has errors", args.new));
        return Some(Exit::Usage);
    }
    None
}

impl Front {
    /// Selectors that answers about all possible flows would get wrong in this cluster.
    fn beyond(&self) -> Vec<Diagnostic> {
        cluster::beyond(&self.rules, &self.settings)
    }
}

impl Found<'_> {
    /// Rules that only one side has, with its name.
    fn rules<'b>(&'b self, change: &'b Change) -> [(&'static str, &'b Front, &'b [RuleId]); 2] {
        let [old, new] = self.fronts;
        [
            ("removed", old, &change.removed),
            ("added", new, &change.added),
        ]
    }

    /// The example's verdicts, each with its side.
    fn verdicts<'b>(&'b self, change: &'b Change) -> [(&'b Front, &'b Told); 2] {
        let [old, new] = self.fronts;
        [(old, &change.example.before), (new, &change.example.after)]
    }
}
