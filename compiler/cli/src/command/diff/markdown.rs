//! Markdown, for a comment on a pull request.

use std::fmt::Write as _;

use policyc_verify::diff::Change;

use super::{Found, words};

/// Changes shown at most: a comment has room for 64 KiB.
const CHANGES: usize = 25;
/// Rules shown of each side.
const RULES: usize = 5;
/// Characters of one text at most.
const TEXT: usize = 400;

/// A comment that begins with what matters most.
pub(super) fn text(found: &Found<'_>) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "### Network policies: {}", words::headline(found));
    let [old, new] = found.names;
    let counts = words::counts(found);
    let _ = writeln!(out, "\n{} → {}: {counts}.", code(old), code(new));
    let changes = &found.difference.changes;
    for (at, change) in changes.iter().enumerate().take(CHANGES) {
        out.push('\n');
        one(&mut out, found, at, change);
    }
    if changes.len() > CHANGES {
        let _ = writeln!(out, "\n… and {} more.", changes.len() - CHANGES);
    }
    for why in &found.difference.undecided {
        let _ = writeln!(out, "\n**Undecided**: {}", code(why));
    }
    for fault in &found.difference.faults {
        let _ = writeln!(
            out,
            "\n**Fault of this tool**, please report it: {}",
            code(fault)
        );
    }
    out
}

fn one(out: &mut String, found: &Found<'_>, at: usize, change: &Change) {
    let subjects: Vec<_> = words::each(&change.subjects)
        .iter()
        .map(|one| code(one))
        .collect();
    let subjects = subjects.join("; ");
    let (title, kind) = (words::title(change), heading(words::kind(change.what)));
    if let Some(meaning) = words::meaning(change.what) {
        let _ = writeln!(out, "**{kind}**: {subjects}, {title}\n");
        let _ = writeln!(out, "- {meaning}");
    } else {
        let _ = writeln!(out, "**{kind}**: {title} {subjects}\n");
        for peer in words::each(&change.peers) {
            let _ = writeln!(out, "- {} {}", words::end(change), code(&peer));
        }
        let _ = writeln!(
            out,
            "- on {}",
            code(&words::each(&change.services).join(", "))
        );
        for except in words::exceptions(change) {
            let _ = writeln!(out, "- except {}", code(&except));
        }
    }
    for (name, front, rules) in found.rules(change) {
        for id in rules.iter().take(RULES) {
            let _ = writeln!(out, "- {name}: {}", code(&words::rule(front, *id)));
        }
        if rules.len() > RULES {
            let _ = writeln!(out, "- {name}: {} more", rules.len() - RULES);
        }
    }
    let [(old, before), (new, after)] = found.verdicts(change);
    let _ = writeln!(out, "- example: {}", code(&change.example.flow));
    let _ = writeln!(out, "  - before: {}", code(&words::verdict(old, before)));
    let _ = writeln!(out, "  - after: {}", code(&words::verdict(new, after)));
    if let Some(affected) = found.affected.as_ref().and_then(|all| all.get(at)) {
        let _ = writeln!(
            out,
            "- in the inventory: {}",
            code(&affected.subjects.to_string())
        );
        if let Some(peers) = &affected.peers {
            let _ = writeln!(
                out,
                "  - {} {}",
                words::end(change),
                code(&peers.to_string())
            );
        }
    }
}

fn heading(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Text that cannot leave its place: names and labels come from files that anyone may have written.
fn code(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| match c {
            '`' => '\'',
            c if c.is_control() => ' ',
            c => c,
        })
        .take(TEXT)
        .collect();
    let cut = if text.chars().count() > TEXT {
        "…"
    } else {
        ""
    };
    format!("`{clean}{cut}`")
}
