//! `policyc budget`: the entries that policies take in Cilium's own policy maps.

use policyc_diag::{SourceMap, codes};
use policyc_ir::model::Model;
use policyc_ir::policy::Reading;
use policyc_ir::resolve::Resolved;
use policyc_lower::lpm::Maps;
use policyc_lower::lpm::identities::Identities;

use super::diff::side;
use crate::args::{Budget, FailOn, TextJsonOrLines};
use crate::exit::{Error, Exit};
use crate::output;
use crate::pipeline::{self, Front};

/// How many entries there are, and where they come from.
pub(super) mod count;
/// Endpoints whose entries fill their map, or nearly.
pub(super) mod findings;
/// Text form.
mod human;
/// JSON forms.
pub(super) mod json;

use count::Count;

pub(crate) fn run(args: &Budget) -> Result<Exit, Error> {
    let paths = args.policies.all();
    let objects = &args.inventory.objects;
    let front = pipeline::front(&paths, objects, &args.cluster, Reading::Cilium)?;
    let mut front = with_inventory(front)?;
    if let Some(exit) = unanswerable(&front) {
        output::findings_aside(front.diagnostics, &front.sources);
        return Ok(exit);
    }
    let node = args.node.as_deref();
    let before = if args.against.is_empty() {
        None
    } else {
        let mut sources = SourceMap::new();
        let files = side::before(&args.against, &paths, &mut sources)?;
        let old = pipeline::front_of(sources, &files, objects, &args.cluster, Reading::Cilium)?;
        let old = with_inventory(old)?;
        if let Some(exit) = unanswerable(&old) {
            output::findings_aside(old.diagnostics, &old.sources);
            return Ok(exit);
        }
        Some(with_maps(&old, node, |view| Count::new(&view)))
    };
    let limit = args.limit.unwrap_or(front.settings.policy_map_max);
    let found = with_maps(&front, node, |view| {
        let count = Count::new(&view);
        match args.format {
            TextJsonOrLines::Jsonl => json::lines(&view, output::print),
            TextJsonOrLines::Json => {
                output::print(&json::document(
                    &view,
                    &front,
                    &count,
                    before.as_ref(),
                    limit,
                ));
            }
            TextJsonOrLines::Human => {
                output::print(&human::text(&view, &front, &count, before.as_ref(), limit));
            }
        }
        findings::find(&view, &count, limit)
    });
    front.diagnostics.extend(found);
    output::findings_aside(front.diagnostics.clone(), &front.sources);
    Ok(output::exit_of(&front.diagnostics, FailOn::Warning))
}

/// What was read as the agent would, without what it rejects; it takes pods to count for.
fn with_inventory(front: Front) -> Result<Front, Error> {
    if front.has_inventory {
        return Ok(front);
    }
    Err(Error::usage(
        "entries are counted for pods: give Kubernetes objects with `--inventory`",
    ))
}

/// Whether every number could be wrong: then there are none.
fn unanswerable(front: &Front) -> Option<Exit> {
    let mut diagnostics = front.diagnostics.iter();
    if !front.settled {
        output::complain("no entries: the cluster's settings could not be understood");
        Some(Exit::Usage)
    } else if diagnostics.any(|diagnostic| diagnostic.code == codes::NOT_SUPPORTED) {
        output::complain("no entries: some policies cannot be compiled yet");
        Some(Exit::Undecided)
    } else {
        None
    }
}

/// The maps of a revision, with what is needed to read them.
pub(super) struct View<'a> {
    pub(super) model: &'a Model<'a>,
    pub(super) maps: &'a Maps,
    pub(super) identities: &'a Identities,
}

/// Makes the maps of a revision, for the node whose agent is meant.
pub(super) fn with_maps<T>(
    front: &Front,
    node: Option<&str>,
    then: impl FnOnce(View<'_>) -> T,
) -> T {
    let universe = front.universe(&front.settings, node);
    let resolved = Resolved::new(&front.rules, &universe);
    let model = Model::build(&resolved, &front.settings);
    let identities = Identities::new(&model, &front.inventory, &front.settings);
    then(View {
        model: &model,
        maps: &Maps::new(&model),
        identities: &identities,
    })
}

impl View<'_> {
    /// The name of an endpoint.
    pub(super) fn name(&self, id: policyc_ir::EndpointId) -> &str {
        let endpoint = self.model.universe().endpoint(id);
        endpoint.map_or("", |endpoint| &endpoint.name)
    }
}
