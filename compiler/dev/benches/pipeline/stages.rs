//! The stages of the compiler, one function each.

use std::fs;
use std::path::Path;

use policyc_diag::{Source, SourceMap};
use policyc_ir::ids::EndpointId;
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::model::{Flow, Model};
use policyc_ir::normalise;
use policyc_ir::policy::PolicySet;
use policyc_ir::port::Protocol;
use policyc_ir::resolve::Resolved;
use policyc_ir::rule::{Direction, RuleSet};
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use policyc_syntax::ast::Document;

/// Flows whose verdicts are measured at once.
pub(crate) const FLOWS: usize = 1000;

/// The text of both files.
pub(crate) struct Input {
    policies: Source,
    inventory: Source,
}

impl Input {
    pub(crate) fn read(folder: &Path) -> Self {
        let mut sources = SourceMap::new();
        let mut read = |name: &str| {
            let text = fs::read_to_string(folder.join(name)).unwrap();
            sources.add(name, text)
        };
        Self {
            policies: read("policies.yaml"),
            inventory: read("inventory.yaml"),
        }
    }
}

/// The syntax trees of both files.
pub(crate) struct Trees {
    policies: Vec<Document>,
    inventory: Vec<Document>,
}

impl Trees {
    /// From text to syntax trees.
    pub(crate) fn parse(input: &Input) -> Self {
        let parse = |source| {
            let parsed = policyc_syntax::parse(source);
            assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
            parsed.documents
        };
        Self {
            policies: parse(&input.policies),
            inventory: parse(&input.inventory),
        }
    }
}

/// From syntax trees to valid policies, to flat rules, and to an inventory.
pub(crate) fn rules(trees: &Trees) -> (RuleSet, Inventory) {
    let settings = Settings::default();
    let (policies, _) = PolicySet::admit(&trees.policies, &settings);
    let (inventory, faults) = Inventory::read(&trees.inventory);
    assert!(faults.is_empty(), "{faults:?}");
    let rules = normalise::normalise(&policies, &inventory, &settings);
    (rules, inventory)
}

/// From an inventory to identities and addresses.
pub(crate) fn universe(rules: &RuleSet, inventory: &Inventory) -> Universe {
    inventory::universe(inventory, rules, &Settings::default(), None)
}

/// From selectors to sets of identities, and from pods to the rules that select them.
pub(crate) fn resolve<'a>(rules: &'a RuleSet, universe: &'a Universe) -> Resolved<'a> {
    Resolved::new(rules, universe)
}

/// What applies to every pod.
pub(crate) fn model<'a>(resolved: &'a Resolved<'a>) -> Model<'a> {
    Model::build(resolved, &Settings::default())
}

/// Flows between pods all over the cluster.
pub(crate) fn flows(universe: &Universe) -> Vec<Flow> {
    let count = universe.endpoints().len();
    let flow = |at: usize| {
        // Steps without a common divisor with most counts visit most pairs.
        let peer = universe.endpoints().get(at * 7919 % count);
        Flow {
            subject: EndpointId::at(at * 104_729 % count),
            direction: Direction::BOTH[at % 2],
            peer: peer.map(|peer| peer.identity).unwrap(),
            protocol: Protocol::TCP,
            port: [80, 443, 8080][at % 3],
        }
    };
    (0..FLOWS).map(flow).collect()
}
