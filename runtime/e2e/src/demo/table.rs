//! Expected verdicts beside observed outcomes.

use super::cast::{Exchange, PROBES};
use super::screen::{Look, Screen};
use crate::traffic::Observed;

/// Width of the text left of the cells.
const LABEL: usize = 29;
/// Width of a cell.
const CELL: usize = 9;

/// A flow, what the model says about it, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) exchange: Exchange,
    pub(super) is_allowed: bool,
    pub(super) observed: Observed,
}

impl Row {
    /// Whether the network did what the model says. A refusal is neither an answer nor a drop.
    pub(super) fn agrees(&self) -> bool {
        self.observed
            == if self.is_allowed {
                Observed::Answered
            } else {
                Observed::Silent
            }
    }

    /// The flow in full, for somebody who has to find out what went wrong.
    pub(super) fn describe(&self) -> String {
        format!(
            "{}: expected {}, observed {}",
            self.exchange,
            word(self.is_allowed),
            outcome(self.observed)
        )
    }
}

fn word(is_allowed: bool) -> &'static str {
    if is_allowed { "allow" } else { "deny" }
}

fn outcome(observed: Observed) -> &'static str {
    match observed {
        Observed::Answered => "an answer",
        Observed::Silent => "no answer",
        Observed::Refused => "a refusal",
    }
}

/// The table's lines: one for each pair and family, one cell for each way to ask.
pub(super) fn lines(rows: &[Row], screen: &Screen<'_>) -> Vec<String> {
    let header = PROBES.map(|probe| format!("{:<CELL$}", probe.to_string()));
    let header = header.concat();
    let mut lines = vec![format!("{:LABEL$}{}", "", header.trim_end())];
    for row in rows.chunk_by(|one, other| one.exchange.pair == other.exchange.pair) {
        lines.extend(line(row, screen));
    }
    lines
}

fn line(row: &[Row], screen: &Screen<'_>) -> Option<String> {
    let pair = row.first()?.exchange.pair;
    let names = format!("{} → {}", pair.from.name, pair.to.name);
    let label = format!("{names:<23} {:<5}", pair.family.to_string());
    let cells: String = row.iter().map(|row| cell(row, screen)).collect();
    Some(format!("{label:<LABEL$}{}", cells.trim_end()))
}

fn cell(row: &Row, screen: &Screen<'_>) -> String {
    let (mark, look) = match (row.agrees(), row.is_allowed) {
        (true, true) => ('✓', Look::Good),
        (true, false) => ('✓', Look::Faint),
        (false, _) => ('✗', Look::Bad),
    };
    let text = format!("{} {mark}", word(row.is_allowed));
    // Padded outside the colours, whose codes take no place on the screen.
    let space = " ".repeat(CELL.saturating_sub(text.chars().count()));
    screen.paint(look, &text) + &space
}

#[cfg(test)]
mod tests {
    use super::super::cast::exchanges;
    use super::*;

    fn rows() -> Vec<Row> {
        let rows = exchanges().into_iter().take(2 * PROBES.len());
        rows.enumerate()
            .map(|(number, exchange)| Row {
                exchange,
                is_allowed: number == 1,
                observed: if number < 2 {
                    Observed::Answered
                } else {
                    Observed::Silent
                },
            })
            .collect()
    }

    #[test]
    fn a_cell_shows_what_was_expected_and_whether_it_happened() {
        let mut out = Vec::new();
        let lines = lines(&rows(), &Screen::new(&mut out, false));
        assert_eq!(lines.len(), 3);
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&lines[0])[..2], ["tcp/443", "tcp/8080"]);
        assert_eq!(
            words(&lines[1])[..10],
            [
                "shop/web", "→", "shop/api", "IPv4", "deny", "✗", "allow", "✓", "deny", "✓"
            ]
        );
        assert!(lines[2].contains("IPv6"));
        // Cells stand below their headings.
        let at = |line: &str, text: &str| line.find(text).map(|byte| line[..byte].chars().count());
        assert_eq!(at(&lines[1], "allow"), at(&lines[0], "tcp/8080"));
    }

    #[test]
    fn only_silence_is_a_drop() {
        let row = |is_allowed, observed| Row {
            is_allowed,
            observed,
            ..rows()[0]
        };
        assert!(row(true, Observed::Answered).agrees());
        assert!(row(false, Observed::Silent).agrees());
        for (is_allowed, observed) in [
            (true, Observed::Silent),
            (true, Observed::Refused),
            (false, Observed::Answered),
            (false, Observed::Refused),
        ] {
            assert!(!row(is_allowed, observed).agrees());
        }
        assert_eq!(
            row(false, Observed::Answered).describe(),
            "shop/web → shop/api IPv4 tcp/443: expected deny, observed an answer"
        );
    }
}
