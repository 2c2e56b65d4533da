//! Policies of kinds that the cluster does not watch.

use policyc_diag::{Diagnostic, codes};
use policyc_ir::rule::Kind;
use policyc_ir::settings::Settings;
use policyc_syntax::ast::Document;

/// Takes out the policies that the agent would never see, each with a fault: whoever wrote them counts on them.
pub(crate) fn unwatched(
    documents: Vec<Document>,
    settings: &Settings,
) -> (Vec<Document>, Vec<Diagnostic>) {
    let mut faults = Vec::new();
    let mut watched = Vec::with_capacity(documents.len());
    for document in documents {
        let written = document.kind.value.as_str();
        match settings
            .unwatched
            .iter()
            .find(|kind| kind.object() == written)
        {
            Some(kind) => faults.push(fault(*kind, &document)),
            None => watched.push(document),
        }
    }
    (watched, faults)
}

fn fault(kind: Kind, document: &Document) -> Diagnostic {
    let message = format!(
        "this cluster does not enforce policies of the kind `{}`",
        kind.object()
    );
    let fault = Diagnostic::new(codes::FEATURE_DISABLED, message)
        .label(document.kind.span, "Cilium would not read it");
    let setting = match kind {
        Kind::Cnp => "enable-cilium-network-policy",
        Kind::Ccnp => "enable-cilium-clusterwide-network-policy",
        Kind::Knp => "enable-k8s-networkpolicy",
        Kind::Kcnp => "enable-k8s-cluster-network-policy",
    };
    fault.help(format!("it does nothing until the cluster has `{setting}`"))
}
