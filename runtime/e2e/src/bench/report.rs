//! Numbers for people and for programs.

use std::fs;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::decide::Decision;
use super::node::Replacement;
use super::whole::Packet;

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Processor and kernel.
    pub machine: String,
    /// Decisions by tables and by the reference.
    pub decisions: Vec<Decision>,
    /// Whole packets.
    pub packets: Vec<Packet>,
    /// Replacing the policy of a node.
    pub replacement: Option<Replacement>,
}

impl Report {
    /// Nothing yet, on this machine.
    pub(super) fn new() -> Self {
        Self {
            machine: machine(),
            decisions: Vec::new(),
            packets: Vec::new(),
            replacement: None,
        }
    }

    /// Writes tables, and everything again as one line of JSON.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n{}\n", self.machine)?;
        if !self.decisions.is_empty() {
            self.write_decisions(out)?;
        }
        writeln!(
            out,
            "\nnanoseconds of a packet, net of a program that does nothing"
        )?;
        for row in &self.packets {
            let cold = row
                .cold
                .map_or_else(String::new, |cold| format!("{cold:.0}"));
            writeln!(
                out,
                "{:<32} {:>6.0} warm {:>6} cold",
                row.name, row.warm, cold
            )?;
        }
        if let Some(replacement) = &self.replacement {
            writeln!(out, "\n{replacement}")?;
        }
        writeln!(out)?;
        writeln!(out, "{}", self.json())
    }

    fn write_decisions(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "nanoseconds of a decision, net of a program that makes the same keys and decides nothing"
        )?;
        writeln!(
            out,
            "{:>10} {:>8} | {:>6} {:>9} {:>5} | {:>7} {:>7} {:>9} | {:>6} {:>9} | {:>8} {:>7} {:>9}",
            "identities",
            "entries",
            "tables",
            "reference",
            "ratio",
            "latency",
            "record",
            "reference",
            "cold",
            "reference",
            "bytes",
            "load us",
            "reference"
        )?;
        for row in &self.decisions {
            writeln!(
                out,
                "{:>10} {:>8} | {:>6.1} {:>9.1} {:>5.0} | {:>7.1} {:>7.1} {:>9.1} | {:>6.0} {:>9.0} | {:>8} {:>7.0} {:>9.0}",
                row.identities,
                row.entries,
                row.tables,
                row.reference,
                row.reference / row.tables,
                row.tables_latency,
                row.record_latency,
                row.reference_latency,
                row.tables_cold,
                row.reference_cold,
                row.bytes,
                row.tables_load,
                row.reference_load
            )?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "decisions": self.decisions.iter().map(Decision::json).collect::<Vec<_>>(),
            "packets": self.packets.iter().map(Packet::json).collect::<Vec<_>>(),
            "replacement": self.replacement.as_ref().map(Replacement::json),
        })
    }
}

/// Processor and kernel, as far as they say.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpus.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(": ").nth(1))
            .unwrap_or("?")
            .to_owned()
    };
    let count = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{count} x {}, Linux {}", field("model name"), kernel.trim())
}
