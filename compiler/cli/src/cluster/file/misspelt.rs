//! Keys that are misspelt.
//!
//! A file holds hundreds of settings that are no business of this tool, and many have names like those that are. So
//! only a key that is a known one but for one slip (a letter, case, hyphens) counts as misspelt.

use std::borrow::Cow;

use policyc_diag::{Diagnostic, Span, Spanned, codes};
use policyc_syntax::tree::Node;

use super::super::keys;
use super::{EXTRA, entries};

/// Levels of Helm values that are looked at; no path that matters is deeper.
const LEVELS: usize = 2;
/// Shortest key that a slip of a letter is looked for in: `ipam` is not `ipv4`.
const SHORTEST: usize = 6;

/// A fault if an agent's key is meant to be a known one.
pub(super) fn agent(key: &Spanned<Cow<'_, str>>) -> Option<Diagnostic> {
    let known = keys::ALL.iter().map(|setting| setting.agent);
    fault(&key.value, key.span, known)
}

/// Faults of all paths of Helm values that are meant to be known ones, or that belong elsewhere.
pub(super) fn helm(root: &Node<'_>) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for entry in entries(root).unwrap_or(&[]) {
        let key = &*entry.key.value;
        let no_path = |setting: &&keys::Setting| setting.agent == key && setting.helm != Some(key);
        if keys::ALL.iter().any(|setting| no_path(&setting)) {
            let message = format!("`{key}` is no setting of Helm's chart");
            let fault = Diagnostic::new(codes::CLUSTER_CONFIG, message);
            let fault = fault.label(entry.key.span, "a key of the agent");
            faults.push(fault.help(format!("put it below `{EXTRA}`")));
        }
    }
    walk(root, "", 1, &mut faults);
    faults
}

fn walk(node: &Node<'_>, above: &str, level: usize, faults: &mut Vec<Diagnostic>) {
    for entry in entries(node).unwrap_or(&[]) {
        let key = &*entry.key.value;
        let path = if above.is_empty() {
            key.to_owned()
        } else {
            format!("{above}.{key}")
        };
        if path == EXTRA || known(&path) {
            continue;
        }
        let deeper = level < LEVELS && entries(&entry.value).is_some();
        let of_level = keys::ALL.iter().filter_map(|setting| setting.helm);
        faults.extend(fault(&path, entry.key.span, of_level));
        if deeper {
            walk(&entry.value, &path, level + 1, faults);
        }
    }
}

fn known(path: &str) -> bool {
    keys::ALL.iter().any(|setting| setting.helm == Some(path))
}

fn fault(
    written: &str,
    span: Span,
    known: impl Iterator<Item = &'static str>,
) -> Option<Diagnostic> {
    let meant = { known }.find(|known| slip(written, known))?;
    let message = format!("no setting is called `{written}`");
    let fault = Diagnostic::new(codes::CLUSTER_CONFIG, message).label(span, "unknown setting");
    Some(fault.help(format!("did you mean `{meant}`?")))
}

/// Whether one was meant for the other: equal but for case and hyphens, or but for one letter too many, too few,
/// wrong, or swapped with its neighbour.
fn slip(written: &str, meant: &str) -> bool {
    let bare = |text: &str| -> Vec<char> {
        let kept = text.chars().filter(|c| !matches!(c, '-' | '_'));
        kept.flat_map(char::to_lowercase).collect()
    };
    let (written, meant) = (bare(written), bare(meant));
    if written == meant {
        return true;
    }
    if meant.len() < SHORTEST || written.len().abs_diff(meant.len()) > 1 {
        return false;
    }
    let start = written
        .iter()
        .zip(&meant)
        .take_while(|(a, b)| a == b)
        .count();
    let left = |text: &[char], from: usize| text.get(from..).unwrap_or(&[]).to_vec();
    let (a, b) = (left(&written, start), left(&meant, start));
    let rest = |text: &[char]| left(text, 1);
    let swapped = matches!((a.as_slice(), b.as_slice()), ([a0, a1, a2 @ ..], [b0, b1, b2 @ ..]) if a0 == b1 && a1 == b0 && a2 == b2);
    rest(&a) == rest(&b) || rest(&a) == b || a == rest(&b) || swapped
}

#[cfg(test)]
mod tests {
    use super::slip;

    #[test]
    fn one_slip_is_forgiven_and_two_are_not() {
        for written in [
            "enable-policy",
            "enable_policy",
            "enablePolicy",
            "enable-polcy",
            "enable-poilcy",
            "enable-policyy",
            "enabel-policy",
        ] {
            assert!(slip(written, "enable-policy"), "{written}");
        }
        for (other, meant) in [
            ("ipam", "ipv4"),
            ("enable-ipsec", "enable-ipv4"),
            ("enable-bpf", "enable-sctp"),
            ("tabel", "labels"),
        ] {
            assert!(!slip(other, meant), "{other}");
        }
    }
}
