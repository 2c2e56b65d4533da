//! Proof that a bundle decides what the policies say.
//!
//! ```text
//! Bundle ─decode→ intervals of constant cells ─┐
//! rules, labels ─rules→ who matches what ──────┴─tables→ every identity, protocol and port compared; asked of Z3
//! ipcache, inventory, prefixes ─addresses→ every address compared
//! ```
//!
//! **Invariant.** Nothing here is shared with what makes the tables: not the model, not the sets of identities that
//! resolution finds, not lowering. Labels are compared with selectors one by one, and levels are folded from the last
//! to the first. What is common to both sides is listed in `docs/prove.md`.

/// What every address stands for.
mod addresses;
/// What is said about a proof in a bundle.
pub mod certificate;
/// What policies say about a flow.
mod decide;
/// Tables as intervals of ports.
mod decode;
/// Pods of the bundle and of the inventory.
mod endpoints;
/// Nodes that policies of their own apply to.
mod hosts;
/// What applies to an endpoint, and whom each rule matches.
mod rules;
/// What tables say about services.
mod services;
/// The same question put to a solver.
mod solve;
/// Every flow of every table.
mod tables;
/// What a decision comes with: authentication, proxies and log texts.
mod terms;

use policy_bundle::Bundle;
use policyc_diag::{Diagnostic, codes};
use policyc_ir::cidr::Cidr;
use policyc_ir::ids::PeerId;
use policyc_ir::inventory::Inventory;
use policyc_ir::rule::{Action, Peer, Peers, Rule, RuleSet};
use policyc_ir::settings::Settings;
use policyc_ir::universe::Universe;
use policyc_verify::Limits;

/// Faults that are shown; one cause often has many.
const FAULTS_SHOWN: usize = 20;

/// What a bundle claims to be made of.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The policies.
    pub rules: &'a RuleSet,
    /// Identities with their labels, and endpoints.
    pub universe: &'a Universe,
    /// The objects that addresses come from.
    pub inventory: &'a Inventory,
    /// What the cluster is like.
    pub settings: &'a Settings,
    /// The node it was built for; all if `None`.
    pub node: Option<&'a str>,
    /// Ranges that pods get addresses from.
    pub pod_ranges: &'a [Cidr],
    /// Limits of a question to the solver.
    pub limits: Limits,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Endpoints of the bundle.
    pub endpoints: u64,
    /// Tables that were compared, each with one set of rules that is in force for some endpoint.
    pub tables: u64,
    /// Groups of identities, summed over tables: the same rules match all of a group, and the table has them in one class.
    pub groups: u64,
    /// Comparisons: groups times protocols times intervals of ports on which neither side changes.
    pub comparisons: u64,
    /// Questions that the solver found to have no counterexample, one for each table.
    pub solved: u64,
    /// Parts of the address space on which neither the address table nor any prefix of a rule changes.
    pub regions: u64,
}

/// Compares a bundle with the policies for every endpoint, direction, identity, protocol, port and address.
///
/// # Errors
/// What is decided otherwise, the first few of it, or what cannot be proved: rules of a kind that no table holds, and
/// questions that the solver gives up on.
pub fn prove(bundle: &Bundle<'_>, sources: &Sources<'_>) -> Result<Proof, Vec<Diagnostic>> {
    let mut faults = unprovable(sources);
    if faults.is_empty() {
        faults.extend(endpoints::faults(bundle, sources));
    }
    if !faults.is_empty() {
        return Err(shown(faults));
    }
    let (found, mut proof) = tables::compare(bundle, sources);
    faults.extend(found);
    let (found, regions) = addresses::compare(bundle, sources);
    faults.extend(found);
    proof.regions = regions;
    proof.endpoints = (bundle.endpoints().len() + bundle.hosts().len()) as u64;
    if faults.is_empty() {
        Ok(proof)
    } else {
        Err(shown(faults))
    }
}

/// Rules whose peers are learned while a cluster runs. Without a DNS proxy nobody is such a peer, which only an allow can
/// bear; a proof that passed the others over would claim too much.
fn unprovable(sources: &Sources<'_>) -> Vec<Diagnostic> {
    let rules = sources.rules;
    let identities = sources.universe.identities();
    let learned = identities.iter().any(|identity| !identity.names.is_empty());
    let by_name = |peer: &PeerId| matches!(rules.peer(*peer), Some(Peer::Fqdn(_)));
    let selects_by_name = |rule: &Rule| match &rule.peers {
        Peers::Of(list) => list.iter().any(by_name),
        Peers::Any => rule.beside.iter().any(by_name),
    };
    let bears = |rule: &Rule| rule.action == Action::Allow && !learned;
    let found = rules
        .iter()
        .filter(|(_, rule)| selects_by_name(rule) && !bears(rule));
    let message = |id| format!("`{}` selects peers that no table can hold", rules.name(id));
    found.map(|(id, _)| fault(&message(id))).collect()
}

/// A fault of the bundle.
fn fault(message: &str) -> Diagnostic {
    Diagnostic::new(codes::SELF_CHECK, message)
}

fn shown(mut faults: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let more = faults.len().saturating_sub(FAULTS_SHOWN);
    faults.truncate(FAULTS_SHOWN);
    if more > 0 {
        faults.push(fault(&format!("{more} more differences are not shown")));
    }
    let help = "nothing was written; please report this with the policies";
    faults
        .into_iter()
        .map(|fault| fault.help(help.to_owned()))
        .collect()
}
