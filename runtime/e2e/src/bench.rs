//! What `make bench-datapath` measures: decisions, whole packets, and replacing a node's policy.
//!
//! Everything is measured beside a program that does the same without what is measured, in turns, so that a machine
//! with other things to do bends both alike. What is reported are medians.

/// Emptying the processor's caches.
mod cache;
/// One policy as tables and as entries of a prefix map.
mod case;
/// Deciding by tables and by the reference.
mod decide;
/// Replacing the policy of a node.
mod node;
/// Numbers for people and for programs.
mod report;
/// Whole packets through the datapath.
mod whole;

use std::io::{self, Write};
use std::path::Path;

pub use report::Report;

/// What can be measured by itself.
pub const PARTS: [&str; 3] = ["decisions", "packets", "replacement"];

/// Measures some of [`PARTS`], or all if none is named, and writes a table and one line of JSON. `policyd` is the
/// daemon's program.
///
/// # Errors
/// If a part is unknown, the kernel refuses something, or both ways of deciding disagree.
pub fn run(policyd: &Path, parts: &[String], out: &mut dyn Write) -> io::Result<()> {
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(io::Error::other(format!(
            "`{unknown}` is not one of {PARTS:?}"
        )));
    }
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let mut report = Report::new();
    if is_wanted("decisions") {
        report.decisions = decide::measure(out)?;
    }
    if is_wanted("packets") {
        report.packets = whole::measure()?;
    }
    if is_wanted("replacement") {
        report.replacement = Some(node::measure(policyd)?);
    }
    report.write(out)
}

/// The value in the middle, 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
