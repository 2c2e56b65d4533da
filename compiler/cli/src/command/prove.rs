//! `policyc build --prove`: compares the bundle with the policies, and puts the certificate into it.

use policy_bundle::{Bundle, Contents, Trust, write};
use policyc_diag::Diagnostic;
use policyc_ir::universe::Universe;
use policyc_lower::Target;
use policyc_prove::{Proof, Sources, certificate};
use policyc_verify::Limits;

use crate::exit::Error;
use crate::pipeline::Front;

/// Proves what will be written: the bytes are encoded and opened as a node would open them.
///
/// # Errors
/// Contents that make no bundle. Differences are the inner error.
pub(super) fn certify(
    contents: &mut Contents,
    front: &Front,
    universe: &Universe,
    target: &Target,
) -> Result<Result<Proof, Vec<Diagnostic>>, Error> {
    let bytes = write::encode(contents, None).map_err(|error| Error::usage(error.to_string()))?;
    let bundle = Bundle::open(&bytes, &Trust::AllowUnsigned)
        .map_err(|error| Error::usage(error.to_string()))?;
    let sources = Sources {
        rules: &front.rules,
        universe,
        inventory: &front.inventory,
        settings: &front.settings,
        node: target.node.as_deref(),
        pod_ranges: &target.pod_ranges,
        limits: Limits::default(),
    };
    Ok(policyc_prove::prove(&bundle, &sources).inspect(|proof| {
        contents.certificate = Some(certificate::text(&bundle, proof));
    }))
}

/// A line for people.
pub(super) fn summary(proof: &Proof) -> String {
    format!("proved: {}\n", extent(proof))
}

/// How much was compared.
pub(super) fn extent(proof: &Proof) -> String {
    format!(
        "{} pods, {} tables, {} comparisons for all identities, protocols and ports, {} tables by solver, {} parts of the address space",
        proof.endpoints, proof.tables, proof.comparisons, proof.solved, proof.regions
    )
}
