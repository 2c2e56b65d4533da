//! Text form.

use std::fmt::Write as _;

use policyc_verify::diff::Change;

use super::{Found, words};

/// Changes shown at most; `--format json` has all.
const CHANGES: usize = 60;
/// Rules shown of each side.
const RULES: usize = 5;

/// All of it for a terminal.
pub(super) fn text(found: &Found<'_>) -> String {
    let mut out = String::new();
    let [old, new] = found.names;
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{old} → {new}: {}", words::headline(found));
    let _ = writeln!(out, "{}", words::counts(found));
    let changes = &found.difference.changes;
    for (at, change) in changes.iter().enumerate().take(CHANGES) {
        out.push('\n');
        one(&mut out, found, at, change);
    }
    if changes.len() > CHANGES {
        let more = changes.len() - CHANGES;
        let _ = writeln!(out, "\n{more} more differences: `--format json` has all");
    }
    for why in &found.difference.undecided {
        let _ = writeln!(out, "\nundecided: {why}");
    }
    for fault in &found.difference.faults {
        let _ = writeln!(out, "\nfault of this tool, please report it: {fault}");
    }
    out
}

fn one(out: &mut String, found: &Found<'_>, at: usize, change: &Change) {
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "  {name:<8} {text}");
    };
    let subjects = words::each(&change.subjects).join("; ");
    let title = format!("{} {subjects}", words::title(change));
    if let Some(meaning) = words::meaning(change.what) {
        let title = format!("{subjects}: {}", words::title(change));
        line(words::kind(change.what), &title);
        line("", meaning);
    } else {
        line(words::kind(change.what), &title);
        for peer in words::each(&change.peers) {
            line(words::end(change), &peer);
        }
        line("on", &words::each(&change.services).join(", "));
        for except in words::exceptions(change) {
            line("except", &except);
        }
    }
    for (name, front, rules) in found.rules(change) {
        for id in rules.iter().take(RULES) {
            line(name, &words::rule(front, *id));
        }
        if rules.len() > RULES {
            line(name, &format!("{} more", rules.len() - RULES));
        }
    }
    line("example", &change.example.flow);
    let [(old, before), (new, after)] = found.verdicts(change);
    line("  before", &words::verdict(old, before));
    line("  after", &words::verdict(new, after));
    if let Some(affected) = found.affected.as_ref().and_then(|all| all.get(at)) {
        line("pods", &affected.subjects.to_string());
        if let Some(peers) = &affected.peers {
            line("", &format!("{} {peers}", words::end(change)));
        }
    }
}
