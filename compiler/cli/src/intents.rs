//! Intents: from files to what the verifier proves.

use std::path::PathBuf;

use policyc_diag::{Diagnostic, SourceMap, Spanned};
use policyc_ir::rule::Services;
use policyc_syntax::grammar::intent::{self as written, Service};
use policyc_verify::intent::{End, Intent, end, service};

use crate::exit::Error;
use crate::input;

/// Reads files of intents; those at fault are left out and their diagnostics say why.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn read(
    paths: &[PathBuf],
    sources: &mut SourceMap,
) -> Result<(Vec<Intent>, Vec<Diagnostic>), Error> {
    let mut intents = Vec::new();
    let mut diagnostics = Vec::new();
    for source in input::read_all(paths, sources)? {
        let (statements, faults) = written::parse(&source);
        diagnostics.extend(faults);
        for statement in statements {
            match intent(&statement) {
                Ok(intent) => intents.push(intent),
                Err(fault) => diagnostics.push(fault),
            }
        }
    }
    Ok((intents, diagnostics))
}

fn intent(statement: &written::Intent) -> Result<Intent, Diagnostic> {
    let services = match &statement.services {
        None => Services::All,
        Some(list) => Services::Of(
            list.iter()
                .map(alternatives)
                .collect::<Result<Vec<_>, _>>()?
                .concat(),
        ),
    };
    Ok(Intent {
        text: statement.text.value.as_str().into(),
        span: statement.text.span,
        from: party(&statement.from)?,
        to: party(&statement.to)?,
        services,
    })
}

fn alternatives(written: &Spanned<Service>) -> Result<Vec<policyc_ir::port::L4>, Diagnostic> {
    service::service(&written.protocol, written.ports.as_deref(), written.span)
}

fn party(written: &Spanned<written::End>) -> Result<End, Diagnostic> {
    let span = written.span;
    match &written.value {
        written::End::Any => Ok(End::any(span)),
        written::End::Entity(name) => End::entity(name, span),
        written::End::Cidr(text) => End::cidr(text, span),
        written::End::Pods {
            requirements,
            namespace,
        } => {
            let requirements = requirements
                .iter()
                .map(|one| (one.key.as_str(), test(one.test), one.values.as_slice()));
            Ok(End::pods(requirements, namespace.as_deref(), span))
        }
    }
}

const fn test(written: written::Test) -> end::Test {
    match written {
        written::Test::In => end::Test::In,
        written::Test::NotIn => end::Test::NotIn,
        written::Test::Exists => end::Test::Exists,
        written::Test::Absent => end::Test::Absent,
    }
}
