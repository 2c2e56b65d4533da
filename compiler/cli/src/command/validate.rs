//! `policyc validate`: would Cilium accept each document?

use policyc_diag::render::json;
use policyc_diag::{Diagnostic, SourceMap, Span};
use policyc_ir::validate;
use policyc_syntax::ast::{Document, Object};
use serde_json::{Value, json};

use crate::args::{TextOrLines, Validate};
use crate::exit::{Error, Exit};
use crate::{cluster, input, output, pipeline};

pub(crate) fn run(args: &Validate) -> Result<Exit, Error> {
    let paths = args.policies.all();
    if paths.is_empty() {
        return Err(Error::usage(
            "no documents given: name files or folders, or `-` for standard input",
        ));
    }
    let mut sources = SourceMap::new();
    let read = input::read_all(&paths, &mut sources)?;
    let (settings, faults) = cluster::settings(&args.cluster, &mut sources)?;
    if faults.iter().any(Diagnostic::is_error) {
        output::findings_aside(faults, &sources);
        return Ok(Exit::Usage);
    }
    let checks = validate::Settings::from(&settings);
    let (documents, faults) = pipeline::parse(&read);
    let mut verdicts = judge(&documents, faults, checks);
    verdicts.sort_by_key(|verdict| verdict.span);
    let rejected = verdicts.iter().filter(|verdict| verdict.rejected()).count();
    for verdict in &verdicts {
        output::print(&match args.format {
            TextOrLines::Jsonl => format!("{}\n", verdict.json(&sources)),
            TextOrLines::Human => verdict.human(&sources),
        });
    }
    if args.format == TextOrLines::Human {
        let found = verdicts
            .iter()
            .flat_map(|verdict| verdict.diagnostics.clone())
            .collect();
        output::findings_aside(found, &sources);
        output::print(&format!(
            "{} documents, {rejected} rejected\n",
            verdicts.len()
        ));
    }
    Ok(if rejected == 0 {
        Exit::Clean
    } else {
        Exit::Findings
    })
}

/// A document, or text that is none, and what is wrong with it.
struct Verdict<'a> {
    span: Span,
    document: Option<&'a Document>,
    diagnostics: Vec<Diagnostic>,
}

/// Objects that are no policies are passed over, unless something is wrong with their text.
fn judge(
    documents: &[Document],
    faults: Vec<Diagnostic>,
    checks: validate::Settings,
) -> Vec<Verdict<'_>> {
    let mut verdicts: Vec<_> = documents
        .iter()
        .map(|document| {
            let diagnostics = validate::check(document, &checks);
            Verdict {
                span: document.span,
                document: Some(document),
                diagnostics,
            }
        })
        .collect();
    for fault in faults {
        let place = fault.span();
        let owner = verdicts.iter_mut().find(|verdict| {
            verdict.document.is_some()
                && place.is_some_and(|span| pipeline::within(span, verdict.span))
        });
        match (owner, place) {
            (Some(verdict), _) => verdict.diagnostics.push(fault),
            (None, Some(span)) => verdicts.push(Verdict {
                span,
                document: None,
                diagnostics: vec![fault],
            }),
            (None, None) => {}
        }
    }
    let is_policy = |verdict: &Verdict<'_>| {
        verdict
            .document
            .is_none_or(|document| !matches!(document.object, Object::Inventory(_)))
    };
    verdicts.retain(|verdict| is_policy(verdict) || verdict.rejected());
    verdicts
}

impl Verdict<'_> {
    fn rejected(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    const fn word(rejected: bool) -> &'static str {
        if rejected { "reject" } else { "accept" }
    }

    fn name(&self) -> Option<&str> {
        self.document
            .and_then(|document| document.meta.name.as_ref())
            .map(|name| name.value.as_str())
    }

    fn json(&self, sources: &SourceMap) -> Value {
        let diagnostics: Vec<_> = self
            .diagnostics
            .iter()
            .map(|one| json::one(one, sources))
            .collect();
        json!({
            "file": sources.name(self.span.file),
            "document": self.document.map(|document| document.index),
            "kind": self.document.map(|document| document.kind.value.as_str()),
            "name": self.name(),
            "verdict": Self::word(self.rejected()),
            "diagnostics": diagnostics,
        })
    }

    fn human(&self, sources: &SourceMap) -> String {
        let line = sources.place(self.span.file, self.span.start).line;
        let kind = self
            .document
            .map_or("unreadable text", |document| document.kind.value.as_str());
        let word = Self::word(self.rejected());
        format!(
            "{word}  {}:{line}  {kind} {}\n",
            sources.name(self.span.file),
            self.name().unwrap_or("")
        )
    }
}
