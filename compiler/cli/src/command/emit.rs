//! Products of stages as text.

use policyc_ir::model::Model;
use policyc_ir::print;
use policyc_ir::resolve::Resolved;
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;

use crate::args::Stage;
use crate::pipeline::Front;

/// The text form of a front-end stage; `None` for the later ones, which their commands print.
pub(crate) fn front(
    front: &Front,
    settings: &Settings,
    universe: impl FnOnce() -> Universe,
    stage: Stage,
) -> Option<String> {
    let text = match stage {
        Stage::Parse => policyc_syntax::ast::print(&front.documents, &front.sources),
        Stage::Validate => print::policies(&front.policies, &front.sources),
        Stage::Normalise => print::rules(&front.rules, &front.sources),
        Stage::Resolve | Stage::Model => {
            let universe = universe();
            let resolved = Resolved::new(&front.rules, &universe);
            match stage {
                Stage::Resolve => print::resolved(&resolved),
                _ => print::model(&Model::build(&resolved, settings)),
            }
        }
        Stage::Verify => policyc_verify::questions(&front.rules, settings)
            .into_iter()
            .map(|one| one.text + "\n")
            .collect(),
        Stage::Lower | Stage::Bundle => return None,
    };
    Some(text)
}
