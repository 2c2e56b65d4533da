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

/// Measures everything, and writes a table and one line of JSON. `policyd` is the daemon's program.
///
/// # Errors
/// If the kernel refuses something, or both ways of deciding disagree.
pub fn run(policyd: &Path, out: &mut dyn Write) -> io::Result<()> {
    let report = Report {
        machine: report::machine(),
        decisions: decide::measure(out)?,
        packets: whole::measure()?,
        replacement: node::measure(policyd)?,
    };
    report.write(out)
}

/// The value in the middle, 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
