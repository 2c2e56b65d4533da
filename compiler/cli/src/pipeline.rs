//! The stages in order, as far as a command needs them.

use std::path::PathBuf;

use policyc_diag::{Diagnostic, Source, SourceMap, Span, codes, suggest};
use policyc_ir::inventory::{self, Inventory};
use policyc_ir::normalise;
use policyc_ir::policy::{PolicySet, Reading};
use policyc_ir::rule::RuleSet;
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use policyc_syntax::ast::inventory::Object::Other;
use policyc_syntax::ast::{Document, Object};
use rayon::prelude::*;

use crate::args::Cluster;
use crate::exit::{Error, Exit};
use crate::{cluster, input};

/// What has been read and understood.
pub(crate) struct Front {
    /// Every file.
    pub(crate) sources: SourceMap,
    /// What the cluster is like.
    pub(crate) settings: Settings,
    /// Whether that could be read without a fault; if not, answers are those of another cluster.
    pub(crate) settled: bool,
    /// Every document of the policy paths.
    pub(crate) documents: Vec<Document>,
    /// Policies that are valid and can be compiled.
    pub(crate) policies: PolicySet,
    /// Their rules.
    pub(crate) rules: RuleSet,
    /// What the cluster holds, from the inventory paths and from objects beside the policies.
    pub(crate) inventory: Inventory,
    /// Whether there is any inventory.
    pub(crate) has_inventory: bool,
    /// Faults so far.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads, parses, validates and normalises.
///
/// # Errors
/// Paths that cannot be read.
pub(crate) fn front(
    policies: &[PathBuf],
    inventory: &[PathBuf],
    cluster: &Cluster,
    reading: Reading,
) -> Result<Front, Error> {
    let mut sources = SourceMap::new();
    if policies.is_empty() {
        return Err(Error::usage(
            "no policies given: name files or folders, or `-` for standard input",
        ));
    }
    let read = input::read_all(policies, &mut sources)?;
    front_of(sources, &read, inventory, cluster, reading)
}

/// The same for policies that have been read already; `sources` holds them.
///
/// # Errors
/// Paths of the inventory or of settings that cannot be read.
pub(crate) fn front_of(
    mut sources: SourceMap,
    policies: &[Source],
    inventory: &[PathBuf],
    cluster: &Cluster,
    reading: Reading,
) -> Result<Front, Error> {
    let (documents, mut diagnostics) = parse(policies);
    let (settings, faults) = cluster::settings(cluster, &mut sources)?;
    let settled = !faults.iter().any(Diagnostic::is_error);
    diagnostics.extend(faults);
    let (documents, faults) = cluster::unwatched(documents, &settings);
    diagnostics.extend(faults);
    diagnostics.extend(unknown_kinds(&documents));
    let (policies, faults) = PolicySet::admit_as(&documents, &settings, reading);
    diagnostics.extend(faults);

    let read = input::read_all(inventory, &mut sources)?;
    let (mut objects, faults) = parse(&read);
    diagnostics.extend(faults);
    let beside = |document: &&Document| {
        matches!(document.object, Object::Inventory(_) | Object::CidrGroup(_))
    };
    objects.extend(documents.iter().filter(beside).cloned());
    let (inventory, faults) = Inventory::read(&objects);
    diagnostics.extend(faults);
    let rules = normalise::normalise(&policies, &inventory, &settings);
    let has_inventory = !inventory.pods.is_empty() || !inventory.nodes.is_empty();
    Ok(Front {
        sources,
        settings,
        settled,
        documents,
        policies,
        rules,
        inventory,
        has_inventory,
        diagnostics,
    })
}

/// Parses files in parallel; documents and faults stay in the order of the files.
pub(crate) fn parse(read: &[Source]) -> (Vec<Document>, Vec<Diagnostic>) {
    let parsed: Vec<_> = read.par_iter().map(policyc_syntax::parse).collect();
    let mut documents = Vec::new();
    let mut diagnostics = Vec::new();
    for file in parsed {
        documents.extend(file.documents);
        diagnostics.extend(file.diagnostics);
    }
    diagnostics.extend(misspelt_kinds(&documents));
    (documents, diagnostics)
}

/// Whether a span lies in another.
pub(crate) fn within(inner: Span, outer: Span) -> bool {
    inner.file == outer.file && outer.start <= inner.start && inner.start <= outer.end
}

/// Kinds that no object has but that are close to a policy's: passed over, the policy would be missing without a word.
fn misspelt_kinds(documents: &[Document]) -> Vec<Diagnostic> {
    const KINDS: &[&str] = &[
        "CiliumNetworkPolicy",
        "CiliumClusterwideNetworkPolicy",
        "ClusterNetworkPolicy",
        "NetworkPolicy",
    ];
    let other = |document: &&Document| matches!(document.object, Object::Inventory(Other));
    let misspelt = documents.iter().filter(other).filter_map(|document| {
        let written = document.kind.value.as_str();
        // Kinds of other projects, such as `GlobalNetworkPolicy`, are spelt as they should be.
        if written.ends_with("NetworkPolicy") && !written.starts_with("Cilium") {
            return None;
        }
        let hint = suggest::did_you_mean(written, KINDS.iter().copied())?;
        let message = format!("`{written}` is no kind of policy");
        let found = Diagnostic::new(codes::UNKNOWN_KIND, message);
        Some(found.label(document.kind.span, "no such kind").help(hint))
    });
    misspelt.collect()
}

/// Kinds that are policies, but not of the language this version compiles.
fn unknown_kinds(documents: &[Document]) -> Vec<Diagnostic> {
    const POLICIES: &[&str] = &["AdminNetworkPolicy", "BaselineAdminNetworkPolicy"];
    let refused = documents
        .iter()
        .filter(|document| POLICIES.contains(&document.kind.value.as_str()));
    let refused = refused.map(|document| {
        let message = format!("`{}` is not supported yet", document.kind.value);
        Diagnostic::new(codes::NOT_SUPPORTED, message)
            .label(document.kind.span, "cannot be compiled")
    });
    refused.collect()
}

impl Front {
    /// The universe of the inventory.
    pub(crate) fn universe(&self, settings: &Settings, node: Option<&str>) -> Universe {
        inventory::universe(&self.inventory, &self.rules, settings, node)
    }

    /// The universe that a bundle for a node, or for all of them, is built of.
    pub(crate) fn universe_of_bundle(&self, settings: &Settings, node: Option<&str>) -> Universe {
        match node {
            Some(_) => self.universe(settings, node),
            None => inventory::cluster(&self.inventory, &self.rules, settings),
        }
    }

    /// How a run ends that would end so if the cluster were understood; findings of another cluster are no answer.
    pub(crate) fn exit(&self, exit: Exit) -> Exit {
        if self.settled {
            exit
        } else {
            exit.max(Exit::Usage)
        }
    }

    /// Whether anything was wrong.
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
