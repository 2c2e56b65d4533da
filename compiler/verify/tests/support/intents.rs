//! From the syntax of intents to the verifier's, as the command line does it.

use policyc_diag::{Diagnostic, Source};
use policyc_ir::rule::Services;
use policyc_syntax::grammar::intent as syntax;
use policyc_verify::Intent;
use policyc_verify::intent::end::{End, Test};
use policyc_verify::intent::service::service;

pub(crate) fn read(source: &Source) -> (Vec<Intent>, Vec<Diagnostic>) {
    let (parsed, mut faults) = syntax::parse(source);
    let mut intents = Vec::new();
    for intent in &parsed {
        match lower(intent) {
            Ok(intent) => intents.push(intent),
            Err(fault) => faults.push(fault),
        }
    }
    (intents, faults)
}

fn lower(intent: &syntax::Intent) -> Result<Intent, Diagnostic> {
    let mut services = Services::All;
    if let Some(written) = &intent.services {
        let lowered = written
            .iter()
            .map(|one| service(&one.protocol, one.ports.as_deref(), one.span));
        let lowered: Result<Vec<_>, _> = lowered.collect();
        services = Services::Of(lowered?.concat());
    }
    Ok(Intent {
        text: intent.text.value.as_str().into(),
        span: intent.text.span,
        from: end(&intent.from)?,
        to: end(&intent.to)?,
        services,
    })
}

fn end(end: &policyc_diag::Spanned<syntax::End>) -> Result<End, Diagnostic> {
    match &end.value {
        syntax::End::Any => Ok(End::any(end.span)),
        syntax::End::Entity(name) => End::entity(name, end.span),
        syntax::End::Cidr(text) => End::cidr(text, end.span),
        syntax::End::Pods {
            requirements,
            namespace,
        } => {
            let requirements = requirements.iter().map(|one| {
                let test = match one.test {
                    syntax::Test::In => Test::In,
                    syntax::Test::NotIn => Test::NotIn,
                    syntax::Test::Exists => Test::Exists,
                    syntax::Test::Absent => Test::Absent,
                };
                (one.key.as_str(), test, one.values.as_slice())
            });
            Ok(End::pods(requirements, namespace.as_deref(), end.span))
        }
    }
}
