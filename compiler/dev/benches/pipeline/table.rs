//! The results as tables.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::cells::Cell;
use crate::memory::{self, Whole};
use crate::stages::FLOWS;

/// Stages in order; the last is not part of building the model.
const STAGES: [&str; 6] = ["parse", "rules", "universe", "resolve", "model", "verdicts"];

/// The results of one cluster.
pub(crate) struct Row {
    cell: Cell,
    /// Median time of each stage, in nanoseconds.
    times: [f64; STAGES.len()],
    whole: Whole,
}

impl Row {
    pub(crate) fn new(cell: &Cell, home: &Path) -> Self {
        Self {
            cell: *cell,
            times: STAGES.map(|stage| median(&home.join(cell.to_string()).join(stage))),
            whole: memory::of(cell),
        }
    }
}

/// The median that Criterion estimated, in nanoseconds.
fn median(folder: &Path) -> f64 {
    let text = std::fs::read_to_string(folder.join("new/estimates.json")).unwrap();
    let estimates: Value = serde_json::from_str(&text).unwrap();
    estimates["median"]["point_estimate"].as_f64().unwrap()
}

/// Two tables in Markdown: time and memory.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut out = String::from(
        "| pods | policies | parse | rules | universe | resolve | model | all | one verdict |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for Row { cell, times, whole } in rows {
        let [parse, rules, universe, resolve, model, verdicts] = times.map(|time| time / 1e6);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let one = verdicts * 1e3 / FLOWS as f64;
        _ = writeln!(
            out,
            "| {} | {} | {parse:.1} ms | {rules:.1} ms | {universe:.1} ms | {resolve:.1} ms | {model:.1} ms | {} ms | {one:.2} µs |",
            cell.pods, cell.policies, whole.milliseconds
        );
    }
    out.push_str(
        "\n| pods | policies | parse | rules | resolve | model |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for Row { cell, whole, .. } in rows {
        let peaks = whole
            .peaks
            .iter()
            .map(|peak| format!(" {} MiB |", peak >> 10));
        _ = writeln!(
            out,
            "| {} | {} |{}",
            cell.pods,
            cell.policies,
            peaks.collect::<String>()
        );
    }
    out
}
