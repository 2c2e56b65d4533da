//! `policyc graph`: who can open connections to whom, and through whom.

use policyc_diag::codes;
use policyc_ir::model::Model;
use policyc_ir::policy::Reading;
use policyc_ir::reach::Reach;
use policyc_ir::resolve::Resolved;

use crate::args::{Drawing, Graph};
use crate::exit::{Error, Exit};
use crate::output;
use crate::pipeline::{self, Front};

/// Graphviz.
mod dot;
/// The graph that is drawn: groups, and what they may open to each other.
mod drawn;
/// What is drawn as one.
mod group;
/// One page for a browser.
mod html;
/// JSON form.
mod json;
/// Mermaid.
mod mermaid;
/// What a question leaves of the graph.
mod select;

pub(crate) fn run(args: &Graph) -> Result<Exit, Error> {
    let front = read(args)?;
    output::findings_aside(front.diagnostics.clone(), &front.sources);
    if !front.settled {
        output::complain("no graph: the cluster's settings could not be understood");
        return Ok(Exit::Usage);
    }
    let mut diagnostics = front.diagnostics.iter();
    if diagnostics.any(|diagnostic| diagnostic.code == codes::NOT_SUPPORTED) {
        output::complain("no graph: some policies cannot be compiled yet");
        return Ok(Exit::Undecided);
    }
    let universe = front.universe(&front.settings, args.node.as_deref());
    let resolved = Resolved::new(&front.rules, &universe);
    let model = Model::build(&resolved, &front.settings);
    let reach = Reach::new(&model).map_err(|error| Error::usage(error.to_string()))?;
    let selection = select::Selection::new(args, &front, &model, &reach)?;
    let graph = drawn::Graph::new(&model, &reach, &selection, args.group)?;
    output::print(&match args.format {
        Drawing::Dot => dot::render(&graph),
        Drawing::Mermaid => mermaid::render(&graph),
        Drawing::Json => json::render(&graph),
        Drawing::Html => html::render(&graph),
    });
    Ok(Exit::Clean)
}

/// Reads policies as the agent would: what it rejects is left out.
fn read(args: &Graph) -> Result<Front, Error> {
    let (policies, objects) = (args.policies.all(), &args.inventory.objects);
    let front = pipeline::front(&policies, objects, &args.cluster, Reading::Cilium)?;
    if front.has_inventory {
        return Ok(front);
    }
    Err(Error::usage(
        "the graph is one of pods: give Kubernetes objects with `--inventory`",
    ))
}
