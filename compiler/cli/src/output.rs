//! The only place that prints.

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use policyc_diag::{Diagnostic, Severity, SourceMap, codes, render};

use crate::args::{FailOn, Format};
use crate::exit::Exit;

/// Writes to standard output. A reader that has gone away is no error.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a message to standard error.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "policyc: {message}");
}

/// Writes a remark to standard error, if a person is watching.
pub(crate) fn remark(message: &str) {
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr().lock(), "\r{message}\x1b[K");
    }
}

/// Shows how far long work has come, if a person is watching: after a second, and then a few times each second.
pub(crate) fn progress(done: usize, total: usize) {
    static START: OnceLock<Instant> = OnceLock::new();
    static SHOWN: AtomicU64 = AtomicU64::new(0);
    let tenths = START.get_or_init(Instant::now).elapsed().as_millis() / 100;
    let tenths = u64::try_from(tenths).unwrap_or(u64::MAX);
    let due = tenths >= SHOWN.load(Ordering::Relaxed).saturating_add(3).max(10);
    if due && std::io::stderr().is_terminal() {
        SHOWN.store(tenths, Ordering::Relaxed);
        let mut stderr = std::io::stderr().lock();
        // The line is written over by the next one and by whatever follows.
        let _ = write!(stderr, "\r{done} of {total} rules asked about\x1b[K\r");
        let _ = stderr.flush();
    }
}

/// Sorts and writes findings to standard output, and says how the run ends.
pub(crate) fn findings(
    mut found: Vec<Diagnostic>,
    sources: &SourceMap,
    format: Format,
    fail_on: FailOn,
) -> Exit {
    policyc_diag::diagnostic::sort(&mut found);
    print(&render::render(format.render(), &found, sources, style()));
    exit_of(&found, fail_on)
}

/// Sorts and writes findings to standard error as text.
pub(crate) fn findings_aside(mut found: Vec<Diagnostic>, sources: &SourceMap) {
    policyc_diag::diagnostic::sort(&mut found);
    if !found.is_empty() {
        let text = render::render(
            render::Format::Human,
            &found,
            sources,
            render::Style {
                color: false,
                ..style()
            },
        );
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Undecided and internal faults come before findings: nobody may take them for an answer.
pub(crate) fn exit_of(found: &[Diagnostic], fail_on: FailOn) -> Exit {
    let undecided = |diagnostic: &Diagnostic| {
        diagnostic.code == codes::UNDECIDED || diagnostic.code.entry().number.starts_with('I')
    };
    let lowest = match fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Note => Severity::Note,
    };
    if found.iter().any(undecided) {
        Exit::Undecided
    } else if found.iter().any(|diagnostic| diagnostic.severity >= lowest) {
        Exit::Findings
    } else {
        Exit::Clean
    }
}

fn style() -> render::Style {
    let color = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    render::Style {
        color,
        width: columns.unwrap_or(100),
    }
}
