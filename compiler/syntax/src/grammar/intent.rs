//! Intents and guards: what policies must let pass, must never let pass, and may not say.
//!
//! The grammar is `grammar/intent.pest`. Lines are read one by one, so a fault in one hides none in another.

use policyc_diag::{Diagnostic, Source, Span, codes};

/// Faults in plain words.
mod fault;
/// From parse pairs to the tree.
mod read;
/// Statements as they were written.
mod tree;

pub use tree::{
    Act, Authors, Claim, End, Group, Guard, Hops, Intent, Party, Request, Requirement, Scope,
    Service, Services, Statement, Test,
};

/// Longest statement, in bytes.
const LINE_BYTES: usize = 4096;
/// Most statements of a file.
const STATEMENTS: usize = 10_000;

/// Reads a file of intents: every statement that can be read, and every fault in the others.
pub fn parse(source: &Source) -> (Vec<Statement>, Vec<Diagnostic>) {
    let (mut statements, mut faults) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let statement = line.split('#').next().unwrap_or("").trim_end();
        let indent = statement.len() - statement.trim_start().len();
        let place = Place {
            source,
            start: start + indent,
        };
        start += line.len();
        let statement = statement.trim_start();
        if statement.is_empty() {
            continue;
        }
        let read = if statement.len() > LINE_BYTES || statements.len() >= STATEMENTS {
            Err(limit(place, statement))
        } else {
            read::statement(place, statement)
        };
        match read {
            Ok(statement) => statements.push(statement),
            Err(fault) => faults.push(fault),
        }
        if statements.len() + faults.len() > STATEMENTS {
            break;
        }
    }
    (statements, faults)
}

fn limit(place: Place<'_>, statement: &str) -> Diagnostic {
    let message =
        format!("an intent is longer than {LINE_BYTES} bytes, or there are more than {STATEMENTS}");
    Diagnostic::new(codes::INPUT_LIMIT, message).label(place.span(0, statement.len().min(40)), "")
}

/// Where a statement stands.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    source: &'a Source,
    /// Its first byte in the file.
    start: usize,
}

impl Place<'_> {
    /// The span of some bytes of the statement.
    fn span(self, from: usize, to: usize) -> Span {
        let at = |offset: usize| u32::try_from(self.start + offset).unwrap_or(u32::MAX);
        Span::new(self.source.id, at(from), at(to))
    }
}

#[cfg(test)]
mod tests;
